"""The data set on disk: Parquet shards that Hugging Face ``datasets`` opens as they are, and ``dataset.json``.

    DATASET/
      dataset.json                        format, AUs, annotator, crop template, counts, what was skipped and why
      train-00000-of-00006.parquet        image (JPEG bytes and path), landmarks (478 times x and y, as shares of the
                                          side), one float32 column an AU, source, identity, session,
                                          emotion
      validation-00000-of-00001.parquet   the same for every other split

Row groups are small and uncompressed, so that reading one face from the memory-mapped file loads one group only; what
stays in memory is 4 bytes per AU and face, and the names.
"""

import json
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.action_units import parse_code
from ganimation.data.locations import is_remote
from ganimation.data.storage import Storage, storage
from ganimation.errors import ActionUnitError, DatasetError, first_line, require
from ganimation.faces.crop import CropTemplate
from ganimation.files import atomic
from ganimation.text import parse_json

FORMAT_VERSION = 2
ROWS_PER_SHARD = 4096
ROWS_PER_GROUP = 64
LANDMARKS = 478


@dataclass(frozen=True)
class DatasetInfo:
    """What ``dataset.json`` says.

    Attributes:
        aus: AU codes, in the order of the columns.
        annotator: name and version of the annotator that gave the intensities.
        size: side of the crops in pixels.
        template: where the eyes lie in the crops.
        counts: faces by split.
        skipped: path and reason of each photo that gave no face.
    """

    aus: tuple[str, ...]
    annotator: str
    size: int
    template: CropTemplate = field(default_factory=CropTemplate)
    counts: dict[str, int] = field(default_factory=dict)
    skipped: tuple[dict[str, str], ...] = ()

    def write(self, folder: Path) -> None:
        """Write ``dataset.json``; its presence marks the data set as complete."""
        content = {"format_version": FORMAT_VERSION, **asdict(self)}
        with atomic(folder / "dataset.json") as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def read(folder: str | os.PathLike[str]) -> "DatasetInfo":
        """Read ``dataset.json``.

        Args:
            folder: of the data set, or a location of :func:`ganimation.data.storage.storage`.

        Raises:
            DatasetError: there is none, it is damaged, or it is of another format version.
        """
        return DatasetInfo.read_from(storage(folder), folder)

    @staticmethod
    def read_from(files: Storage, folder: str | os.PathLike[str]) -> "DatasetInfo":
        """Read ``dataset.json`` of an opened data set; see :meth:`read`."""
        path = f"{os.fspath(folder).rstrip('/')}/dataset.json"
        try:
            content = parse_json(files.read("dataset.json"))
        except FileNotFoundError:
            missing = not is_remote(folder) and not Path(folder).is_dir()
            hint = "no such folder" if missing else "no dataset.json in it; `ganimation prepare` makes one"
            raise DatasetError(f"{folder}: not a data set ({hint})") from None
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path}: cannot be read ({error})") from error
        if not isinstance(content, dict):
            raise DatasetError(f"{path}: damaged (not an object); prepare the data set again")
        version = content.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise DatasetError(
                f"{path}: format version {version}, this program reads {FORMAT_VERSION}; prepare the data set again"
            )
        try:
            content["aus"] = tuple(parse_code(code) for code in content["aus"])
            content["template"] = CropTemplate(**content["template"])
            content["skipped"] = tuple(content["skipped"])
            return DatasetInfo(**content)
        except (ActionUnitError, KeyError, TypeError) as error:
            raise DatasetError(f"{path}: damaged ({error})") from error


def schema(aus: Sequence[str]) -> Any:
    """Return the Arrow schema of a shard, with metadata that declares the image column to Hugging Face ``datasets``."""
    pa = require("pyarrow", "train")
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    texts = ("source", "identity", "session", "emotion")
    landmarks = ("landmarks", pa.list_(pa.float32(), 2 * LANDMARKS))
    columns = [
        ("image", image),
        landmarks,
        *((code, pa.float32()) for code in aus),
        *((name, pa.string()) for name in texts),
    ]
    features = {
        "image": {"_type": "Image"},
        "landmarks": {"feature": {"dtype": "float32", "_type": "Value"}, "length": 2 * LANDMARKS, "_type": "List"},
        **{code: {"dtype": "float32", "_type": "Value"} for code in aus},
        **{name: {"dtype": "string", "_type": "Value"} for name in texts},
    }
    return pa.schema(columns, metadata={"huggingface": json.dumps({"info": {"features": features}})})


class FaceDataset:
    """Aligned faces of one split with their AUs, read at random from disk or from where the data set lies.

    Args:
        folder: of the data set, ``s3://bucket/folder`` or ``hf://owner/name``; see :mod:`ganimation.data.storage`.
        split: its name.

    Attributes:
        info: what ``dataset.json`` says.
        aus: (N, AUs) float32 intensities in [0, 1].
        sessions: (N,) int64, code of the recording session, -1 where unknown.
        emotions: (N,), names in :data:`ganimation.action_units.EMOTIONS`, ``None`` where none is known.
        identities: (N,) int64, equal where photos show one person, -1 where unknown.

    Raises:
        DatasetError: not a data set, a shard is missing or damaged, or an intensity is NaN or outside [0, 1].
    """

    def __init__(self, folder: str | os.PathLike[str], split: str = "train") -> None:
        require("pyarrow.parquet", "train")
        files = storage(folder)
        self.info = DatasetInfo.read_from(files, folder)
        self._shards = files.names(f"{split}-*-of-*.parquet")
        if not self._shards:
            known = ", ".join(self.info.counts) or "none"
            raise DatasetError(f"{folder}: no shards of the split {split!r}; it has: {known}")
        try:
            self._files = [files.open(name) for name in self._shards]
            columns = [*self.info.aus, "source", "identity", "session"]
            tables = [file.read(columns=columns) for file in self._files]
        except Exception as error:  # each store has errors of its own
            raise DatasetError(
                f"{folder}: a shard is damaged ({first_line(error)}); prepare the data set again"
            ) from error
        self.aus = self._intensities(folder, tables)
        self.emotions: list[str | None] = [None] * len(self)
        if "emotion" in self._files[0].schema_arrow.names:  # older data sets have no such column
            found = [file.read(columns=["emotion"])["emotion"] for file in self._files]
            self.emotions = [emotion for column in found for emotion in column.to_pylist()]
        self.sources: list[str] = [name for table in tables for name in table["source"].to_pylist()]
        self.sessions = _codes([name for table in tables for name in table["session"].to_pylist()])
        self.identities = _codes([name for table in tables for name in table["identity"].to_pylist()])
        if len(self) != self.info.counts.get(split):
            raise DatasetError(
                f"{folder}: {len(self)} faces in {split}, dataset.json says {self.info.counts.get(split)}"
            )
        self._groups = [(shard, g) for shard, file in enumerate(self._files) for g in range(file.num_row_groups)]
        counts = [self._files[shard].metadata.row_group(g).num_rows for shard, g in self._groups]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).tolist()

    def _intensities(self, folder: str | os.PathLike[str], tables: list[Any]) -> NDArray[np.float32]:
        missing = [code for code in self.info.aus if code not in tables[0].column_names]
        if missing:
            raise DatasetError(f"{folder}: the shards have no column {missing[0]}, which dataset.json names")
        columns = [np.concatenate([table[code].to_numpy() for table in tables]) for code in self.info.aus]
        values = np.stack(columns, axis=1).astype(np.float32)
        if not ((values >= 0) & (values <= 1)).all():
            row, column = np.argwhere(~((values >= 0) & (values <= 1)))[0]
            code, value = self.info.aus[column], values[row, column]
            raise DatasetError(f"{folder}: {code} of row {row} is {value}; intensities lie in [0, 1]")
        return values

    def __len__(self) -> int:
        return len(self.aus)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return one face, RGB uint8, (size, size, 3).

        Raises:
            DatasetError: it is damaged.
        """
        return self._decode(index, self._column(index, "image").as_py())

    def landmarks(self, index: int) -> NDArray[np.float64]:
        """Return the landmarks of one face in shares of the side, (478, 2); 0.5 is the middle of the crop.

        Raises:
            DatasetError: they are damaged.
        """
        values = self._column(index, "landmarks").as_py()
        points = np.array(values or [], np.float64)
        if points.shape != (2 * LANDMARKS,) or not np.isfinite(points).all():
            raise DatasetError(f"face {index}: its landmarks are damaged; prepare the data set again")
        return points.reshape(LANDMARKS, 2)

    def _column(self, index: int, name: str) -> Any:
        """Return one value of one row as Arrow has it."""
        group = bisect_right(self._starts, index) - 1
        shard, number = self._groups[group]
        try:
            return self._files[shard].read_row_group(number, columns=[name])[name][index - self._starts[group]]
        except Exception as error:  # each store has errors of its own
            raise DatasetError(
                f"{self._shards[shard]}: face {index} cannot be read ({first_line(error)}); prepare the data set again"
            ) from error

    def _decode(self, index: int, row: dict[str, Any] | None) -> NDArray[np.uint8]:
        row = row or {"path": f"face {index}"}
        encoded = np.frombuffer(row.get("bytes") or b"\0", np.uint8)  # OpenCV raises where there is nothing
        pixels = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
        if pixels is None or pixels.shape != (self.info.size, self.info.size, 3):
            found = "not a picture" if pixels is None else f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise DatasetError(f"{row['path']}: {found} in the data set, expected {self.info.size} pixels square")
        return np.asarray(pixels, np.uint8)

    def images(self, indices: Sequence[int] | NDArray[np.int64], size: int) -> NDArray[np.uint8]:
        """Return faces at ``size`` pixels, (N, size, size, 3); averaged down where the data set is larger."""
        faces = [self.image(int(index)) for index in indices]
        if size != self.info.size:
            how = cv2.INTER_AREA if size < self.info.size else cv2.INTER_CUBIC
            faces = [np.asarray(cv2.resize(face, (size, size), interpolation=how), np.uint8) for face in faces]
        return np.stack(faces)


def _codes(names: list[str | None]) -> NDArray[np.int64]:
    """Give distinct names numbers in order of appearance; ``None`` is -1."""
    numbers: dict[str, int] = {}
    return np.array([-1 if name is None else numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def write_shards(folder: Path, split: str, rows: Iterator[dict[str, Any]], count: int, aus: Sequence[str]) -> None:
    """Write the rows of a split, in order, as shards; the same rows give the same bytes.

    Args:
        folder: of the data set.
        split: its name.
        rows: dictionaries with the columns of :func:`schema`.
        count: number of rows; it determines the number of shards, which the file names contain.
        aus: AU codes, in the order of the columns.
    """
    pa, parquet = require("pyarrow", "train"), require("pyarrow.parquet", "train")
    shards = max(1, -(-count // ROWS_PER_SHARD))
    edges = [count * shard // shards for shard in range(shards + 1)]
    for shard, (start, stop) in enumerate(pairwise(edges)):
        table = pa.Table.from_pylist([next(rows) for _ in range(stop - start)], schema=schema(aus))
        with atomic(folder / f"{split}-{shard:05d}-of-{shards:05d}.parquet") as temporary:
            parquet.write_table(
                table, temporary, row_group_size=ROWS_PER_GROUP, compression="none", use_dictionary=False
            )
