"""Expressions over time: keyframes of AUs, written by hand or measured. Knows nothing of pixels."""

import bisect
import csv
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ganimation.action_units import DEFAULT_AUS, Request, intensity_from_facs, requests_from_mapping
from ganimation.editing.animation import EASINGS
from ganimation.errors import ActionUnitError
from ganimation.text import parse_json

#: ARKit's blendshapes of each AU; left and right are averaged, of several names the largest value is taken.
ARKIT: Mapping[str, tuple[str, ...]] = {
    "AU01": ("browInnerUp",),
    "AU02": ("browOuterUp",),
    "AU04": ("browDown",),
    "AU05": ("eyeWide",),
    "AU06": ("cheekSquint",),
    "AU07": ("eyeSquint",),
    "AU09": ("noseSneer",),
    "AU10": ("mouthUpperUp",),
    "AU12": ("mouthSmile",),
    "AU15": ("mouthFrown",),
    "AU17": ("mouthShrugLower",),
    "AU20": ("mouthStretch",),
    "AU24": ("mouthPress",),
    "AU25": ("jawOpen", "mouthUpperUp", "mouthLowerDown"),
    "AU26": ("jawOpen",),
    "AU45": ("eyeBlink",),
}
#: Frames a second of the time codes that ARKit's recorders write.
_ARKIT_RATE = 60


@dataclass(frozen=True)
class Key:
    """Keyframe of one AU: time in seconds, request, and easing from the previous key."""

    time: float
    request: Request
    easing: str = "linear"


@dataclass(frozen=True)
class Timeline:
    """Tracks of keys by AU, each in order of time. An AU without a track keeps what the photo shows."""

    tracks: Mapping[str, Sequence[Key]]

    @property
    def seconds(self) -> float:
        """When the last key is reached."""
        return max(keys[-1].time for keys in self.tracks.values())

    def at(self, time: float, shown: Mapping[str, float]) -> dict[str, float]:
        """Return the target at a time in seconds, by AU.

        Before its first key an AU is interpolated from the photo's intensity at time 0; after its last it is constant.

        Args:
            time: in seconds.
            shown: by AU, of the photo; AUs that are not in it are left out.
        """
        target = dict(shown)
        for code in self.tracks.keys() & shown.keys():
            keys = self.tracks[code]
            before, after = _around(keys, time)
            start = shown[code] if before is None else before.request.resolve(shown[code])
            if after is None:
                target[code] = start
                continue
            begin = 0.0 if before is None else before.time
            share = EASINGS[after.easing]((time - begin) / (after.time - begin)) if after.time > begin else 1.0
            target[code] = (1 - share) * start + share * after.request.resolve(shown[code])
        return target


def read_timeline(path: Path, known: Iterable[str] = DEFAULT_AUS) -> Timeline:
    """Read a timeline: keyframes in JSON, or a CSV of AUs, of OpenFace 2 or of ARKit blendshapes, a row a frame.

    Args:
        path: ``.json`` or ``.csv``; docs/films.md shows all forms.
        known: AUs of the model. Keyframes must name these; columns of a CSV that are not among them are left out.

    Raises:
        ActionUnitError: it cannot be read, or a time, an AU, an intensity or an easing is not possible; the message
            names it.
    """
    known = tuple(known)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ActionUnitError(f"{path}: cannot read the timeline ({error})") from error
    tracks: dict[str, list[Key]] = {}
    last = -1.0
    rows = _of_json(path, text, known) if path.suffix.lower() == ".json" else _of_csv(path, text, known)
    for where, time, easing, requests in rows:
        if not (math.isfinite(time) and last < time <= 600):
            raise ActionUnitError(f"{where}: time {time:g}; times rise, from 0 to 600 seconds")
        last = time
        if easing not in EASINGS:
            raise ActionUnitError(f"{where}: unknown easing {easing!r}; it is one of {', '.join(EASINGS)}")
        for request in requests:
            if request.side:
                raise ActionUnitError(f"{where}: {request.name}; a timeline moves both sides, write {request.code}")
            tracks.setdefault(request.code, []).append(Key(time, request, easing))
    if not tracks:
        raise ActionUnitError(f"{path}: no keyframe names an AU that the model knows ({', '.join(known)})")
    return Timeline(tracks)


_Row = tuple[str, float, str, tuple[Request, ...]]


def _of_json(path: Path, text: str, known: Sequence[str]) -> Iterable[_Row]:
    try:
        content = parse_json(text)
        frames = content["keyframes"]
        rows = [(frame["time"], frame["aus"], frame.get("easing", "smooth")) for frame in frames]
    except ValueError as error:
        raise ActionUnitError(f"{path}: not JSON ({error})") from error
    except (KeyError, TypeError, AttributeError) as error:
        form = '{"keyframes": [{"time": 1.0, "aus": {"AU12": 0.8}, "easing": "smooth"}]}'
        raise ActionUnitError(f"{path}: expected {form}; {error} is missing or of another kind") from error
    for number, (time, aus, easing) in enumerate(rows, start=1):
        where = f"{path}, keyframe {number}"
        if isinstance(time, bool) or not isinstance(time, int | float) or time < 0 or not isinstance(aus, dict):
            raise ActionUnitError(f"{where}: time {time!r} and aus {aus!r}; expected seconds and an object of AUs")
        try:
            yield where, float(time), str(easing), requests_from_mapping(aus, known)
        except ActionUnitError as error:
            raise ActionUnitError(f"{where}: {error}") from error


def _of_csv(path: Path, text: str, known: Sequence[str]) -> Iterable[_Row]:
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    try:
        rows, names = list(reader), reader.fieldnames or []
    except csv.Error as error:
        raise ActionUnitError(f"{path}: cannot be read as a table ({error})") from error
    columns = {name.strip().lower(): name for name in names if name}
    intensities, time_of = _columns(path, columns, known)
    first: float | None = None
    for number, row in enumerate(rows, start=2):
        where = f"{path}, line {number}"
        if None in row or None in row.values():
            raise ActionUnitError(f"{where}: not as many cells as there are columns ({len(names)})")
        try:
            time = time_of(row)
            first = time if first is None else first
            values = {code: read(row) for code, read in intensities.items()}
            requests = tuple(Request(code, value) for code, value in values.items() if value is not None)
        except (ValueError, TypeError, ActionUnitError) as error:
            raise ActionUnitError(f"{where}: {error}") from error
        for request in requests:
            if not 0 <= request.value <= 1:
                raise ActionUnitError(f"{where}: {request.code} {request.value:g}; an intensity lies in [0, 1]")
        yield where, time - first, "linear", requests


_Cell = Callable[[Mapping[str, str]], float | None]


def _columns(
    path: Path, columns: Mapping[str, str], known: Sequence[str]
) -> tuple[dict[str, _Cell], Callable[[Mapping[str, str]], float]]:
    """Return how to read each AU and the time from a row; by which columns there are."""

    def number(name: str, of: Callable[[float], float] = float) -> _Cell:
        return lambda row: of(float(row[name])) if row[name].strip() else None

    def shapes(names: Sequence[Sequence[str]]) -> _Cell:
        return lambda row: min(1.0, max(sum(float(row[name]) for name in part) / len(part) for part in names))

    time = next((columns[name] for name in ("time", "timestamp") if name in columns), None)
    found: dict[str, _Cell] = {}
    if "eyeblinkleft" in columns or "jawopen" in columns:
        for code in (code for code in known if code in ARKIT):
            sides = [[f"{name}left".lower(), f"{name}right".lower(), name.lower()] for name in ARKIT[code]]
            parts = [[columns[side] for side in names if side in columns] for names in sides]
            if parts := [part for part in parts if part]:
                found[code] = shapes(parts)
        if time is None and "timecode" in columns:
            return found, lambda row: _seconds(row[columns["timecode"]])
    elif any(name.endswith("_r") for name in columns):
        found = {code: number(columns[f"{code}_r".lower()], lambda v: intensity_from_facs(min(v, 5.0)))
                 for code in known if f"{code}_r".lower() in columns}  # fmt: skip
    else:
        found = {code: number(columns[code.lower()]) for code in known if code.lower() in columns}
    if time is None or not found:
        raise ActionUnitError(
            f"{path}: expected the columns time and AU12 ..., OpenFace's (timestamp, AU12_r ...) or ARKit's (Timecode, "
            "jawOpen ...)"
        )
    return found, lambda row: float(row[time])


def _seconds(code: str) -> float:
    """Return the seconds of a time code such as 14:05:32:12.5."""
    match = re.fullmatch(r"\s*(\d+):(\d+):(\d+)[:;.](\d+(?:\.\d+)?)\s*", code)
    if match is None:
        raise ValueError(f"time code {code!r}; expected hours:minutes:seconds:frames")
    hours, minutes, seconds, frames = (float(part) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + frames / _ARKIT_RATE


def _around(keys: Sequence[Key], time: float) -> tuple[Key | None, Key | None]:
    """Return the last key that is reached at a time, and the next."""
    reached = bisect.bisect_right(keys, time, key=lambda key: key.time)
    return (keys[reached - 1] if reached else None), (keys[reached] if reached < len(keys) else None)
