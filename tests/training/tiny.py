"""A configuration that trains in a second and still has every phase and all that a checkpoint must keep.

Also a program, to be killed and to be run by torchrun.
"""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

from lightning_fabric import Fabric

from ganimation.data.dataset import FaceDataset
from ganimation.training.config import TrainingConfig, Weights
from ganimation.training.loop import train
from ganimation.training.presets import SMALL
from ganimation.training.request import TrainRequest
from ganimation.training.state import Start

STEPS = (3, 2, 3)
_PHASES = tuple(
    dataclasses.replace(phase, steps=steps)
    for phase, steps in zip((SMALL.phases[0], *SMALL.phases[2:4]), STEPS, strict=True)
)
MOUTHS = dataclasses.replace(SMALL.phases[1], steps=1)

TINY: TrainingConfig = dataclasses.replace(
    SMALL,
    size=64,
    batch=4,
    generator_width=4,
    generator_blocks=1,
    restorer_width=4,
    critic_width=4,
    critic_cap=8,
    buffer=6,
    reread_every=4,
    phases=_PHASES,
)

_WEIGHTS = Weights(pair=30.0)
#: The paper's generator and losses, with all that a checkpoint must keep.
PAINT: TrainingConfig = dataclasses.replace(
    TINY,
    generator="conditioned",
    critic_layers=6,
    critic_spectral=False,
    penalty_every=2,
    attention_high=0.4,
    phases=tuple(dataclasses.replace(phase, weights=_WEIGHTS, erased=0.0, opened=0.0, paired=0.5) for phase in _PHASES),
)

#: For comparing gradients: one step of the game, nothing that depends on the number of processes.
GAME: TrainingConfig = dataclasses.replace(
    PAINT,
    batch=8,
    buffer=0,
    attention_high=1.0,
    phases=(dataclasses.replace(PAINT.phases[2], steps=1, critic_steps=1),),
)
CONFIGS = {
    "tiny": TINY,
    "paint": PAINT,
    "game": GAME,
    "apart": dataclasses.replace(GAME, penalty_apart=True, shared_batch=False),
    "muscles": dataclasses.replace(
        TINY, batch=8, buffer=0, reread_every=0, phases=(dataclasses.replace(TINY.phases[2], steps=1),)
    ),
    "mouths": dataclasses.replace(TINY, batch=8, buffer=0, phases=(MOUTHS,)),
}


def train_tiny(
    dataset: Path,
    run: Path,
    config: TrainingConfig = TINY,
    every: int = 1,
    *,
    devices: int = 1,
    request: TrainRequest | None = None,
    start: Start | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Train on the CPU in float32."""
    strategy = "ddp_find_unused_parameters_true" if config.generator == "muscles" else "ddp"
    fabric = Fabric(
        accelerator="cpu", devices=devices, precision="32-true", strategy=strategy if devices > 1 else "auto"
    )
    fabric.launch()
    request = dataclasses.replace(request or TrainRequest(), checkpoint_every=every, sheet_every=4)
    return train(FaceDataset(dataset), run, config, fabric, request, start=start, say=say)


if __name__ == "__main__":
    faces, folder, *rest = sys.argv[1:]
    wanted, processes = rest or ("tiny", "1")
    train_tiny(Path(faces), Path(folder), CONFIGS[wanted], every=2, devices=int(processes))
