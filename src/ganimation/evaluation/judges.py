"""Judges that did not make the training labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.errors import require

SIDE = 224
#: Blocks of EfficientNet-lite0 whose maps are read, averaged to 7x7.
BLOCKS = (4, 10)
_BATCH = 4  # crops at once; more are no faster on a CPU

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Verdicts:
    """What was fitted to human FACS codes.

    Attributes:
        aus: codes, in order.
        weights: (features, AUs), from features to intensities in [0, 1].
        bias: (AUs,).
        icc: ICC(3,1) by AU, of people that the fit never saw.
    """

    aus: tuple[str, ...]
    weights: Array
    bias: Array
    icc: Mapping[str, float]

    def save(self, path: Path) -> None:
        """Write it as .npz, coefficients in half precision."""
        scale = np.abs(self.weights).max(axis=0)
        np.savez_compressed(
            path,
            aus=np.array(self.aus),
            weights=(self.weights / scale).astype(np.float16),
            scale=scale.astype(np.float32),
            bias=self.bias.astype(np.float32),
            icc=np.array([self.icc[code] for code in self.aus], np.float32),
        )

    @staticmethod
    def load(path: Path) -> "Verdicts":
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            aus = tuple(data["aus"].tolist())
            icc = dict(zip(aus, data["icc"].tolist(), strict=True))
            return Verdicts(
                aus, data["weights"].astype(np.float64) * data["scale"], data["bias"].astype(np.float64), icc
            )


class Features:
    """Maps of EfficientNet-lite0, averaged to a few cells, and over the crop and its mirror image.

    Args:
        blocks: see :class:`ganimation.networks.efficientnet.EfficientNetFeatures`.
        cells: along a side.

    Raises:
        MissingExtraError: the extra ``evaluate`` is not installed.
    """

    def __init__(self, blocks: tuple[int, ...] = BLOCKS, cells: int = 7) -> None:
        self._cells = cells
        self._torch = require("torch", "evaluate")
        require("efficientnet_lite_pytorch", "evaluate")
        from ganimation.networks.efficientnet import EfficientNetFeatures

        self._network = EfficientNetFeatures(blocks)

    def __call__(self, crops: Pixels) -> NDArray[np.float32]:
        """Return features (N, F) of crops (N, S, S, 3) RGB uint8."""
        return np.concatenate([self._some(crops[start : start + _BATCH]) for start in range(0, len(crops), _BATCH)])

    def _some(self, crops: Pixels) -> NDArray[np.float32]:
        torch = self._torch
        large = np.stack([cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for crop in crops])
        both = np.ascontiguousarray(np.concatenate([large, large[:, :, ::-1]]).transpose(0, 3, 1, 2))
        with torch.inference_mode():
            maps = self._network(torch.from_numpy(both).float() / 127.5 - 1)
            pooled = [torch.nn.functional.adaptive_avg_pool2d(x, self._cells) for x in maps]
            means = [(x[: len(crops)] + x[len(crops) :]) / 2 for x in pooled]
            return np.asarray(torch.cat([x.flatten(1) for x in means], dim=1).numpy(), np.float32)


class PooledFeatures:
    """The last map of EfficientNet-lite0, averaged over the image: for distances between sets of pictures.

    Distances on these features are not comparable with published ones, which use Inception's.

    Raises:
        MissingExtraError: the extra ``evaluate`` is not installed.
    """

    def __init__(self) -> None:
        self._maps = Features((15,), cells=1)

    def __call__(self, crops: Pixels) -> Array:
        """Return features (N, 320) of crops (N, S, S, 3) RGB uint8."""
        return self._maps(crops).astype(np.float64)


class AUJudge:
    """AU intensities from pixels, fitted to human FACS codes; it shares nothing with the annotator but the people.

    Attributes:
        aus: codes of the AUs that it measures.
        icc: by AU, its agreement with the coders on people that it never saw.
    """

    def __init__(self) -> None:
        self._features = Features()
        with as_file(files("ganimation.evaluation").joinpath("assets/au_judge.npz")) as path:
            self._fit = Verdicts.load(path)
        self.aus, self.icc = self._fit.aus, self._fit.icc

    def __call__(self, crops: Pixels) -> Array:
        """Return intensities (N, 15), about [0, 1] and not clipped, of crops (N, S, S, 3) RGB uint8."""
        return np.asarray(self._features(crops) @ self._fit.weights + self._fit.bias, np.float64)
