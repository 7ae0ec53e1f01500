"""Films and charts of the page."""

import base64
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
from ganimation.editing.live import LiveDriver
from ganimation.errors import FaceError, MediaError
from ganimation.faces.reader import Face
from ganimation.media.camera import Latency
from ganimation.media.clip import Clip, Frame
from ganimation.media.images import to_srgb
from ganimation.media.provenance import Provenance
from ganimation.media.video import shrink, write_film, write_timed
from ganimation.web.media import open_clip, open_photo
from ganimation.web.photo_state import PhotoState, Pixels, chosen, of_side
from ganimation.web.store import Store, remove

FPS = 20.0
#: Longest duration in seconds: of an animation, and of a film that drives or is measured.
LONGEST, LONGEST_FILM = 10.0, 60.0
#: Seconds that a camera drives without being started anew.
LONGEST_LIVE = 300.0
#: Limits for such a film: frames that are read, and seconds for reading or drawing them.
MOST_FRAMES, PATIENCE = 3600, 300.0
SIDE = 640
#: Lines of a chart.
SHOWN = 6
#: Faces of a photo whose bars are shown; the file has all.
COLUMNS = 4
#: What laymen call the movements.
PLAIN = {
    "AU01": "Inner brows up", "AU02": "Outer brows up", "AU04": "Frown", "AU05": "Eyes wide", "AU06": "Cheeks up",
    "AU07": "Lids tight", "AU09": "Nose wrinkled", "AU10": "Upper lip up", "AU12": "Smile", "AU14": "Dimples",
    "AU15": "Mouth corners down", "AU17": "Chin up", "AU18": "Lips pursed", "AU20": "Mouth wide", "AU23": "Lips tight",
    "AU24": "Lips pressed", "AU25": "Lips apart", "AU26": "Jaw open", "AU28": "Lips in", "AU45": "Eyes closed",
}  # fmt: skip

Progress = Callable[..., Any]
T = TypeVar("T")


class LivePhoto:
    """A visitor's photo, driven by the frames of their camera.

    Args:
        asked: what it was made for; where a visitor asks for something else, another is made.
        driver: of the photo.
    """

    def __init__(self, asked: tuple[object, ...], driver: LiveDriver) -> None:
        self.asked, self._driver, self._latency, self._began = asked, driver, Latency(), time.monotonic()

    def __deepcopy__(self, memo: dict[int, object]) -> "LivePhoto":
        """Return itself: Gradio copies what a session begins with, and this begins later."""
        return self

    def show(self, frame: str, path: Path, max_pixels: int) -> Pixels:
        """Return the photo as a frame, a data URL, drives it; ``path`` is used meanwhile.

        Raises:
            MediaError: not a picture.
        """
        came = time.monotonic()
        try:
            path.write_bytes(base64.b64decode(frame.partition(",")[2], validate=True))
        except ValueError:
            raise MediaError("the camera's frame is damaged") from None
        try:
            pixels = shrink(to_srgb(open_photo(path, max_pixels)), SIDE)
        finally:
            remove(path)
        picture = self._driver(pixels, came - self._began)
        self._latency.add(came)
        return picture

    def text(self) -> str:
        """Return what a person should know of the speed."""
        return self._latency.text(50)


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
            right, left = (
                {code: (1 - share) * one + share * last[code] for code, one in first.items()}
                for first, last in ([of_side(end, side) for end in ends] for side in ("R", "L"))
            )
            sides = [lambda shown, aim=aim: aim for aim in ((right,) if right == left else (right, left))]
            yield shrink(session.towards(*sides).image, SIDE)
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
    """Return bars of a photo's faces, no line chart, and the numbers as a file."""
    if path is None:
        raise MediaError("no file yet; drop one at Photo or film")
    table = store.place(f"{Path(path).stem}.csv")
    faces = editor.read(open_photo(Path(path), max_pixels))
    if not faces:
        raise FaceError("no face found; it must be turned to the camera and at least about 20 pixels wide")
    rows = [{"face": number} | face.aus for number, face in enumerate(faces, start=1)]
    _write(table, ["face", *editor.reader.aus], rows)
    return [gr.HTML(bars(faces), visible=True), gr.LinePlot(visible=False), gr.File(str(table), visible=True)]


def bars(faces: Sequence[Face]) -> str:
    """Return a table of bars as HTML: a row an AU, a column a face, at most :data:`COLUMNS`."""
    shown = faces[:COLUMNS]
    heads = "".join(
        f"<th>{f'Face {number}' if len(faces) > 1 else 'Intensity'}</th>" for number in range(1, len(shown) + 1)
    )
    rows = []
    for code in shown[0].aus:
        cells = "".join(
            f'<td><div class="bar"><i style="width: {100 * face.aus[code]:.0f}%"></i></div>{face.aus[code]:.2f}</td>'
            for face in shown
        )
        rows.append(f'<tr title="{muscle(code)}"><th>{plain_name(code)}</th>{cells}</tr>')
    doubts = "".join(
        f"<p>Face {number} is doubtful: {face.doubt}.</p>" for number, face in enumerate(shown, start=1) if face.doubt
    )
    return f'<table class="bars"><tr><th></th>{heads}</tr>{"".join(rows)}</table>{doubts}'


def plain_name(code: str) -> str:
    """Return what a layman would call an AU's movement, and its code: ``Smile (AU12)``."""
    return f"{PLAIN.get(code, ACTION_UNITS[code].name.capitalize())} ({code})"


def muscle(code: str) -> str:
    """Return the name of an AU in FACS and its muscle."""
    return f"{ACTION_UNITS[code].name}: {ACTION_UNITS[code].muscle}"


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
    return [gr.HTML(visible=False), chart, gr.File(str(table), visible=True)]


def _title(code: str) -> str:
    return f"{code} {ACTION_UNITS[code].name}"


def _open(path: str | None) -> Clip:
    if path is None:
        raise MediaError("no film yet; drop one at Film, or record yourself there")
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
