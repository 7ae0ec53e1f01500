"""Edit films frame by frame, and drive photos and films by the expressions in another film, one frame at a time."""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ganimation.action_units import ACTION_UNITS, REGIONS, Request
from ganimation.editing.session import Planner, Session
from ganimation.editing.timeline import Timeline
from ganimation.errors import ActionUnitError, FaceError
from ganimation.faces.reader import FaceReader
from ganimation.faces.tracker import FaceTracker
from ganimation.media.clip import Frame
from ganimation.media.images import Photo

#: Share of a film's frames, those with the lowest sum of intensities, whose mean is taken as neutral.
CALM = 0.1

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Performance:
    """AU intensities of a face over a film.

    Attributes:
        aus: codes.
        times: T, of the frames in seconds.
        values: (T, AUs) in [0, 1], smoothed; NaN where the face is not seen.
    """

    aus: tuple[str, ...]
    times: tuple[Fraction, ...]
    values: Array

    def neutral(self, frame: int | None = None) -> Array:
        """Return the intensities of the neutral expression, (AUs,).

        Args:
            frame: number of a neutral frame, from 0; ``None`` for the mean of the calmest tenth.

        Raises:
            FaceError: no such frame, or no face in it.
        """
        if frame is None:
            seen = self.values[np.isfinite(self.values).all(axis=1)]
            calmest = np.argsort(seen.sum(axis=1), kind="stable")[: max(1, round(CALM * len(seen)))]
            return np.asarray(seen[calmest].mean(axis=0), np.float64)
        if not 0 <= frame < len(self.times):
            raise FaceError(f"neutral frame {frame}: the film has {len(self.times)}, numbered from 0")
        if not np.isfinite(self.values[frame]).all():
            raise FaceError(f"neutral frame {frame}: no face is seen in it; choose another, or leave the choice to us")
        return np.asarray(self.values[frame], np.float64)

    def changes(self, neutral: Array, strength: float = 1.0, regions: Sequence[str] = REGIONS) -> Array:
        """Return the difference from the neutral expression, (T, AUs); frames without the face are interpolated.

        Args:
            neutral: (AUs,).
            strength: factor of the change, in [0, 2].
            regions: of the face that move; the AUs of others stay at 0.

        Raises:
            ActionUnitError: an unknown region, or a strength out of range.
        """
        if not 0.0 <= strength <= 2.0:
            raise ActionUnitError(f"strength {strength:g}: it lies in [0, 2]")
        known = np.isfinite(self.values).all(axis=1)
        times = np.array(self.times, np.float64)
        filled = np.stack([np.interp(times, times[known], column[known]) for column in self.values.T], axis=1)
        moving = np.array([ACTION_UNITS[code].region in regions for code in self.aus])
        return np.where(moving, strength * (filled - neutral), 0.0)


def parse_regions(text: str) -> tuple[str, ...]:
    """Return the regions of a list such as ``brows,mouth``; the beginning of a name is enough.

    Raises:
        ActionUnitError: a name that is not the beginning of a region's.
    """
    found = []
    for name in filter(None, (part.strip().lower() for part in text.split(","))):
        region = next((region for region in REGIONS if region.startswith(name)), None)
        if region is None:
            raise ActionUnitError(f"unknown region {name!r}; they are {', '.join(REGIONS)}")
        found.append(region)
    if not found:
        raise ActionUnitError(f"no region in {text!r}; they are {', '.join(REGIONS)}")
    return tuple(found)


def watch(
    reader: FaceReader, frames: Iterable[Frame], number: int = 1, count: Callable[[], None] = lambda: None
) -> Performance:
    """Measure a face over a film.

    Args:
        reader: detects and measures the face.
        frames: of the film.
        number: of the face, see :class:`ganimation.faces.tracker.FaceTracker`.
        count: called after each frame.

    Raises:
        FaceError: no frame has a face.
    """
    tracker, times, rows = FaceTracker(reader, number), [], []
    for frame in frames:
        face = tracker(frame.pixels, float(frame.time))
        times.append(frame.time)
        rows.append([np.nan] * len(reader.aus) if face is None else [face.aus[code] for code in reader.aus])
        count()
    values = np.array(rows, np.float64).reshape(-1, len(reader.aus))
    if not np.isfinite(values).any():
        raise FaceError(f"no face in any of the {len(rows)} frames; it must be turned to the camera")
    return Performance(reader.aus, tuple(times), values)


@dataclass
class Seen:
    """Frames that were edited, in how many of them the face was seen, and how many differ from their source."""

    frames: int = 0
    faces: int = 0
    changed: int = 0


def edit_film(
    reader: FaceReader,
    planner: Planner,
    frames: Iterable[Frame],
    requests: Sequence[Request],
    seen: Seen,
    number: int = 1,
) -> Iterator[Frame]:
    """Yield the frames of a film with an expression; frames where the face is not seen pass unchanged.

    Args:
        reader: finds and measures the face.
        planner: of the model that edits.
        frames: of the film.
        requests: of every frame, as of a photo.
        seen: counters, updated while frames are yielded.
        number: of the face, see :class:`ganimation.faces.tracker.FaceTracker`.
    """
    yield from _edited(reader, planner, frames, seen, number, lambda session, time: session.at(1.0).image, requests)


def drive_photo(session: Session, performance: Performance, changes: Array) -> Iterator[Frame]:
    """Yield a frame for each time of a performance: the photo, with its faces' AUs changed by ``changes``."""
    for time, change in zip(performance.times, changes, strict=True):
        edit = session.changed(dict(zip(performance.aus, change.tolist(), strict=True)))
        yield Frame(edit.image, time)


def play(session: Session, timeline: Timeline, fps: float) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a timeline from 0 to its last key, RGB uint8."""
    for number in range(round(timeline.seconds * fps) + 1):
        yield session.towards(functools.partial(timeline.at, number / fps)).image


def drive_film(
    reader: FaceReader,
    planner: Planner,
    frames: Iterable[Frame],
    performance: Performance,
    changes: Array,
    seen: Seen,
    number: int = 1,
) -> Iterator[Frame]:
    """Yield the frames of a film whose face is changed as the driver's is at the same time, as long as both last."""
    times = np.array(performance.times, np.float64)

    def at(session: Session, time: float) -> NDArray[np.uint8]:
        now = [float(np.interp(time, times, column)) for column in changes.T]
        return session.changed(dict(zip(performance.aus, now, strict=True))).image

    lasting = itertools.takewhile(lambda frame: frame.time <= performance.times[-1], frames)
    yield from _edited(reader, planner, lasting, seen, number, at)


def _edited(
    reader: FaceReader,
    planner: Planner,
    frames: Iterable[Frame],
    seen: Seen,
    number: int,
    render: Callable[[Session, float], NDArray[np.uint8]],
    requests: Sequence[Request] = (),
) -> Iterator[Frame]:
    """Yield frames, rendered where the face is seen."""
    tracker = FaceTracker(reader, number)
    for frame in frames:
        face = tracker(frame.pixels, float(frame.time))
        seen.frames += 1
        if face is None:
            yield frame
            continue
        seen.faces += 1
        session = planner.session(Photo(frame.pixels), [face], requests)
        pixels = render(session, float(frame.time))
        seen.changed += not np.array_equal(pixels, frame.pixels)
        yield Frame(pixels, frame.time)
