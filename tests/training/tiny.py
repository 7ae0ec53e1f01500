"""A configuration that trains in a second and still goes through every phase. Also a program, to be killed."""

import dataclasses
import sys
from pathlib import Path

from lightning_fabric import Fabric

from ganimation.data.dataset import FaceDataset
from ganimation.training.config import TrainingConfig
from ganimation.training.loop import Cadence, train
from ganimation.training.presets import SMALL

STEPS = (3, 2, 3)

TINY: TrainingConfig = dataclasses.replace(
    SMALL,
    size=64,
    batch=4,
    generator_width=4,
    generator_blocks=1,
    critic_width=4,
    critic_cap=8,
    phases=tuple(dataclasses.replace(phase, steps=steps) for phase, steps in zip(SMALL.phases, STEPS, strict=True)),
)


def train_tiny(dataset: Path, run: Path, config: TrainingConfig = TINY, every: int = 1) -> Path:
    """Train on one CPU in float32."""
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    return train(FaceDataset(dataset), run, config, fabric, cadence=Cadence(checkpoint=every, sheet=4))


if __name__ == "__main__":
    train_tiny(Path(sys.argv[1]), Path(sys.argv[2]), every=2)
