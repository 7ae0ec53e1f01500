"""Conversion between uint8 pixels, as files hold them, and float32 images in [-1, 1], as networks take them."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def normalize(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return uint8 pixels of any shape as float32 in [-1, 1]."""
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def denormalize(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an image in [-1, 1], of any shape, as uint8; values outside are clipped."""
    return np.asarray(np.rint((image + 1) * 127.5).clip(0, 255), np.uint8)


def denormalize_batch(images: "Tensor") -> NDArray[np.uint8]:
    """Return images (N, 3, H, W) in [-1, 1] on any device as uint8 (N, H, W, 3)."""
    values = ((images.detach().float() + 1) * 127.5).round().clamp(0, 255).byte()
    return np.ascontiguousarray(values.permute(0, 2, 3, 1).cpu().numpy())
