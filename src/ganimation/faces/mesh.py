"""The mesh that warps a face: triangles between landmarks, and two rings around the face that fix its surroundings.

    ring 2   ·   ·   ·      does not move
    ring 1    ·  ·  ·       moves a little with the outline, so that a dropping jaw compresses the neck smoothly
    outline    ·····
    face       468 landmarks; the eyes and the inside of the mouth are holes

A warp is defined by the vertices before and after: it is affine within each triangle. It is stored as a backward flow:
for each pixel of the result, the offset to its position in the source.
"""

from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.faces.geometry import displacements

Array = NDArray[np.float64]

OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
#: How far the rings are from the face's middle, the outline being at 1, and how much of its movement they follow.
RINGS = ((1.2, 0.4), (1.5, 0.0))
#: Landmarks of the face; those of the irises follow and are no part of the mesh.
FACE = 468

_SHIFT = 4  # bits of a pixel in which OpenCV is told corners
#: Supersampling of filled outlines: OpenCV draws an outline without area, such as closed lips, one pixel wide.
_FINE = 4


def vertices(points: NDArray[np.floating], moved: NDArray[np.floating]) -> tuple[Array, Array]:
    """Return the mesh's vertices before and after, (468 + 72, 2) each.

    Args:
        points: (478, 2), landmarks before.
        moved: (478, 2), after.
    """
    oval = list(OVAL)
    middle = points[oval].mean(axis=0)
    before = [points[:FACE], *(middle + scale * (points[oval] - middle) for scale, _ in RINGS)]
    shift = moved[oval] - points[oval]
    after = [moved[:FACE], *(ring + share * shift for ring, (_, share) in zip(before[1:], RINGS, strict=True))]
    return np.concatenate(before), np.concatenate(after)


@cache
def triangles() -> NDArray[np.intp]:
    """Return the vertex indices of every triangle, (T, 3), sorted from the outermost to the nose.

    Where triangles of a turned face overlap, the one that is drawn last is visible.
    """
    basis = displacements()
    inside = basis.triangles
    distance = np.abs(basis.mean[inside].mean(axis=1) - (0.5, 0.5)).max(axis=1)
    return np.concatenate([_ring_triangles(), inside[np.argsort(-distance, kind="stable")]])


def _ring_triangles() -> NDArray[np.intp]:
    count, found = len(OVAL), []
    numbers = [list(OVAL), *(list(range(FACE + ring * count, FACE + (ring + 1) * count)) for ring in range(len(RINGS)))]
    for inner, outer in reversed(list(pairwise(numbers))):
        for i in range(count):
            j = (i + 1) % count
            found += [(inner[i], inner[j], outer[i]), (inner[j], outer[j], outer[i])]
    return np.array(found, np.intp)


def cover(corners: NDArray[np.floating], size: int) -> NDArray[np.int32]:
    """Return for each pixel the triangle that covers it, (size, size); -1 where none does.

    Args:
        corners: (V, 2) vertices in pixels, the centre of the first pixel at (0, 0).
        size: of the picture.
    """
    found = np.full((size, size), -1, np.int32)
    drawn = np.rint(corners[triangles()] * (1 << _SHIFT)).astype(np.int32)
    for number, triangle in enumerate(drawn):
        cv2.fillConvexPoly(found, triangle, number, cv2.LINE_8, _SHIFT)
    return found


def interpolate(corners: NDArray[np.floating], values: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Return values of the vertices, linear within each triangle, (size, size, D); 0 where no triangle is.

    Args:
        corners: (V, 2) vertices in pixels.
        values: (V, D).
        size: of the picture.
    """
    covering = cover(corners, size)
    at = np.asarray(corners, np.float64)[triangles()]
    edges = np.stack([at[:, 1] - at[:, 0], at[:, 2] - at[:, 0]], axis=1)  # (T, 2 edges, xy)
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    flat = np.abs(area) < 1e-6
    area = np.where(flat, 1.0, area)
    of = np.asarray(values, np.float64)[triangles()]
    first, second = of[:, 1] - of[:, 0], of[:, 2] - of[:, 0]
    across = (first * edges[:, 1, 1:] - second * edges[:, 0, 1:]) / area[:, None]
    down = (second * edges[:, 0, :1] - first * edges[:, 1, :1]) / area[:, None]
    across[flat] = down[flat] = 0.0
    start = of[:, 0] - across * at[:, 0, :1] - down * at[:, 0, 1:]
    table = np.concatenate([np.stack([start, across, down], axis=1), np.zeros((1, 3, of.shape[2]))]).astype(np.float32)
    chosen = table[covering]  # -1 takes the last row, zeros
    grid = np.arange(size, dtype=np.float32)
    return np.asarray(
        chosen[:, :, 0] + chosen[:, :, 1] * grid[None, :, None] + chosen[:, :, 2] * grid[:, None, None], np.float32
    )


def flow(points: NDArray[np.floating], moved: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Return the backward flow: source position minus position of each pixel, (size, size, 2) in pixels.

    Args:
        points: (478, 2), landmarks before, in pixels.
        moved: (478, 2), after.
        size: of the picture.
    """
    before, after = vertices(points, moved)
    return interpolate(after, before - after, size)


def guide(points: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Return the mean-face coordinates of each pixel and a mask of the face, (size, size, 3).

    The first two are x and y of the mean face, -1 and 1 at the template's edges; the third is 1 in the face, falls to 0
    over the rings, and is 0 outside, where the first two are 0 as well.

    Args:
        points: (478, 2) landmarks in pixels.
        size: of the picture.
    """
    return interpolate(vertices(points, points)[0], _mean_values(), size)


@cache
def _mean_values() -> Array:
    mean = displacements().mean
    placed = 2 * vertices(mean, mean)[0] - 1
    shares = np.concatenate([np.ones(FACE), *(np.full(len(OVAL), share) for _, share in RINGS)])
    return np.column_stack([placed, shares])


def fill(outline: NDArray[np.floating], size: int, soft: float = 0.0) -> NDArray[np.float32]:
    """Return the share of each pixel that an outline holds, (size, size) in [0, 1].

    Args:
        outline: (N, 2) in pixels.
        size: of the picture.
        soft: standard deviation in pixels by which the edge is blurred.
    """
    low = np.clip(np.floor(outline.min(axis=0)).astype(int) - 1, 0, size)
    high = np.clip(np.ceil(outline.max(axis=0)).astype(int) + 2, low, size)
    mask = np.zeros((size, size), np.float32)
    width, height = (high - low).tolist()
    if width and height:
        fine = np.zeros((_FINE * height, _FINE * width), np.uint8)
        drawn = (outline - low + 0.5) * _FINE - 0.5
        cv2.fillPoly(fine, [np.rint(drawn * (1 << _SHIFT)).astype(np.int32)], 255, cv2.LINE_8, _SHIFT)
        part = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
        mask[low[1] : high[1], low[0] : high[0]] = part.astype(np.float32) / 255
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), soft), np.float32) if soft else mask
