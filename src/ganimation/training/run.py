"""Start or resume a run on this machine, or estimate it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ganimation.errors import TrainingError, require
from ganimation.hub import find_model
from ganimation.training.request import TrainRequest

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from ganimation.data.dataset import FaceDataset
    from ganimation.training.config import TrainingConfig
    from ganimation.training.estimate import Estimate
    from ganimation.training.state import Start


def start(
    dataset: str | Path,
    run: Path,
    request: TrainRequest,
    report: Callable[[int, int, dict[str, float]], None] = lambda step, total, terms: None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Train on a data set, or resume the run.

    Args:
        dataset: a folder that ``prepare`` made, or where such a one lies: ``s3://bucket/folder``, ``hf://owner/name``.
        run: folder of the run.
        request: what to train, on what.
        report: called after each step with the steps done, their number and the terms.
        say: called with a line for people.

    Raises:
        TrainingError, DatasetError, ModelError: what is wrong with the request, the machine, the run or the data set.
        MissingExtraError: the extra ``train`` is not installed.
        KeyboardInterrupt: it was asked to stop, and has written a checkpoint.
    """
    faces, config, begin, fabric = _prepare(dataset, request)
    from ganimation.training.loop import train

    train(
        faces, run, config, fabric, request,
        start=begin, report=lambda step, terms: report(step, config.steps, terms), say=say,
    )  # fmt: skip


def estimate(dataset: str | Path, request: TrainRequest) -> "Estimate":
    """Return an estimate of a run, from some steps of each phase; nothing is written.

    Raises:
        As :func:`start`.
    """
    faces, config, begin, fabric = _prepare(dataset, request)
    from ganimation.training import estimate as estimating

    return estimating.estimate(faces, config, fabric, request, begin)


def _prepare(dataset: str | Path, request: TrainRequest) -> "tuple[FaceDataset, TrainingConfig, Start | None, Fabric]":
    for module in ("torch", "pyarrow", "pydantic", "lightning_fabric"):
        require(module, "train")
    from ganimation.data.dataset import FaceDataset

    if request.steps is not None and not 1 <= request.steps <= 100_000_000:
        raise TrainingError(f"--steps {request.steps}: it lies in 1..100000000")
    if not 1 <= request.accumulate <= 4096:
        raise TrainingError(f"--accumulate {request.accumulate}: it lies in 1..4096")
    config, begin = _configure(request)
    faces = FaceDataset(dataset)
    if begin is not None and begin.config.aus != faces.info.aus:
        raise TrainingError(
            f"--init {request.init}: that model knows {' '.join(begin.config.aus)}, the data set {dataset} has "
            f"{' '.join(faces.info.aus)}; prepare the data set with the same AUs"
        )
    return faces, config.resolve(len(faces), request.steps), begin, _launch(request, config)


def _configure(request: TrainRequest) -> "tuple[TrainingConfig, Start | None]":
    from ganimation.training.fields import override
    from ganimation.training.presets import preset
    from ganimation.training.state import Start

    config = preset(request.preset or ("finetune" if request.init else "small"))
    if config.preset == "finetune" and not request.init:
        raise TrainingError("preset finetune goes on from a model; name it with --init, or take --preset small")
    if config.method != "ganimation" and request.init:
        raise TrainingError(
            f"--init {request.init}: the method {config.method} begins with fresh networks; leave it out"
        )
    begin = None
    if request.init:
        begin = Start.read(find_model(request.init))
        config = begin.fit(config)
    config = override(config, *request.changes)
    if begin is not None and (wrong := begin.misfit(config)):
        raise TrainingError(f"--init {request.init}: its networks are as they are, and {wrong} with --set")
    if request.seed is not None:
        config = override(config, f"seed={request.seed}")
    config.check()
    return config, begin


def _launch(request: TrainRequest, config: "TrainingConfig") -> "Fabric":
    import torch
    from lightning_fabric import Fabric
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    wanted = int(request.devices) if request.devices.isdecimal() else request.devices
    cards = torch.cuda.device_count()
    if request.accelerator in ("cuda", "gpu") and isinstance(wanted, int) and wanted > cards:
        raise TrainingError(f"--devices {wanted}: this machine has {cards}; take fewer, or --accelerator cpu")
    try:
        fabric = Fabric(
            accelerator=request.accelerator,
            devices=wanted,
            num_nodes=request.num_nodes,
            strategy=_strategy(request, config),
            precision=_precision(request, config),  # type: ignore[arg-type]
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


#: Strategies of Fabric that keep the networks whole on each device.
STRATEGIES = ("auto", "ddp", "ddp_spawn", "ddp_fork", "ddp_notebook")


def _strategy(request: TrainRequest, config: "TrainingConfig") -> str:
    """Return Fabric's name of the strategy; not every batch of a generator of muscles reaches all its weights.

    Raises:
        TrainingError: one that divides the weights among devices: checkpoints, averages and export need them whole.
    """
    if request.strategy not in STRATEGIES:
        raise TrainingError(
            f"--strategy {request.strategy}: it is one of {', '.join(STRATEGIES)}; the networks fit on any device, and "
            "weights divided among several are not supported"
        )
    several = request.num_nodes > 1 or (request.devices.isdecimal() and int(request.devices) > 1)
    if config.generator == "muscles" and (request.strategy == "ddp" or (request.strategy == "auto" and several)):
        return "ddp_find_unused_parameters_true"
    return request.strategy


def _precision(request: TrainRequest, config: "TrainingConfig") -> str:
    """Return Fabric's name of the precision.

    ``auto`` is float32 for the paper's generator, whose runs are compared with published ones and resumed to the bit.
    For others it is bf16 on a card that computes it, and on a CPU what is measured to be faster.
    """
    import torch

    if request.precision != "auto":
        return request.precision
    if config.generator == "conditioned":  # of rivals, too
        return "32-true"
    if torch.cuda.is_available() and request.accelerator in ("auto", "cuda", "gpu"):
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    if request.accelerator == "mps" or (request.accelerator == "auto" and torch.backends.mps.is_available()):
        return "32-true"
    from ganimation.training.precision import faster

    return faster(config)
