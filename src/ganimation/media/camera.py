"""Live frames of a camera, by OpenCV."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from ganimation.errors import MediaError
from ganimation.media.clip import Frame

#: Unit of the frames' times in seconds; the intervals between a camera's frames vary.
TIME_BASE = Fraction(1, 1000)


@dataclass(frozen=True)
class Taken:
    """A frame, and when it was taken, by ``time.monotonic``."""

    frame: Frame
    at: float


def newest(frames: Iterable[Frame]) -> Iterator[Taken]:
    """Yield frames as they come; those that come while one is in use are left out, but for the newest.

    A camera's frames that wait in a queue would be shown ever later. What ``frames`` raises is raised here.
    """
    waiting: deque[Taken] = deque(maxlen=1)
    came, ended, failed = threading.Condition(), threading.Event(), list[BaseException]()

    def read() -> None:
        try:
            for frame in frames:
                with came:
                    waiting.append(Taken(frame, time.monotonic()))
                    came.notify()
        except BaseException as error:
            failed.append(error)
        finally:
            with came:
                ended.set()
                came.notify()

    thread = threading.Thread(target=read, name="camera", daemon=True)
    thread.start()
    while True:
        with came:
            came.wait_for(lambda: waiting or ended.is_set())
            if not waiting:
                break
            taken = waiting.popleft()
        yield taken
    thread.join()
    if failed:
        raise failed[0]


class Latency:
    """Times from when frames are taken to when they are shown."""

    def __init__(self) -> None:
        self._seconds, self._ends = list[float](), list[float]()

    def add(self, taken: float) -> None:
        """Count a frame that was taken at a time, by ``time.monotonic``, and is shown now."""
        now = time.monotonic()
        self._seconds.append(now - taken)
        self._ends.append(now)

    def text(self, last: int = 0) -> str:
        """Return median and 95th percentile, and frames a second: of the last frames, 0 for all; empty without any."""
        seconds, ends = self._seconds[-last:], self._ends[-last:]
        if len(seconds) < 2:
            return ""
        low, high = np.percentile(seconds, [50, 95])
        rate = (len(ends) - 1) / max(ends[-1] - ends[0], 1e-6)
        return f"latency {1000 * low:.0f} ms (95 %: {1000 * high:.0f} ms), {rate:.1f} frames a second"


class Camera:
    """A camera, iterated until it is stopped, ends, or its time is over.

    Attributes:
        rate: frames a second that the camera reports; 30 where it reports none.

    Args:
        source: number of the camera, from 0; or, for tests, a film, whose times follow its frame rate.
        seconds: to record; 0 until :meth:`stop`.

    Raises:
        MediaError: there is no such camera, or it gives no picture.
    """

    def __init__(self, source: int | str, seconds: float = 0.0) -> None:
        self._name = f"camera {source}"
        self._live = isinstance(source, int)
        self._seconds, self._stopped = seconds, False
        logging = cv2.utils.logging
        level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # OpenCV would log many lines for a missing camera
        try:
            self._capture = cv2.VideoCapture(source)
        finally:
            logging.setLogLevel(level)
        if not self._capture.isOpened():
            raise MediaError(f"{self._name}: not there, or used by another program; cameras are numbered from 0")
        promised = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(promised).limit_denominator(1001) if 1 <= promised <= 240 else Fraction(30)

    def stop(self) -> None:
        """End the iteration after the frame in hand; from any thread."""
        self._stopped = True

    def __iter__(self) -> Iterator[Frame]:
        """Yield upright frames with their times, in seconds after the first."""
        began, number, last = time.monotonic(), 0, Fraction(-1)
        try:
            while not self._stopped:
                found, pixels = self._capture.read()
                if not found:
                    break
                if not number:
                    began = time.monotonic()
                now = Fraction(round(1000 * (time.monotonic() - began)), 1000) if self._live else number / self.rate
                now = max(now, last + TIME_BASE)
                if self._seconds and now >= self._seconds:
                    break
                number, last = number + 1, now
                yield Frame(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8), now)
        finally:
            self._capture.release()
        if not number and not self._stopped:
            raise MediaError(f"{self._name}: gives no picture; is it covered or used by another program?")
