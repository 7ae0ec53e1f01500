"""A face, ready to be drawn with any intensities: what depends on the photo alone is computed once.

A portrait's ``draw`` takes the target intensities of the whole face, or of the person's right and left side, and
returns C and A (Eq. 1). There is one class for each kind of generator: the paper's runs for every target; that of kind
``muscles`` runs once, and targets are then sums of its fields.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.editing.backends import Network, load_networks
from ganimation.faces import mesh
from ganimation.faces.crop import Moved
from ganimation.faces.geometry import sides, visible
from ganimation.faces.pose import apertures, expect
from ganimation.model import ONNX, RESTORER, ModelConfig, condition, emotion_file
from ganimation.networks.drawing import BRIGHTEST, DARKEST, WINDOWS, edges
from ganimation.pixels import normalize

Array = NDArray[np.float32]

#: Thresholds of a pixel's displacement by an AU at intensity 1, as shares of the crop's side: below the first the pixel
#: is kept, above the second it may change, with a smooth step between.
MOVES = (0.002, 0.006)
#: The same for shading, logarithms of a factor.
SHADES = (0.02, 0.06)
#: A window is restored only if the mask of its hole reaches this value.
HIDDEN = 1 / 255


class Drawn(NamedTuple):
    """What a generator draws of a face.

    Attributes:
        color: C, (S, S, 3) in [-1, 1].
        attention: A, (S, S) in [0, 1]; 1 keeps the source.
        moved: which part of C is warped source; ``None`` for a generator that does not warp.
    """

    color: Array
    attention: Array
    moved: Moved | None = None


class Portrait(Protocol):
    """A face that is ready to be drawn; safe to share between threads."""

    def draw(self, targets: Sequence[NDArray[np.floating]]) -> Drawn:
        """Return the face with other intensities.

        Args:
            targets: (AUs,) each in [0, 1], in the order of the model; one of the whole face, or two, of the person's
                right and left side.
        """


class PortraitFactory:
    """Makes portraits with a model.

    Args:
        folder: of the model.
        config: of the model.
        backend: see :func:`ganimation.editing.backends.load_networks`; likewise ``threads``, ``precision``
            and ``device``.

    Attributes:
        place: where the networks compute.
        notice: why not on a device that is there, or empty.

    Raises:
        As :func:`ganimation.editing.backends.load_networks`.
    """

    def __init__(
        self,
        folder: Path,
        config: ModelConfig,
        backend: str = "auto",
        threads: int = 0,
        precision: str = "float32",
        device: str = "cpu",
    ) -> None:
        self._config = config
        self._networks = load_networks(folder, config, backend, threads, precision, device)
        self.place, self.notice = self._networks.place, self._networks.notice

    def portrait(self, crop: NDArray[np.uint8], points: NDArray[np.floating], shown: NDArray[np.floating]) -> Portrait:
        """Return a portrait of a face.

        Args:
            crop: (S, S, 3) RGB uint8, of the model's size.
            points: (478, 2), its landmarks in pixels of the crop.
            shown: (AUs,), the intensities that it shows.
        """
        source = normalize(crop)
        if self._config.emotions:
            return TranslatedPortrait(self._networks, self._config, source)
        if self._config.kind == "muscles":
            return MusclePortrait(self._networks, self._config, source, np.asarray(points, np.float64), shown)
        return ConditionedPortrait(self._networks[ONNX], self._config, source, shown)


class ConditionedPortrait:
    """A face for the paper's generator; see :class:`PortraitFactory` for the arguments, ``source`` is in [-1, 1]."""

    def __init__(self, network: Network, config: ModelConfig, source: Array, shown: NDArray[np.floating]) -> None:
        self._network, self._config, self._shown = network, config, shown
        self._source = np.ascontiguousarray(source.transpose(2, 0, 1)[None])

    def draw(self, targets: Sequence[NDArray[np.floating]]) -> Drawn:
        """Return the face with other intensities; see :class:`Portrait`."""
        conditions = condition(self._config.condition, np.stack(targets), self._shown).astype(np.float32)
        color, attention = self._network(self._source.repeat(len(conditions), axis=0), conditions)
        return Drawn(np.ascontiguousarray(across(color).transpose(1, 2, 0)), across(attention)[0])


class TranslatedPortrait:
    """A face for a method that translates to emotions; it has neither intensities nor a mask.

    Args:
        networks: by file.
        config: of the model.
        source: (S, S, 3) in [-1, 1].
    """

    def __init__(self, networks: Mapping[str, Network], config: ModelConfig, source: Array) -> None:
        self._networks, self._config, self._source = networks, config, source

    def draw(self, targets: Sequence[NDArray[np.floating]]) -> Drawn:
        """Return the face with the emotion whose entry is largest; see :class:`Portrait`."""
        number, batch = int(np.argmax(targets[0])), _batch(self._source)
        own = emotion_file(self._config.emotions[number])
        if ONNX in self._networks:
            one_hot = np.zeros((1, len(self._config.emotions)), np.float32)
            one_hot[0, number] = 1.0
            (color,) = self._networks[ONNX](batch, one_hot)
        elif own in self._networks:
            (color,) = self._networks[own](batch)
        else:  # there is no network for neutral: return the source
            color = batch
        return Drawn(np.ascontiguousarray(color[0].transpose(1, 2, 0)), np.zeros(self._source.shape[:2], np.float32))


class MusclePortrait:
    """A face for a generator of kind ``muscles``; arguments as in :class:`PortraitFactory`, ``source`` is in [-1, 1].

    The networks run at their own size; flow, apertures and blending are computed at the crop's.
    """

    def __init__(
        self,
        networks: Mapping[str, Network],
        config: ModelConfig,
        source: Array,
        points: NDArray[np.float64],
        shown: NDArray[np.floating],
    ) -> None:
        self._networks, self._config, self._shown = networks, config, np.asarray(shown, np.float64)
        self._source, self._points, self._size = source, visible(points), len(source)

    @cached_property
    def _guide(self) -> Array:
        """Where in the mean face each pixel of the network is, (n, n, 3)."""
        size = self._config.network_size
        return mesh.guide((self._points + 0.5) * size / self._size - 0.5, size)

    @cached_property
    def _fields(self) -> Array:
        """The shading fields, (AUs, n, n)."""
        size = self._config.network_size
        small = _resized(self._source, size)
        (fields,) = self._networks[ONNX](_batch(small), _batch(self._guide))
        return np.asarray(fields[0], np.float32)

    @cached_property
    def _reach(self) -> Array:
        """Where each AU may change the face, (AUs, n, n) in [0, 1]."""
        size = self._config.network_size
        nothing, shifts = np.zeros(len(self._config.aus)), []
        corners, _ = mesh.vertices(self._points, self._points)
        for change in (*np.eye(len(nothing)), *-np.eye(len(nothing))):
            _, after = mesh.vertices(self._points, expect(self._points, nothing, change, self._config.aus))
            shifts.append(np.linalg.norm(after - corners, axis=1) / self._size)
        both = np.maximum(*np.split(_step(np.stack(shifts), *MOVES), 2))
        moves = mesh.interpolate((corners + 0.5) * size / self._size - 0.5, both.T, size)
        return np.maximum(moves.transpose(2, 0, 1), _step(np.abs(self._fields), *SHADES))

    @cached_property
    def _left(self) -> Array:
        """How far each pixel of the network belongs to the person's left, (n, n)."""
        size = self._config.network_size
        shares = sides((self._guide[:, :, :2].reshape(-1, 2) + 1) / 2)
        return shares.reshape(size, size).astype(np.float32)

    def draw(self, targets: Sequence[NDArray[np.floating]]) -> Drawn:
        """Return the face with other intensities; see :class:`Portrait`."""
        size, change = self._size, np.stack(targets) - self._shown
        moved = expect(self._points, self._shown, np.stack(targets), self._config.aus)
        flow = mesh.flow(self._points, moved, size)
        aperture, kept = np.ascontiguousarray(apertures(self._points, moved, size).transpose(2, 0, 1))
        hole = np.maximum(aperture - kept, 0)
        shaded = self._shaded(change.astype(np.float32))
        warped = _moved(shaded, flow)
        still = (aperture - hole)[:, :, None]
        color = still * self._source + hole[:, :, None] * shaded + (1 - aperture)[:, :, None] * warped
        for window in WINDOWS:
            self._restore(color, hole, aperture, window)
        flow *= (1 - aperture)[:, :, None]
        reach = self._changing(change, flow)
        return Drawn(color, 1 - np.maximum(reach, hole), Moved(flow, 1 - hole, self._source))

    def _shaded(self, change: Array) -> Array:
        """Return the face with its shading changed, in [-1, 1], by (sides, AUs)."""
        total = [np.tensordot(side, self._fields, axes=1) for side in change]
        mixed = total[0] if len(total) == 1 else (1 - self._left) * total[0] + self._left * total[1]
        factor = np.exp(np.clip(_resized(mixed.astype(np.float32), self._size), DARKEST, BRIGHTEST))
        light = self._source + 1
        whitest = np.maximum(1, 2 / np.maximum(light.max(axis=2), 2e-3))
        return np.asarray(light * np.minimum(factor, whitest)[:, :, None] - 1, np.float32)

    def _restore(self, color: Array, hole: Array, aperture: Array, window: tuple[float, float, float, float]) -> None:
        """Inpaint the newly visible parts of a window of C, in place."""
        left, top, right, bottom = edges(window, self._size, self._size)
        part, within, whole = (x[top:bottom, left:right] for x in (color, hole, aperture))
        if within.max() < HIDDEN:
            return
        ratio = self._config.network_size / self._size
        height, width = (round(side * ratio) for side in within.shape)
        small, *masks = (
            np.asarray(cv2.resize(x, (width, height), interpolation=cv2.INTER_AREA), np.float32)
            for x in (part, within, whole)
        )
        masks = [np.ascontiguousarray(mask[None, None]) for mask in masks]
        (drawn,) = self._networks[RESTORER](_batch(small), *masks)
        full = (within.shape[1], within.shape[0])
        large = cv2.resize(np.ascontiguousarray(drawn[0].transpose(1, 2, 0)), full, interpolation=cv2.INTER_CUBIC)
        part += within[:, :, None] * (np.clip(large, -1, 1) - part)

    def _changing(self, change: NDArray[np.floating], flow: Array) -> Array:
        """Return where the face may change, (S, S) in [0, 1]: the union of the reach of all AUs that change."""
        asked = np.abs(change).max(axis=0) > 1e-6
        if not asked.any():
            return np.zeros((self._size, self._size), np.float32)
        reach = _resized(self._reach[asked].max(axis=0), self._size)
        return np.clip(np.maximum(reach, _moved(reach, flow)), 0, 1)


def across(sides_drawn: Array) -> Array:
    """Return the drawing of one face; of two, for the person's right and left side, return a blend.

    Generators are trained on faces and their mirror images and do not distinguish sides, so each side is drawn for the
    whole face. The two are mixed smoothly across the middle of the crop.

    Args:
        sides_drawn: (1 or 2, channels, S, S).
    """
    if len(sides_drawn) == 1:
        return np.asarray(sides_drawn[0], np.float32)
    places = (np.arange(sides_drawn.shape[-1]) + 0.5) / sides_drawn.shape[-1]
    left = sides(np.stack([places, np.zeros_like(places)], axis=1)).astype(np.float32)
    return np.asarray((1 - left) * sides_drawn[0] + left * sides_drawn[1], np.float32)


def _batch(image: Array) -> Array:
    """Return (S, S, C) as (1, C, S, S)."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def _resized(image: Array, size: int) -> Array:
    """Return a square image at another size; averaged down, or interpolated linearly."""
    if len(image) == size:
        return image
    how = cv2.INTER_AREA if size < len(image) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=how), np.float32)


def _moved(image: Array, flow: Array) -> Array:
    """Return an image, (S, S) or (S, S, C), warped by a backward flow in pixels."""
    grid = np.arange(len(image), dtype=np.float32)
    x, y = flow[:, :, 0] + grid[None, :], flow[:, :, 1] + grid[:, None]
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _step(values: NDArray[np.floating], low: float, high: float) -> Array:
    """Return a smooth step from 0 at ``low`` to 1 at ``high``."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
