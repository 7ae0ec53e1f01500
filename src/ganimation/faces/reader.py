"""From a photo to its faces: detection, landmarks, alignment and AU intensities in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganimation.action_units import check_intensity, parse_code
from ganimation.faces import crop
from ganimation.faces.annotator import APPEARANCE_SIDE, APPEARANCE_TEMPLATE, Annotator
from ganimation.faces.crop import CropTemplate, Transform
from ganimation.faces.detector import Detection, FaceDetector
from ganimation.faces.geometry import displacements, expected_points, measured
from ganimation.faces.landmarks import (
    SIDE,
    FaceLandmarker,
    Landmarks,
    cut_region,
    eye_centres,
    region_from_eyes,
    region_from_landmarks,
    region_from_points,
)
from ganimation.media.images import photo_from_array

#: Presence below which the landmarker says there is no usable face.
MIN_PRESENCE = 0.5

#: Certainty below which a face is doubtful. Of 60 portraits upright, all lie above; turned by 90 degrees or more, none
#: does; of the same as posters of six greys a channel, one in seven lies below.
SURE = 0.8
#: Landmarks of a face and of its mirror image lie apart by so much, as a share of the eyes' distance, where the face
#: is read well, and by so much where it is not read at all.
ALIKE, APART = 0.04, 0.12
#: Degrees of a turned head beyond which what is hidden is guessed.
FAR = 35.0
#: Degrees between the eyes and the horizontal beyond which a photo lies on its side.
TILTED = 45.0

#: Between two frames of a film a face does not grow or shrink by more than this factor.
LEAP = 1.5

#: Landmarks at the outer corners of the eyes, the one on the picture's left first.
OUTER_CORNERS = (33, 263)

_BATCH = 8  # faces a landmarker call; bounds the memory that a crowd takes


@dataclass(frozen=True)
class Face:
    """One face of a photo.

    Attributes:
        box: x, y, width, height in pixels of the photo.
        score: the detector's confidence in [0, 1].
        points: (478, 2) landmarks in pixels of the photo.
        eyes: (2, 2) centres of the eyes, the one on the left first as the face is seen upright.
        aus: AU intensity by code, in [0, 1].
        certainty: in [0, 1], how sure it is that this is a face and that its landmarks are right; see :data:`SURE`.
        yaw: degrees by which the head is turned, 0 to the camera.
    """

    box: tuple[float, float, float, float]
    score: float
    points: NDArray[np.float64]
    eyes: NDArray[np.float64]
    aus: dict[str, float]
    certainty: float = 1.0
    yaw: float = 0.0

    @property
    def roll(self) -> float:
        """Degrees by which the face is tilted clockwise in the photo, in (-180, 180]."""
        across = self.eyes[1] - self.eyes[0]
        return float(np.degrees(np.arctan2(across[1], across[0])))

    @property
    def doubt(self) -> str:
        """What makes the intensities of this face, and edits of it, unsure: a phrase, or empty."""
        doubts = []
        if self.certainty < SURE:
            doubts.append(
                f"it may be no photograph of a face, or is blurred or hidden (certainty {self.certainty:.2f})"
            )
        if abs(self.yaw) > FAR:
            doubts.append(f"it is turned by {abs(self.yaw):.0f} degrees, and what is hidden is guessed")
        if abs(self.roll) > TILTED:
            doubts.append(f"it is tilted by {abs(self.roll):.0f} degrees, so the photo may lie on its side")
        return "; ".join(doubts)

    def __repr__(self) -> str:
        x, y, width, height = (round(value) for value in self.box)
        strongest = sorted(self.aus.items(), key=lambda item: -item[1])[:3]
        return f"<Face {width}x{height} at ({x}, {y}): {', '.join(f'{code} {value:.2f}' for code, value in strongest)}>"

    def to_json(self) -> dict[str, Any]:
        """Return box, score, certainty, angles, doubt and AUs as plain JSON values."""
        return {
            "box": [round(value, 1) for value in self.box],
            "score": round(self.score, 4),
            "certainty": round(self.certainty, 4),
            "yaw": round(self.yaw, 1),
            "roll": round(self.roll, 1),
            "doubt": self.doubt,
            "aus": {code: round(value, 4) for code, value in self.aus.items()},
        }

    def expected_points(self, expression: Mapping[str, float]) -> NDArray[np.float64]:
        """Return where the landmarks are expected at other intensities, (478, 2) in pixels of the photo.

        Args:
            expression: intensity in [0, 1] by AU; AUs that are not named stay as they are.

        Raises:
            ActionUnitError: an AU whose displacement is not known, or an intensity out of range.
        """
        target = {parse_code(code, measured()): value for code, value in expression.items()}
        for code, value in target.items():
            check_intensity(value, code)
        return expected_points(self.points, self.aus, target)

    def crop_from_photo(self, size: int, template: CropTemplate) -> Transform:
        """Return the similarity that cuts this face out, see :mod:`ganimation.faces.crop`."""
        return crop.crop_from_photo(self.eyes, size, template)


class FaceReader:
    """Find and measure faces; safe to share between threads.

    Args:
        threads: of the landmarker's ONNX Runtime session; 0 lets it choose.
    """

    def __init__(self, threads: int = 0) -> None:
        self._detector = FaceDetector()
        self._landmarker = FaceLandmarker(threads)
        self._annotator = Annotator()

    @property
    def aus(self) -> tuple[str, ...]:
        """Codes of the AUs that are measured, in order."""
        return self._annotator.aus

    def read(self, image: NDArray[np.uint8], *, turned: bool = True) -> list[Face]:
        """Return every usable face of an image, the largest first.

        Args:
            image: RGB uint8, (H, W, 3).
            turned: where there is no face, or the largest is doubtful, also look in the image turned by 90, 180 and 270
                degrees, and return the faces of where the largest is the surest.

        Raises:
            MediaError: it is something else.
        """
        image = photo_from_array(image).pixels
        faces = self._read(image)
        if not turned or (faces and faces[0].certainty >= SURE):
            return faces
        tries = [[turn_back(face, turns, image) for face in self._read(np.rot90(image, turns).copy())]
                 for turns in (1, 2, 3)]  # fmt: skip
        return max(faces, *tries, key=lambda some: some[0].certainty if some else -1.0)

    def _read(self, image: NDArray[np.uint8]) -> list[Face]:
        detections = self._detector.detect(image)
        faces: list[Face] = []
        for start in range(0, len(detections), _BATCH):
            faces += self._measure(image, detections[start : start + _BATCH])
        return [face if face.certainty >= SURE else self._look_again(image, face) for face in faces]

    def _look_again(self, image: NDArray[np.uint8], face: Face) -> Face:
        """Return a doubtful face from where its landmarks say that it is, if it is surer there: a tilted one is."""
        found = self._look(image, region_from_landmarks(face.points), face.score)
        return face if found is None or found.certainty <= face.certainty else replace(found, box=face.box)

    def _measure(self, image: NDArray[np.uint8], detections: Sequence[Detection]) -> list[Face]:
        regions = [region_from_points(found.points) for found in detections]
        looks = self._landmarker(both_ways(np.stack([cut_region(image, region) for region in regions])))
        count = len(detections)
        present = [i for i in range(count) if min(looks.presence[[i, count + i]]) >= MIN_PRESENCE]
        if not present:
            return []
        placed = [place(looks, i, regions[i]) for i in present]
        appearances = np.stack([appearance(image, eyes) for _, eyes in placed])
        rows = present + [count + i for i in present]
        kept = Landmarks(looks.points[rows], looks.presence[rows], looks.blendshapes[rows])
        intensities = self._annotator(kept, appearances)
        return [
            Face(
                detections[i].box,
                detections[i].score,
                points,
                eyes,
                {code: float(value) for code, value in zip(self._annotator.aus, values, strict=True)},
                *certainty(looks, i, detections[i].score),
            )
            for i, (points, eyes), values in zip(present, placed, intensities, strict=True)
        ]

    def follow(self, image: NDArray[np.uint8], face: Face) -> Face | None:
        """Track a face to the next frame of a film, near its last position; ``None`` if it is no longer there.

        The detector is not run, so this is several times faster than :meth:`read`.
        """
        found = self._look(image, region_from_eyes(face.eyes), face.score)
        if found is None:
            return None
        grown = np.linalg.norm(found.eyes[1] - found.eyes[0]) / np.linalg.norm(face.eyes[1] - face.eyes[0])
        return found if 1 / LEAP < grown < LEAP else None

    def points_of_crop(self, crop: NDArray[np.uint8], template: CropTemplate) -> NDArray[np.float64]:
        """Return the landmarks, (478, 2) in pixels, of a face that is aligned already: (S, S, 3) RGB uint8."""
        region = region_from_eyes(template.eyes(len(crop)))
        return place(self._landmarker(both_ways(cut_region(crop, region)[None])), 0, region)[0]

    def measure_crops(self, crops: NDArray[np.uint8], template: CropTemplate) -> NDArray[np.float32]:
        """Return the AUs of faces that are aligned already, (N, 16) in the order of the annotator's ``aus``.

        The detector is not run: the template gives the eyes. Against :meth:`read` on the photo, on 83 faces at 128
        pixels, correlations by AU are .95 and more, at 64 pixels .92 and more.

        Args:
            crops: (N, S, S, 3) RGB uint8.
            template: of the crops.

        Returns:
            intensities in [0, 1]; NaN where the landmarker sees no face.
        """
        found = np.full((len(crops), len(self._annotator.aus)), np.nan, np.float32)
        for row, image in enumerate(crops):
            face = self.read_crop(image, template)
            if face is not None:
                found[row] = list(face.aus.values())
        return found

    def read_crop(self, crop: NDArray[np.uint8], template: CropTemplate) -> Face | None:
        """Return a face that is aligned already, (S, S, 3) RGB uint8, or ``None``; see :meth:`measure_crops`."""
        return self._look(crop, region_from_eyes(template.eyes(len(crop))), 1.0)

    def _look(self, image: NDArray[np.uint8], region: Transform, score: float) -> Face | None:
        """Return the face in a region of an image, or ``None`` if there is none."""
        looks = self._landmarker(both_ways(cut_region(image, region)[None]))
        if min(looks.presence) < MIN_PRESENCE:
            return None
        points, eyes = place(looks, 0, region)
        values = self._annotator(looks, appearance(image, eyes)[None])[0]
        low, high = points.min(axis=0), points.max(axis=0)
        aus = {code: float(value) for code, value in zip(self._annotator.aus, values, strict=True)}
        box = (*low.tolist(), *(high - low).tolist())
        return Face(box, score, points, eyes, aus, *certainty(looks, 0, score))


def both_ways(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return N crops followed by their mirror images, (2N, H, W, 3)."""
    return np.concatenate([crops, crops[:, :, ::-1]])


def place(looks: Landmarks, index: int, region: Transform) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return landmarks (478, 2) and eye centres (2, 2) of one face in pixels of the photo.

    They are averaged over the crop and its mirror image, so that a face and its mirror image get the same.
    """
    seen, mirrored = both_seen(looks, index)
    points = crop.apply(crop.invert(region), (seen[:, :2] + mirrored[:, :2]) / 2)
    return points, eye_centres(points)


def both_seen(looks: Landmarks, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return landmarks (478, 3) of one face in pixels of its crop: as it was seen, and by its mirror image."""
    seen, mirrored = (looks.points[row].astype(np.float64) for row in (index, len(looks.points) // 2 + index))
    mirrored = mirrored[displacements().mirror]
    mirrored[:, 0] = SIDE - 1 - mirrored[:, 0]
    return seen, mirrored


def certainty(looks: Landmarks, index: int, score: float) -> tuple[float, float]:
    """Return how sure a face is, in [0, 1], and its yaw in degrees.

    A landmarker that sees no face where it was told to look draws one somewhere: in the mirror image somewhere
    else. So certainty is the product of the detector's score, the presence, and how well the two agree.

    Args:
        looks: of crops followed by their mirror images.
        index: of the face.
        score: of the detector.
    """
    seen, mirrored = both_seen(looks, index)
    across = eye_centres(seen)
    apart = float(np.median(np.linalg.norm(seen - mirrored, axis=1)) / max(np.linalg.norm(across[1] - across[0]), 1.0))
    alike = min(1.0, max(0.0, (APART - apart) / (APART - ALIKE)))
    presence = float(min(looks.presence[[index, len(looks.presence) // 2 + index]]))
    corners = (seen + mirrored)[[OUTER_CORNERS[1]]] - (seen + mirrored)[[OUTER_CORNERS[0]]]
    x, y, z = corners[0].tolist()
    return score * presence * alike, float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def turn_back(face: Face, turns: int, image: NDArray[np.uint8]) -> Face:
    """Return a face that was found in ``np.rot90(image, turns)`` with its places in the image."""
    height, width = image.shape[:2]

    def back(points: NDArray[np.float64], edge: float) -> NDArray[np.float64]:
        x, y = points[:, 0], points[:, 1]
        ways = {1: (width - edge - y, x), 2: (width - edge - x, height - edge - y), 3: (y, height - edge - x)}
        return np.stack(ways[turns], axis=1)

    x, y, w, h = face.box
    corners = back(np.array([[x, y], [x + w, y + h]]), 0.0)  # boxes count from edges, points from pixel centres
    low, high = corners.min(axis=0), corners.max(axis=0)
    box = (*low.tolist(), *(high - low).tolist())
    return replace(face, box=box, points=back(face.points, 1.0), eyes=back(face.eyes, 1.0))


def appearance(image: NDArray[np.uint8], eyes: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the crop whose gradients the annotator reads, (128, 128, 3)."""
    transform = crop.crop_from_photo(eyes, APPEARANCE_SIDE, APPEARANCE_TEMPLATE)
    return crop.cut(image, transform, APPEARANCE_SIDE)
