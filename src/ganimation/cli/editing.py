"""Commands ``edit``, ``animate``, ``read`` and ``verify``."""

import argparse
import csv
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganimation.cli import films
from ganimation.cli.shared import (
    SIDE_HELP,
    UNMOVED,
    add_command,
    add_expression,
    add_limit,
    add_output,
    check_output,
    chosen_face,
    film_provenance,
    longest_side,
    max_pixels,
    open_editor,
    open_photo,
    progress,
    read_expression,
    say,
    tell,
)
from ganimation.errors import ActionUnitError, FaceError, MediaError
from ganimation.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ganimation.editing.editor import Pixels


def add(commands: Any) -> None:
    """Add the commands to a parser."""
    _add_edit(commands)
    _add_animate(commands)
    _add_read(commands)
    _add_verify(commands)
    _add_expressions(commands)


def _add_expressions(commands: Any) -> None:
    add_command(commands, "expressions", _expressions, "list the named expressions and the AUs that they are made of")


def _expressions(options: argparse.Namespace) -> None:
    from ganimation.action_units import EMOTIONS
    from ganimation.expressions import NAMED

    for name, recipe in (*EMOTIONS.items(), *NAMED.items()):
        print(f"{name:14} {' '.join(f'{code}={value:g}' for code, value in recipe.items())}".rstrip())


def _add_edit(commands: Any) -> None:
    parser = add_command(commands, "edit", _edit, "change the expression of a photo, a film, or many photos")
    add_expression(parser)
    add_output(parser, ".jpg, .png, .webp or .tif; of a film: .mp4, .gif or .webp; of many photos: a folder")
    parser.add_argument("--fps", type=float, help="of a film: frames a second of the result, at most its own")
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="photos edited at once (default: all cores)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the ranges in a table (default 0)")


def _edit(options: argparse.Namespace) -> None:
    from ganimation.media.clip import is_clip

    if is_clip(options.photo):
        films.edit_film(options)
        say(options.output)
        return
    if options.photo.is_dir() or options.photo.suffix.lower() == ".csv":
        _edit_many(options)
        return
    from ganimation.media.images import check_writable

    check_writable(options.output)
    check_output(options, options.photo)
    which = chosen_face(options.face)
    editor = open_editor(options)
    requests = read_expression(options, editor)
    edit = editor.edit(open_photo(options, options.photo), requests, which)
    edit.save(options.output)
    for doubt in edit.doubts:
        tell(doubt)
    if requests and edit.notice:
        tell(edit.notice)
    say(options.output)


def _edit_many(options: argparse.Namespace) -> None:
    from ganimation.editing import batch
    from ganimation.editing.tasks import tasks_of_folder, tasks_of_table

    if not 0 <= options.jobs <= 256:
        raise MediaError(f"--jobs {options.jobs}: it lies in 1..256")
    if options.seed < 0:
        raise ActionUnitError(f"--seed {options.seed}: at least 0")
    which, limit = chosen_face(options.face), max_pixels(options)
    editor = open_editor(options, threads=1)
    requests = read_expression(options, editor)
    if options.photo.is_dir():
        tasks = tasks_of_folder(options.photo, options.output, requests, which)
    elif requests:
        raise ActionUnitError(f"{options.photo} says what is asked; leave out --au, --emotion and --expression")
    else:
        editor.config.require_aus("a table")
        tasks = tasks_of_table(options.photo, editor.config.aus, options.seed)
    jobs = options.jobs or os.cpu_count() or 1
    with progress("photos") as advance:
        outcome = batch.run(
            editor,
            tasks,
            options.output,
            jobs=jobs,
            credentials=options.photo.is_dir(),
            max_pixels=limit,
            progress=advance,
        )
    for path, reason in outcome.failed[:10]:
        tell(f"{path.name} is left out: {reason}")
    if len(outcome.failed) > 10:
        tell(f"and {len(outcome.failed) - 10} more, see the manifest")
    if outcome.failed and not outcome.made and not outcome.kept:
        raise FaceError(f"none of the {len(tasks)} photos could be edited; {options.output / batch.MANIFEST} says why")
    kept = f", {outcome.kept} were there" if outcome.kept else ""
    if outcome.unchanged:
        tell(f"{outcome.unchanged} pictures are as they were: what was asked changes no pixel of them; ask for more")
    say(f"{options.output}: {outcome.made} made{kept}; {options.output / batch.MANIFEST}")


def _add_animate(commands: Any) -> None:
    parser = add_command(commands, "animate", _animate, "animate a photo from its own expression to another")
    add_expression(parser)
    add_output(parser, ".mp4, .gif or .webp")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of the film (default 2)")
    parser.add_argument("--fps", type=float, default=25.0, help="frames a second (default 25)")
    parser.add_argument("--easing", default="smooth", help="smooth (default) or linear")
    parser.add_argument(
        "--timeline", type=Path, metavar="FILE", help="keyframes (JSON), or a CSV of AUs: docs/films.md"
    )
    parser.add_argument("--one-way", action="store_true", help="end at the expression instead of coming back")
    parser.add_argument("--max-side", type=int, help=SIDE_HELP)


def _animate(options: argparse.Namespace) -> None:
    import numpy as np

    from ganimation.editing.animation import alphas
    from ganimation.editing.films import play
    from ganimation.editing.timeline import read_timeline
    from ganimation.media.images import Photo, check_writable, to_srgb
    from ganimation.media.video import SUFFIXES, shrink, write_film

    check_writable(options.output, SUFFIXES)
    check_output(options, options.photo)
    side = longest_side(options)
    which = chosen_face(options.face)
    frames = alphas(options.seconds, options.fps, options.easing, back=not options.one_way)
    editor = open_editor(options)
    requests = read_expression(options, editor)
    if options.timeline and requests:
        raise ActionUnitError("--timeline says what is asked; leave out --au, --emotion and --expression")
    if options.timeline:
        editor.config.require_aus("a timeline")
    timeline = read_timeline(options.timeline, editor.config.aus) if options.timeline else None
    photo = Photo(shrink(to_srgb(open_photo(options, options.photo)), side))
    film: Iterator[Pixels]
    if timeline is None:
        count, film = len(frames), editor.animate(photo, requests, frames, which)
    else:
        count = round(timeline.seconds * options.fps) + 1
        film = play(editor.session(photo, {}, which), timeline, options.fps)
    changed = False

    def counted() -> "Iterator[Pixels]":
        nonlocal changed
        for number, frame in enumerate(film, start=1):
            changed = changed or not np.array_equal(frame, photo.pixels)
            yield frame
            advance(number, count)

    with progress("frames") as advance:
        details = {"timeline": options.timeline.name} if options.timeline else {"easing": options.easing}
        write_film(counted(), options.output, options.fps, film_provenance("animate", editor, requests, **details))
    if not changed:
        tell(UNMOVED)
    say(options.output)


def _add_read(commands: Any) -> None:
    parser = add_command(commands, "read", _read, "measure the AU intensities of every face of photos, or over a film")
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO", help="photos, or one film")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV, a row a face; of a film, a row a frame")
    add_limit(parser)


def _read(options: argparse.Namespace) -> None:
    from ganimation.faces.reader import FaceReader
    from ganimation.media.clip import is_clip

    if any(is_clip(path) for path in options.photos):
        films.read_film(options)
        return
    reader = FaceReader()
    found = [(path, reader.read(open_photo(options, path).pixels)) for path in options.photos]
    for path, faces in found:
        for number, face in enumerate(faces, start=1):
            if face.doubt:
                tell(f"{path}: face {number} is doubtful: {face.doubt}")
    if options.json:
        print(json.dumps([{"photo": str(path), "faces": [face.to_json() for face in faces]} for path, faces in found]))
        return
    codes = list(found[0][1][0].aus) if found[0][1] else next((list(f[0].aus) for _, f in found if f), [])
    rows = [
        (printable(str(path)), number, *face.box, face.score, face.certainty, *(face.aus[code] for code in codes))
        for path, faces in found
        for number, face in enumerate(faces, start=1)
    ]
    header = ("photo", "face", "x", "y", "width", "height", "score", "certainty", *codes)
    if options.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([[f"{value:.4f}" if isinstance(value, float) else value for value in row] for row in rows])
        return
    for path, faces in found:
        say(f"{path}: {len(faces)} {'face' if len(faces) == 1 else 'faces'}")
        for number, face in enumerate(faces, start=1):
            x, y, width, height = (round(value) for value in face.box)
            say(f"  face {number} at {x},{y} {width}x{height}, certainty {face.certainty:.2f}")
            say("    " + "  ".join(f"{code} {value:.2f}" for code, value in face.aus.items()))


def _add_verify(commands: Any) -> None:
    parser = add_command(commands, "verify", _verify, "read from files whether ganimation made them, and how")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="pictures and films")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _verify(options: argparse.Namespace) -> None:
    from ganimation.media.credentials import read_credentials
    from ganimation.media.provenance import read_provenance

    found = [(path, *read_provenance(path), read_credentials(path)) for path in options.files]
    if options.json:
        rows = [
            {
                "file": str(path),
                "made_here": made is not None,
                "recipe": None if made is None else json.loads(made.to_json()),
                "digital_source_type": source,
                "content_credentials": credentials,
            }
            for path, made, source, credentials in found
        ]
        print(json.dumps(rows))
        return
    for path, made, source, credentials in found:
        if made is not None:
            model = f", model {made.model}" if made.model else ""
            say(f"{path}: says that ganimation {made.version} made it ({made.operation}{model})")
            for number, name, change in made.requests():
                say(f"  face {number}  {name}  {change}")
            for name, value in made.details.items():
                say(f"  {name}  {value}")
        elif source:
            say(f"{path}: says {source.rpartition('/')[2]}, not by ganimation")
        else:
            say(f"{path}: does not say that it was made; that proves nothing, metadata is easily lost")
        if credentials:
            say(f"  content credentials: {credentials}")
