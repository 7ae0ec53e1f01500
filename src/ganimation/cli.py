"""The command line: parse, call one function, print. Heavy imports stay inside the commands."""

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganimation import __version__
from ganimation.action_units import EMOTIONS, Request, parse_requests, read_requests
from ganimation.errors import ActionUnitError, GanimationError, MediaError

if TYPE_CHECKING:
    from ganimation.editing.editor import Editor, Which
    from ganimation.faces.reader import Face
    from ganimation.media.images import Photo


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0, or 2 with one line on stderr for bad input, or 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace], None] = options.command
        command(options)
    except GanimationError as error:
        who = f"ganimation, process {_process()}" if _process() else "ganimation"
        print(f"{who}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"ganimation: {interrupt}" if str(interrupt) else "ganimation: stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ganimation", description="Animate a face from a single photo by action units."
    )
    parser.add_argument("--version", action="version", version=f"ganimation {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_edit(commands)
    _add_animate(commands)
    _add_read(commands)
    _add_prepare(commands)
    _add_train(commands)
    _add_export(commands)
    _add_evaluate(commands)
    _add_figure(commands)
    return parser


def _add_command(commands: Any, name: str, function: Callable[[argparse.Namespace], None], text: str) -> Any:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(command=function)
    return parser


def _add_expression(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path, help="a photo: JPEG, PNG, WebP, TIFF, HEIC, ...")
    _add_target(parser)
    parser.add_argument("--face", default="largest", help="which face: largest (default), all, or a number from 1")


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--au", nargs="+", action="extend", default=[], metavar="AU=X",
        help="intensity in [0, 1] (AU12=0.8), or a change of what the photo shows (AU12=+0.3)",
    )  # fmt: skip
    parser.add_argument("--expression", type=Path, metavar="JSON", help='a file like {"AU12": 0.8, "AU06": "+0.3"}')
    parser.add_argument("--emotion", metavar="NAME", help=f"one of {', '.join(EMOTIONS)}")
    parser.add_argument("--strength", type=float, default=1.0, help="of the emotion, in [0, 1] (default 1)")
    parser.add_argument("--model", type=Path, help="a model folder (default: the bundled weights)")
    parser.add_argument("--backend", default="auto", help="auto (default), onnxruntime or torch")
    _add_limit(parser)


def _add_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-megapixels", type=float, default=100.0, metavar="N", help="refuse larger photos (default 100)"
    )


def _requests(options: argparse.Namespace, editor: "Editor") -> tuple[Request, ...]:
    """Return what --emotion, --expression and --au ask for; the later overrides the earlier, AU by AU."""
    known = editor.config.aus
    asked: dict[str, Request] = {}
    if options.emotion:
        asked |= {request.code: request for request in editor.emotion(options.emotion, options.strength)}
    if options.expression:
        asked |= {request.code: request for request in read_requests(options.expression, known)}
    asked |= {request.code: request for request in parse_requests(options.au, known)}
    return tuple(asked.values())


def _which(text: str) -> "Which":
    if text == "all":
        return "all"
    if text == "largest":
        return "largest"
    if text.isdecimal():
        return int(text)
    raise ActionUnitError(f"--face {text}: write largest, all, or a number from 1")


def _photo(options: argparse.Namespace, path: Path) -> "Photo":
    from ganimation.media.images import read_image

    if not 0 < options.max_megapixels <= 1e6:
        raise MediaError(f"--max-megapixels {options.max_megapixels:g}: it lies in (0, 1000000]")
    return read_image(path, max_pixels=int(options.max_megapixels * 1e6))


def _add_edit(commands: Any) -> None:
    parser = _add_command(commands, "edit", _edit, "change the expression of a photo")
    _add_expression(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help=".jpg, .png, .webp or .tif")


def _edit(options: argparse.Namespace) -> None:
    from ganimation.editing.editor import Editor
    from ganimation.media.images import check_writable

    check_writable(options.output)
    which = _which(options.face)
    editor = Editor.from_pretrained(options.model, options.backend)
    requests = _requests(options, editor)
    edit = editor.edit(_photo(options, options.photo), requests, which)
    edit.save(options.output)
    print(options.output)


def _add_animate(commands: Any) -> None:
    parser = _add_command(commands, "animate", _animate, "animate a photo from its own expression to another")
    _add_expression(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help=".mp4, .gif or .webp")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of the film (default 2)")
    parser.add_argument("--fps", type=float, default=25.0, help="frames a second (default 25)")
    parser.add_argument("--easing", default="smooth", help="smooth (default) or linear")
    parser.add_argument("--one-way", action="store_true", help="end at the expression instead of coming back")
    parser.add_argument("--max-side", type=int, default=1080, help="longest side of the film in pixels (default 1080)")


def _animate(options: argparse.Namespace) -> None:
    from ganimation.editing.animation import alphas
    from ganimation.editing.editor import Editor
    from ganimation.media.images import Photo, check_writable, to_srgb
    from ganimation.media.video import SUFFIXES, shrink, write_film

    check_writable(options.output, SUFFIXES)
    if not 16 <= options.max_side <= 8192:
        raise MediaError(f"--max-side {options.max_side}: it lies in 16..8192 pixels")
    which = _which(options.face)
    frames = alphas(options.seconds, options.fps, options.easing, back=not options.one_way)
    editor = Editor.from_pretrained(options.model, options.backend)
    requests = _requests(options, editor)
    photo = Photo(shrink(to_srgb(_photo(options, options.photo)), options.max_side))
    films = editor.animate(photo, requests, frames, which)
    with _progress("frames") as advance:
        counted = (advance(number, len(frames)) or frame for number, frame in enumerate(films, start=1))
        write_film(counted, options.output, options.fps)
    print(options.output)


def _add_read(commands: Any) -> None:
    parser = _add_command(commands, "read", _read, "measure the AU intensities of every face of photos")
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV, a row a face")
    _add_limit(parser)


def _read(options: argparse.Namespace) -> None:
    from ganimation.faces.reader import FaceReader

    reader = FaceReader()
    found = [(path, reader.read(_photo(options, path).pixels)) for path in options.photos]
    if options.json:
        print(json.dumps([{"photo": str(path), "faces": [_describe(face) for face in faces]} for path, faces in found]))
        return
    codes = list(found[0][1][0].aus) if found[0][1] else next((list(f[0].aus) for _, f in found if f), [])
    rows = [
        (str(path), number, *face.box, face.score, *(face.aus[code] for code in codes))
        for path, faces in found
        for number, face in enumerate(faces, start=1)
    ]
    header = ("photo", "face", "x", "y", "width", "height", "score", *codes)
    if options.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([[f"{value:.4f}" if isinstance(value, float) else value for value in row] for row in rows])
        return
    for path, faces in found:
        print(f"{path}: {len(faces)} {'face' if len(faces) == 1 else 'faces'}")
        for number, face in enumerate(faces, start=1):
            x, y, width, height = (round(value) for value in face.box)
            print(f"  face {number} at {x},{y} {width}x{height}")
            print("   ", "  ".join(f"{code} {value:.2f}" for code, value in face.aus.items()))


def _describe(face: "Face") -> dict[str, Any]:
    return {
        "box": [round(value, 1) for value in face.box],
        "score": round(face.score, 4),
        "aus": {code: round(value, 4) for code, value in face.aus.items()},
    }


def _add_prepare(commands: Any) -> None:
    parser = _add_command(commands, "prepare", _prepare, "make a data set from a folder of photos")
    parser.add_argument("photos", type=Path, help="folder, searched with its subfolders")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DATASET", help="folder of the data set")
    parser.add_argument("--size", type=int, default=128, help="side of the crops in pixels (default 128)")
    parser.add_argument("--labels", type=Path, metavar="CSV", help="columns file and identity, session or split")
    parser.add_argument(
        "--openface", type=Path, metavar="CSV", help="AUs by OpenFace 2: its folder, or one CSV with file"
    )
    parser.add_argument("--jobs", type=int, help="processes (default: all cores)")


def _prepare(options: argparse.Namespace) -> None:
    from ganimation.data.prepare import prepare

    with _progress("photos") as advance:
        info = prepare(
            options.photos,
            options.output,
            size=options.size,
            labels=options.labels,
            openface=options.openface,
            jobs=options.jobs,
            progress=advance,
        )
    print(f"{options.output}: " + ", ".join(f"{count} {split}" for split, count in info.counts.items()))
    reasons: dict[str, int] = {}
    for entry in info.skipped:
        reason = entry["reason"].split(":")[0].split(" (")[0]
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1]):
        print(f"  {count} skipped: {reason} (which: dataset.json)")


def _add_train(commands: Any) -> None:
    parser = _add_command(commands, "train", _train, "train a generator; the same command resumes it")
    parser.add_argument("dataset", type=Path, help="a folder that `ganimation prepare` made")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--preset", default="small", help="paper, official or small (default)")
    parser.add_argument("--steps", type=int, help="scale the preset's phases to this many steps in all")
    parser.add_argument("--seed", type=int, help="of all randomness (default: the preset's)")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], dest="changes", metavar="NAME=X",
        help="change a field of the preset: size=64, weights.attention=0.3 (all phases), adversarial.steps=500 (one)",
    )  # fmt: skip
    parser.add_argument("--init", default="", metavar="MODEL", help="begin from a model folder, or from 'bundled'")
    parser.add_argument("--dry-run", action="store_true", help="measure some steps, say what it would take, and stop")
    parser.add_argument("--devices", default="auto", help="how many (default: all there are)")
    parser.add_argument("--accelerator", default="auto", help="auto (default), cpu, cuda, mps")
    parser.add_argument("--strategy", default="auto", help="auto (default), ddp, ...")
    parser.add_argument("--num-nodes", type=int, default=1, help="machines (default 1)")
    parser.add_argument("--precision", default="auto", help="auto (default), 32-true, bf16-mixed, 16-mixed")
    parser.add_argument("--accumulate", type=int, default=1, metavar="N", help="take each batch in N parts, for memory")
    parser.add_argument("--compile", action="store_true", help="translate the generator with torch.compile")
    parser.add_argument("--wandb", default="", metavar="PROJECT", help="log to Weights & Biases as well")


def _train(options: argparse.Namespace) -> None:
    from ganimation.training import run

    machine = run.Machine(
        options.accelerator, options.devices, options.num_nodes, options.strategy, options.precision,
        options.accumulate, options.compile,
    )  # fmt: skip
    wish = run.Wish(options.preset, options.steps, options.seed, options.changes, options.init)
    if options.dry_run:
        estimate = run.estimate(options.dataset, wish, machine).text()
        if not _process():
            print(estimate)
        return
    with _training_progress() as (report, say):
        run.start(options.dataset, options.output, wish, machine, report, say, options.wandb)
    if not _process():
        from ganimation.training.summary import summary

        print(summary(options.output))
        print(f"{options.output}: done; next: ganimation export {options.output} -o MODEL")


def _process() -> int:
    """Return the number of this process among those of a run; the first, 0, speaks for all."""
    names = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK")
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdecimal()), 0)


@contextmanager
def _training_progress() -> Iterator[tuple[Callable[[int, int, dict[str, float]], None], Callable[[str], None]]]:
    """Show a bar with losses on a terminal, or else a line every hundred steps; yield what reports and what says."""
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
    silent = _process() > 0
    with Progress(*columns, console=console, transient=True, disable=not live or silent) as bar:
        task = bar.add_task("", total=None)

        def report(step: int, total: int, terms: dict[str, float]) -> None:
            losses = "  ".join(f"{name.split('/')[1]} {value:.3g}" for name, value in terms.items() if "/" in name)
            bar.update(task, completed=step, total=total, description=losses)
            if not live and not silent and step % 100 == 0:
                print(f"{step}/{total}  {losses}", file=sys.stderr, flush=True)

        yield report, lambda text: console.print(f"ganimation: {text}", style="yellow", markup=False, soft_wrap=True)


def _add_export(commands: Any) -> None:
    parser = _add_command(
        commands, "export", _export, "turn a run into a model folder: safetensors, ONNX, config, card"
    )
    parser.add_argument("run", type=Path, help="a folder that `ganimation train` wrote")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL", help="folder of the model")
    parser.add_argument("--notes", type=Path, metavar="MD", help="text to append to the model card")


def _export(options: argparse.Namespace) -> None:
    from ganimation.errors import require

    require("torch", "train")
    from ganimation.training.export import export

    config = export(options.run, options.output, options.notes)
    print(f"{options.output}: {config.training['steps']} steps, {config.size} pixels, {len(config.aus)} AUs")


def _add_evaluate(commands: Any) -> None:
    parser = _add_command(
        commands, "evaluate", _evaluate, "examine a model: numbers (JSON) and a page with the pictures"
    )
    parser.add_argument("model", help="a model folder, or 'bundled'")
    parser.add_argument("dataset", type=Path, help="a folder that `ganimation prepare` made")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="REPORT", help="folder of the report")
    parser.add_argument("--compare", nargs="+", default=[], metavar="MODEL", help="other models beside it")
    parser.add_argument("--split", default="", help="of the data set (default: test, else validation, else train)")
    parser.add_argument("--faces", type=int, default=100, help="at most so many (default 100)")
    parser.add_argument("--neutral", type=int, default=24, help="of them sit the single AUs (default 24)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default 0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="threads (default: all cores)")


def _evaluate(options: argparse.Namespace) -> None:
    from ganimation.errors import ModelError
    from ganimation.evaluation.exam import examine
    from ganimation.model import bundled

    for name, low in (("faces", 2), ("neutral", 1), ("jobs", 1), ("seed", 0)):
        if getattr(options, name) < low:
            raise ModelError(f"--{name} {getattr(options, name)}: at least {low}")
    models = [bundled() if name == "bundled" else Path(name) for name in (options.model, *options.compare)]
    with _progress("trials") as advance:
        exam = examine(
            models, options.dataset, options.split, options.faces, options.neutral, options.jobs, options.seed, advance
        )
    exam.write(options.output)
    for name, found in exam.results.items():
        readers = ", ".join(f"{reader} {read['pcc']:.2f}" for reader, read in found["readers"].items())
        print(f"{name}: PCC of single AUs by {readers}; zero edit {found['zero edit PSNR']:.1f} dB")
    print(options.output / "index.html")


def _add_figure(commands: Any) -> None:
    parser = _add_command(commands, "figure", _figure, "draw a figure of the paper with photos of your own")
    names = "interpolation, single-aus, attention, emotions, variability, wild, limits"
    parser.add_argument("name", help=f"which: {names}")
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO", help="single-aus, attention, variability: one")
    _add_target(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the random expressions (default 0)")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help=".png, .pdf or .svg; interpolation also .gif, .webp or .mp4"
    )


def _figure(options: argparse.Namespace) -> None:
    from ganimation.editing.editor import Editor
    from ganimation.evaluation import figures

    if options.seed < 0:
        raise ActionUnitError(f"--seed {options.seed}: at least 0")
    if not (options.au or options.emotion or options.expression):
        options.emotion = "happiness"
    editor = Editor.from_pretrained(options.model, options.backend)
    photos = [(path.name, _photo(options, path)) for path in options.photos]
    order = figures.Order(editor, photos, _requests(options, editor), options.seed)
    figures.draw(options.name, order, options.output)
    print(options.output)


@contextmanager
def _progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on stderr where it is a terminal; yield what is called with done and total."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(unit, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
