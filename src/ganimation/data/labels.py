"""What people know about their photos beforehand: who is shown, which shooting, which split, AUs from OpenFace 2."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ganimation.action_units import OPENFACE_AUS, intensity_from_facs
from ganimation.errors import ActionUnitError, DatasetError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class PhotoLabel:
    """What a CSV says of one photo; ``aus`` are intensities in [0, 1] in OpenFace's order."""

    identity: str | None = None
    session: str | None = None
    split: str = "train"
    aus: tuple[float, ...] | None = None


def read_labels(path: Path) -> dict[str, PhotoLabel]:
    """Read a CSV with ``file`` (relative to the photos' folder) and any of ``identity``, ``session``, ``split``.

    Raises:
        DatasetError: cannot be read, has none of the columns, names a file twice or a split that does not exist.
    """
    rows = _read(path)
    if not rows:
        raise DatasetError(f"{path}: no rows")
    known = {"identity", "session", "split"} & set(rows[0])
    if "file" not in rows[0] or not known:
        raise DatasetError(
            f"{path}: expected the columns file and identity, session or split; found {', '.join(rows[0])}"
        )
    labels: dict[str, PhotoLabel] = {}
    for line, row in enumerate(rows, start=2):
        split = row.get("split") or "train"
        if split not in SPLITS:
            raise DatasetError(f"{path}, line {line}: split {split!r}; it is one of {', '.join(SPLITS)}")
        if row["file"] in labels:
            raise DatasetError(f"{path}, line {line}: {row['file']} is named twice")
        labels[row["file"]] = PhotoLabel(row.get("identity") or None, row.get("session") or None, split)
    return labels


def read_openface(path: Path) -> dict[str, tuple[float, ...]]:
    """Read AU intensities that OpenFace 2 measured, by photo.

    Args:
        path: a folder of the CSV files that FaceLandmarkImg writes, one a photo, named like it; or one CSV with a
            column ``file`` beside ``AU01_r`` ... ``AU45_r``. Of several faces in a photo the most confident counts.

    Returns:
        The 17 intensities in [0, 1], in the order of :data:`ganimation.action_units.OPENFACE_AUS`. Keys are file names
        as the CSV gives them, or, of a folder, the relative path without suffix.

    Raises:
        DatasetError: cannot be read, lacks one of the 17 columns, or has a value outside [0, 5].
    """
    if path.is_dir():
        tables = {
            file.relative_to(path).with_suffix("").as_posix(): _read(file) for file in sorted(path.rglob("*.csv"))
        }
        if not tables:
            raise DatasetError(f"{path}: no CSV files in this folder")
        return {name: _openface_row(path / f"{name}.csv", rows) for name, rows in tables.items() if rows}
    rows = _read(path)
    if rows and "file" not in rows[0]:
        raise DatasetError(f"{path}: no column 'file'; name the photos, or give the folder that FaceLandmarkImg wrote")
    by_photo: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        by_photo.setdefault(row["file"], []).append(row)
    return {name: _openface_row(path, faces) for name, faces in by_photo.items()}


def _openface_row(path: Path, faces: list[Mapping[str, str]]) -> tuple[float, ...]:
    try:
        best = max(faces, key=lambda row: float(row.get("confidence") or 0.0))
    except ValueError as error:
        raise DatasetError(f"{path}: a confidence is not a number ({error})") from error
    values = []
    for code in OPENFACE_AUS:
        column = f"{code}_r"
        if column not in best:
            raise DatasetError(f"{path}: no column {column}; OpenFace 2 writes AU01_r to AU45_r, 17 in all")
        try:
            values.append(intensity_from_facs(float(best[column])))
        except (ValueError, ActionUnitError) as error:
            raise DatasetError(f"{path}: {column} is {best[column]!r} ({error})") from error
    return tuple(values)


def _read(path: Path) -> list[Mapping[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            return [{(name or "").strip(): value or "" for name, value in row.items()} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error
