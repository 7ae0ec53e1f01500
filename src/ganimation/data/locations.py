"""Where the photos of a data set lie: a folder, a list of paths and URLs, or a folder of an object store.

A photo has a name, which the data set keeps, and lies at :func:`place` of it and the root: relative to a folder or a
bucket, or wherever the list has it. What is not on this machine's disks is read by fsspec: ``s3://``, ``https://`` and
all that is installed for it, with the credentials of the environment.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ganimation.data.labels import read_rows
from ganimation.errors import DatasetError, GanimationError, MediaError, first_line, require
from ganimation.media.formats import SUFFIXES, find_photos
from ganimation.media.images import Photo, read_image, read_image_bytes

#: Extra that brings fsspec and what it needs for ``s3://`` and ``https://``.
REMOTE_EXTRA = "remote"
#: Endings of lists: a photo a line, or a CSV with a column ``URL`` or ``file``.
LISTS = (".txt", ".csv")
#: Bytes of a photo that is fetched; larger ones are not photos of people.
MAX_BYTES = 100_000_000
#: Seconds after which a server that says nothing is given up.
PATIENCE = 60


@dataclass(frozen=True)
class Photos:
    """The photos that were found.

    Attributes:
        root: what names are relative to, a folder or a URL.
        names: in order.
        versions: of each name, what changes with the photo: size and time of modification, or the store's mark.
            Photos at URLs of a list have none: nobody asks their servers before they are fetched.
        unreadable: names that are not text.
    """

    root: str
    names: Sequence[str]
    versions: Mapping[str, Sequence[Any]]
    unreadable: Sequence[str] = ()


def is_remote(location: str | os.PathLike[str]) -> bool:
    """Return whether a location is a URL."""
    return "://" in os.fspath(location)


def find(location: str | os.PathLike[str]) -> Photos:
    """Find the photos of a folder, a list (``.txt``, ``.csv``) or a URL of a folder.

    Raises:
        DatasetError: there is no such thing, it cannot be read, or names a photo twice.
        MissingExtraError: the extra ``remote`` is not installed.
    """
    if is_remote(location):
        return _find_remote(os.fspath(location).rstrip("/"))
    path = Path(location)
    if path.suffix.lower() in LISTS and path.is_file():
        return _find_listed(path)
    if not path.is_dir():
        raise DatasetError(f"{path}: no such folder of photos")
    try:
        found = [photo.relative_to(path).as_posix() for photo in find_photos(path)]
    except MediaError as error:
        raise DatasetError(str(error)) from error
    names = [name for name in found if _is_text(name)]
    versions = {name: _version(path / name) for name in names}
    return Photos(str(path), names, versions, [name for name in found if not _is_text(name)])


def place(root: str, name: str) -> str:
    """Return where a photo lies: a path or a URL."""
    if is_remote(name):
        return name
    return f"{root}/{name}" if is_remote(root) else str(Path(root) / name)


def read_photo(root: str, name: str) -> Photo:
    """Read a photo, wherever it lies.

    Raises:
        MediaError: it is not there, cannot be fetched, or is not a picture; the message does not repeat the place.
        MissingExtraError: as of :func:`ganimation.media.images.read_image`, or the extra ``remote``.
    """
    where = place(root, name)
    try:
        return read_image_bytes(_fetch(where)) if is_remote(where) else read_image(where)
    except MediaError as error:
        raise MediaError(str(error).removeprefix(f"{where}: ").removeprefix("the picture: ")) from error


def filesystem(url: str) -> Any:
    """Return fsspec's file system of a URL.

    Raises:
        DatasetError: fsspec knows none.
        MissingExtraError: the extra ``remote`` is not installed.
    """
    fsspec = require("fsspec", REMOTE_EXTRA)
    options: dict[str, Any] = {}
    if url.startswith(("http://", "https://")):
        aiohttp = require("aiohttp", REMOTE_EXTRA)
        options = {"client_kwargs": {"timeout": aiohttp.ClientTimeout(total=PATIENCE)}}
    try:
        return fsspec.core.url_to_fs(url, **options)[0]
    except (ImportError, ValueError) as error:
        raise DatasetError(
            f"{url}: cannot be opened ({first_line(error)}); pip install 'ganimation[{REMOTE_EXTRA}]' brings s3:// "
            "and https://, 'ganimation[hub]' hf://"
        ) from error


def _fetch(url: str) -> bytes:
    files = filesystem(url)
    try:
        with files.open(url, "rb") as stream:
            content: bytes = stream.read(MAX_BYTES + 1)
    except GanimationError:
        raise
    except FileNotFoundError as error:
        raise MediaError("not there, or its server does not answer") from error
    except Exception as error:  # each store has errors of its own
        raise MediaError(f"cannot be fetched ({first_line(error)})") from error
    if len(content) > MAX_BYTES:
        raise MediaError(f"over {MAX_BYTES / 1e6:.0f} MB")
    return content


def _find_remote(url: str) -> Photos:
    files = filesystem(url)
    try:
        listed: dict[str, dict[str, Any]] = files.find(url, detail=True)
    except Exception as error:
        raise DatasetError(f"{url}: cannot be listed ({first_line(error)})") from error
    inside = str(files._strip_protocol(url)).rstrip("/") + "/"
    versions = {
        path.removeprefix(inside): [str(about.get(key)) for key in ("size", "ETag", "etag", "LastModified", "mtime")]
        for path, about in sorted(listed.items())
        if PurePosixPath(path).suffix.lower() in SUFFIXES
    }
    return Photos(url, list(versions), versions)


def _find_listed(path: Path) -> Photos:
    """Return the photos that a list names; paths are relative to its folder."""
    if path.suffix.lower() == ".csv":
        rows = read_rows(path)
        columns = {name.lower(): name for name in (rows[0] if rows else {})}
        column = columns.get("url") or columns.get("file")
        if column is None:
            raise DatasetError(f"{path}: no column URL or file")
        names = [row[column].strip() for row in rows]
    else:
        try:
            names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path}: cannot be read ({first_line(error)})") from error
    counts = Counter(name for name in names if name)
    names = list(counts)
    if names and counts.most_common(1)[0][1] > 1:
        raise DatasetError(f"{path}: names {counts.most_common(1)[0][0]} twice")
    versions = {name: [] if is_remote(name) else _version(path.parent / name) for name in names}
    return Photos(str(path.parent), names, versions)


def _version(path: Path) -> list[int]:
    """Return size and time of modification; nothing where there is no such file, which its row will say."""
    try:
        about = path.stat()
    except OSError:
        return []
    return [about.st_size, about.st_mtime_ns]


def _is_text(name: str) -> bool:
    """Return whether a file name is valid UTF-8; on Linux it may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
