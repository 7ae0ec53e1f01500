"""Track one face through a film, smoothed against jitter with little lag."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ganimation.errors import FaceError
from ganimation.faces.reader import Face, FaceReader

Array = NDArray[np.float64]

#: Seconds after which a lost face is given up; unless a face is near its last position, the largest is tracked.
FORGET = 1.0


class OneEuro:
    """The one-euro filter (Casiez et al., CHI 2012): still values are smoothed, fast ones pass without lag.

    Args:
        cutoff: cutoff frequency in Hz while the value is constant.
        speed: increase of the cutoff in Hz per unit of the value's speed (units a second).
    """

    def __init__(self, cutoff: float, speed: float) -> None:
        self._cutoff, self._speed = cutoff, speed
        self._value: Array | None = None
        self._slope: Array | None = None
        self._time = 0.0

    def __call__(self, value: Array, time: float) -> Array:
        """Return the smoothed value at a time in seconds, later than the last."""
        if self._value is None or self._slope is None or time <= self._time:
            self._value, self._slope, self._time = value, np.zeros_like(value), time
            return value
        step = time - self._time
        share = _share(np.array(1.0), step)
        self._slope = share * (value - self._value) / step + (1 - share) * self._slope
        share = _share(self._cutoff + self._speed * np.abs(self._slope), step)
        self._value, self._time = share * value + (1 - share) * self._value, time
        return self._value


def _share(cutoff: Array, step: float) -> Array:
    """Return the weight of a new value in a low-pass filter of that cutoff, sampled every ``step`` seconds."""
    return np.asarray(1.0 / (1.0 + 1.0 / (2.0 * math.pi * cutoff * step)), np.float64)


class FaceTracker:
    """Tracks one face from frame to frame, and smooths its eyes' positions and AU intensities.

    Args:
        reader: detects and measures faces.
        number: of the face in the first frame that has any, from 1, the largest first.
    """

    def __init__(self, reader: FaceReader, number: int = 1) -> None:
        self._reader, self._number = reader, number
        self._last: Face | None = None
        self._seen, self._scale = 0.0, 1.0
        self._restart()

    def __call__(self, image: NDArray[np.uint8], time: float) -> Face | None:
        """Return the face in a frame, or ``None`` where it is not seen.

        Args:
            image: RGB uint8, (H, W, 3), all frames of one size.
            time: of the frame in seconds, rising.

        Raises:
            FaceError: the first frame with faces has not as many as the number that was asked for.
        """
        face = (
            self._reader.follow(image, self._last) if self._last is not None and self._seen >= time - FORGET else None
        )
        if face is None:
            face = self._find(self._reader.read(image, turned=False), time)
            if face is None:
                return None
            self._restart()
            self._scale = float(np.linalg.norm(face.eyes[1] - face.eyes[0]))
        self._last, self._seen = face, time
        eyes = self._eyes(face.eyes / self._scale, time) * self._scale
        values = self._aus(np.array(list(face.aus.values())), time)
        return replace(face, eyes=eyes, aus=dict(zip(face.aus, np.clip(values, 0.0, 1.0).tolist(), strict=True)))

    def _find(self, faces: Sequence[Face], time: float) -> Face | None:
        """Return the tracked face, among the faces of a frame."""
        if not faces:
            return None
        if self._last is None:
            if self._number > len(faces):
                raise FaceError(f"face {self._number}: the first frame with a face has {len(faces)}, numbered from 1")
            return faces[self._number - 1]
        width = float(np.linalg.norm(self._last.eyes[1] - self._last.eyes[0]))
        apart = [float(np.linalg.norm(face.eyes.mean(axis=0) - self._last.eyes.mean(axis=0))) for face in faces]
        nearest = int(np.argmin(apart))
        if apart[nearest] < 2 * width:
            return faces[nearest]
        return faces[0] if time - self._seen > FORGET else None

    def _restart(self) -> None:
        """Reset the filters: of positions in units of the eyes' distance, and of intensities."""
        self._eyes = OneEuro(cutoff=2.0, speed=6.0)
        self._aus = OneEuro(cutoff=3.0, speed=4.0)
