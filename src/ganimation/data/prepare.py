"""Make a data set from photos: detect, align, crop, annotate; in parallel, on one machine or many, and resumable.

The list of photos is cut into parts. An engine makes those that are missing (``data.engines``), each becomes a file
under ``DATASET/.parts``; when all are there they are joined, in order, into the shards. What a part holds depends on
its photos alone, so a run that was killed and started again ends with the same bytes.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ganimation.action_units import DEFAULT_AUS
from ganimation.data.dataset import FORMAT_VERSION, DatasetInfo, write_shards
from ganimation.data.engines import Engine, LocalEngine, RayEngine
from ganimation.data.labels import SPLITS, PhotoLabel, read_labels
from ganimation.data.locations import Photos, find, is_remote
from ganimation.data.parts import Part, Plan
from ganimation.data.sources import SOURCES, Source
from ganimation.errors import DatasetError, MediaError, require
from ganimation.faces.annotator import ANNOTATOR
from ganimation.faces.crop import CropTemplate
from ganimation.files import atomic
from ganimation.media.formats import SUFFIXES

PHOTOS_PER_PART = 128

#: By name, of ``--engine``.
ENGINES: dict[str, Callable[[int | None, str], Engine]] = {
    "local": lambda jobs, address: LocalEngine(jobs),
    "ray": lambda jobs, address: RayEngine(address, jobs),
}


def prepare(
    photos: Path | str,
    folder: Path,
    *,
    size: int = 128,
    labels: Path | None = None,
    source: str = "",
    listed: Path | None = None,
    jobs: int | None = None,
    engine: str | Engine = "local",
    address: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DatasetInfo:
    """Turn photos into a data set; the largest face of each photo is taken.

    Args:
        photos: a folder, searched with its subfolders; a list of paths and URLs (``.txt``, or a CSV with a column
            ``URL`` or ``file``); or the URL of a folder in an object store, such as ``s3://bucket/photos``.
        folder: the data set; made if missing. One that is complete and of the same photos is left as it is.
        size: side of the crops in pixels.
        labels: a CSV for :func:`ganimation.data.labels.read_labels`.
        source: the form of a known data set, one of :data:`ganimation.data.sources.SOURCES`; empty for any photos.
        listed: its list, folder or codes, where it has one.
        jobs: processes; all cores if ``None``.
        engine: one of :data:`ENGINES`: ``local`` or ``ray``.
        address: of the Ray cluster, ``auto`` for the one that this machine is of; empty starts one here.
        progress: called with photos done and photos in all.

    Raises:
        DatasetError: no photos, unusable CSVs, no face in any photo, ``folder`` holds something else, or the engine
            gave up.
        MissingExtraError: an extra is not installed: ``train``, ``remote`` for URLs, ``ray``.
    """
    require("pyarrow", "train")
    if not 32 <= size <= 1024:
        raise DatasetError(f"crop size {size}: it lies in 32..1024 pixels")
    if jobs is not None and jobs < 1:
        raise DatasetError(f"{jobs} jobs: at least 1")
    if isinstance(engine, str):
        if engine not in ENGINES:
            raise DatasetError(f"--engine {engine}: it is one of {', '.join(ENGINES)}")
        if address and engine != "ray":
            raise DatasetError(f"--address {address}: of a Ray cluster; it needs --engine ray")
        engine = ENGINES[engine](jobs, address)
    found = find(photos)
    if not found.names:
        raise DatasetError(f"{photos}: no photos in it ({' '.join(sorted(SUFFIXES))})")
    given = _known(found.names, labels, source, listed)
    known, names = given.labels, list(given.labels)
    root = (
        found.root if is_remote(found.root) else str(Path(found.root).absolute())
    )  # workers have folders of their own
    plan = Plan(root, size, CropTemplate(), given.annotator or ANNOTATOR, given.aus or DEFAULT_AUS)
    written = _open_folder(folder, _fingerprint(plan, found, names, known))
    if written is None:
        return DatasetInfo.read(folder)
    parts = []
    for number, start in enumerate(range(0, len(names), PHOTOS_PER_PART)):
        chunk = names[start : start + PHOTOS_PER_PART]
        parts.append(Part(number, chunk, {name: known[name] for name in chunk}))
    _make_parts(engine, plan, parts, written, progress)
    passed_over = {ascii(name)[1:-1]: "the file's name is not text (UTF-8)" for name in found.unreadable}
    passed_over |= {name: f"not in the folder; the list has it from {url}" for name, url in given.missing.items()}
    info = _join(plan, written, len(parts), folder, passed_over)
    shutil.rmtree(written)
    return info


def _known(names: Sequence[str], labels: Path | None, source: str, listed: Path | None) -> Source:
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


def _fingerprint(plan: Plan, photos: Photos, names: Sequence[str], known: Mapping[str, PhotoLabel]) -> str:
    """Return a digest of all that the parts depend on; a photo enters by its name and version."""
    files = [(name, *photos.versions[name]) for name in names]
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


def _make_parts(
    engine: Engine, plan: Plan, parts: Sequence[Part], folder: Path, progress: Callable[[int, int], None]
) -> None:
    """Make the parts that are missing."""
    total = sum(len(part.names) for part in parts)
    missing = {part.number: part for part in parts if not _is_whole(_path(folder, part.number))}
    done = total - sum(len(part.names) for part in missing.values())
    progress(done, total)
    for number, content in engine(plan, list(missing.values())):
        with atomic(_path(folder, number)) as temporary:
            temporary.write_bytes(content)
        done += len(missing[number].names)
        progress(done, total)


def _is_whole(part: Path) -> bool:
    """Return whether a part is there and can be read to its end."""
    pa, parquet = require("pyarrow", "train"), require("pyarrow.parquet", "train")
    try:
        parquet.read_metadata(part)
    except (OSError, pa.ArrowInvalid):
        return False
    return True


def _path(parts: Path, number: int) -> Path:
    return parts / f"{number:06d}.parquet"


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
        yield from parquet.read_table(_path(parts, number)).to_pylist()


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
