"""Files that are there whole or not at all."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ganimation.errors import MediaError

try:
    import fcntl
except ImportError:  # Windows has none: nothing is swept there
    fcntl = None  # type: ignore[assignment]

_UMASK = os.umask(0)  # can only be asked by setting it, which no two threads may do
os.umask(_UMASK)

#: Marks temporary files as this program's.
_MARK = ".partial"
#: Seconds in which a temporary file may be young enough that its writer has not locked it yet.
_YOUNG = 60.0

_swept: set[Path] = set()
_sweeping = threading.Lock()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that becomes ``path`` if the block ends well and vanishes if it does not.

    The temporary file is locked while it is written. What killed programs left behind in the folder is removed when a
    process first writes there: files that are named like ours and that nobody holds.

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
            os.close(handle)  # Windows renames no file that is open
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


def _sweep_once(folder: Path) -> None:
    """Sweep a folder if this process has not done it yet."""
    with _sweeping:
        if folder in _swept:
            return
        _swept.add(folder)
    sweep(folder, time.time())


def sweep(folder: Path, now: float) -> None:
    """Remove temporary files that killed programs left in a folder.

    Args:
        folder: not searched below.
        now: seconds since the epoch.
    """
    if fcntl is None:
        return
    with suppress(OSError):
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(".") and _MARK in entry.name]
        for name in names:
            path = folder / name
            if _MARK not in path.suffixes[-2:]:
                continue
            with suppress(OSError), path.open("rb") as stream:  # somebody else may be faster, or hold it
                if now - os.fstat(stream.fileno()).st_mtime > _YOUNG:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
