"""Live frames of a camera, by OpenCV."""

import time
from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np

from ganimation.errors import MediaError
from ganimation.media.clip import Frame

#: Unit of the frames' times in seconds; the intervals between a camera's frames vary.
TIME_BASE = Fraction(1, 1000)


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
