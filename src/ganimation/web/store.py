"""Files of visitors: each visitor's in a folder of their own, gone after an hour and when the page stops.

ganimation-page-XXXXXXXX/    made anew by every page, held while it runs
    browser-5f2c.../         a visitor
        Vq3k.../photo.jpg    a file in a folder whose name nobody can guess
    9b1d.../example.jpg      what the page itself shows everybody: pinned
"""

import os
import secrets
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from ganimation.errors import MediaError
from ganimation.files import FolderLock, remove_if_free
from ganimation.web.visitors import VISITOR

#: Bytes that one visitor's files may take, and all files; how many files a visitor may have.
PER_VISITOR, IN_ALL, FILES = 250_000_000, 4_000_000_000, 500
#: A file takes at least so many bytes of the disk.
BLOCK = 4096
#: Seconds after its last use in which a file is not deleted to make room for another visitor's.
IN_USE = 60.0
#: How folders of pages begin.
PREFIX = "ganimation-page-"


class Store:
    """A temporary folder, for what visitors bring and for what is made for them.

    Args:
        keep: seconds that a file is kept after it was made or last used.
        per_visitor: limit in bytes, beyond which a visitor's oldest files are deleted.
        in_all: limit in bytes, beyond which the oldest files of all visitors are deleted, except those in use.
    """

    def __init__(self, keep: float = 3600.0, per_visitor: int = PER_VISITOR, in_all: int = IN_ALL) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        self._hold = FolderLock(self.folder)
        for left in self.folder.parent.glob(f"{PREFIX}*"):  # of pages that were killed
            remove_if_free(left, time.time())
        self._keep, self._per_visitor, self._in_all = keep, per_visitor, in_all
        self._total = 0  # bytes of all files when last counted, and of those that came since
        self._closed, self._pinned, self._lock = threading.Event(), frozenset[Path](), threading.Lock()
        threading.Thread(target=self._sweep, name="store", daemon=True).start()

    def place(self, name: str, size: int = 0) -> Path:
        """Return a path for a new file of the current visitor (:data:`ganimation.web.visitors.VISITOR`).

        Args:
            name: of the file; characters other than ASCII letters, digits, ``-``, ``_`` and ``.`` become ``_``.
            size: bytes that it will have, where that is known.

        Raises:
            MediaError: there is no room.
        """
        home = self.folder / VISITOR.get()
        with self._lock:
            self._make_room(home, size)
            folder = home / secrets.token_urlsafe(24)
            folder.mkdir(parents=True)
        plain = "".join(c if (c.isascii() and c.isalnum()) or c in "-_." else "_" for c in name).lstrip(".")
        return folder / (plain[-80:] or "file")

    def take(self, name: str, content: BinaryIO, size: int) -> Path:
        """Store an uploaded file; return its path.

        Raises:
            MediaError: there is no room.
        """
        path = self.place(name or "file", size)
        with path.open("wb") as stream:
            shutil.copyfileobj(content, stream)
        return path

    def admit(self, path: object) -> Path | None:
        """Return the path that a client names if the visitor may read it; else ``None``, whether it exists or not.

        Allowed are the page's own (pinned) files, and regular files that :meth:`place` put into the visitor's folder.
        Symbolic links and paths that are not normalised are refused.
        """
        if not isinstance(path, str) or "\0" in path:
            return None
        named, home = Path(path), self.folder / VISITOR.get()
        if named in self._pinned:
            return named
        if str(named) != path or ".." in named.parts or not named.is_relative_to(home):
            return None
        if len(named.relative_to(home).parts) != 2:
            return None
        try:
            regular = S_ISREG(named.lstat().st_mode) and not named.parent.is_symlink()
        except OSError:
            return None
        return named if regular else None

    def pin(self) -> None:
        """Exempt all current files (the examples) from expiry and let every visitor read them."""
        self._pinned = frozenset(self._files(self.folder))

    def sweep(self, now: float) -> None:
        """Remove expired files and empty folders; ``now`` in seconds since the epoch."""
        for path in self._files(self.folder):
            try:
                if path not in self._pinned and now - path.stat().st_ctime > self._keep:
                    remove(path)
            except OSError:
                continue
        for folder in sorted((path for path in self.folder.rglob("*") if path.is_dir()), reverse=True):
            with suppress(OSError):  # it is not empty
                if now - folder.stat().st_mtime > self._keep:
                    folder.rmdir()
        with self._lock:
            self._total = sum(_weight(stat) for path in self._files(self.folder) if (stat := _stat(path)) is not None)

    def close(self) -> None:
        """Remove everything."""
        self._closed.set()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._hold.close()

    def _make_room(self, home: Path, size: int) -> None:
        """Delete a visitor's oldest files until ``size`` more bytes fit; if needed, also those of other visitors.

        Raises:
            MediaError: they do not fit beside the files in use.
        """
        size = max(size, BLOCK)
        own = self._by_age(home)
        used = sum(weight for _, weight, _ in own)
        while own and (used + size > self._per_visitor or len(own) >= FILES):
            used -= self._drop(own.pop(0))
        if self._total + size > self._in_all:
            for entry in self._by_age(self.folder):
                if self._total + size <= self._in_all:
                    break
                if entry[0] not in self._pinned and time.time() - entry[2] > IN_USE:
                    self._drop(entry)
        if self._total + size > self._in_all:
            raise MediaError("the page has no room for more files now; try again in a few minutes")
        self._total += size

    def _by_age(self, folder: Path) -> list[tuple[Path, int, float]]:
        """Return the files of a folder with what they weigh and when they were last used, the oldest first."""
        stats = [(path, stat) for path in self._files(folder) if (stat := _stat(path)) is not None]
        return sorted(((path, _weight(stat), stat.st_mtime) for path, stat in stats), key=lambda entry: entry[2])

    def _drop(self, entry: tuple[Path, int, float]) -> int:
        remove(entry[0])
        self._total -= entry[1]
        return entry[1]

    def _files(self, folder: Path) -> list[Path]:
        return [path for path in folder.rglob("*") if path.is_file()]

    def _sweep(self) -> None:
        while not self._closed.wait(60.0):
            self.sweep(time.time())


def _weight(stat: os.stat_result) -> int:
    return max(stat.st_size, BLOCK)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # swept meanwhile
        return None


def remove(path: Path) -> None:
    """Remove a file, and its folder if it was the last in it."""
    try:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
    except OSError:
        return
