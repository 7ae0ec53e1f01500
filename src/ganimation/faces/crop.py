"""Where a face lies in a photo, how it is cut out upright, and how the edited crop goes back.

The crop template fixes where the eyes are, so that networks always see faces in the same place (size 1 is the side)::

      0 ┌──────────────────────────────┐
        │                              │
        │         L ─ ─ 0.37 ─ ─ R     │  0.35   the eyes' centres: level, 0.37 apart, midpoint at x = 0.5
        │                              │
        │             nose             │
        │             mouth            │
        │                              │          room for the chin of an open mouth
      1 └──────────────────────────────┘

A similarity (rotation, one scale, shift) takes the photo's two eye centres onto L and R. It is kept as the 2x3 matrix
``crop_from_photo`` in pixel coordinates where the *centre* of the first pixel is (0, 0), as OpenCV warps::

    photo ── crop_from_photo ──▶ crop ── networks ──▶ color, attention ── photo_from_crop ──▶ photo

                                  photo                       the way back touches only the pixels whose centre
                          ┌───────────────────┐               falls inside the tilted square; each takes
                          │      ╱╲           │               A * photo + (1 - A) * C   (Eq. 1)
                          │     ╱  ╲ crop     │               with A and C interpolated at the photo's resolution.
                          │     ╲  ╱          │               A is led to 1 over the crop's border, so the square
                          │      ╲╱           │               cannot be seen, and where A is 1 the photo's own
                          └───────────────────┘               bytes stay.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

#: Width of the border, as a share of the crop's side, over which attention rises to 1 when the crop is pasted back.
BORDER = 0.06

#: Where the upper face ends in the default template, as a share of the side: between the eyes and the mouth.
WAIST = 0.54

Transform = NDArray[np.float64]

_BAND = 128  # rows of the photo blended at a time; bounds the memory that a large face takes


@dataclass(frozen=True)
class CropTemplate:
    """Where the eyes lie in the square crop; it belongs to the weights and travels in their config.

    Attributes:
        eye_height: of the eyes' centres from the top, as a share of the side.
        eye_distance: between the eyes' centres, as a share of the side.
    """

    eye_height: float = 0.35
    eye_distance: float = 0.37

    def eyes(self, size: int) -> NDArray[np.float64]:
        """Return the eyes' centres, picture's left first, in pixels of a crop of ``size``: (2, 2)."""
        half = self.eye_distance / 2
        return np.array([[0.5 - half, self.eye_height], [0.5 + half, self.eye_height]]) * size - 0.5


def crop_from_photo(eyes: NDArray[np.floating], size: int, template: CropTemplate) -> Transform:
    """Return the similarity that takes the eyes' centres onto the template's, (2, 3).

    Args:
        eyes: (2, 2) x and y in pixels of the photo, the eye on the picture's left first.
        size: side of the crop in pixels.
        template: where the eyes belong.
    """
    left, right = template.eyes(size)
    return similarity(eyes[0], eyes[1], left, right)


def similarity(
    from_a: NDArray[np.floating],
    from_b: NDArray[np.floating],
    to_a: NDArray[np.floating],
    to_b: NDArray[np.floating],
) -> Transform:
    """Return the rotation, scale and shift that takes two points onto two others, (2, 3)."""
    source = complex(*(from_b - from_a))
    target = complex(*(to_b - to_a))
    if abs(source) < 1e-6:
        raise ValueError("the two points coincide")
    turn = target / source
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.hstack([linear, (np.asarray(to_a) - linear @ np.asarray(from_a))[:, None]])


def invert(transform: Transform) -> Transform:
    """Return the inverse of a 2x3 transform."""
    return np.asarray(cv2.invertAffineTransform(transform), np.float64)


def apply(transform: Transform, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Map points (..., 2) by a 2x3 transform."""
    return np.asarray(points @ transform[:, :2].T + transform[:, 2], np.float64)


def cut(image: NDArray[np.uint8], transform: Transform, size: int) -> NDArray[np.uint8]:
    """Cut the crop out of an image (RGB uint8): (size, size, 3); edge pixels are replicated outside the image.

    Where the photo is finer than the crop it is first averaged down, so that the crop has no aliasing.
    """
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    factor = int(1 / scale) if scale < 0.5 else 1
    height, width = image.shape[:2]
    x0, y0, x1, y1 = bounds(transform, size, (height, width), margin=2 * factor)
    x0, y0 = min(x0, width - factor), min(y0, height - factor)  # a crop outside the photo replicates edge pixels
    part = image[max(0, y0) : max(y1, y0 + factor), max(0, x0) : max(x1, x0 + factor)]
    transform = _moved(transform, max(0, x0), max(0, y0))
    if factor > 1 and min(part.shape[:2]) >= factor:
        part, transform = _averaged(part, transform, factor)
    flags, border = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(part, transform, (size, size), flags=flags, borderMode=border), np.uint8)


def _averaged(image: NDArray[np.uint8], transform: Transform, factor: int) -> tuple[NDArray[np.uint8], Transform]:
    """Average an image over ``factor`` x ``factor`` pixels; return it with its transform."""
    height, width = (side // factor for side in image.shape[:2])
    small = cv2.resize(image[: height * factor, : width * factor], (width, height), interpolation=cv2.INTER_AREA)
    moved = _moved(transform, (factor - 1) / 2, (factor - 1) / 2)
    return np.asarray(small, np.uint8), np.hstack([moved[:, :2] * factor, moved[:, 2:]])


def bounds(transform: Transform, size: int, shape: tuple[int, int], margin: int = 0) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 of the upright rectangle of the photo that holds the crop, clipped to ``shape``."""
    return _bounds(transform, (0, 0, size, size), shape, margin)


def _bounds(
    transform: Transform, box: tuple[int, int, int, int], shape: tuple[int, int], margin: int = 0
) -> tuple[int, int, int, int]:
    """Return the same as :func:`bounds` for a part of the crop, ``box`` (x0, y0, x1, y1)."""
    (left, top), (right, bottom) = np.array(box).reshape(2, 2) - 0.5
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    placed = apply(invert(transform), corners)
    low = np.floor(placed.min(axis=0)).astype(int) - margin
    high = np.ceil(placed.max(axis=0)).astype(int) + 1 + margin
    height, width = shape
    x0, y0 = max(0, int(low[0])), max(0, int(low[1]))
    return x0, y0, max(x0, min(width, int(high[0]))), max(y0, min(height, int(high[1])))


@dataclass(frozen=True)
class Moved:
    """The part of C that consists of source pixels, warped by a flow.

    Attributes:
        flow: (S, S, 2), x and y from each pixel of the crop to where it comes from, in pixels of the crop.
        share: (S, S) in [0, 1], weight of the warped source in C; the rest is generated.
        source: the crop itself, RGB in [-1, 1], (S, S, 3).
    """

    flow: NDArray[np.float32]
    share: NDArray[np.float32]
    source: NDArray[np.float32]

    def paint(self, color: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the generated part of C: C minus share times warped source, (S, S, 3)."""
        return np.asarray(color - self.share[:, :, None] * self.pixels(), np.float32)

    def pixels(self) -> NDArray[np.float32]:
        """Return the source warped by the flow, (S, S, 3)."""
        size = len(self.share)
        x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
        flags, border = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
        moved = cv2.remap(self.source, x + self.flow[:, :, 0], y + self.flow[:, :, 1], flags, borderMode=border)
        return np.asarray(moved, np.float32)


def paste_back(
    image: NDArray[np.uint8],
    color: NDArray[np.float32],
    attention: NDArray[np.float32],
    transform: Transform,
    moved: Moved | None = None,
) -> NDArray[np.uint8]:
    """Blend an edited crop into the photo at the photo's own resolution (Eq. 1); see the drawing above.

    Args:
        image: the photo, RGB uint8, (H, W, 3); not changed.
        color: C of the crop, RGB in [-1, 1], (S, S, 3).
        attention: A of the crop in [0, 1], (S, S); 1 keeps the photo.
        transform: ``crop_from_photo`` of that crop.
        moved: which part of C is warped source; that part is sampled from the photo at the photo's own resolution.

    Returns:
        A new image. Pixels outside the crop, and those where A is 1, keep the photo's bytes.
    """
    result = image.copy()
    change = np.asarray((1.0 - attention) * border_window(len(attention)), np.float32)
    box = _changing(change)
    if box is None:
        return result
    x0, y0, x1, y1 = _bounds(transform, box, image.shape[:2])
    if moved is not None:
        color = moved.paint(color)
    for top in range(y0, y1, _BAND):
        bottom = min(top + _BAND, y1)
        part = result[top:bottom, x0:x1]
        band = _moved(transform, x0, top)
        sharp = None if moved is None else _move(image, moved, band, (x0, top), part.shape[:2])
        part[:] = _paste_band(part, color, change, band, sharp)
    return result


def _changing(change: NDArray[np.float32]) -> tuple[int, int, int, int] | None:
    """Return x0, y0, x1, y1 of the part of the crop that can change the photo, or ``None``; the rest needs no work.

    A weight below 1/512 moves no colour by half a level, so that rounding gives the photo's own.
    """
    active = cv2.dilate((change >= 1 / 512).astype(np.uint8), np.ones((5, 5), np.uint8))  # cubic interpolation sees 2
    rows, columns = (np.flatnonzero(active.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _move(
    image: NDArray[np.uint8], moved: Moved, transform: Transform, origin: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return one part of the photo, warped by the flow at full resolution and multiplied by the share, in [-1, 1]."""
    height, width = shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    flow = np.concatenate([moved.flow, moved.share[:, :, None]], axis=2)
    there = cv2.warpAffine(flow, transform, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    shift = there[:, :, :2] @ np.linalg.inv(transform[:, :2]).T.astype(np.float32)
    x = shift[:, :, 0] + np.arange(origin[0], origin[0] + width, dtype=np.float32)
    y = shift[:, :, 1] + np.arange(origin[1], origin[1] + height, dtype=np.float32)[:, None]
    left, top = (max(0, int(np.floor(at.min())) - 2) for at in (x, y))  # cv2.remap takes at most 32,767 pixels a side
    right, bottom = int(np.ceil(x.max())) + 3, int(np.ceil(y.max())) + 3
    window = image[top:bottom, left:right]
    if 0 in window.shape:
        window, left, top = image, 0, 0
    pixels = cv2.remap(window, x - left, y - top, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    sharp = pixels.astype(np.float32)
    sharp *= 1 / 127.5
    sharp -= 1.0
    sharp *= there[:, :, 2:]
    return sharp


def _paste_band(
    part: NDArray[np.uint8],
    color: NDArray[np.float32],
    change: NDArray[np.float32],
    transform: Transform,
    sharp: NDArray[np.float32] | None,
) -> NDArray[np.uint8]:
    """Blend the crop into one part of the photo; ``change`` is 1 - A, ``sharp`` is added to the colours."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP  # the matrix maps the photo's pixels to the crop's
    area = (part.shape[1], part.shape[0])
    weight = cv2.warpAffine(change, transform, area, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    np.clip(weight, 0.0, 1.0, out=weight)
    warped = cv2.warpAffine(color, transform, area, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    paint: NDArray[np.float32] = np.asarray(warped, np.float32)
    if sharp is not None:
        paint += sharp
    np.clip(paint, -1.0, 1.0, out=paint)
    paint += 1.0  # in place from here on: part + weight * (colours - part), which is part's own bytes at a weight of 0
    paint *= 127.5
    paint -= part
    paint *= weight[:, :, None]
    paint += part
    return np.rint(paint, out=paint).astype(np.uint8)


def _moved(transform: Transform, x: float, y: float) -> Transform:
    """Return the transform for a part of the photo that begins at (x, y)."""
    return np.hstack([transform[:, :2], (transform[:, :2] @ np.array([x, y]) + transform[:, 2])[:, None]])


def border_window(size: int, border: float = BORDER) -> NDArray[np.float32]:
    """Return 1 inside and a smooth fall to 0 over the outer ``border`` share of the side, (size, size)."""
    distance = (np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5) / (border * size)
    ramp = np.clip(distance, 0.0, 1.0)
    ramp = ramp * ramp * (3.0 - 2.0 * ramp)
    return np.outer(ramp, ramp).astype(np.float32)
