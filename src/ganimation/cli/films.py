"""Command ``drive``, and ``edit`` and ``read`` of films."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganimation.action_units import REGIONS
from ganimation.cli.shared import (
    SIDE_HELP,
    UNMOVED,
    add_command,
    add_limit,
    add_model,
    add_output,
    check_output,
    chosen_face,
    film_provenance,
    longest_side,
    open_editor,
    open_photo,
    progress,
    read_expression,
    say,
    tell,
)
from ganimation.errors import FaceError, MediaError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ganimation.editing.films import Performance, Seen
    from ganimation.editing.live import LiveDriver
    from ganimation.faces.reader import FaceReader
    from ganimation.media.camera import Camera, Latency
    from ganimation.media.clip import Clip, Frame
    from ganimation.media.provenance import Provenance
    from ganimation.media.screen import Screen


def add(commands: Any) -> None:
    """Add the commands to a parser."""
    parser = add_command(commands, "drive", _drive, "move a photo's or a film's face as the face of another film moves")
    parser.add_argument("source", type=Path, metavar="PHOTO", help="a photo or a film")
    driver = parser.add_mutually_exclusive_group(required=True)
    driver.add_argument("--by", type=Path, metavar="FILM", help="the film whose face drives")
    driver.add_argument("--camera", type=int, metavar="N", help="number of the camera that drives a photo, from 0")
    parser.add_argument("--seconds", type=float, default=0.0, help="length of a recording (default: until Ctrl-C)")
    parser.add_argument(
        "--to", default="", metavar="SCREEN",
        help="with --camera, instead of a file: window, camera (the first virtual one), or a device like /dev/video9",
    )  # fmt: skip
    add_output(parser, ".mp4, .gif or .webp", required=False)
    parser.add_argument(
        "--strength", type=float, default=1.0, help="factor of the driver's change, in [0, 2] (default 1)"
    )
    parser.add_argument(
        "--regions", default="", metavar="LIST", help=f"regions that move (default: {', '.join(REGIONS)})"
    )
    parser.add_argument(
        "--neutral-frame",
        type=int,
        metavar="N",
        help="the driver's neutral frame, from 0 (default: mean of the tenth of frames with least expression)",
    )
    parser.add_argument("--face", default="largest", help="face to change: largest (default), or a number from 1")
    parser.add_argument("--driver-face", default="largest", help="driving face: largest (default), or a number from 1")
    parser.add_argument("--max-side", type=int, help=SIDE_HELP)
    parser.add_argument("--fps", type=float, help="frames a second of the result, at most the film's (default: all)")
    add_model(parser)
    add_limit(parser)


def edit_film(options: argparse.Namespace) -> None:
    """Edit every frame of a film, as ``edit`` does a photo."""
    from ganimation.editing.films import Seen
    from ganimation.editing.films import edit_film as edit
    from ganimation.media.images import check_writable
    from ganimation.media.video import SUFFIXES

    check_writable(options.output, SUFFIXES)
    check_output(options, options.photo)
    number = _number(options.face, "--face")
    clip = _open(options.photo)
    editor = open_editor(options)
    seen = Seen()
    requests = read_expression(options, editor)
    frames = edit(editor.reader, editor.planner, clip, requests, seen, number)
    _write(_unless_empty(frames, seen), clip, options, film_provenance("edit", editor, requests))
    _tell(clip, options.output, seen)


def read_film(options: argparse.Namespace) -> None:
    """Print the AU intensities of a face over a film."""
    from ganimation.faces.reader import FaceReader
    from ganimation.media.clip import Clip

    if len(options.photos) > 1:
        raise MediaError(f"{len(options.photos)} files with a film among them; read one film at a time")
    clip = Clip(options.photos[0])
    acted = _watch(FaceReader(), clip, 1)
    rows = [
        (float(time), {code: round(float(value), 4) for code, value in zip(acted.aus, values, strict=True)})
        for time, values in zip(acted.times, acted.values, strict=True)
    ]
    if options.json:
        frames = [{"time": round(time, 4), "aus": None if isnan(min(aus.values())) else aus} for time, aus in rows]
        print(json.dumps({"film": str(clip.path), "frames": frames}))
    elif options.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(("frame", "time", *acted.aus))
        for number, (time, aus) in enumerate(rows):
            values = ["" if isnan(value) else f"{value:.4f}" for value in aus.values()]
            writer.writerow((number, f"{time:.4f}", *values))
    else:
        seen = acted.values[[not isnan(min(aus.values())) for _, aus in rows]]
        say(f"{clip.path}: {len(rows)} frames, a face in {len(seen)}")
        for code, column in zip(acted.aus, seen.T, strict=True):
            say(f"  {code}  mean {column.mean():.2f}  highest {column.max():.2f}")
    _tell(clip, None, None)


def _watch(reader: "FaceReader", clip: "Clip", number: int) -> "Performance":
    """Return what a face shows over a film, with a progress bar."""
    from ganimation.editing.films import watch

    with progress("frames watched") as advance:
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            advance(done, max(done, clip.count))

        return watch(reader, clip, number, count)


def _drive(options: argparse.Namespace) -> None:
    if options.to and options.camera is None:
        raise MediaError(f"--to {options.to}: only a camera drives live; name one with --camera, or a file with -o")
    if bool(options.to) == bool(options.output):
        raise MediaError("give a file with -o, or with --camera a screen with --to; one of the two")
    if options.camera is not None:
        _drive_live(options)
        return
    from ganimation.editing.films import Seen, drive_film, drive_photo, parse_regions
    from ganimation.media.clip import is_clip
    from ganimation.media.images import Photo, check_writable, to_srgb
    from ganimation.media.video import SUFFIXES, shrink

    check_writable(options.output, SUFFIXES)
    if not is_clip(options.by):
        raise MediaError(f"{options.by}: not a film; a driver moves, so give one (.mp4, .mov, .webm, ...)")
    number, driving = _number(options.face, "--face"), _number(options.driver_face, "--driver-face")
    regions = parse_regions(options.regions) if options.regions else REGIONS
    check_output(options, options.by, options.source)
    driver = _open(options.by)
    source = _open(options.source) if is_clip(options.source) else open_photo(options, options.source)
    editor = open_editor(options)
    editor.config.require_aus("driving by a film")
    if isinstance(source, Photo):
        still = Photo(shrink(to_srgb(source), longest_side(options)))
        session = editor.session(still, {}, number)
    performance = _watch(editor.reader, driver, driving)
    changes = performance.changes(performance.neutral(options.neutral_frame), options.strength, regions)
    seen = Seen()
    made = film_provenance("drive", editor, strength=options.strength, regions=regions)
    if isinstance(source, Photo):
        frames = _count(drive_photo(session, performance, changes), session.photo.pixels, seen)
        _write(frames, driver, options, made)
        _tell(driver, options.output, seen)
    else:
        frames = drive_film(editor.reader, editor.planner, source, performance, changes, seen, number)
        _write(_unless_empty(frames, seen), source, options, made)
        _tell(source, options.output, seen)
        _tell(driver, options.output, None)
    say(options.output)


def _drive_live(options: argparse.Namespace) -> None:
    """Drive a photo by a camera until its time is over or Ctrl-C: to a file, which is kept, or to a screen."""
    import signal

    from ganimation.editing.films import parse_regions
    from ganimation.editing.live import LiveDriver
    from ganimation.media.camera import TIME_BASE, Camera, Latency
    from ganimation.media.clip import Frame, is_clip
    from ganimation.media.images import Photo, check_writable, to_srgb
    from ganimation.media.screen import open_screen
    from ganimation.media.video import SUFFIXES, shrink, write_timed

    if options.output:
        check_writable(options.output, SUFFIXES)
    if is_clip(options.source):
        raise MediaError(f"{options.source}: a camera drives a photo; drive a film by a film, with --by")
    if options.neutral_frame is not None:
        raise MediaError("--neutral-frame: a camera's neutral is its first second; leave it out")
    if not 0 <= options.seconds <= 3600:
        raise MediaError(f"--seconds {options.seconds:g}: it lies in [0, 3600]")
    regions = parse_regions(options.regions) if options.regions else REGIONS
    photo = Photo(shrink(to_srgb(open_photo(options, options.source)), longest_side(options)))
    camera = Camera(options.camera, options.seconds)
    editor = open_editor(options)
    editor.config.require_aus("driving by a camera")
    session = editor.session(photo, {}, _number(options.face, "--face"))
    live = LiveDriver(session, editor.reader, options.strength, regions, _number(options.driver_face, "--driver-face"))
    screen = open_screen(options.to, float(camera.rate)) if options.to else None
    made = film_provenance("drive", editor, strength=options.strength, regions=regions)
    tell("look into the camera, at rest for a second; Ctrl-C ends")
    before = signal.signal(signal.SIGINT, lambda number, frame: camera.stop())
    latency = Latency()
    try:
        if screen is None:
            frames = (Frame(live(frame.pixels, float(frame.time)), frame.time) for frame in camera)
            count = write_timed(frames, options.output, camera.rate, TIME_BASE, provenance=made)
        else:
            count = _show(camera, live, screen, latency)
    finally:
        signal.signal(signal.SIGINT, before)
    if not live.seen:
        tell(f"no face in any of the {count} frames; {options.output or 'the photo'} does not move")
    say(options.output or latency.text() or "no frames")


def _show(camera: "Camera", live: "LiveDriver", screen: "Screen", latency: "Latency") -> int:
    """Show the driven photo on a screen until the camera ends or the screen is closed; return the frames shown."""
    from ganimation.media.camera import newest

    count = 0
    with screen:
        for taken in newest(camera):
            count += 1
            screen.show(live(taken.frame.pixels, float(taken.frame.time)), latency.text(50))
            latency.add(taken.at)
            if screen.closed:
                camera.stop()
    return count


def _open(path: Path) -> "Clip":
    from ganimation.media.clip import Clip

    clip = Clip(path)
    if clip.notice:
        tell(f"{path}: {clip.notice}")
    return clip


def _write(frames: "Iterable[Frame]", like: "Clip", options: argparse.Namespace, made: "Provenance") -> None:
    """Write frames at the rate of the film ``like``, or at the lower one of --fps, with its sound track."""
    from ganimation.media.video import thinned, write_timed

    rate, output = like.rate, options.output
    if options.fps is not None:
        if not 1 <= options.fps <= 120:
            raise MediaError(f"--fps {options.fps:g}: it lies in [1, 120]")
        rate = min(rate, Fraction(options.fps).limit_denominator(1001))
        frames = thinned(frames, rate)
    with progress("frames") as advance:
        counted = (advance(number, max(number, like.count)) or frame for number, frame in enumerate(frames, start=1))
        write_timed(counted, output, rate, like.time_base, like, made)


def _count(frames: "Iterable[Frame]", still: "NDArray[np.uint8]", seen: "Seen") -> "Iterator[Frame]":
    """Pass the frames of a photo's film on, and count those that differ from the photo."""
    import numpy as np

    for frame in frames:
        seen.frames, seen.faces = seen.frames + 1, seen.faces + 1
        seen.changed += not np.array_equal(frame.pixels, still)
        yield frame


def _unless_empty(frames: "Iterable[Frame]", seen: "Seen") -> "Iterator[Frame]":
    """Pass frames on; at their end, complain if none of them had a face, so that nothing is written."""
    yield from frames
    if not seen.faces:
        raise FaceError(f"no face in any of the {seen.frames} frames; it must be turned to the camera")


def _tell(clip: "Clip", output: Path | None, seen: "Seen | None") -> None:
    """Print notices: a damaged film, frames without a face, a result equal to its source."""
    if clip.damaged is not None:
        ends = f"; {output} ends there" if output else ""
        tell(f"{clip.path}: breaks off after {clip.damaged:.1f} seconds{ends}")
    if seen is not None and seen.faces < seen.frames:
        passed = seen.frames - seen.faces
        tell(f"no face in {passed} of {seen.frames} frames; they are as they were")
    if seen is not None and seen.faces and not seen.changed:
        tell(UNMOVED)


def _number(text: str, option: str) -> int:
    """Return the face number that an option names; in a film only one face is tracked."""
    which = chosen_face(text)
    if which == "all":
        raise FaceError(f"{option} all: in a film one face is followed; give its number, or largest")
    return 1 if which == "largest" else int(which)
