"""Commands ``evaluate`` and ``figure``."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ganimation.editing.editor import Editor


def add(commands: Any) -> None:
    """Add the commands to a parser."""
    _add_evaluate(commands)
    _add_figure(commands)


def _add_evaluate(commands: Any) -> None:
    parser = add_command(
        commands, "evaluate", _evaluate, "evaluate a model: measures (JSON) and an HTML report with pictures"
    )
    parser.add_argument("model", help="a model folder, or 'bundled'")
    parser.add_argument("dataset", type=Path, help="a folder that `ganimation prepare` made")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="REPORT", help="folder of the report")
    parser.add_argument("--compare", nargs="+", default=[], metavar="MODEL", help="other models beside it")
    parser.add_argument("--split", default="", help="split to evaluate on (default: test, else validation, else train)")
    parser.add_argument("--faces", type=int, default=100, help="largest number of faces (default 100)")
    parser.add_argument("--neutral", type=int, default=24, help="neutral faces for trials of single AUs (default 24)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random trials (default 0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="threads (default: all cores)")


def _evaluate(options: argparse.Namespace) -> None:
    from ganimation.data.dataset import DatasetInfo
    from ganimation.errors import ModelError
    from ganimation.evaluation.exam import examine
    from ganimation.evaluation.page import make_folder, write
    from ganimation.hub import find_model
    from ganimation.model import ModelConfig

    for name, low in (("faces", 2), ("neutral", 1), ("jobs", 1), ("seed", 0)):
        if getattr(options, name) < low:
            raise ModelError(f"--{name} {getattr(options, name)}: at least {low}")
    models = [find_model(name) for name in (options.model, *options.compare)]
    DatasetInfo.read(options.dataset)
    by_emotion = [bool(ModelConfig.read(path).emotions) for path in models]
    make_folder(options.output)
    if any(by_emotion):
        _compare(models, options)
        return
    with progress("trials") as advance:
        exam = examine(
            models, options.dataset, options.split, options.faces, options.neutral, options.jobs, options.seed, advance
        )
    write(exam, options.output)
    for name, found in exam.results.items():
        readers = ", ".join(f"{reader} {read['pcc']:.2f}" for reader, read in found["readers"].items())
        say(f"{name}: PCC of single AUs by {readers}; zero edit {found['zero edit PSNR']['mean']:.1f} dB")
    say(options.output / "index.html")


def _compare(models: "Sequence[Path]", options: argparse.Namespace) -> None:
    """Compare models by emotions, which is all that some of them know."""
    from ganimation.evaluation.comparison import compare, table, write

    with progress("methods") as advance:
        rows = compare(models, options.dataset, options.split, options.neutral, advance)
    write(rows, options.output)
    print(table(rows))
    say(options.output / "comparison.md")


def _add_figure(commands: Any) -> None:
    parser = add_command(
        commands, "figure", _figure, "draw a figure of the paper, or what each AU moves, with photos of your own"
    )
    names = "interpolation, single-aus, attention, emotions, comparison, variability, wild, limits, muscles"
    parser.add_argument("name", help=f"which: {names}")
    parser.add_argument(
        "photos", nargs="+", metavar="PHOTO",
        help="single-aus, attention, variability, muscles: one; limits: also CATEGORY=PHOTO, with the categories of "
        "Sec. 6.6: sculpture, drawing, texture, anthropomorphic, illumination, sketch; extreme, nonhuman, animal",
    )  # fmt: skip
    add_target(parser)
    parser.add_argument("--compare", nargs="+", default=[], metavar="MODEL", help="models of the figure comparison")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random expressions (default 0)")
    add_output(parser, ".png, .pdf or .svg; interpolation also .gif, .webp or .mp4")


def _figure(options: argparse.Namespace) -> None:
    from ganimation.evaluation import figures

    if options.seed < 0:
        raise ActionUnitError(f"--seed {options.seed}: at least 0")
    named = [_category(text, options.name) for text in options.photos]
    check_output(options, *(path for _, path in named))
    if not (options.au or options.emotion or options.expression or options.like):
        options.emotion = "happiness"
    editor = open_editor(options)
    photos = [(name, open_photo(options, path)) for name, path in named]
    others = [_named_editor(path, options) for path in options.compare]
    order = figures.FigureInput(editor, photos, read_expression(options, editor), options.seed, others)
    figures.draw(options.name, order, options.output)
    say(options.output)


def _category(text: str, figure: str) -> tuple[str, Path]:
    """Return the name of a photo in a figure, and its path."""
    from ganimation.evaluation.figures import LIMITS

    name, equals, path = text.partition("=")
    if figure == "limits" and equals and name in LIMITS:
        return name, Path(path)
    return Path(text).name, Path(text)


def _named_editor(name: str, options: argparse.Namespace) -> "tuple[str, Editor]":
    """Return the name of a model in a figure, and its editor."""
    from ganimation.editing.editor import Editor

    editor = Editor(None if name == "bundled" else name, options.backend, 0, options.precision, device=options.device)
    return editor.name, editor
