"""Commands ``prepare``, ``train`` and ``export``."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from ganimation.cli.shared import add_command, process, progress, say
from ganimation.errors import TrainingError, require


def add(commands: Any) -> None:
    """Add the commands to a parser."""
    _add_prepare(commands)
    _add_train(commands)
    _add_export(commands)
    _add_presets(commands)


def _add_prepare(commands: Any) -> None:
    parser = add_command(commands, "prepare", _prepare, "make a data set from photos")
    parser.add_argument(
        "photos", help="folder, searched with its subfolders; list of paths and URLs (.txt, .csv); s3://bucket/folder"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DATASET", help="folder of the data set")
    parser.add_argument("--size", type=int, default=128, help="side of the crops in pixels (default 128)")
    parser.add_argument(
        "--labels", type=Path, metavar="CSV", help="columns file and identity, session, split or emotion"
    )
    parser.add_argument(
        "--source", default="", metavar="NAME",
        help="the photos are of a known data set: rafd, emotionet, openface or cfee (docs/data.md)",
    )  # fmt: skip
    parser.add_argument(
        "--list",
        type=Path,
        dest="listed",
        metavar="CSV",
        help="of --source: EmotioNet's list, OpenFace's folder or CSV, CFEE's codes",
    )
    parser.add_argument("--jobs", type=int, help="processes (default: all cores)")
    parser.add_argument(
        "--engine", default="local", metavar="NAME", help="local (default), or ray: on a cluster (docs/data.md)"
    )
    parser.add_argument(
        "--address", default="", help="of the Ray cluster; auto: the one of this machine (default: one is started)"
    )


def _prepare(options: argparse.Namespace) -> None:
    from ganimation.data.prepare import prepare

    with progress("photos") as advance:
        info = prepare(
            options.photos,
            options.output,
            size=options.size,
            labels=options.labels,
            source=options.source,
            listed=options.listed,
            jobs=options.jobs,
            engine=options.engine,
            address=options.address,
            progress=advance,
        )
    say(f"{options.output}: " + ", ".join(f"{count} {split}" for split, count in info.counts.items()))
    reasons: dict[str, int] = {}
    for entry in info.skipped:
        reason = entry["reason"].split(":")[0].split(" (")[0]
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1]):
        say(f"  {count} skipped: {reason} (which: dataset.json)")


def _add_train(commands: Any) -> None:
    parser = add_command(commands, "train", _train, "train a generator; the same command resumes it")
    parser.add_argument(
        "dataset", help="a folder that `ganimation prepare` made; s3://bucket/folder or hf://owner/name of one"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument(
        "--preset", default="", help="paper, official, bundled, small (default) or finetune (default with --init)"
    )
    parser.add_argument(
        "--method", default="",
        help="a rival of the paper's comparison instead, by its own preset: stargan, cyclegan, icgan or diat",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, help="scale the preset's phases to this many steps in all")
    parser.add_argument("--seed", type=int, help="random seed (default: the preset's)")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], dest="changes", metavar="NAME=X",
        help="change a field of the preset (`ganimation presets NAME` prints them): size=64, weights.attention=0.3 "
        "(all phases), adversarial.steps=500 (one)",
    )  # fmt: skip
    parser.add_argument("--init", default="", metavar="MODEL", help="begin from a model, as of edit's --model")
    parser.add_argument("--dry-run", action="store_true", help="time some steps, print an estimate, and stop")
    parser.add_argument("--devices", default="auto", help="number of devices (default: all)")
    parser.add_argument("--accelerator", default="auto", help="auto (default), cpu, cuda, mps")
    parser.add_argument("--strategy", default="auto", help="auto (default) or ddp")
    parser.add_argument("--num-nodes", type=int, default=1, help="machines (default 1)")
    parser.add_argument("--precision", default="auto", help="auto (default), 32-true, bf16-mixed, 16-mixed")
    parser.add_argument(
        "--accumulate", type=int, default=1, metavar="N", help="split each batch into N parts, to save memory"
    )
    parser.add_argument("--compile", action="store_true", help="compile the generator with torch.compile")
    parser.add_argument("--wandb", default="", metavar="PROJECT", help="log to Weights & Biases as well")


def _train(options: argparse.Namespace) -> None:
    from ganimation.model import METHODS
    from ganimation.training import run
    from ganimation.training.request import TrainRequest

    if options.method and options.method not in METHODS:
        raise TrainingError(f"--method {options.method}: it is one of {', '.join(METHODS)}")
    if options.method and options.preset:
        raise TrainingError(f"--method {options.method} has its own preset; leave out --preset {options.preset}")
    options.preset = options.preset or options.method
    asked = {item.name for item in fields(TrainRequest)} & vars(options).keys()
    request = TrainRequest(**{name: getattr(options, name) for name in asked})
    if options.dry_run:
        estimate = run.estimate(options.dataset, request).text()
        if not process():
            print(estimate)
        return
    with _training_progress() as (report, warn):
        run.start(options.dataset, options.output, request, report, warn)
    if not process():
        from ganimation.training.summary import summary

        print(summary(options.output))
        say(f"{options.output}: done; next: ganimation export {options.output} -o MODEL")


@contextmanager
def _training_progress() -> Iterator[tuple[Callable[[int, int, dict[str, float]], None], Callable[[str], None]]]:
    """Show a bar with losses on a terminal, or else a line every hundred steps; yield callbacks: progress, notices."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )  # fmt: skip
    console = Console(stderr=True)
    live = console.is_terminal
    silent = process() > 0
    with Progress(*columns, console=console, transient=True, disable=not live or silent) as bar:
        task = bar.add_task("", total=None)

        def report(step: int, total: int, terms: dict[str, float]) -> None:
            losses = "  ".join(f"{name.split('/')[1]} {value:.3g}" for name, value in terms.items() if "/" in name)
            bar.update(task, completed=step, total=total, description=losses)
            if not live and not silent and step % 100 == 0:
                print(f"{step}/{total}  {losses}", file=sys.stderr, flush=True)

        yield report, lambda text: console.print(f"ganimation: {text}", style="yellow", markup=False, soft_wrap=True)


def _add_export(commands: Any) -> None:
    parser = add_command(commands, "export", _export, "turn a run into a model folder: safetensors, ONNX, config, card")
    parser.add_argument("run", type=Path, help="a folder that `ganimation train` wrote; with --quantize also a model's")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL", help="folder of the model")
    parser.add_argument("--notes", type=Path, metavar="MD", help="text to append to the model card")
    parser.add_argument(
        "--average", type=float, metavar="SHARE",
        help="width of the average of weights to export, as a share of the run, 0 for none (default: the preset's)",
    )  # fmt: skip
    parser.add_argument("--quantize", choices=["int8"], help="a faster model, calibrated on --faces")
    parser.add_argument("--faces", type=Path, metavar="DATASET", help="data set for the calibration of int8")
    parser.add_argument("--push", metavar="OWNER/NAME", help="upload the model to the Hugging Face Hub as well")


def _export(options: argparse.Namespace) -> None:
    require("torch", "train")
    from ganimation.hub import check_repository, push
    from ganimation.training.export import export

    if options.push:
        check_repository(options.push)
    if options.quantize:
        from ganimation.data.dataset import FaceDataset
        from ganimation.model import bundled
        from ganimation.training.quantize import export_int8

        if options.faces is None:
            raise TrainingError("--quantize int8 needs faces to calibrate on; name a data set with --faces")
        source = bundled() if str(options.run) == "bundled" else options.run
        config = export_int8(source, options.output, FaceDataset(options.faces), options.notes)
    else:
        config = export(options.run, options.output, options.notes, options.average)
    known = f"{len(config.entries)} {'emotions' if config.emotions else 'AUs'}"
    say(f"{options.output}: {config.training['steps']} steps, {config.size} pixels, {known}")
    if options.push:
        say(push(options.output, options.push))


def _add_presets(commands: Any) -> None:
    parser = add_command(commands, "presets", _presets, "list the presets of train, or print the fields of one")
    parser.add_argument("preset", nargs="?", default="", help="whose fields to print, with values and meanings")


def _presets(options: argparse.Namespace) -> None:
    require("torch", "train")
    require("pydantic", "train")
    from ganimation.training.fields import describe
    from ganimation.training.presets import PRESETS, preset

    print(describe(preset(options.preset)) if options.preset else "\n".join(PRESETS))
