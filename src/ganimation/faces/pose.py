"""Input maps of a generator of kind ``muscles``, computed from the landmarks of a face."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ganimation.faces import mesh
from ganimation.faces.geometry import APERTURES, kept, move

Array = NDArray[np.float64]
Maps = NDArray[np.float32]

#: Largest width of the shaded strip behind an opening rim that is redrawn, as a share of the side.
MARGIN = 0.012
#: Standard deviation of the edges of apertures, as a share of the side.
SOFT = 0.005


def expect(
    points: Array,
    shown: NDArray[np.floating],
    target: NDArray[np.floating],
    aus: Sequence[str],
    *,
    as_read: bool = False,
) -> Array:
    """Return the landmarks that are expected after a change from source to target intensities, (478, 2).

    Args:
        points: (478, 2).
        shown: (AUs,).
        target: (AUs,), or (2, AUs) of the person's right and left side.
        aus: codes.
        as_read: see :func:`ganimation.faces.geometry.move`.
    """
    closed = float(shown[list(aus).index("AU45")]) if "AU45" in aus else 0.0
    return move(points, np.asarray(target, np.float64) - shown, tuple(aus), closed, as_read=as_read)


def pose(points: Array, moved: Array, size: int) -> Maps:
    """Return the maps of a face that moves, (size, size, 7).

    Args:
        points: (478, 2), landmarks before, in pixels.
        moved: (478, 2), after.
        size: of the picture.

    Returns:
        three of the guide (:func:`ganimation.faces.mesh.guide`); two of the flow, x and y from each pixel to where it
        comes from, as shares of half the side; the apertures after the move, and the part of them that is kept.
    """
    flow = mesh.flow(points, moved, size) * (2 / size)
    return np.concatenate([mesh.guide(points, size), flow, apertures(points, moved, size)], axis=2)


def apertures(points: Array, moved: Array, size: int) -> Maps:
    """Return the apertures after a move, and the part of them that was seen before, (size, size, 2) in [0, 1]."""
    outlines = [kept(points, moved, rims, MARGIN * size) for rims in APERTURES]
    return np.stack([union(column, size) for column in zip(*outlines, strict=True)], axis=2)


def union(outlines: Sequence[Array], size: int) -> Maps:
    """Return the share of each pixel that any of some outlines holds, (size, size)."""
    found = np.zeros((size, size), np.float32)
    for line in outlines:
        np.maximum(found, mesh.fill(line, size, SOFT * size), out=found)
    return found
