"""Films and charts of the page."""

import csv
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
import numpy as np

from ganimation.action_units import ACTION_UNITS
from ganimation.editing.animation import EASINGS
from ganimation.editing.editor import Editor
from ganimation.editing.films import drive_photo, watch
from ganimation.errors import FaceError, MediaError
from ganimation.media.clip import Clip, Frame
from ganimation.media.provenance import Provenance
from ganimation.media.video import shrink, write_film, write_timed
from ganimation.web.media import open_clip, open_photo
from ganimation.web.photo_state import PhotoState, Pixels, chosen
from ganimation.web.store import Store

FPS = 20.0
#: Longest duration in seconds: of an animation, and of a film that drives or is measured.
LONGEST, LONGEST_FILM = 10.0, 60.0
#: Limits for such a film: frames that are read, and seconds for reading or drawing them.
MOST_FRAMES, PATIENCE = 3600, 300.0
SIDE = 640
#: Lines of a chart.
SHOWN = 6

Progress = Callable[..., Any]
T = TypeVar("T")


def kinds() -> list[str]:
    """Return the film formats that can be written on this installation."""
    return [*(["MP4"] if find_spec("av") else []), "WebP", "GIF"]


def animate(
    editor: Editor,
    work: PhotoState,
    ends: Sequence[Mapping[str, float]],
    path: Path,
    easing: str,
    seconds: float,
    *,
    back: bool,
    progress: Progress,
) -> None:
    """Write the photo's face moving from one expression to another, and back."""
    session = chosen(work)
    count = max(2, round(min(seconds, LONGEST) * FPS))
    way = [number / (count - 1) for number in range(count)]
    if back:
        way = [min(2 * t, 2 - 2 * t) for t in way]

    def frames() -> Iterator[Pixels]:
        for number, t in enumerate(way, start=1):
            share = EASINGS[easing](t)
            aim = {code: (1 - share) * ends[0][code] + share * ends[1][code] for code in ends[0]}
            yield shrink(session.towards(lambda shown, aim=aim: aim).image, SIDE)  # type: ignore[misc]
            progress((number, count), unit="frames")

    first, last = (work.changes(end) for end in ends)
    made = Provenance("animate", editor.fingerprint, ({"from": first, "asked": last},), {"easing": easing})
    write_film(frames(), path, FPS, made)


def drive(
    editor: Editor,
    work: PhotoState,
    film: str | None,
    path: Path,
    strength: float,
    regions: Sequence[str],
    progress: Progress,
) -> None:
    """Write the photo's face moving as the face of a film does."""
    clip = _open(film)
    session = chosen(work)
    total = max(1, min(clip.count or 1, round(LONGEST_FILM * clip.rate)))
    done = itertools.count(1)
    acted = watch(editor.reader, _short(clip), count=lambda: progress((next(done), total), unit="frames watched"))
    changes = acted.changes(acted.neutral(), strength, regions)
    drawn = itertools.count(1)
    frames = (
        (progress((next(drawn), len(acted.times)), unit="frames drawn"), frame)[1]
        for frame in patient(drive_photo(session, acted, changes))
    )
    details = {"strength": strength, "regions": list(regions)}
    made = Provenance("drive", editor.fingerprint, details=details)
    write_timed(frames, path, clip.rate, clip.time_base, clip, made)


def shown(path: Path) -> list[Any]:
    """Return updates of the video player, the animated image (one of the two is hidden) and the download."""
    film = path.suffix == ".mp4"
    return [
        gr.Video(str(path) if film else None, visible=film),
        gr.Image(None if film else str(path), visible=not film),
        gr.File(str(path), visible=True),
    ]


def measure_photo(editor: Editor, path: str | None, store: Store, max_pixels: int) -> list[Any]:
    """Return a bar chart of a photo, no line chart, and the numbers as a file."""
    import pandas as pd

    if path is None:
        raise MediaError("no file yet; drop a photo or a film")
    table = store.place(f"{Path(path).stem}.csv")
    faces = editor.read(open_photo(Path(path), max_pixels))
    if not faces:
        raise FaceError("no face found; it must be turned to the camera and at least about 20 pixels wide")
    rows = [{"face": number} | face.aus for number, face in enumerate(faces, start=1)]
    _write(table, ["face", *editor.reader.aus], rows)
    bars = [
        {"AU": _title(code), "intensity": value, "face": f"face {number}"}
        for number, face in enumerate(faces[:4], start=1)
        for code, value in face.aus.items()
    ]
    file = gr.File(str(table), visible=True)
    return [gr.BarPlot(pd.DataFrame(bars), visible=True), gr.LinePlot(visible=False), file]


def measure_film(editor: Editor, path: str, store: Store, progress: Progress) -> list[Any]:
    """Return no bar chart, a line chart of a film, and the numbers as a file."""
    import pandas as pd

    clip, table = _open(path), store.place(f"{Path(path).stem}.csv")
    total, done = max(1, clip.count), itertools.count(1)
    acted = watch(editor.reader, _short(clip), count=lambda: progress((next(done), total), unit="frames"))
    times = [float(time) for time in acted.times]
    values = acted.values.tolist()
    rows = [{"time": time} | dict(zip(acted.aus, row, strict=True)) for time, row in zip(times, values, strict=True)]
    _write(table, ["time", *acted.aus], rows)
    highest = np.nanmax(acted.values, axis=0)
    most = sorted(np.argsort(-highest, kind="stable")[:SHOWN])
    lines = [
        {"seconds": time, "intensity": row[index], "AU": _title(acted.aus[index])}
        for time, row in zip(times, values, strict=True)
        for index in most
    ]
    chart = gr.LinePlot(pd.DataFrame(lines).dropna(), visible=True, title=f"The {SHOWN} that are strongest")
    return [gr.BarPlot(visible=False), chart, gr.File(str(table), visible=True)]


def _title(code: str) -> str:
    return f"{code} {ACTION_UNITS[code].name}"


def _open(path: str | None) -> Clip:
    if path is None:
        raise MediaError("no film yet; drop one, or record yourself")
    return open_clip(Path(path), PATIENCE)


def _short(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield the frames of the first minute, at most :data:`MOST_FRAMES`."""
    return patient(itertools.islice(itertools.takewhile(lambda frame: frame.time <= LONGEST_FILM, frames), MOST_FRAMES))


def patient(items: Iterable[T]) -> Iterator[T]:
    """Yield items for at most :data:`PATIENCE` seconds.

    Raises:
        MediaError: they take longer.
    """
    end = time.monotonic() + PATIENCE
    for item in items:
        if time.monotonic() > end:
            raise MediaError(f"this takes over {PATIENCE / 60:.0f} minutes here; give a shorter or a smaller film")
        yield item


def _write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
            )
