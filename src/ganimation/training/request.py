"""What a user asks of training: which configuration, on what machine, how it is logged."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainRequest:
    """A request to train.

    Attributes:
        preset: its name; empty for ``small``, or with ``init`` for ``finetune``.
        steps: scale the phases to this many in all.
        seed: of all randomness.
        changes: fields of the configuration, ``NAME=VALUE``.
        init: a model folder to begin from, or ``bundled``.
        accelerator: Lightning Fabric's ``auto``, ``cpu``, ``cuda``, ``mps``; likewise the next three.
        devices: ``auto`` or a number.
        num_nodes: machines.
        strategy: ``auto`` or ``ddp``, see :data:`ganimation.training.run.STRATEGIES`.
        precision: ``auto`` takes float32 for the paper's generator, else what is faster here.
        accumulate: parts in which each device takes its share of a batch, to need less memory.
        compile: translate the generator with torch.compile.
        wandb: project of Weights & Biases to log to as well; empty for not.
        checkpoint_every: steps between checkpoints.
        sheet_every: steps between sheets of samples.
    """

    preset: str = ""
    steps: int | None = None
    seed: int | None = None
    changes: Sequence[str] = ()
    init: str = ""
    accelerator: str = "auto"
    devices: str = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "auto"
    accumulate: int = 1
    compile: bool = False
    wandb: str = ""
    checkpoint_every: int = 200
    sheet_every: int = 500
