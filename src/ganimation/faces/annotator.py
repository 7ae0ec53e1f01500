"""AU intensities of a face: a ridge regression on human FACS codes, from landmarks and edges.

Features of a face, each measured on its crop and on the crop's mirror image and averaged, so that a photo and its
mirror image get the same AUs:

- the 52 blendshape logits;
- the 478 landmarks in three dimensions, turned, scaled and shifted (Procrustes) until their rigid points lie on those
  of the mean face, which takes head pose and size out;
- a histogram of oriented gradients (Dalal & Triggs 2005) of the template crop in grey: furrows and folds that landmarks
  miss.

AU45 is not in the codes; it is the mean of the two eyeBlink scores, rescaled: 0 is the median of open eyes, 1 are shut
ones. Coefficients are made by ``tools/fit_au_calibration.py`` and accuracy by AU stands in docs/instruments.md.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.action_units import DEFAULT_AUS
from ganimation.assets import read_asset
from ganimation.faces.crop import CropTemplate
from ganimation.faces.landmarks import BLENDSHAPES, Landmarks

#: Name and version of the annotator, written into data sets.
ANNOTATOR = "ganimation-ridge/2"

#: Side in pixels and template of the crop whose gradients are read.
APPEARANCE_SIDE = 128
APPEARANCE_TEMPLATE = CropTemplate()

#: Landmarks that muscles hardly move: eye corners, bridge of the nose, forehead, temples.
RIGID = (33, 133, 362, 263, 6, 168, 197, 195, 5, 4, 10, 151, 9, 127, 356, 234, 454, 8, 21, 251, 54, 284)

_BLINK = (BLENDSHAPES.index("eyeBlinkLeft"), BLENDSHAPES.index("eyeBlinkRight"))
_HOG = cv2.HOGDescriptor((APPEARANCE_SIDE, APPEARANCE_SIDE), (32, 32), (16, 16), (16, 16), 9)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Coefficients of the fitted regression.

    Attributes:
        aus: the AUs that ``weights`` give, in order.
        mean_face: (478, 3); faces are aligned to its rigid points.
        weights: (features, AUs), from features to intensities in [0, 1].
        bias: (AUs,).
        blink: the mean eyeBlink score of open eyes and of shut ones.
    """

    aus: tuple[str, ...]
    mean_face: Array
    weights: Array
    bias: Array
    blink: tuple[float, float]

    def save(self, path: Path) -> None:
        """Write the calibration as .npz."""
        np.savez_compressed(
            path,
            aus=np.array(self.aus),
            mean_face=self.mean_face.astype(np.float32),
            weights=self.weights.astype(np.float32),
            bias=self.bias.astype(np.float32),
            blink=np.array(self.blink, np.float32),
        )

    @staticmethod
    def load(path: Path | BinaryIO) -> "Calibration":
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            low, high = data["blink"].tolist()
            mean_face, weights, bias = (data[name].astype(np.float64) for name in ("mean_face", "weights", "bias"))
            return Calibration(tuple(data["aus"].tolist()), mean_face, weights, bias, (low, high))


def align(points: NDArray[np.floating], mean_face: Array, by: Sequence[int] = RIGID) -> Array:
    """Align faces to the mean face by some landmarks: rotation, one scale, shift (Umeyama 1991).

    Args:
        points: (N, 478, 3).
        mean_face: (478, 3).
        by: numbers of the landmarks.

    Returns:
        (N, 478, 3).
    """
    rigid = list(by)
    target = mean_face[rigid] - mean_face[rigid].mean(axis=0)
    centre = points[:, rigid].mean(axis=1, keepdims=True)
    source = points[:, rigid] - centre
    left, values, right = np.linalg.svd(np.swapaxes(source, 1, 2) @ target)
    values[:, 2] *= (sign := np.sign(np.linalg.det(left @ right)))
    left[:, :, 2] *= sign[:, None]
    scale = values.sum(axis=1) / np.square(source).sum(axis=(1, 2))
    return np.asarray(scale[:, None, None] * ((points - centre) @ (left @ right)), np.float64)


def features(looks: Landmarks, appearances: NDArray[np.uint8], mean_face: Array) -> Array:
    """Return the features of N faces, (N, 52 + 1434 + 1764).

    Args:
        looks: the landmarker's answer for the N crops, then for their mirror images: 2N rows.
        appearances: the template crops, (N, 128, 128, 3) RGB uint8.
        mean_face: (478, 3).
    """
    count = len(appearances)
    meshes = align(looks.points, mean_face).reshape(2 * count, -1)
    gradients = []
    for crop in appearances:
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        gradients.append([np.ravel(_HOG.compute(side)) for side in (grey, np.ascontiguousarray(grey[:, ::-1]))])
    geometry = np.concatenate([looks.blendshapes, meshes], axis=1).reshape(2, count, -1).mean(axis=0)
    return np.concatenate([geometry, np.array(gradients).reshape(count, 2, -1).mean(axis=1)], axis=1)


def blink_score(looks: Landmarks) -> Array:
    """Return the mean eyeBlink score of N faces, over both eyes, and over crop and mirror image, (N,)."""
    scores = 1.0 / (1.0 + np.exp(-looks.blendshapes[:, list(_BLINK)].astype(np.float64)))
    return np.asarray(scores.mean(axis=1).reshape(2, -1).mean(axis=0), np.float64)


class Annotator:
    """Measure the intensities of the default AUs; safe to share between threads."""

    aus = DEFAULT_AUS

    def __init__(self) -> None:
        self._calibration = Calibration.load(io.BytesIO(read_asset("ganimation.faces", "au_calibration.npz")))
        self._columns = [self.aus.index(code) for code in self._calibration.aus]

    def __call__(self, looks: Landmarks, appearances: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return AU intensities in [0, 1] of N faces, (N, 16); arguments as in :func:`features`."""
        fit = self._calibration
        intensities = np.zeros((len(appearances), len(self.aus)), np.float64)
        intensities[:, self._columns] = features(looks, appearances, fit.mean_face) @ fit.weights + fit.bias
        opened, closed = fit.blink
        intensities[:, self.aus.index("AU45")] = (blink_score(looks) - opened) / (closed - opened)
        return np.clip(intensities, 0.0, 1.0).astype(np.float32)
