"""Make a data set from a folder of photos: detect, align, crop, annotate; in parallel, and resumable.

The sorted list of photos is cut into parts. A worker turns a part into one file under ``DATASET/.parts``; when all are
there they are joined, in order, into the shards. What a part holds depends on its photos alone, so a run that was
killed and started again ends with the same bytes.
"""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ganimation.action_units import DEFAULT_AUS
from ganimation.data.dataset import FORMAT_VERSION, DatasetInfo, write_shards
from ganimation.data.labels import SPLITS, MeasuredFace, PhotoLabel, read_labels
from ganimation.data.sources import SOURCES, Source
from ganimation.errors import DatasetError, MediaError, MissingExtraError, require
from ganimation.faces.annotator import ANNOTATOR
from ganimation.faces.crop import CropTemplate, Transform, apply, cut
from ganimation.faces.reader import FaceReader
from ganimation.files import atomic
from ganimation.media.formats import SUFFIXES, find_photos
from ganimation.media.images import read_image

PHOTOS_PER_PART = 128

#: Least scale of a face, in pixels of the photo per pixel of the crop along a side; smaller faces are skipped.
MIN_DETAIL = 0.4


@dataclass(frozen=True)
class Plan:
    """Settings that, with the photos and their labels, determine the bytes of the data set."""

    root: str
    size: int
    template: CropTemplate
    annotator: str
    aus: tuple[str, ...]


def prepare(
    photos: Path,
    folder: Path,
    *,
    size: int = 128,
    labels: Path | None = None,
    source: str = "",
    listed: Path | None = None,
    jobs: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DatasetInfo:
    """Turn a folder of photos into a data set; the largest face of each photo is taken.

    Args:
        photos: a folder, searched with its subfolders.
        folder: the data set; made if missing. One that is complete and of the same photos is left as it is.
        size: side of the crops in pixels.
        labels: a CSV for :func:`ganimation.data.labels.read_labels`.
        source: the form of a known data set, one of :data:`ganimation.data.sources.SOURCES`; empty for any photos.
        listed: its list, folder or codes, where it has one.
        jobs: processes; all cores if ``None``.
        progress: called with photos done and photos in all.

    Raises:
        DatasetError: no photos, unusable CSVs, no face in any photo, or ``folder`` holds something else.
    """
    require("pyarrow", "train")
    if not photos.is_dir():
        raise DatasetError(f"{photos}: no such folder of photos")
    if not 32 <= size <= 1024:
        raise DatasetError(f"crop size {size}: it lies in 32..1024 pixels")
    if jobs is not None and jobs < 1:
        raise DatasetError(f"{jobs} jobs: at least 1")
    try:
        found = [path.relative_to(photos).as_posix() for path in find_photos(photos)]
    except MediaError as error:
        raise DatasetError(str(error)) from error
    names = [name for name in found if _is_text(name)]
    if not names:
        raise DatasetError(f"{photos}: no photos in this folder ({' '.join(sorted(SUFFIXES))})")
    given = _known(names, labels, source, listed)
    known, names = given.labels, list(given.labels)
    plan = Plan(str(photos), size, CropTemplate(), given.annotator or ANNOTATOR, given.aus or DEFAULT_AUS)
    fingerprint = _fingerprint(plan, photos, names, known)
    parts = _open_folder(folder, fingerprint)
    if parts is None:
        return DatasetInfo.read(folder)
    chunks = [names[start : start + PHOTOS_PER_PART] for start in range(0, len(names), PHOTOS_PER_PART)]
    _run(plan, chunks, known, parts, jobs or os.cpu_count() or 1, progress)
    passed_over = {ascii(name)[1:-1]: "the file's name is not text (UTF-8)" for name in found if not _is_text(name)}
    passed_over |= {name: f"not in the folder; the list has it from {url}" for name, url in given.missing.items()}
    info = _join(plan, parts, len(chunks), folder, passed_over)
    shutil.rmtree(parts)
    return info


def _is_text(name: str) -> bool:
    """Return whether a file name is valid UTF-8; on Linux it may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _known(names: list[str], labels: Path | None, source: str, listed: Path | None) -> Source:
    """Return what the source and the CSV say of each photo; the CSV takes precedence."""
    if source and source not in SOURCES:
        raise DatasetError(f"--source {source}: it is one of {', '.join(SOURCES)}")
    if listed and not source:
        raise DatasetError(f"--list {listed}: name what it is with --source {' or '.join(SOURCES)}")
    found = SOURCES[source](names, listed) if source else Source({name: PhotoLabel() for name in names})
    known = read_labels(labels) if labels else {}
    if strange := known.keys() - set(names):
        raise DatasetError(
            f"{labels}: names {len(strange)} photos that are not there, for example {min(strange)}; "
            f"'file' is relative to the photos' folder, like {names[0]}"
        )
    if not found.labels:
        raise DatasetError(f"{listed}: none of its {len(found.missing)} photos is in the folder; download them first")
    joined = {}
    for name, label in found.labels.items():
        own = known.get(name, PhotoLabel(split=label.split))
        joined[name] = PhotoLabel(
            own.identity or label.identity, own.session or label.session, own.split, own.emotion or label.emotion,
            label.faces,
        )  # fmt: skip
    return replace(found, labels=joined)


def _fingerprint(plan: Plan, photos: Path, names: list[str], known: Mapping[str, PhotoLabel]) -> str:
    """Return a digest of all that the parts depend on; a photo enters by name, size and time of modification."""
    stats = [(name, (photos / name).stat()) for name in names]
    files = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    told = {name: asdict(label) for name, label in sorted(known.items())}
    what = [FORMAT_VERSION, plan.size, asdict(plan.template), plan.annotator, plan.aus, files, told]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _open_folder(folder: Path, fingerprint: str) -> Path | None:
    """Return the folder of parts, or ``None`` if the data set is complete already.

    Raises:
        DatasetError: the folder holds something else, or cannot be written.
    """
    parts, mark = folder / ".parts", folder / ".fingerprint"
    if mark.exists():
        if mark.read_text(encoding="utf-8") != fingerprint:
            raise DatasetError(
                f"{folder}: holds a data set of other photos or settings; name another folder or remove it"
            )
        if (folder / "dataset.json").exists():
            shutil.rmtree(parts, ignore_errors=True)
            return None
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder}: exists and is not a data set that was begun here; name another folder")
    try:
        parts.mkdir(parents=True, exist_ok=True)
        with atomic(mark) as temporary:
            temporary.write_text(fingerprint, encoding="utf-8")
    except (OSError, MediaError) as error:
        raise DatasetError(f"{folder}: cannot be written ({error})") from error
    return parts


def _run(
    plan: Plan,
    chunks: list[list[str]],
    known: Mapping[str, PhotoLabel],
    parts: Path,
    jobs: int,
    progress: Callable[[int, int], None],
) -> None:
    """Make the parts that are missing."""
    total = sum(len(chunk) for chunk in chunks)
    missing = [number for number in range(len(chunks)) if not _is_whole(_part(parts, number))]
    done = total - sum(len(chunks[number]) for number in missing)
    progress(done, total)
    workers = min(jobs, max(1, len(missing)))
    with ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent) as pool:
        tasks = {}
        for number in missing:
            told = {name: known[name] for name in chunks[number] if name in known}
            tasks[pool.submit(_make_part, plan, chunks[number], told, _part(parts, number))] = len(chunks[number])
        try:
            for task in as_completed(tasks):
                task.result()
                done += tasks[task]
                progress(done, total)
        except BrokenProcessPool as error:
            raise DatasetError("a process ended (out of memory?); run again to go on, with fewer --jobs") from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)  # wait for running tasks, cancel queued ones
            raise


def _end_with_parent() -> None:
    """End this worker process when its parent process has ended, for whatever reason."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _is_whole(part: Path) -> bool:
    """Return whether a part is there and can be read to its end."""
    pa, parquet = require("pyarrow", "train"), require("pyarrow.parquet", "train")
    try:
        parquet.read_metadata(part)
    except (OSError, pa.ArrowInvalid):
        return False
    return True


def _part(parts: Path, number: int) -> Path:
    return parts / f"{number:06d}.parquet"


@cache
def _reader() -> FaceReader:
    """Return this process's reader, with one thread: parallelism comes from the processes."""
    cv2.setNumThreads(1)
    return FaceReader(threads=1)


def _make_part(plan: Plan, names: list[str], known: Mapping[str, PhotoLabel], path: Path) -> None:
    """Write one part: the row of each photo, or the reason why it is skipped."""
    pa, parquet = require("pyarrow", "train"), require("pyarrow.parquet", "train")
    rows = []
    for name in names:
        row = _row(plan, name, known.get(name, PhotoLabel()))
        rows.append(
            {"row": None, "name": name, "reason": row}
            if isinstance(row, str)
            else {"row": row, "name": name, "reason": None}
        )
    fields = [
        ("image", pa.binary()),
        ("landmarks", pa.list_(pa.float32())),
        ("aus", pa.list_(pa.float32())),
        *((key, pa.string()) for key in ("identity", "session", "split", "emotion")),
    ]
    part = pa.schema([("row", pa.struct(fields)), ("name", pa.string()), ("reason", pa.string())])
    with atomic(path) as temporary:
        parquet.write_table(pa.Table.from_pylist(rows, schema=part), temporary, compression="none")


def _row(plan: Plan, name: str, label: PhotoLabel) -> dict[str, Any] | str:
    """Return what a part holds of one photo, or the reason why it is skipped."""
    try:
        image = read_image(Path(plan.root) / name).pixels
    except (MediaError, MissingExtraError) as error:
        return str(error).removeprefix(f"{Path(plan.root) / name}: ")
    faces = _reader().read(image, turned=False)
    if not faces:
        return "no face found"
    transform = faces[0].crop_from_photo(plan.size, plan.template)
    detail = 1.0 / float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))  # pixels of the photo to one of the crop
    if detail < MIN_DETAIL:
        return f"face too small: its crop covers {detail * plan.size:.0f} pixels of the photo"
    if plan.annotator == ANNOTATOR:
        aus = [faces[0].aus[code] for code in plan.aus]
    elif (given := _measured(label.faces, transform, plan.size)) is None:
        return f"no AU intensities by {plan.annotator} for its largest face"
    else:
        aus = list(given.aus)
    landmarks = ((apply(transform, faces[0].points) + 0.5) / plan.size).astype(np.float32)
    crop = cv2.cvtColor(cut(image, transform, plan.size), cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    encoded = cv2.imencode(".jpg", crop, options)[1].tobytes()
    return {
        "image": encoded, "landmarks": landmarks.ravel().tolist(), "aus": aus,
        "identity": label.identity, "session": label.session, "split": label.split,
        "emotion": label.emotion,
    }  # fmt: skip


def _measured(faces: Sequence[MeasuredFace], transform: Transform, size: int) -> MeasuredFace | None:
    """Return the face whose landmarks lie on the crop, nearest to its middle; without landmarks the first."""
    if not any(face.points for face in faces):
        return faces[0] if faces else None
    best, nearest = None, 0.5
    for face in faces:
        if face.points:
            away = apply(transform, np.array(face.points)).mean(axis=0) / size - 0.5
            if (distance := float(np.abs(away).max())) < nearest:
                best, nearest = face, distance
    return best


def _join(plan: Plan, parts: Path, count: int, folder: Path, passed_over: Mapping[str, str]) -> DatasetInfo:
    """Join the parts into shards and write ``dataset.json``.

    Args:
        plan: settings of the data set.
        parts: folder of the parts.
        count: number of parts.
        folder: the data set.
        passed_over: photos that were never opened, with the reason.

    Raises:
        DatasetError: no photo gave a face; nothing is left behind.
    """
    for stray in folder.glob(".*.parquet"):  # of a run that was killed while it joined
        stray.unlink()
    splits = [entry["row"]["split"] for entry in _entries(parts, count) if entry["row"] is not None]
    skipped = tuple(
        {"path": entry["name"], "reason": entry["reason"]} for entry in _entries(parts, count) if entry["row"] is None
    )
    skipped += tuple({"path": name, "reason": reason} for name, reason in passed_over.items())
    if not splits:
        shutil.rmtree(parts)
        (folder / ".fingerprint").unlink()
        raise DatasetError(
            f"{plan.root}: no usable face in {len(skipped)} photos ({skipped[0]['path']}: {skipped[0]['reason']})"
        )
    counts = {split: splits.count(split) for split in SPLITS if split in splits}
    for split, faces in counts.items():
        write_shards(folder, split, _rows(plan, parts, count, split), faces, plan.aus)
    info = DatasetInfo(plan.aus, plan.annotator, plan.size, plan.template, counts, skipped)
    info.write(folder)
    return info


def _entries(parts: Path, count: int) -> Iterator[dict[str, Any]]:
    parquet = require("pyarrow.parquet", "train")
    for number in range(count):
        yield from parquet.read_table(_part(parts, number)).to_pylist()


def _rows(plan: Plan, parts: Path, count: int, split: str) -> Iterator[dict[str, Any]]:
    for entry in _entries(parts, count):
        row = entry["row"]
        if row is not None and row["split"] == split:
            yield {
                "image": {"bytes": row["image"], "path": entry["name"]},
                "landmarks": row["landmarks"],
                **dict(zip(plan.aus, row["aus"], strict=True)),
                "source": entry["name"],
                "identity": row["identity"],
                "session": row["session"],
                "emotion": row["emotion"],
            }
