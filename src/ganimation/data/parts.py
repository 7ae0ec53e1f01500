"""A part of a data set: the rows of some photos, as the bytes of a Parquet file.

What a part holds depends on its photos, their labels and the plan alone, wherever and by whatever engine it is made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np

from ganimation.data.labels import MeasuredFace, PhotoLabel
from ganimation.data.locations import read_photo
from ganimation.errors import MediaError, MissingExtraError, require
from ganimation.faces.annotator import ANNOTATOR
from ganimation.faces.crop import CropTemplate, Transform, apply, cut
from ganimation.faces.reader import FaceReader

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


@dataclass(frozen=True)
class Part:
    """What a part is made of.

    Attributes:
        number: its place among the parts.
        names: of its photos, in order.
        labels: of those that have any, by name.
    """

    number: int
    names: Sequence[str]
    labels: Mapping[str, PhotoLabel]


#: A photo's row, or the reason why it is skipped.
ReadRow = Callable[[Plan, str, PhotoLabel], dict[str, Any] | str]


@cache
def _reader() -> FaceReader:
    """Return this process's reader, with one thread: parallelism comes from the processes."""
    cv2.setNumThreads(1)
    return FaceReader(threads=1)


def make_part(plan: Plan, part: Part, read_row: ReadRow | None = None) -> bytes:
    """Return a part: of each photo its row, or the reason why it is skipped.

    Args:
        plan: of the data set.
        part: what to make.
        read_row: stands for the face models, where they are not what is tried.
    """
    pa, parquet = require("pyarrow", "train"), require("pyarrow.parquet", "train")
    rows = []
    for name in part.names:
        row = (read_row or _read_row)(plan, name, part.labels.get(name, PhotoLabel()))
        given, reason = (None, row) if isinstance(row, str) else (row, None)
        rows.append({"row": given, "name": name, "reason": reason})
    fields = [
        ("image", pa.binary()),
        ("landmarks", pa.list_(pa.float32())),
        ("aus", pa.list_(pa.float32())),
        *((key, pa.string()) for key in ("identity", "session", "split", "emotion")),
    ]
    schema = pa.schema([("row", pa.struct(fields)), ("name", pa.string()), ("reason", pa.string())])
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="none")
    return bytes(sink.getvalue())


def _read_row(plan: Plan, name: str, label: PhotoLabel) -> dict[str, Any] | str:
    """Return what a part holds of one photo, or the reason why it is skipped."""
    try:
        image = read_photo(plan.root, name).pixels
    except (MediaError, MissingExtraError) as error:
        return str(error)
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
