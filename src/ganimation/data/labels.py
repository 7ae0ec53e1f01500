"""Labels supplied with the photos, as CSV: identity, recording session, split and emotion."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ganimation.action_units import EMOTIONS
from ganimation.errors import DatasetError

SPLITS = ("train", "validation", "test")
#: Columns of a CSV of labels beside ``file``; at least one is needed.
COLUMNS = ("identity", "session", "split", "emotion")


@dataclass(frozen=True)
class MeasuredFace:
    """AUs of a face that somebody else measured or coded.

    Attributes:
        aus: intensities in [0, 1], in the order of the source.
        points: landmarks in pixels of the photo, which say of which face they are; empty where that is not known.
    """

    aus: tuple[float, ...]
    points: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class PhotoLabel:
    """What is known of one photo.

    Attributes:
        identity: who is shown.
        session: photos of one person, camera and light.
        split: one of :data:`SPLITS`.
        emotion: one of :data:`ganimation.action_units.EMOTIONS`.
        faces: AUs of its faces by the data set's source, the most confident first.
    """

    identity: str | None = None
    session: str | None = None
    split: str = "train"
    emotion: str | None = None
    faces: tuple[MeasuredFace, ...] = ()


def read_labels(path: Path) -> dict[str, PhotoLabel]:
    """Read a CSV with ``file`` (relative to the photos' folder) and any of :data:`COLUMNS`.

    Raises:
        DatasetError: cannot be read, has none of the columns, names a file twice, or a split or an emotion that does
            not exist.
    """
    rows = read_rows(path)
    if not rows:
        raise DatasetError(f"{path}: no rows")
    if "file" not in rows[0] or not set(COLUMNS) & set(rows[0]):
        raise DatasetError(
            f"{path}: expected the columns file and {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}; "
            f"found {', '.join(rows[0])}"
        )
    labels: dict[str, PhotoLabel] = {}
    for line, row in enumerate(rows, start=2):
        split = row.get("split") or "train"
        if split not in SPLITS:
            raise DatasetError(f"{path}, line {line}: split {split!r}; it is one of {', '.join(SPLITS)}")
        if row["file"] in labels:
            raise DatasetError(f"{path}, line {line}: {row['file']} is named twice")
        emotion = (row.get("emotion") or "").lower() or None
        if emotion is not None and emotion not in EMOTIONS:
            raise DatasetError(
                f"{path}, line {line}: emotion {emotion!r}; it is one of {', '.join(EMOTIONS)}, or empty"
            )
        labels[row["file"]] = PhotoLabel(
            row.get("identity") or None, row.get("session") or None, split, emotion=emotion
        )
    return labels


def read_rows(path: Path) -> list[Mapping[str, str]]:
    """Read a CSV, names of columns without the spaces that OpenFace writes before them.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            return [{(name or "").strip(): value or "" for name, value in row.items()} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error
