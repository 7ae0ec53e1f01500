"""Files of visitors: each in a folder whose name nobody can guess, gone after an hour and when the page stops."""

import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path


class Store:
    """A temporary folder.

    Args:
        keep: seconds that a file is kept at least.
    """

    def __init__(self, keep: float = 3600.0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ganimation-"))
        self._keep, self._closed = keep, threading.Event()
        threading.Thread(target=self._sweep, name="store", daemon=True).start()

    def place(self, name: str) -> Path:
        """Return where a new file of that name goes."""
        folder = self.folder / "made" / secrets.token_urlsafe(24)
        folder.mkdir(parents=True)
        return folder / "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[-80:]

    def sweep(self, now: float) -> None:
        """Remove what is older than it is kept; ``now`` in seconds since the epoch."""
        for folder in (self.folder / "made").glob("*"):
            if now - folder.stat().st_mtime > self._keep:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        self._closed.set()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _sweep(self) -> None:
        while not self._closed.wait(60.0):
            self.sweep(time.time())
