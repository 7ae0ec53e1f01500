"""Open visitors' files, each first in a child process with limits on memory and time.

Files can be made that take gigabytes or hours to open, in ways that no check of their headers foresees (tags of a TIFF
that share one value, samples of an MP4 that exist in its index alone, thousands of scans in a JPEG). So each file is
opened once by a child process that may take :data:`MEMORY` and :data:`SECONDS`; if that succeeds, the page
opens it as well. The child is reused, so that this costs one more decoding, and restarted when it has ended.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from ganimation.errors import GanimationError, MediaError
from ganimation.media.clip import Clip, is_clip
from ganimation.media.images import Photo, read_image

#: Of a photo, see :func:`ganimation.media.images.read_image`; and pixels that a frame of a film may have.
MAX_PIXELS, LARGEST_FRAME = 50_000_000, 4096 * 2304
#: Bytes and seconds that opening a file may take.
MEMORY, SECONDS = 2 << 30, 20
#: Number of files whose result is cached.
REMEMBERED = 1000


class Opener:
    """The child process, for all visitors; one file at a time.

    Args:
        seconds: that opening a file may take.
    """

    def __init__(self, seconds: int = SECONDS) -> None:
        self._lock, self._seconds = threading.Lock(), seconds
        self._process: subprocess.Popen[str] | None = None
        self._verdicts: dict[Path, str] = {}

    def check(self, path: Path) -> None:
        """Let the child open a file.

        Raises:
            MediaError: it cannot, or not within its limits; the reason is said.
        """
        with self._lock:
            if path not in self._verdicts:
                self._verdicts[path] = self._ask(path)
                if len(self._verdicts) > REMEMBERED:
                    del self._verdicts[next(iter(self._verdicts))]
            verdict = self._verdicts[path]
        if verdict:
            raise MediaError(verdict)

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _ask(self, path: Path) -> str:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ganimation.web.media", str(self._seconds)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                start_new_session=True,
            )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        answer = ""
        with suppress(OSError):  # it ended meanwhile
            self._process.stdin.write(json.dumps(str(path)) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if answer:
            return str(json.loads(answer))
        self._end()
        return f"{path.name}: takes too long or too much memory to open; give another file"

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


OPENER = Opener()


def open_photo(path: Path, max_pixels: int) -> Photo:
    """Return a visitor's photo.

    Raises:
        MediaError: as :func:`ganimation.media.images.read_image`, or it takes too much to open.
    """
    OPENER.check(path)
    return read_image(path, max_pixels)


def open_clip(path: Path, patience: float) -> Clip:
    """Return a visitor's film.

    Args:
        path: of the file.
        patience: seconds that one reading of it may take.

    Raises:
        MediaError: as :class:`ganimation.media.clip.Clip`, or it takes too much to open.
    """
    OPENER.check(path)
    return Clip(path, LARGEST_FRAME, patience)


def answer_requests(seconds: int) -> None:
    """Open the files whose paths come on standard input; answer each with an empty text, or with what is wrong."""
    import cv2

    cv2.setNumThreads(1)
    _limit_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        path = Path(json.loads(line))
        if hasattr(signal, "alarm"):
            signal.alarm(seconds)  # ends this process, whatever it is in
        print(json.dumps(_verdict(path)), flush=True)
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def _verdict(path: Path) -> str:
    try:
        if is_clip(path):
            Clip(path, LARGEST_FRAME)
        else:
            read_image(path, MAX_PIXELS)
    except MemoryError:
        return f"{path.name}: takes too much memory to open; give another file"
    except GanimationError as error:
        return str(error)
    return ""


def _limit_memory() -> None:
    """Bound the memory that comes on top of what the libraries have taken so far."""
    with suppress(ImportError, OSError, ValueError):  # not on every system
        import resource

        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


if __name__ == "__main__":
    answer_requests(int(sys.argv[1]))
