"""Estimate of a run: parameters, memory and time, measured on some steps of each phase."""

import resource
import sys
import time
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import torch
from lightning_fabric import Fabric

from ganimation.data.dataset import FaceDataset
from ganimation.training.batches import GENERATOR_UPDATE
from ganimation.training.config import Phase, TrainingConfig
from ganimation.training.loop import build_method, check_batch
from ganimation.training.request import TrainRequest
from ganimation.training.state import Start
from ganimation.training.terms import check_weights

STEPS = 10
#: A phase is given up measuring after this many seconds, as long as two steps were timed.
PATIENCE = 60.0


@dataclass(frozen=True)
class PhaseEstimate:
    """Estimate of a phase.

    Attributes:
        name: of the phase.
        steps: it has.
        seconds: a step takes.
        timed: steps that were timed.
        faces: that a step trains on, all updates together.
    """

    name: str
    steps: int
    seconds: float
    timed: int
    faces: int


@dataclass(frozen=True)
class Estimate:
    """Estimate of a run.

    Attributes:
        config: of the run.
        faces: in the data set.
        generator: parameters.
        critic: parameters.
        bytes: most memory that was used, of the device or of this process.
        phases: in order.
    """

    config: TrainingConfig
    faces: int
    generator: int
    critic: int
    bytes: int
    phases: tuple[PhaseEstimate, ...]

    def text(self) -> str:
        """Return the estimate as text, a line a phase."""
        config = self.config
        lines = [
            f"{config.preset}: {config.size} pixels, batch {config.batch}, {self.faces} faces",
            f"generator {self.generator / 1e6:.2f} million parameters, critic {self.critic / 1e6:.2f} million; "
            f"memory {self.bytes / 2**30:.1f} GiB",
        ]
        for phase in self.phases:
            epoch = self.faces / phase.faces * phase.seconds
            lines.append(
                f"{phase.name}: {phase.seconds:.2f} s a step ({phase.faces / phase.seconds:.1f} faces/s, from "
                f"{phase.timed} steps), {_duration(epoch)} an epoch, {phase.steps} steps in "
                f"{_duration(phase.steps * phase.seconds)}"
            )
        lines.append(f"in all {_duration(sum(phase.steps * phase.seconds for phase in self.phases))}")
        return "\n".join(lines)


def estimate(
    dataset: FaceDataset, config: TrainingConfig, fabric: Fabric, request: TrainRequest, start: Start | None = None
) -> Estimate:
    """Measure up to ten steps of each phase after a warm-up; nothing is written.

    Raises:
        TrainingError: the configuration is not possible.
    """
    config.check()
    check_weights(config)
    check_batch(config, fabric, request.accumulate)
    method = build_method(config, dataset, fabric, request, start)
    state = method.build_state()
    phases = []
    for phase in config.phases:
        batch = method.batches.draw(0, GENERATOR_UPDATE, phase)

        def step(number: int, phase: Phase = phase, batch: Any = batch) -> None:
            method.take_step(state, phase, number, repeat(batch))
            if fabric.device.type == "cuda":
                torch.cuda.synchronize()

        for number in range(max(1, config.penalty_every)):
            step(number)  # with and without the penalty, to translate and to allocate
        began, timed = time.perf_counter(), 0
        while timed < STEPS and (timed < 2 or fabric.broadcast(time.perf_counter() - began) < PATIENCE):
            step(timed)
            timed += 1
        seconds = (time.perf_counter() - began) / timed
        faces = config.batch_options(phase).batch * (phase.critic_steps or 1)
        phases.append(PhaseEstimate(phase.name, phase.steps, seconds, timed, faces))
    sizes = [sum(value.numel() for value in net.parameters()) for net in (state.generator, state.critic)]
    return Estimate(config, len(dataset), sizes[0], sizes[1], _peak(fabric), tuple(phases))


def _peak(fabric: Fabric) -> int:
    if fabric.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(fabric.device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _duration(seconds: float) -> str:
    """Return a length of time for people: ``45 s``, ``12 min``, ``3.5 h``, ``6.2 days``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
