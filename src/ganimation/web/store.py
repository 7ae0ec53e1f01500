"""Files of visitors: each visitor's in a folder of their own, gone after an hour and when the page stops.

ganimation-XXXXXXXX/      made anew by every page
browser-5f2c.../        a visitor
Vq3k.../photo.jpg     a file in a folder whose name nobody can guess
9b1d.../example.jpg     what the page itself shows everybody: pinned
"""

import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO

from ganimation.errors import MediaError
from ganimation.web.visitors import VISITOR

#: Bytes that one visitor's files may take, and all files.
PER_VISITOR, IN_ALL = 250_000_000, 4_000_000_000


class Store:
    """A temporary folder, for what visitors bring and for what is made for them.

    Args:
        keep: seconds that a file is kept after it was made or last used.
        per_visitor: bytes; of a visitor who has more, the oldest files go.
        in_all: bytes; beyond them nothing new is taken.
    """

    def __init__(self, keep: float = 3600.0, per_visitor: int = PER_VISITOR, in_all: int = IN_ALL) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ganimation-")).resolve()
        self._keep, self._per_visitor, self._in_all = keep, per_visitor, in_all
        self._closed, self._pinned, self._lock = threading.Event(), frozenset[Path](), threading.Lock()
        threading.Thread(target=self._sweep, name="store", daemon=True).start()

    def place(self, name: str, size: int = 0) -> Path:
        """Return where a new file of the visitor whose event is answered goes.

        Args:
            name: that it should have; what a file system might not like becomes ``_``.
            size: bytes that it will have, where that is known.

        Raises:
            MediaError: there is no room.
        """
        home = self.folder / VISITOR.get()
        with self._lock:
            self._make_room(home, size)
            folder = home / secrets.token_urlsafe(24)
            folder.mkdir(parents=True)
        return folder / "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[-80:]

    def take(self, name: str, content: BinaryIO, size: int) -> Path:
        """Keep what a visitor brings; return where.

        Raises:
            MediaError: there is no room.
        """
        path = self.place(name or "file", size)
        with path.open("wb") as stream:
            shutil.copyfileobj(content, stream)
        return path

    def admit(self, path: object) -> Path | None:
        """Return the file that a client names, if it is theirs or the page's own; else ``None``, whatever is there.

        Theirs is a regular file that lies in the folder of the visitor whose event is answered, under the very name
        that it was given there: no link, no other way to it.
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
        """Keep what is there now for good, for everybody: the examples."""
        self._pinned = frozenset(self._files(self.folder))

    def sweep(self, now: float) -> None:
        """Remove what is older than it is kept; ``now`` in seconds since the epoch."""
        for path in self._files(self.folder):
            try:
                if path not in self._pinned and now - path.stat().st_ctime > self._keep:
                    remove(path)
            except OSError:
                continue

    def close(self) -> None:
        """Remove everything."""
        self._closed.set()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_room(self, home: Path, size: int) -> None:
        """Let the oldest files of a visitor go until ``size`` more bytes fit.

        Raises:
            MediaError: they do not fit beside those of others.
        """
        sizes = {path: stat for path in self._files(self.folder) if (stat := _stat(path)) is not None}
        own = sorted((path for path in sizes if path.is_relative_to(home)), key=lambda path: sizes[path].st_mtime)
        used, total = (sum(sizes[path].st_size for path in paths) for paths in (own, sizes))
        for path in own:
            if used + size <= self._per_visitor:
                break
            remove(path)
            used, total = used - sizes[path].st_size, total - sizes[path].st_size
        if total + size > self._in_all:
            raise MediaError("the page has no room for more files now; try again in an hour")

    def _files(self, folder: Path) -> list[Path]:
        return [path for path in folder.rglob("*") if path.is_file()]

    def _sweep(self) -> None:
        while not self._closed.wait(60.0):
            self.sweep(time.time())


def _stat(path: Path) -> Any:
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
