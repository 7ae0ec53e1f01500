"""Edit many photos: a folder, or a table of stimuli. A run can be resumed, and writes a manifest.

The bytes of a result depend only on its photo, the requests, the model and the seed, not on the number of parallel jobs
or on interruptions.
"""

import csv
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganimation.editing.editor import Editor
from ganimation.editing.result import Edit
from ganimation.editing.tasks import Task
from ganimation.errors import FaceError, MediaError, MissingExtraError
from ganimation.faces.reader import Face
from ganimation.files import atomic
from ganimation.media.images import Photo, check_writable, read_image
from ganimation.text import printable

MANIFEST = "manifest.csv"

#: Seconds between two writings of the manifest.
PACE = 5.0

#: Seconds to wait for running edits when a batch is stopped.
GRACE = 10.0

#: Note in the manifest of a picture in which nothing changed.
UNCHANGED = "no pixel changed; ask for more"

Row = dict[str, str]


@dataclass
class Outcome:
    """Outcome of a batch: results made now, results kept from an earlier run, and failed photos with the reason.

    ``unchanged`` counts the results made now that equal their photo in every pixel.
    """

    made: int
    kept: int
    failed: list[tuple[Path, str]]
    unchanged: int = 0


def run(
    editor: Editor,
    tasks: Sequence[Task],
    folder: Path,
    *,
    jobs: int = 1,
    credentials: bool = True,
    max_pixels: int = 100_000_000,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Make pictures; those that an earlier run has made of the same photos, model and requests are kept.

    Photos that cannot be read or have no face are left out and noted in the manifest; a later run tries them again.

    Args:
        editor: with one thread.
        tasks: the edits.
        folder: where the pictures and ``manifest.csv`` go.
        jobs: pictures at once.
        credentials: sign them, see :func:`ganimation.media.images.write_image`; then bytes are not the same again.
        max_pixels: larger photos are not opened.
        progress: called with pictures done and in all.

    Raises:
        MediaError: the folder cannot be written.
        KeyboardInterrupt: it was asked to stop; the manifest says what is there.
    """
    known, model = _read_manifest(folder), editor.fingerprint
    manifest: dict[int, list[Row]] = {}
    outcome, written = Outcome(0, 0, []), time.monotonic()

    folder.mkdir(parents=True, exist_ok=True)
    waiting = {}
    pool = ThreadPoolExecutor(jobs, "edit")
    try:
        for number, task in enumerate(tasks):
            rows = known.get((printable(str(task.photo)), printable(str(task.output)), model, task.asked))
            if rows and _is_newer(folder / task.output, task.photo):
                manifest[number] = rows
                outcome.kept += 1
            else:
                waiting[pool.submit(_make, editor, task, folder, max_pixels, credentials)] = number
        progress(len(manifest), len(tasks))
        for done in as_completed(waiting):
            rows = done.result()
            manifest[waiting[done]] = rows
            if rows[0]["output"]:
                outcome.made += 1
                outcome.unchanged += rows[0]["note"] == UNCHANGED
            else:
                outcome.failed.append((tasks[waiting[done]].photo, rows[0]["note"]))
            progress(len(manifest), len(tasks))
            if time.monotonic() - written > PACE:
                _write_manifest(folder, manifest, editor.config.entries)
                written = time.monotonic()
    finally:
        _stop(pool, waiting)
        for done, number in waiting.items():  # what was finished while it was stopped
            if number not in manifest and done.done() and not done.cancelled() and done.exception() is None:
                manifest[number] = done.result()
        _write_manifest(folder, manifest, editor.config.entries)
    return outcome


def _stop(pool: ThreadPoolExecutor, futures: Iterable[Future[list[Row]]]) -> None:
    """Cancel queued edits and wait at most :data:`GRACE` seconds for running ones, which may hang."""
    pool.shutdown(wait=False, cancel_futures=True)
    wait(futures, GRACE)


def _make(editor: Editor, task: Task, folder: Path, max_pixels: int, credentials: bool) -> list[Row]:
    """Make a picture; return its rows of the manifest."""
    start = {
        "photo": printable(str(task.photo)),
        "output": printable(str(task.output)),
        "model": editor.fingerprint,
        "request": task.asked,
    }
    try:
        edit = editor.edit(read_image(task.photo, max_pixels), task.requests, task.which)
        path = folder / task.output
        path.parent.mkdir(parents=True, exist_ok=True)
        edit.save(check_writable(path), credentials=credentials)
    except (MediaError, FaceError, MissingExtraError) as error:
        return [start | {"output": "", "note": printable(str(error))}]
    except OSError as error:
        return [start | {"output": "", "note": f"cannot be written ({error.strerror or error})"}]
    return [start | row for row in _measured(editor, edit, task)]


def _measured(editor: Editor, edit: Edit, task: Task) -> Iterator[Row]:
    """Yield a manifest row for each face: intensities in the photo, requested, and measured in the result."""
    after = editor.read(Photo(edit.image))
    named = {request.code for request in task.requests}
    for number, face in enumerate(edit.faces, start=1):
        seen = min(after, key=lambda other: _distance(other, face.face), default=None)
        if seen is not None and _distance(seen, face.face) > face.face.box[2] / 2:
            seen = None
        note = "" if seen else "no face is found in the result"
        row = {"face": str(number), "doubt": face.face.doubt, "note": note if edit.changed else UNCHANGED}
        for code in editor.config.entries:
            row[f"{code}_shown"] = _number(face.face.aus.get(code))
            row[f"{code}_asked"] = _number(face.target[code] if code in named else None)
            row[f"{code}_measured"] = _number(seen.aus.get(code) if seen else None)
        yield row


def _number(value: float | None) -> str:
    """Return an intensity as text, empty where it is not known: not every AU of a model can be measured here."""
    return "" if value is None else f"{value:.4f}"


def _distance(one: Face, two: Face) -> float:
    return float(np.abs(one.eyes.mean(axis=0) - two.eyes.mean(axis=0)).max())


def _is_newer(result: Path, photo: Path) -> bool:
    try:
        return result.stat().st_mtime_ns >= photo.stat().st_mtime_ns
    except OSError:
        return False


def _read_manifest(folder: Path) -> dict[tuple[str, ...], list[Row]]:
    """Return the rows of pictures that are there, by what they were made of.

    Raises:
        MediaError: the manifest is something else.
    """
    path, found = folder / MANIFEST, dict[tuple[str, ...], list[Row]]()
    if folder.exists() and not folder.is_dir():
        raise MediaError(f"{folder}: is a file; many photos are written to a folder")
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                if row["output"]:
                    key = (row["photo"], row["output"], row["model"], row["request"])
                    found.setdefault(key, []).append(row)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise MediaError(f"{path}: not a manifest of ours ({error}); choose another folder") from error
    return found


def _write_manifest(folder: Path, manifest: Mapping[int, Sequence[Row]], aus: Sequence[str]) -> None:
    columns = ["photo", "face", "output", "model", "request", "doubt", "note"]
    columns += [f"{code}_{what}" for code in aus for what in ("shown", "asked", "measured")]
    with atomic(folder / MANIFEST) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for number in sorted(manifest):
            writer.writerows(manifest[number])
