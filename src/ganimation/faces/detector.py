"""Find faces: YuNet, run by OpenCV. Knows nothing of what a face shows."""

import threading
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.assets import read_asset
from ganimation.faces.crop import cut

#: The longest side of the picture that the detector sees; a face smaller than about 10 pixels there goes unseen.
DETECTION_SIDE = 640

#: Side of the picture in which a face that was found in a reduced photo is searched again; it fills half of it.
CLOSE_SIDE = 192

#: Boxes that overlap this much (intersection over union) in a picture and in its mirror image are one face.
SAME_FACE = 0.5

# Below about this many pixels a side, YuNet's answer in OpenCV is noise.
_LEAST_SIDE = 64

# A row of YuNet's answer: box, five points, score; and the order of the points in a mirror image.
_BOX, _POINTS, _SCORE = slice(0, 4), slice(4, 14), 14
_MIRRORED_POINTS = [1, 0, 2, 4, 3]

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Detection:
    """A face box with five points, in pixels of the photo.

    Attributes:
        box: x, y, width, height.
        points: (5, 2) float32: the eye on the picture's left, the one on its right, nose tip, left and right mouth
            corner.
        score: confidence in [0, 1].
    """

    box: tuple[float, float, float, float]
    points: Rows
    score: float


class FaceDetector:
    """YuNet (Wu et al., *YuNet: A Tiny Millisecond-level Face Detector*, 2023). Safe to share between threads."""

    def __init__(self, min_score: float = 0.6) -> None:
        model = read_asset("ganimation.faces", "face_detection_yunet_2023mar.onnx")
        self._lock = threading.Lock()
        self._net = cv2.FaceDetectorYN.create(
            "onnx", np.frombuffer(model, np.uint8), np.empty(0, np.uint8), (320, 320), score_threshold=min_score
        )

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Return the faces of an image (RGB uint8, (H, W, 3)), the largest first.

        The image and its mirror image are both searched, and what agrees is averaged: a mirrored photo gives mirrored
        faces, so that what is measured from them is the same.
        """
        height, width = image.shape[:2]
        scale = min(1.0, DETECTION_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = image if scale == 1.0 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        rows = _moved(self._search_both_ways(small), np.array([width / size[0], height / size[1]]), np.zeros(2))
        if scale < 1.0:
            rows = np.array([self._look_closer(image, row) for row in rows], np.float32).reshape(-1, 15)
        found = [
            Detection(tuple(row[_BOX].tolist()), row[_POINTS].reshape(5, 2), float(row[_SCORE]))
            for row in rows
        ]  # fmt: skip
        return sorted(found, key=lambda face: -face.box[2] * face.box[3])

    def _look_closer(self, image: NDArray[np.uint8], row: Rows) -> Rows:
        """Detect a face that was found in a reduced photo again at a higher resolution, for more precise points."""
        x, y, w, h = row[_BOX]
        side = 2.0 * max(w, h)
        scale = CLOSE_SIDE / side
        origin = np.array([x + w / 2, y + h / 2]) - side / 2
        shift = scale * (0.5 - origin) - 0.5  # from edges, in which boxes count, to pixel centres
        view = cut(image, np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]]), CLOSE_SIDE)
        rows = _moved(self._search_both_ways(view), np.full(2, 1.0 / scale), origin)
        overlaps = [_overlap(row[_BOX], other[_BOX]) for other in rows]
        return rows[int(np.argmax(overlaps))] if overlaps and max(overlaps) >= SAME_FACE else row

    def _search_both_ways(self, image: cv2.typing.MatLike) -> Rows:
        """Search an image (RGB) and its mirror image; average what agrees."""
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        return _merge(self._search(bgr), _mirror(self._search(cv2.flip(bgr, 1)), bgr.shape[1]))

    def _search(self, bgr: cv2.typing.MatLike) -> Rows:
        height, width = bgr.shape[:2]
        missing = (0, max(0, _LEAST_SIDE - height), 0, max(0, _LEAST_SIDE - width))
        if any(missing):
            bgr = cv2.copyMakeBorder(bgr, *missing, cv2.BORDER_CONSTANT)
        with self._lock:
            self._net.setInputSize((bgr.shape[1], bgr.shape[0]))
            rows = self._net.detect(bgr)[1]
        if rows is None:
            return np.empty((0, 15), np.float32)
        sane = (
            np.isfinite(rows).all(axis=1) & (np.abs(rows) <= 2 * max(bgr.shape)).all(axis=1) & (rows[:, 2:4] > 1).all(1)
        )
        return np.asarray(rows[sane], np.float32)


def _moved(rows: Rows, scale: NDArray[np.float64], origin: NDArray[np.float64]) -> Rows:
    """Return rows of a reduced part of a photo, which begins at ``origin``, in coordinates of the photo.

    Boxes count from the edge of the first pixel, points from its centre.
    """
    result = rows.astype(np.float64)
    result[:, :2] = result[:, :2] * scale + origin
    result[:, 2:4] *= scale
    result[:, _POINTS] = (result[:, _POINTS] + 0.5) * np.tile(scale, 5) + np.tile(origin, 5) - 0.5
    return np.asarray(result, np.float32)


def _mirror(rows: Rows, width: int) -> Rows:
    """Return the answer for a mirror image in coordinates of the image itself."""
    result = rows.copy()
    result[:, 0] = width - rows[:, 0] - rows[:, 2]
    points = rows[:, _POINTS].reshape(-1, 5, 2)[:, _MIRRORED_POINTS]
    result[:, _POINTS] = np.stack([width - 1 - points[:, :, 0], points[:, :, 1]], axis=2).reshape(-1, 10)
    return result


def _merge(seen: Rows, mirrored: Rows) -> Rows:
    """Average the rows of both answers that are one face; keep those that only one of them has."""
    result, left = [], list(mirrored)
    for row in seen:
        overlaps = [_overlap(row[_BOX], other[_BOX]) for other in left]
        if overlaps and max(overlaps) >= SAME_FACE:
            result.append((row + left.pop(int(np.argmax(overlaps)))) / 2)
        else:
            result.append(row)
    return np.array([*result, *left], np.float32).reshape(-1, 15)


def _overlap(first: Rows, second: Rows) -> float:
    """Return the intersection over union of two boxes."""
    low = np.maximum(first[:2], second[:2])
    high = np.minimum(first[:2] + first[2:], second[:2] + second[2:])
    shared = float(np.prod(np.maximum(high - low, 0.0)))
    return shared / max(float(np.prod(first[2:]) + np.prod(second[2:])) - shared, 1e-6)
