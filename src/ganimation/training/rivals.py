"""Training of the rivals (:mod:`ganimation.rivals`) on the same loop: their batches, networks and steps."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import partial

import cv2
import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from ganimation.action_units import EMOTIONS
from ganimation.data.dataset import FaceDataset
from ganimation.errors import TrainingError
from ganimation.pixels import denormalize_batch, normalize
from ganimation.rivals import RIVALS
from ganimation.rivals.base import EmotionBatch, Rival
from ganimation.rivals.icgan import NOISE
from ganimation.training.batches import warp_matrix
from ganimation.training.config import Phase, TrainingConfig
from ganimation.training.history import History
from ganimation.training.losses import Terms
from ganimation.training.state import State, image_layout

#: Faces of each emotion that are needed.
FEWEST = 2
#: Rows of a sheet.
ROWS = 6


def emotions_of(dataset: FaceDataset) -> tuple[str, ...]:
    """Return the emotions of a data set, neutral first.

    Raises:
        TrainingError: it has none, neutral is not among them, there is but one, or one has a single face.
    """
    counts = {name: dataset.emotions.count(name) for name in EMOTIONS}
    found = tuple(name for name, count in counts.items() if count)
    if not found:
        raise TrainingError(
            "the data set has no emotions; prepare it with --labels of a CSV that has the column emotion"
        )
    if "neutral" not in found or len(found) == 1:
        raise TrainingError(
            f"the data set has the emotions {', '.join(found)}; neutral and at least one more are needed"
        )
    for name in found:
        if counts[name] < FEWEST:
            raise TrainingError(
                f"emotion {name} has {counts[name]} face; at least {FEWEST} are needed, or leave it out"
            )
    return ("neutral", *(name for name in found if name != "neutral"))


class EmotionBatches:
    """Draws batches of faces with emotions, a function of ``(seed, step, update)``.

    Args:
        dataset: the faces.
        config: of the run.
        emotions: of the data set, neutral first.
        rank: of this process; it loads rows ``rank``, ``rank + world``, ... of each batch.
        world: processes in all.
    """

    def __init__(
        self, dataset: FaceDataset, config: TrainingConfig, emotions: tuple[str, ...], rank: int = 0, world: int = 1
    ) -> None:
        self._dataset, self._config, self._rank, self._world = dataset, config, rank, world
        names = np.array([name or "" for name in dataset.emotions])
        self._rows = [np.flatnonzero(names == emotion) for emotion in emotions]
        self._by_emotion = RIVALS[config.method].by_emotion

    def draw(self, step: int, update: int, phase: Phase) -> EmotionBatch:
        """Return this process's share of the batch of an update.

        All emotions are drawn alike. Of a method with networks of its own for each, sources are neutral and a batch
        asks for one emotion, the next one in every step.
        """
        rng = np.random.default_rng([self._config.seed, step, update])
        side, size, *_ = self._config.batch_options(phase)
        count = len(self._rows)
        if self._by_emotion:
            labels, targets = np.zeros(size, int), np.full(size, 1 + step % (count - 1))
        else:
            labels, targets = rng.integers(count, size=size), rng.integers(count, size=size)
        sources, others = (
            np.array([rng.choice(self._rows[emotion]) for emotion in column]) for column in (labels, targets)
        )
        flips = rng.random((2, size)) < 0.5
        mix, noise = rng.uniform(0, 1, size).astype(np.float32), rng.standard_normal((size, NOISE)).astype(np.float32)
        mine = slice(self._rank, None, self._world)
        images = [self._images(rows[mine], side, own[mine]) for rows, own in zip((sources, others), flips, strict=True)]
        one_hot = np.eye(count, dtype=np.float32)
        return EmotionBatch(
            images[0], torch.from_numpy(one_hot[labels[mine]]),
            torch.from_numpy(one_hot[targets[mine]]), images[1],
            torch.from_numpy(mix[mine]), torch.from_numpy(noise[mine]),
        )  # fmt: skip

    def _images(self, rows: NDArray[np.int64], side: int, flips: NDArray[np.bool_]) -> Tensor:
        faces = [self._load(int(row), side, bool(flip)) for row, flip in zip(rows, flips, strict=True)]
        return torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2)

    def _load(self, row: int, side: int, flip: bool) -> NDArray[np.float32]:
        stored = self._dataset.info.size
        matrix = warp_matrix(np.zeros(4), side / stored, stored)
        flags = cv2.INTER_AREA if side < stored else cv2.INTER_LINEAR
        face = cv2.warpAffine(self._dataset.image(row), matrix, (side, side), flags=flags)
        image = normalize(np.asarray(face, np.uint8))
        return np.ascontiguousarray(image[:, ::-1] if flip else image)


@dataclass(frozen=True)
class RivalContext:
    """Immutable training context of a rival.

    Attributes:
        rival: the method.
        config: of the run.
        fabric: launched.
        emotions: neutral first.
    """

    rival: Rival
    config: TrainingConfig
    fabric: Fabric
    emotions: tuple[str, ...]

    def build_state(self) -> State:
        """Return the networks that a run begins with, the same for the same seed, on Fabric's device."""
        config, fabric = self.config, self.fabric
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            nets = (self.rival.build_generator(), self.rival.build_critic())
        averages = [copy.deepcopy(nets[0]).requires_grad_(False).to(fabric.device)] if config.average else []
        ready = [
            fabric.setup(net, torch.optim.Adam(net.parameters(), lr=1.0, betas=config.betas, fused=True))
            for net in nets
        ]
        (generator, generator_optimizer), (critic, critic_optimizer) = ready
        history = History(config.buffer // fabric.world_size)
        return State(generator, critic, averages, generator_optimizer, critic_optimizer, history)  # type: ignore[arg-type]

    def take_step(self, state: State, phase: Phase, step: int, stream: Iterator[EmotionBatch]) -> Terms:
        """Do one step of a phase; return its terms. Arguments as of :func:`ganimation.training.loop.take_step`."""
        terms: Terms = {}
        factor, layout = phase.rate_factor(step), image_layout(self.fabric)
        for optimizer, rate in (
            (state.generator_optimizer, phase.generator_rate),
            (state.critic_optimizer, phase.critic_rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        for update in range(phase.critic_steps):
            batch = moved(next(stream), self.fabric.device, layout)
            rng = np.random.default_rng([self.config.seed, state.step, update, self.fabric.global_rank, 1])
            exchange = partial(state.history.exchange, rng=rng)
            found = self.rival.critic_loss(state.generator, state.critic, batch, exchange)
            terms |= self._descend(state.critic_optimizer, found)
        batch = moved(next(stream), self.fabric.device, layout)
        state.critic.requires_grad_(False)
        found = self.rival.generator_loss(state.generator, state.critic, batch, phase.name)
        terms |= self._descend(state.generator_optimizer, found)
        state.critic.requires_grad_(True)
        state.updates += 1
        return terms

    def _descend(self, optimizer: torch.optim.Optimizer, terms: Terms) -> Terms:
        optimizer.zero_grad()
        self.fabric.backward(torch.stack(list(terms.values())).sum())
        optimizer.step()
        return {name: value.detach() for name, value in terms.items()}

    def sheet(self, generator: torch.nn.Module, dataset: FaceDataset) -> NDArray[np.uint8]:
        """Return a picture, RGB (H, W, 3): a row a neutral face, the photo first, then each emotion."""
        names = np.array([name or "" for name in dataset.emotions])
        rows = np.flatnonzero(names == "neutral")
        faces = dataset.images(rows[np.linspace(0, len(rows) - 1, ROWS).astype(int)], self.config.size)
        source = torch.from_numpy(normalize(faces).transpose(0, 3, 1, 2).copy()).to(self.fabric.device)
        columns = [faces]
        training = generator.training
        with torch.no_grad():
            generator.eval()
            for number in range(1, len(self.emotions)):
                target = torch.eye(len(self.emotions), device=source.device)[[number] * len(source)]
                columns.append(denormalize_batch(generator(source, target)))
            generator.train(training)
        return np.vstack([np.hstack(row) for row in zip(*columns, strict=True)])


def moved(batch: EmotionBatch, device: torch.device, layout: torch.memory_format) -> EmotionBatch:
    """Return a batch on a device, with its images in a memory format."""

    def put(value: Tensor) -> Tensor:
        return value.to(device, memory_format=layout) if value.dim() == 4 else value.to(device)

    return replace(batch, **{item.name: put(getattr(batch, item.name)) for item in fields(batch)})


def build_rival_context(config: TrainingConfig, dataset: FaceDataset, fabric: Fabric) -> RivalContext:
    """Return the training context of a rival.

    Raises:
        TrainingError: the data set has not the emotions that are needed, or the size is not the method's.
    """
    emotions = emotions_of(dataset)
    if config.method == "icgan" and config.size != 64:
        raise TrainingError(f"size={config.size}: icgan draws 64 pixels; set size=64")
    rival = RIVALS[config.method](len(emotions), config.size, config.generator_width, config.critic_width)
    return RivalContext(rival, config, fabric, emotions)
