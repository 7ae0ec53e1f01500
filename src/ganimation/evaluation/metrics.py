"""Measures of an edit, from what was asked and what is read back. They know nothing of pictures."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def pcc(asked: Array, read: Array) -> float:
    """Return Pearson's correlation; 0 where one side is constant, since a copy of the photo must not pass.

    Args:
        asked: (N,) intensities; pairs with NaN are left out.
        read: (N,) intensities.
    """
    asked, read = _present(asked, read)
    if len(asked) < 2 or asked.std() == 0 or read.std() == 0:
        return 0.0
    return float(np.corrcoef(asked, read)[0, 1])


def slope(asked: Array, read: Array) -> float:
    """Return the least-squares slope of the read on the requested intensities; arguments as in ``pcc``."""
    asked, read = _present(asked, read)
    centred = asked - asked.mean() if len(asked) else asked
    power = float(np.square(centred).sum())
    return float((centred * read).sum() / power) if power else 0.0


def monotonicity(read: Array) -> float:
    """Return the share of neighbouring levels at which the read intensity rises with the requested one.

    Args:
        read: (faces, levels), what is read at rising levels; rows with NaN are left out.
    """
    read = read[~np.isnan(read).any(axis=1)]
    return float((np.diff(read, axis=1) > 0).mean()) if read.size else 0.0


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio of two uint8 images in dB; infinite for equal ones."""
    error = np.square(first.astype(np.float64) - second).mean()
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def _present(asked: Array, read: Array) -> tuple[Array, Array]:
    there = ~(np.isnan(asked) | np.isnan(read))
    return asked[there], read[there]
