"""The evaluators of an exam: AU readers, emotion classifiers, identity and image features of a face."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganimation.evaluation.features import Features
from ganimation.evaluation.judges import EmotionVote, Identity, Landmarks68, LinearAuModel
from ganimation.faces.crop import CropTemplate
from ganimation.faces.reader import FaceReader

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """What the evaluators read from one face; NaN where a value was not requested or cannot be read.

    Attributes:
        annotator: (AUs,), read by the annotator that made the labels.
        landmarks: (136,), features of the geometry judge.
        emotions: (3, 7), probabilities by classifier.
        identity: (128,), dlib's embedding.
        points: (478, 2), the annotator's landmarks in shares of the side.
    """

    annotator: Array
    landmarks: Array
    emotions: Array
    identity: Array
    points: Array


class Evaluators:
    """All evaluators, loaded once; safe to share between threads.

    Attributes:
        aus: by reader of AUs, the codes that it reads: ``annotator``, ``judge`` (pixels) and ``geometry``.
        icc: by judge and AU, ICC with human coders, on people outside its training data.

    Args:
        template: of the aligned faces.

    Raises:
        MissingExtraError: the extra ``evaluate`` is not installed.
    """

    def __init__(self, template: CropTemplate) -> None:
        self._template = template
        self._reader = FaceReader(threads=1)
        self._judge, self._geometry = LinearAuModel.load("au_judge.npz"), LinearAuModel.load("au_geometry.npz")
        self._landmarks, self._emotions, self._identity = Landmarks68(), EmotionVote(), Identity()
        self.features = Features()
        self.aus: Mapping[str, tuple[str, ...]] = {
            "annotator": self._reader.aus,
            "judge": self._judge.aus,
            "geometry": self._geometry.aus,
        }
        self.icc: Mapping[str, Mapping[str, float]] = {"judge": self._judge.icc, "geometry": self._geometry.icc}

    def look(self, crop: Pixels, emotions: bool, identity: bool) -> Look:
        """Evaluate a face, (S, S, 3) RGB uint8; emotions and identity, which are slower, only on request."""
        face = self._reader.read_crop(crop, self._template)
        return Look(
            np.full(len(self._reader.aus), np.nan) if face is None else np.array(list(face.aus.values())),
            self._landmarks(crop[None])[0],
            self._emotions(crop) if emotions else np.full((3, 7), np.nan),
            self._identity(crop) if identity else np.full(128, np.nan),
            np.full((478, 2), np.nan) if face is None else (face.points + 0.5) / len(crop),
        )

    def read(self, looks: list[Look], cells: NDArray[np.float32]) -> dict[str, Array]:
        """Return by reader the AUs of N faces, (N, AUs).

        Args:
            looks: at the N faces.
            cells: (N, F), of :class:`ganimation.evaluation.features.Seen`.
        """
        return {
            "annotator": np.stack([look.annotator for look in looks]),
            "judge": self._judge(cells),
            "geometry": self._geometry(np.stack([look.landmarks for look in looks])),
        }

    def points(self, crop: Pixels) -> Array:
        """Return the annotator's landmarks of a face, (478, 2), as shares of the crop's side."""
        return self._reader.points_of_crop(crop, self._template) / len(crop)
