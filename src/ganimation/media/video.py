"""Write films: MP4 by PyAV, GIF and WebP by Pillow. Frames are made while others are written; few are in memory."""

import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganimation.errors import MediaError, require
from ganimation.files import atomic
from ganimation.media.ahead import ahead
from ganimation.media.clip import Clip, Frame, reason
from ganimation.media.credentials import add_credentials
from ganimation.media.images import check_writable
from ganimation.media.provenance import Provenance, add_to_film, packet
from ganimation.media.sound import SoundTrack

#: The formats that films are written in.
SUFFIXES = (".mp4", ".gif", ".webp")

Pixels = NDArray[np.uint8]


def write_film(
    frames: Iterable[Pixels], path: str | os.PathLike[str], fps: float, provenance: Provenance | None = None
) -> int:
    """Write frames (RGB uint8, all of one size) as a film, whole or not at all; return how many there were.

    Args:
        frames: at least one.
        path: .mp4 (H.264), .gif (at most 50 frames a second) or .webp.
        fps: frames a second.
        provenance: what the file says of how it was made.

    Raises:
        MediaError: the place or the format cannot hold it, or there are no frames.
    """
    rate = Fraction(fps).limit_denominator(1001)
    return write_timed(
        (Frame(frame, number / rate) for number, frame in enumerate(frames)), path, rate, provenance=provenance
    )


def thinned(frames: Iterable[Frame], rate: Fraction) -> Iterator[Frame]:
    """Yield at most ``rate`` frames a second, each the first at or after the time that is due."""
    due = None
    for frame in frames:
        if due is None or frame.time >= due:
            due = (frame.time if due is None else due) + 1 / rate
            due = max(due, frame.time)  # after a gap nothing is made up for
            yield frame


def write_timed(
    frames: Iterable[Frame],
    path: str | os.PathLike[str],
    rate: Fraction,
    time_base: Fraction | None = None,
    sound: Clip | None = None,
    provenance: Provenance | None = None,
) -> int:
    """Write frames at their own times as a film, whole or not at all; return how many there were.

    Args:
        frames: at least one, of one size, times rising.
        path: .mp4 keeps times and sound; .gif and .webp are written at the average rate, without sound.
        rate: frames a second, on average.
        time_base: unit of the times, in seconds; ``None`` for one frame.
        sound: a film whose sound track is added up to the last frame; copied where MP4 can hold it, else encoded as
            AAC.
        provenance: what the file says of how it was made.

    Raises:
        MediaError: the place or the format cannot hold it, or there are no frames.
        MissingExtraError: an .mp4, and the extra ``films`` is not installed.
    """
    path = check_writable(path, SUFFIXES)
    with closing(ahead(frames)) as stream:
        first = next(stream, None)
        if first is None:
            raise MediaError(f"{path}: no frames to write")
        return _write(itertools.chain([first], stream), first, path, rate, time_base, sound, provenance)


def _write(
    frames: Iterator[Frame],
    first: Frame,
    path: Path,
    rate: Fraction,
    time_base: Fraction | None,
    sound: Clip | None,
    provenance: Provenance | None,
) -> int:
    counted = _Counted(frames)
    with atomic(path) as temporary:
        if path.suffix.lower() == ".mp4":
            av = require("av", "films")
            try:
                _write_mp4(counted, temporary, rate, time_base or 1 / rate, first.pixels.shape[:2], sound)
            except av.error.FFmpegError as error:
                raise MediaError(f"{path}: cannot be encoded as MP4 ({reason(error)})") from error
        else:
            pictures = (frame.pixels for frame in counted)
            xmp = packet(provenance) if provenance else b""
            _write_animation(pictures, temporary, float(rate), path.suffix.lower(), xmp)
        if provenance:
            add_to_film(temporary, provenance)
            add_credentials(temporary, provenance, path.suffix.lower())
    return counted.count


class _Counted:
    """Frames, counted as they pass."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames, self.count = frames, 0

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            self.count += 1
            yield frame


def _write_mp4(
    frames: Iterable[Frame],
    path: Path,
    rate: Fraction,
    time_base: Fraction,
    shape: tuple[int, int],
    sound: Clip | None,
) -> None:
    av = require("av", "films")
    height, width = shape
    with av.open(path, "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = width + width % 2, height + height % 2  # 4:2:0 subsampling needs even sides
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "18", "preset": "veryfast"}
        stream.time_base = stream.codec_context.time_base = time_base
        colours = stream.codec_context  # tag the colours as BT.709 (1), or players guess from the size
        colours.color_primaries = colours.color_trc = colours.colorspace = colours.color_range = 1
        with SoundTrack(container, sound) as track:
            for frame in frames:
                pixels = frame.pixels
                if pixels.shape[:2] != (stream.height, stream.width):
                    edges = (0, stream.height - height, 0, stream.width - width)
                    pixels = np.asarray(cv2.copyMakeBorder(pixels, *edges, cv2.BORDER_REPLICATE), np.uint8)
                rgb = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                ready = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
                ready.pts, ready.time_base = round(frame.time / time_base), time_base
                container.mux(stream.encode(ready))
                track.mux_until(frame.time + 1 / rate)
            container.mux(stream.encode(None))


def _write_animation(frames: Iterable[Pixels], path: Path, fps: float, suffix: str, xmp: bytes) -> None:
    unit = 10 if suffix == ".gif" else 1  # milliseconds that the format counts in
    every = (
        max(1, -(-round(fps * 2 * unit) // 1000)) if suffix == ".gif" else 1
    )  # players slow what is above 50 a second
    options: dict[str, Any] = {"quality": 90, "method": 2} if suffix == ".webp" else {"optimize": False}
    if suffix == ".webp" and xmp:
        options["xmp"] = xmp

    def pictures() -> Iterator[Image.Image]:
        """Yield what is kept of the frames, each with its duration in milliseconds."""
        for number, frame in enumerate(itertools.islice(frames, None, None, every)):
            begins, ends = (round(1000 * index * every / fps / unit) * unit for index in (number, number + 1))
            picture = Image.fromarray(frame)
            if suffix == ".gif":
                picture = picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
            picture.info["duration"] = ends - begins
            yield picture

    rest = pictures()
    first = next(rest)
    first.save(path, save_all=True, append_images=rest, loop=0, **options)


def shrink(pixels: Pixels, longest: int) -> Pixels:
    """Return an image whose longest side is at most ``longest`` pixels."""
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1.0:
        return pixels
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
