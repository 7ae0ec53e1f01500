"""Features of faces by EfficientNet-lite0: for the AU judge, and for distances between sets and between images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.errors import require
from ganimation.pixels import normalize

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 224
#: Blocks whose maps the judge reads, averaged to ``CELLS`` by ``CELLS``; and the one that is averaged over the image.
BLOCKS, CELLS, LAST = (4, 10), 7, 15
#: Blocks whose maps are compared: at a half, a quarter, an eighth and a sixteenth of the image's side.
COMPARED = (0, 2, 4, 10)
_BATCH = 4  # crops at once; more are no faster on a CPU

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """Features of N faces, each the mean over the crop and its mirror image.

    Attributes:
        cells: (N, F), the maps that the judge reads.
        pooled: (N, 320), the last map averaged over the image. Distances on it are not comparable with published ones,
            which use Inception's.
    """

    cells: NDArray[np.float32]
    pooled: Array


class Features:
    """The network, loaded once and shared.

    Raises:
        MissingExtraError: the extra ``evaluate`` is not installed.
    """

    def __init__(self) -> None:
        self._torch = require("torch", "evaluate")
        require("efficientnet_lite_pytorch", "evaluate")
        from ganimation.networks.efficientnet import EfficientNetFeatures

        self._network = EfficientNetFeatures((*BLOCKS, LAST))
        self._compared = EfficientNetFeatures(COMPARED)

    def __call__(self, crops: Pixels) -> Seen:
        """Return features of crops (N, S, S, 3) RGB uint8."""
        parts = [self._some(crops[start : start + _BATCH]) for start in range(0, len(crops), _BATCH)]
        cells, pooled = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Seen(cells, pooled.astype(np.float64))

    def _some(self, crops: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        pool = self._torch.nn.functional.adaptive_avg_pool2d
        with self._torch.inference_mode():
            maps = self._network(self._image(np.concatenate([crops, crops[:, :, ::-1]])))
            pooled = [*(pool(x, CELLS) for x in maps[:-1]), pool(maps[-1], 1)]
            means = [((x[: len(crops)] + x[len(crops) :]) / 2).flatten(1) for x in pooled]
            cells = self._torch.cat(means[:-1], dim=1)
        return np.asarray(cells.numpy(), np.float32), np.asarray(means[-1].numpy(), np.float32)

    def distance(self, first: Pixels, second: Pixels) -> float:
        """Return how different two crops, (S, S, 3) RGB uint8, look: 0 for equal ones.

        As LPIPS (Zhang et al. 2018) without its learned weights: maps scaled to unit length at each place, the squared
        difference averaged over places and summed over four layers. Not comparable with published figures.
        """
        with self._torch.inference_mode():
            total = 0.0
            for values in self._compared(self._image(np.stack([first, second]))):
                one, other = values / values.norm(dim=1, keepdim=True).clamp_min(1e-8)
                total += float((one - other).square().sum(dim=0).mean())
        return total

    def _image(self, crops: Pixels) -> "Tensor":
        """Return crops as the network was trained to see them, (N, 3, 224, 224)."""
        large = np.stack([cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for crop in crops])
        image: Tensor = self._torch.from_numpy(np.ascontiguousarray(normalize(large).transpose(0, 3, 1, 2)))
        return image
