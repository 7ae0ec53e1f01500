"""Where a prepared data set lies: a folder, an object store by fsspec (``s3://``), or the Hugging Face Hub (``hf://``).

Of an object store, blocks of shards are fetched as rows are asked for and kept under :func:`cache_folder`; what was
read once is read from the disk. A repository of the Hub is downloaded whole, by its own library, into its own cache.
"""

import hashlib
import os
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from ganimation.data.locations import REMOTE_EXTRA, filesystem, is_remote
from ganimation.errors import DatasetError, first_line, require
from ganimation.hub import download_dataset

#: Bytes that are fetched at once: about one group of rows.
BLOCK = 1 << 20


class Storage(Protocol):
    """A data set's files."""

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: it cannot be read.
        """

    def names(self, pattern: str) -> Sequence[str]:
        """Return the names of files that match, in order."""

    def open(self, name: str) -> Any:
        """Return an opened Parquet file.

        Raises:
            Exception: it cannot be read; each store has errors of its own, and so has reading from the file.
        """


def storage(location: str | os.PathLike[str]) -> Storage:
    """Return where a data set lies.

    Args:
        location: a folder, ``s3://bucket/folder``, or ``hf://owner/name`` and perhaps ``@revision``.

    Raises:
        DatasetError: nothing can be read from there.
        MissingExtraError: the extra ``remote`` or ``hub`` is not installed.
    """
    name = os.fspath(location)
    if name.startswith("hf://"):
        return _Folder(download_dataset(name.removeprefix("hf://").removeprefix("datasets/")))
    return _Remote(name.rstrip("/")) if is_remote(name) else _Folder(Path(location))


def cache_folder() -> Path:
    """Return the folder of what was fetched; it may be removed at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganimation" / "datasets"


class _Folder:
    """A folder of this machine's disks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def names(self, pattern: str) -> Sequence[str]:
        return sorted(path.name for path in self._folder.glob(pattern))

    def open(self, name: str) -> Any:
        return require("pyarrow.parquet", "train").ParquetFile(self._folder / name, memory_map=True)


class _Remote:
    """A folder of an object store."""

    def __init__(self, url: str) -> None:
        self._url, self._files = url, filesystem(url)
        try:
            listed = self._files.ls(url, detail=True)
            marks = sorted(
                [str(entry.get(key)) for key in ("name", "size", "ETag", "LastModified")] for entry in listed
            )
        except FileNotFoundError:
            listed, marks = [], []
        except Exception as error:
            raise DatasetError(f"{url}: cannot be listed ({first_line(error)})") from error
        # of another version of the data set at the same place, other blocks are kept
        self._names = sorted(PurePosixPath(entry["name"]).name for entry in listed if entry["type"] == "file")
        self._cache = cache_folder() / hashlib.sha256(f"{url} {marks}".encode()).hexdigest()[:16]

    def read(self, name: str) -> bytes:
        if name not in self._names:
            raise FileNotFoundError(f"{self._url}/{name}")
        try:
            content: bytes = self._files.cat_file(f"{self._url}/{name}")
        except Exception as error:
            raise OSError(first_line(error)) from error
        return content

    def names(self, pattern: str) -> Sequence[str]:
        return [name for name in self._names if fnmatch(name, pattern)]

    def open(self, name: str) -> Any:
        fsspec, parquet = require("fsspec", REMOTE_EXTRA), require("pyarrow.parquet", "train")
        kept = fsspec.filesystem("blockcache", fs=self._files, cache_storage=str(self._cache), check_files=False)
        return parquet.ParquetFile(kept.open(f"{self._url}/{name}", "rb", block_size=BLOCK))
