"""Start or resume a run on this machine, or estimate it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ganimation.errors import TrainingError, require
from ganimation.model import bundled

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from ganimation.data.dataset import FaceDataset
    from ganimation.training.config import TrainingConfig
    from ganimation.training.estimate import Estimate
    from ganimation.training.state import Start


@dataclass(frozen=True)
class Machine:
    """Lightning Fabric's options: devices, strategy, precision; and options of speed.

    Attributes:
        accelerator: ``auto``, ``cpu``, ``cuda``, ``mps``.
        devices: ``auto`` or a number.
        num_nodes: machines.
        strategy: ``auto``, ``ddp``, ...
        precision: ``auto`` takes float32 for the paper's generator, else what is faster here.
        accumulate: parts in which each device takes its share of a batch, to need less memory.
        compile: translate the generator with torch.compile.
    """

    accelerator: str = "auto"
    devices: str = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "auto"
    accumulate: int = 1
    compile: bool = False


@dataclass(frozen=True)
class TrainRequest:
    """A request to train: preset, seed, changed fields, initial model.

    Attributes:
        preset: its name; empty for ``small``, or with ``init`` for ``finetune``.
        steps: scale the phases to this many in all.
        seed: of all randomness.
        changes: fields of the configuration, ``NAME=VALUE``.
        init: a model folder to begin from, or ``bundled``.
    """

    preset: str = ""
    steps: int | None = None
    seed: int | None = None
    changes: Sequence[str] = field(default_factory=tuple)
    init: str = ""


def start(
    dataset: Path,
    run: Path,
    request: TrainRequest,
    machine: Machine,
    report: Callable[[int, int, dict[str, float]], None] = lambda step, total, terms: None,
    say: Callable[[str], None] = lambda text: None,
    wandb: str = "",
) -> None:
    """Train on a data set, or resume the run.

    Args:
        dataset: a folder that ``prepare`` made.
        run: folder of the run.
        request: what to train.
        machine: on what.
        report: called after each step with the steps done, their number and the terms.
        say: called with a line for people.
        wandb: project of Weights & Biases to log to as well; empty for not.

    Raises:
        TrainingError, DatasetError, ModelError: what is wrong with the request, the machine, the run or the data set.
        MissingExtraError: the extra ``train`` is not installed.
        KeyboardInterrupt: it was asked to stop, and has written a checkpoint.
    """
    faces, config, begin, fabric = _prepare(dataset, request, machine)
    from ganimation.training.loop import Tuning, train

    tuning = Tuning(machine.accumulate, machine.compile)
    train(
        faces, run, config, fabric, start=begin, tuning=tuning,
        report=lambda step, terms: report(step, config.steps, terms), say=say, wandb=wandb,
    )  # fmt: skip


def estimate(dataset: Path, request: TrainRequest, machine: Machine) -> "Estimate":
    """Return an estimate of a run, from some steps of each phase; nothing is written.

    Raises:
        As :func:`start`.
    """
    faces, config, begin, fabric = _prepare(dataset, request, machine)
    from ganimation.training import estimate as estimating
    from ganimation.training.loop import Tuning

    return estimating.estimate(faces, config, fabric, begin, Tuning(machine.accumulate, machine.compile))


def _prepare(
    dataset: Path, request: TrainRequest, machine: Machine
) -> "tuple[FaceDataset, TrainingConfig, Start | None, Fabric]":
    for module in ("torch", "pyarrow", "lightning_fabric"):
        require(module, "train")
    from ganimation.data.dataset import FaceDataset

    if request.steps is not None and not 1 <= request.steps <= 100_000_000:
        raise TrainingError(f"--steps {request.steps}: it lies in 1..100000000")
    if not 1 <= machine.accumulate <= 4096:
        raise TrainingError(f"--accumulate {machine.accumulate}: it lies in 1..4096")
    config, begin = _configure(request)
    faces = FaceDataset(dataset)
    if begin is not None and begin.config.aus != faces.info.aus:
        raise TrainingError(
            f"--init {request.init}: that model knows {' '.join(begin.config.aus)}, the data set {dataset} has "
            f"{' '.join(faces.info.aus)}; prepare the data set with the same AUs"
        )
    return faces, config.resolve(len(faces), request.steps), begin, _launch(machine, config)


def _configure(request: TrainRequest) -> "tuple[TrainingConfig, Start | None]":
    from ganimation.training import config as configuring
    from ganimation.training.presets import preset
    from ganimation.training.state import Start

    config = preset(request.preset or ("finetune" if request.init else "small"))
    if config.preset == "finetune" and not request.init:
        raise TrainingError("preset finetune goes on from a model; name it with --init, or take --preset small")
    begin = None
    if request.init:
        begin = Start.read(bundled() if request.init == "bundled" else Path(request.init))
        config = begin.fit(config)
    for change in request.changes:
        config = configuring.override(config, change)
    if begin is not None and (wrong := begin.misfit(config)):
        raise TrainingError(f"--init {request.init}: its networks are as they are, and {wrong} with --set")
    if request.seed is not None:
        config = replace(config, seed=request.seed)
    config.check()
    return config, begin


def _launch(machine: Machine, config: "TrainingConfig") -> "Fabric":
    import torch
    from lightning_fabric import Fabric
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    wanted = int(machine.devices) if machine.devices.isdecimal() else machine.devices
    cards = torch.cuda.device_count()
    if machine.accelerator in ("cuda", "gpu") and isinstance(wanted, int) and wanted > cards:
        raise TrainingError(f"--devices {wanted}: this machine has {cards}; take fewer, or --accelerator cpu")
    try:
        fabric = Fabric(
            accelerator=machine.accelerator,
            devices=wanted,
            num_nodes=machine.num_nodes,
            strategy=_strategy(machine, config),
            precision=_precision(machine, config),  # type: ignore[arg-type]
        )
        fabric.launch()
    except (ValueError, RuntimeError, TypeError, ImportError, MisconfigurationException) as error:
        raise TrainingError(f"this machine cannot train like that: {error}") from error
    started = os.environ.get("WORLD_SIZE", "")
    if started.isdecimal() and int(started) > fabric.world_size:
        raise TrainingError(
            f"{started} processes were started and {fabric.world_size} would train together; name them with --devices "
            "(of a node) and --num-nodes"
        )
    return fabric


def _strategy(machine: Machine, config: "TrainingConfig") -> str:
    """Return Fabric's name of the strategy; not every batch of a generator of muscles reaches all its weights."""
    several = machine.num_nodes > 1 or (machine.devices.isdecimal() and int(machine.devices) > 1)
    if config.generator == "muscles" and (machine.strategy == "ddp" or (machine.strategy == "auto" and several)):
        return "ddp_find_unused_parameters_true"
    return machine.strategy


def _precision(machine: Machine, config: "TrainingConfig") -> str:
    """Return Fabric's name of the precision.

    ``auto`` is float32 for the paper's generator, whose runs are compared with published ones and resumed to the bit.
    For others it is bf16 on a card that computes it, and on a CPU what is measured to be faster.
    """
    import torch

    if machine.precision != "auto":
        return machine.precision
    if config.generator == "conditioned":
        return "32-true"
    if torch.cuda.is_available() and machine.accelerator in ("auto", "cuda", "gpu"):
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    if machine.accelerator == "mps" or (machine.accelerator == "auto" and torch.backends.mps.is_available()):
        return "32-true"
    from ganimation.training.precision import faster

    return faster(config)
