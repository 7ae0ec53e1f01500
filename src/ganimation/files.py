"""Atomic writes of files and folders, and removal of temporary files that killed processes left behind."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ganimation.errors import MediaError

try:
    import fcntl
except ImportError:  # not on Windows: leftover files are not removed there
    fcntl = None  # type: ignore[assignment]

_UMASK = os.umask(0)  # reading the umask means setting it, which is not thread-safe: read it once, at import
os.umask(_UMASK)

#: Marks temporary files as this program's.
_MARK = ".partial"
#: Age in seconds up to which a temporary file is not removed, since its writer may not have locked it yet.
_YOUNG = 60.0

_swept: set[Path] = set()
_sweeping = threading.Lock()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` on success, delete it if the block raises.

    The temporary file is locked while it is written. The first write of a process to a folder also removes temporary
    files that killed processes left there: those that have our suffix and that no process has locked.

    Raises:
        MediaError: the file system refuses (read-only, full).
    """
    _sweep_once(path.parent)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=_MARK + path.suffix)
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error.strerror}); choose another place with -o") from error
    temporary = Path(name)
    try:
        if fcntl is None:
            os.close(handle)  # Windows cannot rename an open file
        else:
            with suppress(OSError):  # some network file systems have no locks; the file's age protects it there
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield temporary
        temporary.chmod(0o666 & ~_UMASK)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
        if fcntl is not None:
            os.close(handle)


def strerror(error: Exception) -> str:
    """Return the operating system's message for an error of :func:`atomic`, or the text of any other error."""
    cause = error.__cause__ if isinstance(error, MediaError) else error
    return str((cause.strerror if isinstance(cause, OSError) else None) or error)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Yield an empty, locked temporary folder beside ``folder`` and delete it at the end.

    Raises:
        OSError: the file system refuses.
    """
    _sweep_once(folder.parent)
    temporary = tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-", suffix=_MARK)
    with temporary as name, closing(FolderLock(Path(name))):
        yield Path(name)


def _sweep_once(folder: Path) -> None:
    """Sweep a folder if this process has not done it yet."""
    with _sweeping:
        if folder in _swept:
            return
        _swept.add(folder)
    sweep(folder, time.time())


def sweep(folder: Path, now: float) -> None:
    """Remove temporary files and folders that killed programs left in a folder.

    Args:
        folder: not searched below.
        now: seconds since the epoch.
    """
    with suppress(OSError):
        for path in [Path(entry.path) for entry in os.scandir(folder) if entry.name.startswith(".")]:
            if _MARK in path.suffixes[-2:]:
                remove_if_free(path, now)


def remove_if_free(path: Path, now: float) -> None:
    """Remove a file or folder if this user owns it, no process has locked it, and it is older than a minute.

    Args:
        path: of the file or folder.
        now: seconds since the epoch.
    """
    if fcntl is None:
        return
    with suppress(OSError):  # another process may have removed or locked it
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            found = os.fstat(handle)
            if now - found.st_mtime > _YOUNG and found.st_uid == os.getuid():
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        finally:
            os.close(handle)


class FolderLock:
    """Lock on a folder that keeps :func:`sweep` from removing it, until it is closed or this process ends."""

    def __init__(self, folder: Path) -> None:
        self._handle = -1
        if fcntl is not None:
            self._handle = os.open(folder, os.O_RDONLY)
            with suppress(OSError):  # some network file systems have no locks; the age protects it there
                fcntl.flock(self._handle, fcntl.LOCK_EX)

    def close(self) -> None:
        """Release the lock."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
