"""Start or resume a run on the machine at hand."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ganimation.errors import TrainingError, require


@dataclass(frozen=True)
class Machine:
    """Where to train, in Lightning Fabric's words.

    Attributes:
        accelerator: ``auto``, ``cpu``, ``cuda``, ``mps``.
        devices: ``auto`` or a number.
        num_nodes: machines.
        strategy: ``auto``, ``ddp``, ...
        precision: ``auto`` takes bf16 where the hardware computes it, else float32.
    """

    accelerator: str = "auto"
    devices: str = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "auto"


def start(
    dataset: Path,
    run: Path,
    preset: str,
    machine: Machine,
    steps: int | None = None,
    seed: int | None = None,
    report: Callable[[int, int], None] = lambda step, total: None,
) -> None:
    """Train a preset on a data set, or go on with the run.

    Raises:
        TrainingError, DatasetError: what is wrong with the preset, the machine, the run or the data set.
        MissingExtraError: the extra ``train`` is not installed.
    """
    for module in ("torch", "pyarrow", "lightning_fabric"):
        require(module, "train")
    from lightning_fabric import Fabric

    from ganimation.data.dataset import FaceDataset
    from ganimation.training import config as presets
    from ganimation.training.loop import train

    config = presets.preset(preset)
    if steps is not None and not 1 <= steps <= 100_000_000:
        raise TrainingError(f"--steps {steps}: at least 1")
    if seed is not None and not 0 <= seed < 2**63:
        raise TrainingError(f"--seed {seed}: it lies in 0..2**63-1")
    faces = FaceDataset(dataset)
    config = config.resolve(len(faces), steps)
    if seed is not None:
        config = replace(config, seed=seed)
    try:
        fabric = Fabric(
            accelerator=machine.accelerator,
            devices=int(machine.devices) if machine.devices.isdecimal() else machine.devices,
            num_nodes=machine.num_nodes,
            strategy=machine.strategy,
            precision=_precision(machine),  # type: ignore[arg-type]
        )
    except (ValueError, RuntimeError, TypeError) as error:
        raise TrainingError(f"this machine cannot train like that: {error}") from error
    fabric.launch()
    train(faces, run, config, fabric, report=lambda step, terms: report(step, config.steps))


def _precision(machine: Machine) -> str:
    """Return Fabric's name of the precision; bf16 without instructions for it is four times slower than float32."""
    import torch

    if machine.precision != "auto":
        return machine.precision
    if torch.cuda.is_available() and machine.accelerator in ("auto", "cuda", "gpu"):
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    on_cpu = machine.accelerator == "cpu" or (machine.accelerator == "auto" and not torch.backends.mps.is_available())
    flags = Path("/proc/cpuinfo")
    fast = on_cpu and flags.exists() and {"avx512_bf16", "amx_bf16"} & set(flags.read_text(encoding="utf-8").split())
    return "bf16-mixed" if fast else "32-true"
