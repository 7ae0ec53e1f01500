"""evaluate, figure."""

import argparse
import os
from pathlib import Path
from typing import Any

from ganimation.cli.shared import (
    add_command,
    add_output,
    add_target,
    check_output,
    open_editor,
    open_photo,
    progress,
    read_expression,
    say,
)
from ganimation.errors import ActionUnitError


def add(commands: Any) -> None:
    """Add the commands to a parser."""
    _add_evaluate(commands)
    _add_figure(commands)


def _add_evaluate(commands: Any) -> None:
    parser = add_command(
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
    from ganimation.data.dataset import DatasetInfo
    from ganimation.errors import ModelError
    from ganimation.evaluation.exam import examine
    from ganimation.evaluation.page import make_folder, write
    from ganimation.model import ModelConfig, bundled

    for name, low in (("faces", 2), ("neutral", 1), ("jobs", 1), ("seed", 0)):
        if getattr(options, name) < low:
            raise ModelError(f"--{name} {getattr(options, name)}: at least {low}")
    models = [bundled() if name == "bundled" else Path(name) for name in (options.model, *options.compare)]
    DatasetInfo.read(options.dataset)
    for path in models:
        ModelConfig.read(path)
    make_folder(options.output)
    with progress("trials") as advance:
        exam = examine(
            models, options.dataset, options.split, options.faces, options.neutral, options.jobs, options.seed, advance
        )
    write(exam, options.output)
    for name, found in exam.results.items():
        readers = ", ".join(f"{reader} {read['pcc']:.2f}" for reader, read in found["readers"].items())
        say(f"{name}: PCC of single AUs by {readers}; zero edit {found['zero edit PSNR']['mean']:.1f} dB")
    say(options.output / "index.html")


def _add_figure(commands: Any) -> None:
    parser = add_command(
        commands, "figure", _figure, "draw a figure of the paper, or what each AU moves, with photos of your own"
    )
    names = "interpolation, single-aus, attention, emotions, variability, wild, limits, muscles"
    parser.add_argument("name", help=f"which: {names}")
    parser.add_argument(
        "photos", type=Path, nargs="+", metavar="PHOTO", help="single-aus, attention, variability, muscles: one"
    )
    add_target(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the random expressions (default 0)")
    add_output(parser, ".png, .pdf or .svg; interpolation also .gif, .webp or .mp4")


def _figure(options: argparse.Namespace) -> None:
    from ganimation.evaluation import figures

    if options.seed < 0:
        raise ActionUnitError(f"--seed {options.seed}: at least 0")
    check_output(options, *options.photos)
    if not (options.au or options.emotion or options.expression):
        options.emotion = "happiness"
    editor = open_editor(options)
    photos = [(path.name, open_photo(options, path)) for path in options.photos]
    order = figures.Order(editor, photos, read_expression(options, editor), options.seed)
    figures.draw(options.name, order, options.output)
    say(options.output)
