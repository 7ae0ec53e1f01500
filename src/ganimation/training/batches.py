"""Training batches, a function of ``(seed, step, update)``: a run resumes without any sampler state."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganimation.data.dataset import FaceDataset
from ganimation.errors import TrainingError
from ganimation.faces.crop import apply
from ganimation.faces.geometry import LIPS, mirrored, opening, visible
from ganimation.faces.pose import expect, pose
from ganimation.pixels import normalize
from ganimation.training.config import Phase, TargetMix, TrainingConfig, emphasis_weights
from ganimation.training.erase import erase

Pixels = NDArray[np.float32]

#: Distance between the lips of a mouth that is shut, and of one that is wide open, in shares of the side.
SHUT, WIDE = 0.015, 0.08
#: Mouths are of one shape whose heights and widths fall into steps of this size, likewise.
LIKE_HEIGHT, LIKE_WIDTH = 0.02, 0.05
#: What opens a mouth: how often it is asked, and between which intensities.
OPENERS = {
    "AU25": (1.0, 0.2, 1.0),
    "AU26": (0.6, 0.0, 1.0),
    "AU12": (0.5, 0.0, 0.9),
    "AU10": (0.2, 0.0, 0.7),
    "AU20": (0.15, 0.0, 0.8),
    "AU15": (0.1, 0.0, 0.6),
}

GENERATOR_UPDATE = 1000  # the update number of a generator's batch, far from any critic update's

_NO_GEOMETRY = np.zeros((1, 1, 7), np.float32)
_KINDS = ("photo", "single", "blend", "same")


@dataclass(frozen=True)
class Batch:
    """A batch: photos, source and target AUs, and paired ground truth.

    Attributes:
        source: (N, 3, H, W) in [-1, 1].
        source_aus: y_r, (N, AUs).
        target_aus: y_g, (N, AUs).
        truth: (N, 3, H, W), paired ground truth; valid where ``known``.
        known: (N,) bool, whether there is paired ground truth.
        mix: (N,) in [0, 1], for the gradient penalty.
        geometry: (N, 7, H, W), maps drawn from the landmarks, for a generator of muscles, see
            :func:`ganimation.faces.pose.pose`.
        erased: (N,) bool, whether the apertures of the source are erased, to be restored.
    """

    source: Tensor
    source_aus: Tensor
    target_aus: Tensor
    truth: Tensor
    known: Tensor
    mix: Tensor
    geometry: Tensor
    erased: Tensor

    @property
    def real(self) -> Tensor:
        """Real images for the critic, (N, 3, H, W): paired ground truth where there is some, else the source."""
        return torch.where(self.known[:, None, None, None], self.truth, self.source)

    @property
    def real_aus(self) -> Tensor:
        """The AUs of :attr:`real`, (N, AUs)."""
        return torch.where(self.known[:, None], self.target_aus, self.source_aus)

    def to(self, device: torch.device, layout: torch.memory_format) -> "Batch":
        """Return the batch on a device, with its images in a memory format."""
        return Batch(
            **{
                item.name: value.to(device, memory_format=layout) if value.dim() == 4 else value.to(device)
                for item in fields(self)
                for value in [getattr(self, item.name)]
            }
        )

    def split(self, parts: int) -> "list[Batch]":
        """Return the batch as ``parts`` batches of the same size."""
        columns = [getattr(self, item.name).chunk(parts) for item in fields(self)]
        return [Batch(*values) for values in zip(*columns, strict=True)]


class Batches:
    """Draws batches from a data set.

    Args:
        dataset: the faces.
        config: of the run.
        rank: of this process; it loads rows ``rank``, ``rank + world``, ... of each batch.
        world: processes in all.

    Raises:
        TrainingError: pairs are asked for and no two photos share a session, or the mix is not one.
    """

    def __init__(self, dataset: FaceDataset, config: TrainingConfig, rank: int = 0, world: int = 1) -> None:
        self._dataset, self._config, self._rank, self._world = dataset, config, rank, world
        order = np.argsort(dataset.sessions, kind="stable")
        codes, starts = np.unique(dataset.sessions[order], return_index=True)
        groups = np.split(order, starts[1:])
        self._sessions = {
            int(code): rows for code, rows in zip(codes, groups, strict=True) if code >= 0 and len(rows) > 1
        }
        in_pairs = np.isin(dataset.sessions, list(self._sessions))
        if any(phase.paired for phase in config.phases) and not in_pairs.any():
            without = [f"{phase.name}.steps=0" for phase in config.phases if phase.paired == 1]
            raise TrainingError(
                f"preset {config.preset} learns from pairs, and no two faces of the data set share a session; "
                f"prepare it with --labels naming sessions, or train without: --set {' '.join([*without, 'paired=0'])}"
            )
        weights = _draw_weights(dataset.aus, config.balance)
        self._all = np.cumsum(weights)
        self._paired = np.cumsum(np.where(in_pairs, weights, 0.0))
        self._open = self._shut = self._all
        if any(phase.erased or phase.opened for phase in config.phases):
            openness, rarity = _mouths(dataset)
            self._open, self._shut = np.cumsum(np.maximum(openness, 0.02) * rarity), np.cumsum(openness == 0)
        self._top = np.quantile(dataset.aus, 0.995, axis=0)

    def draw(self, step: int, update: int, phase: Phase) -> Batch:
        """Return this process's share of the batch of an update."""
        rng = np.random.default_rng([self._config.seed, step, update])
        side, size, mix, emphasis = self._config.batch_options(phase)
        order = np.arange(size)
        paired = order < round(phase.paired * size)
        erased = ~paired & (order < round((phase.paired + phase.erased) * size))
        opened = ~paired & ~erased & (order < round((phase.paired + phase.erased + phase.opened) * size))
        sources = self._sources(rng, paired, erased, opened)
        targets = np.array(
            [self._partner(rng, row) if pair else row for row, pair in zip(sources, paired, strict=True)]
        )
        others = _draw_rows(rng, self._all, size)
        shown = self._dataset.aus[sources]
        drawn, same = draw_targets(
            rng, shown, self._dataset.aus[others], self._top, mix, emphasis_weights(emphasis, self._dataset.info.aus)
        )
        drawn[erased] = shown[erased]
        if opened.any():
            drawn[opened] = draw_openings(rng, shown[opened], self._dataset.info.aus)
            same &= ~opened
        target_aus = np.where(paired[:, None], self._dataset.aus[targets], drawn).astype(np.float32)
        flips, warps, lights = self._augmentation(rng, size)
        shares = rng.uniform(0.0, 1.0, size).astype(np.float32)
        mine = slice(self._rank, None, self._world)
        rows: list[tuple[Pixels, Pixels, Pixels]] = []
        for row in order[mine].tolist():
            how = (side, bool(flips[row]), warps[row], lights[row])
            source, points = self._load(int(sources[row]), *how)
            truth, moved = (source, None) if not paired[row] else self._load(int(targets[row]), *how)
            geometry = _NO_GEOMETRY
            if self._config.generator == "muscles" and points is not None:
                if erased[row]:
                    own = np.random.default_rng([self._config.seed, step, update, row])
                    geometry = erase(points, side, own)
                else:
                    if moved is None:
                        moved = expect(points, shown[row], target_aus[row], self._dataset.info.aus)
                    geometry = pose(points, moved, side)
            rows.append((source, truth, geometry))
        images, truths, geometries = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
        return Batch(
            images.permute(0, 3, 1, 2),
            torch.from_numpy(shown[mine]),
            torch.from_numpy(target_aus[mine]),
            truths.permute(0, 3, 1, 2),
            torch.from_numpy((paired | same | erased)[mine]),
            torch.from_numpy(shares[mine]),
            geometries.permute(0, 3, 1, 2),
            torch.from_numpy(erased[mine]),
        )

    def _sources(
        self, rng: np.random.Generator, paired: NDArray[np.bool_], erased: NDArray[np.bool_], opened: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Draw the rows of a batch, each kind of its own photos."""
        sources = _draw_rows(rng, self._all, len(paired))
        for kind, weights in ((paired, self._paired), (erased, self._open), (opened, self._shut)):
            if kind.any() and weights[-1]:
                sources = np.where(kind, _draw_rows(rng, weights, len(paired)), sources)
        return sources

    def _partner(self, rng: np.random.Generator, row: int) -> int:
        mates = self._sessions[int(self._dataset.sessions[row])]
        others = mates[mates != row]
        return int(rng.choice(others))

    def _augmentation(
        self, rng: np.random.Generator, count: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
        """Draw mirroring, (turn, scale, shift x, shift y) and (gain, bias) for each row."""
        flips = rng.random(count) < 0.5
        reach = np.array([0.08, 0.06, 0.03, 0.03]) if self._config.augment else np.zeros(4)
        light = np.array([0.15, 0.08]) if self._config.augment else np.zeros(2)
        return flips, rng.uniform(-reach, reach, (count, 4)), rng.uniform(-light, light, (count, 2))

    def _load(
        self, row: int, size: int, flip: bool, warp: NDArray[np.float64], light: NDArray[np.float64]
    ) -> tuple[Pixels, NDArray[np.float64] | None]:
        """Return a face (size, size, 3) in [-1, 1] and, if they are needed, its landmarks in pixels, both augmented."""
        stored = self._dataset.info.size
        matrix = warp_matrix(warp, size / stored, stored)
        face = cv2.warpAffine(self._dataset.image(row), matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101)
        gain, bias = light.tolist()
        image = np.clip(normalize(np.asarray(face, np.uint8)) * (1.0 + gain) + bias, -1.0, 1.0)
        points = None
        if self._config.generator == "muscles":
            points = visible(apply(matrix, self._dataset.landmarks(row) * stored - 0.5))
        if flip:
            image = np.ascontiguousarray(image[:, ::-1])
            points = None if points is None else mirrored(points, size)
        return image, points


def _draw_rows(rng: np.random.Generator, cumulative: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return rows drawn with replacement, in time that hardly grows with the data set."""
    return np.asarray(np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right"), np.int64)


def warp_matrix(warp: NDArray[np.float64], scale: float, stored: int) -> NDArray[np.float64]:
    """Return the 2x3 matrix from a stored face to a training image, about their centres."""
    turn, zoom, shift_x, shift_y = warp
    factor = scale * (1.0 + zoom)
    linear = factor * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    size = stored * scale
    centre = np.full(2, (size - 1) / 2) + size * np.array([shift_x, shift_y])
    return np.hstack([linear, (centre - linear @ np.full(2, (stored - 1) / 2))[:, None]])


def _mouths(dataset: FaceDataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far each photo's mouth is open, in [0, 1], and how rare its height and width are together, (faces,).

    Mouths that are open wide and do not smile are rare in photos, and as frequent as others in what is asked.
    """
    rows = [dataset.landmarks(row) for row in range(len(dataset))]
    heights = np.array([opening(points, LIPS) for points in rows])
    widths = np.array([np.linalg.norm(points[LIPS[0][-1]] - points[LIPS[0][0]]) for points in rows])
    shapes = np.stack([heights // LIKE_HEIGHT, widths // LIKE_WIDTH], axis=1)
    _, shape, counts = np.unique(shapes, axis=0, return_inverse=True, return_counts=True)
    rarity = counts[shape.ravel()] ** -0.5
    return np.clip((heights - SHUT) / (WIDE - SHUT), 0.0, 1.0), rarity / rarity.mean()


def _draw_weights(aus: NDArray[np.float32], balance: float) -> NDArray[np.float64]:
    """Return sampling weights: each photo's mean of AUs relative to their data set means, to the power ``balance``."""
    relative = (aus / np.maximum(aus.mean(axis=0), 1e-6)).mean(axis=1).astype(np.float64)
    weights = (relative + 1e-3) ** balance
    return np.asarray(weights / weights.sum(), np.float64)


def draw_targets(
    rng: np.random.Generator,
    source: NDArray[np.float32],
    other: NDArray[np.float32],
    top: NDArray[np.floating],
    mix: TargetMix,
    emphasis: Sequence[float],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Draw target AUs for unpaired photos.

    Args:
        rng: what to draw from.
        source: (N, AUs) of the photos.
        other: (N, AUs) of other photos.
        top: (AUs,) the strongest that ``single`` asks, before ``reach``.
        mix: which share of each kind.
        emphasis: (AUs,), in proportion to which ``single`` chooses AUs.

    Returns:
        targets (N, AUs) in [0, 1], and where they are the source's own, (N,).
    """
    count, aus = source.shape
    shares = np.array([getattr(mix, name) for name in _KINDS])
    kind = np.asarray(rng.choice(len(_KINDS), count, p=shares / shares.sum()))
    noisy = np.clip(other + rng.uniform(-mix.noise, mix.noise, source.shape), 0.0, 1.0)
    single = source.astype(np.float64).copy()
    which = rng.choice(aus, count, p=np.divide(emphasis, np.sum(emphasis)))
    single[np.arange(count), which] = rng.uniform(0.0, np.minimum(1.0, mix.reach * top[which]))
    share = rng.random((count, 1))
    blend = share * other + (1 - share) * source
    targets = np.select([kind[:, None] == 0, kind[:, None] == 1, kind[:, None] == 2], [noisy, single, blend], source)
    return targets, kind == 3


def draw_openings(rng: np.random.Generator, source: NDArray[np.float32], aus: Sequence[str]) -> NDArray[np.float64]:
    """Draw targets that open mouths, (N, AUs), for photos that show ``source``."""
    targets = source.astype(np.float64)
    for code, (often, low, high) in OPENERS.items():
        drawn = np.where(rng.random(len(source)) < often, rng.uniform(low, high, len(source)), np.nan)
        if code in aus:
            place = list(aus).index(code)
            targets[:, place] = np.where(np.isnan(drawn), targets[:, place], drawn)
    return targets


def plan(config: TrainingConfig, start: int) -> Iterator[tuple[int, int, Phase]]:
    """Yield the step, update and phase of every batch of a run, from step ``start`` on."""
    for step in range(start, config.steps):
        phase, _ = config.at(step)
        for update in range(phase.critic_steps):
            yield step, update, phase
        if phase.train_generator and not (phase.critic_steps and config.shared_batch):
            yield step, GENERATOR_UPDATE, phase


class Draws(Protocol):
    """What draws the batches of a method."""

    def draw(self, step: int, update: int, phase: Phase) -> Any:
        """Return this process's share of the batch of an update."""


@contextmanager
def ahead(batches: Draws, config: TrainingConfig, start: int, depth: int = 3) -> Iterator[Iterator[Any]]:
    """Yield the batches of :func:`plan`; a thread prefetches ``depth`` of them."""
    with ThreadPoolExecutor(1, "batches") as pool:
        work = (pool.submit(batches.draw, *key) for key in plan(config, start))

        def stream() -> Iterator[Any]:
            waiting: deque[Future[Any]] = deque(islice(work, depth))
            while waiting:
                batch = waiting.popleft().result()
                waiting.extend(islice(work, 1))
                yield batch

        try:
            yield stream()
        finally:
            pool.shutdown(cancel_futures=True)
