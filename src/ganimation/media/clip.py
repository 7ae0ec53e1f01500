"""Read films frame by frame: upright, 8-bit, with their own times. Only the current and the next two are in memory."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ganimation.errors import MediaError, require
from ganimation.media.ahead import ahead

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

#: Width times height above which frames are refused unless the caller sets another limit.
MAX_PIXELS = 100_000_000
_PLAYLISTS = (".m3u8", ".m3u", ".mpd", ".ffconcat")
#: Suffixes of files that are read as films rather than photos.
CLIP_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".3gp")
# Formats that are opened, by FFmpeg's names. Playlists are excluded: opening one opens the files that it names, and one
# that names itself recurses until the stack overflows.
_FORMATS = ("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpeg", "mpegts", "mpegvideo", "asf")
#: Transfer curves of high dynamic range, by their numbers in ITU-T H.273: PQ and HLG.
_HDR = (16, 18)
_UNKNOWN_CODEC = "its codec cannot be read here; give H.264, HEVC, VP9 or AV1"

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """A frame of a film.

    Attributes:
        pixels: upright RGB uint8, (H, W, 3).
        time: when it is shown, in seconds after the first.
    """

    pixels: Pixels
    time: Fraction


class Clip:
    """A film on disk. Iterating reads it from its beginning, as often as one likes.

    Attributes:
        path: of the file.
        width: of an upright frame, in pixels; likewise height.
        rate: frames a second, on average.
        time_base: unit of its frames' times, in seconds.
        start: when the first frame is shown, in the file's own time.
        count: frames that the file says it has; 0 where it does not say.
        has_sound: whether there is a sound track.
        notice: what a user should know of it (HDR, more than 8 bits), or empty.
        patience: time limit of an iteration, in seconds.
        damaged: after iterating: the file broke off at this many seconds; ``None`` if it did not.

    Args:
        path: of a file that FFmpeg reads.
        max_pixels: width times height above which no frame is decoded.
        patience: time limit in seconds for one iteration, including the caller's work between frames; 0 for none.

    Raises:
        MediaError: there is none, it is not a film, its frames are too large, or it has no pictures.
        MissingExtraError: the extra ``films`` is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS, patience: float = 0.0) -> None:
        self.path = Path(path)
        self._max_pixels, self.patience = max_pixels, patience
        self.damaged: float | None = None
        with self._open() as container:
            stream = container.streams.video[0]
            self._check_size(stream.width, stream.height)
            first = next(self._decoded(container), None)
            if first is None:
                raise MediaError(f"{self.path}: a film without a single frame that can be read; give another file")
            pixels = _upright(first)
            self.height, self.width = pixels.shape[:2]
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self.time_base = Fraction(stream.time_base or Fraction(1, 90000))
            self.start = Fraction(first.pts or 0) * self.time_base
            self.count = stream.frames
            self.has_sound = bool(container.streams.audio)
            self.notice = _notice(first)
        self.damaged = None

    def __repr__(self) -> str:
        return (
            f"<Clip {self.path.name}: {self.width}x{self.height}, {float(self.rate):g} frames/s, {self.count} frames>"
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; a file that breaks off ends there and says so in ``damaged``."""
        with closing(ahead(self._frames())) as frames:
            yield from frames

    def _frames(self) -> Iterator[Frame]:
        self.damaged, last, number = None, Fraction(-1), 0
        with self._open() as container:
            for number, frame in enumerate(self._decoded(container)):
                at = number / self.rate if frame.pts is None else Fraction(frame.pts) * self.time_base - self.start
                if at > last:  # a frame out of order or without time of its own is dropped, as players do
                    last = at
                    yield Frame(_upright(frame), at)
            if self.damaged is None and self.count and last >= 0 and number + 1 < 0.9 * self.count:
                self.damaged = float(last)

    def _open(self) -> "InputContainer":
        if not self.path.is_file():
            raise MediaError(f"{self.path}: no such file")
        container = open_container(self.path)
        if not container.streams.video:
            container.close()
            raise MediaError(f"{self.path}: a film without pictures (sound only?); give one that shows a face")
        if container.streams.video[0].codec_context is None:
            container.close()
            raise MediaError(f"{self.path}: {_UNKNOWN_CODEC}")
        container.streams.video[0].thread_type = "AUTO"
        container.streams.video[0].codec_context.options = {"max_pixels": str(self._max_pixels)}
        return container

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._max_pixels:
            raise MediaError(
                f"{self.path}: frames of {width}x{height}, the limit is {self._max_pixels / 1e6:.0f} megapixels; "
                "make it smaller"
            )

    def _decoded(self, container: "InputContainer") -> Iterator["VideoFrame"]:
        av = require("av", "films")
        seen, end = 0.0, time.monotonic() + self.patience if self.patience else math.inf
        try:
            for packet in container.demux(video=0):
                for frame in packet.decode():
                    self._check_size(frame.width, frame.height)  # a film may change it on its way
                    seen = frame.time or seen
                    yield frame
                if time.monotonic() > end:  # also where packets give no frames, or frames that are dropped
                    minutes = self.patience / 60
                    raise MediaError(f"this takes over {minutes:.0f} minutes here; give a shorter or a smaller film")
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, av.error.DecoderNotFoundError):
                raise MediaError(f"{self.path}: {_UNKNOWN_CODEC}") from error
            self.damaged = seen


def open_container(path: Path) -> "InputContainer":
    """Open a film with FFmpeg; formats that refer to other files or addresses are refused.

    Raises:
        MediaError: it is something else.
        MissingExtraError: the extra ``films`` is not installed.
    """
    av = require("av", "films")
    if path.suffix.lower() in _PLAYLISTS:
        raise MediaError(f"{path}: a list of films, not a film; give an MP4")
    options = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file"}
    try:
        container: InputContainer = av.open(str(path), options=options)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise MediaError(f"{path}: not a film that can be read ({reason(error)}); give an MP4") from error
    return container


def is_clip(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is taken for a film, by its ending."""
    return Path(path).suffix.lower() in CLIP_SUFFIXES


def _upright(frame: "VideoFrame") -> Pixels:
    """Return a frame as sRGB pixels, turned as the file says."""
    from av.video.reformatter import ColorRange, Colorspace

    named = {
        1: Colorspace.ITU709,
        5: Colorspace.ITU601,
        6: Colorspace.ITU601,
        7: Colorspace.SMPTE240M,
        9: Colorspace.BT2020,
        10: Colorspace.BT2020,
    }
    guess = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    rgb = frame.reformat(
        format="rgb24",
        src_colorspace=named.get(int(frame.colorspace), guess),
        src_color_range=ColorRange.JPEG if int(frame.color_range) == ColorRange.JPEG else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    ).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, frame.rotation // 90 % 4), np.uint8)


def _notice(frame: "VideoFrame") -> str:
    """Return what is lost when the film is read in 8 bits."""
    bits = max(component.bits for component in frame.format.components)
    if int(getattr(frame, "color_trc", 0)) in _HDR:
        return f"HDR ({bits} bits): read as standard dynamic range in 8 bits, without tone mapping"
    return f"{bits} bits a colour: read in 8" if bits > 8 else ""


def reason(error: Exception) -> str:
    """Return the short message of an error of FFmpeg."""
    return getattr(error, "strerror", None) or str(error).splitlines()[0]
