"""Files of visitors: each in a folder whose name nobody can guess, gone after an hour and when the page stops."""

import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path


class Store:
    """A temporary folder, for what visitors bring and for what is made for them.

    Args:
        keep: seconds that a file is kept after it was made or last used.
    """

    def __init__(self, keep: float = 3600.0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ganimation-"))
        self._keep, self._closed, self._pinned = keep, threading.Event(), frozenset[Path]()
        threading.Thread(target=self._sweep, name="store", daemon=True).start()

    def place(self, name: str) -> Path:
        """Return where a new file of that name goes."""
        folder = self.folder / secrets.token_urlsafe(24)
        folder.mkdir(parents=True)
        return folder / "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[-80:]

    def pin(self) -> None:
        """Keep what is there now for good: the examples."""
        self._pinned = frozenset(self._files())

    def sweep(self, now: float) -> None:
        """Remove what is older than it is kept; ``now`` in seconds since the epoch."""
        for path in self._files():
            try:
                if path not in self._pinned and now - path.stat().st_ctime > self._keep:
                    path.unlink()
                    path.parent.rmdir()  # if it was the last
            except OSError:
                continue

    def close(self) -> None:
        """Remove everything."""
        self._closed.set()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def _sweep(self) -> None:
        while not self._closed.wait(60.0):
            self.sweep(time.time())
