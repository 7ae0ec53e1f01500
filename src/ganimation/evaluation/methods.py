"""The methods that an exam compares: models, and two baselines, a copy of the photo and a warp of it.

A method takes an aligned face, its AUs and the target AUs, and returns the edited face.
"""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.editing.portraits import Portrait, PortraitFactory
from ganimation.errors import require
from ganimation.faces.crop import Transform, apply, cut, paste_back
from ganimation.faces.reader import FaceReader
from ganimation.model import ModelConfig

#: Portraits that a model keeps.
PORTRAITS = 16

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Edited:
    """An edited face.

    Attributes:
        image: (S, S, 3) RGB uint8.
        attention: A at the crop's size, (S, S) in [0, 1]; ``None`` for a method without one.
    """

    image: Pixels
    attention: NDArray[np.float32] | None = None


class Method(Protocol):
    """Edits one aligned face."""

    def __call__(self, crop: Pixels, source_aus: Array, target_aus: Array) -> Edited:
        """Return the face with other AUs.

        Args:
            crop: (S, S, 3) RGB uint8.
            source_aus: what it shows, (AUs,) in [0, 1].
            target_aus: what is asked, (AUs,) in [0, 1].
        """


class Model:
    """A model's generator on aligned faces.

    As when a photo is edited, the crop is resized for the generator, and its output is pasted back at the crop's size.

    Args:
        folder: of the model.
        backend: see :func:`ganimation.editing.backends.load_networks`.

    Raises:
        ModelError: the folder cannot be used.
    """

    def __init__(self, folder: Path, backend: str = "onnxruntime") -> None:
        self.config = ModelConfig.read(folder)
        self._painter = PortraitFactory(folder, self.config, backend, 1)
        self._reader, self._lock = FaceReader(1), threading.Lock()
        self._portraits: dict[tuple[bytes, bytes], Portrait] = {}

    def __call__(self, crop: Pixels, source_aus: Array, target_aus: Array) -> Edited:
        """Edit one face, see :class:`Method`."""
        side, size = len(crop), self.config.size
        scale = size / side
        transform = np.array([[scale, 0.0, (scale - 1) / 2], [0.0, scale, (scale - 1) / 2]])
        drawn = self._portrait(crop, transform, source_aus).draw([target_aus])
        image = paste_back(crop, drawn.color, drawn.attention, transform, drawn.moved)
        return Edited(image, resize(drawn.attention, side))

    def _portrait(self, crop: Pixels, transform: Transform, source_aus: Array) -> Portrait:
        """Return the portrait of a face; the last few are cached, since consecutive trials share a face."""
        key = (hashlib.sha256(crop.tobytes()).digest(), source_aus.tobytes())
        with self._lock:
            if key not in self._portraits:
                points = self._reader.points_of_crop(crop, self.config.template)
                scaled = cut(crop, transform, self.config.size)
                self._portraits[key] = self._painter.portrait(scaled, apply(transform, points), source_aus)
                while len(self._portraits) > PORTRAITS:
                    self._portraits.pop(next(iter(self._portraits)))
            return self._portraits[key]


def copy(crop: Pixels, source_aus: Array, target_aus: Array) -> Edited:
    """Return the face unchanged: the baseline without any edit."""
    return Edited(crop)


class Warp:
    """Baseline that warps pixels and generates none.

    How landmarks move with AUs is fitted to faces (a ridge regression over aligned faces); a face is then warped,
    affine within the triangles between its landmarks, by the movement of the change that is asked.

    Args:
        aus: (N, AUs) of faces.
        points: (N, 478, 2), their landmarks as shares of the crop's side.
        ridge: of the regression, relative to the spread of the AUs.

    Raises:
        MissingExtraError: the extra ``evaluate`` is not installed.
    """

    def __init__(self, aus: Array, points: Array, ridge: float = 0.3) -> None:
        self._interpolate = require("scipy.interpolate", "evaluate").LinearNDInterpolator
        centred = aus - aus.mean(axis=0)
        moved = (points - points.mean(axis=0)).reshape(len(points), -1)
        power = centred.T @ centred + ridge * len(aus) * np.diag(aus.var(axis=0) + 1e-6)
        self._movement = np.linalg.solve(power, centred.T @ moved).reshape(aus.shape[1], -1, 2)
        self._mean = points.mean(axis=0)

    def __call__(self, crop: Pixels, source_aus: Array, target_aus: Array) -> Edited:
        """Edit one face, see :class:`Method`."""
        side = crop.shape[0]
        shift = np.tensordot(target_aus - source_aus, self._movement, axes=1)
        edge = np.array([[x, y] for x in (0.0, 0.5, 1.0) for y in (0.0, 0.5, 1.0) if (x, y) != (0.5, 0.5)])
        places = np.concatenate([self._mean + shift, edge])
        grid = (np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1) + 0.5) / side
        back = self._interpolate(places, np.concatenate([-shift, np.zeros_like(edge)]), fill_value=0.0)(grid)
        source = ((grid + back) * side - 0.5).astype(np.float32)
        warped = cv2.remap(crop, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
        return Edited(np.asarray(warped, np.uint8))


def resize(image: Pixels | NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return a square image, (S, S) or (S, S, 3), at another size; averaged down, or interpolated linearly."""
    image = image.astype(np.float32)
    if image.shape[0] == side:
        return image
    how = cv2.INTER_AREA if side < image.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=how), np.float32)
