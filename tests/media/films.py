"""Films for tests, made here."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from tests.conftest import Pixels


def film(
    path: Path,
    frames: Iterable[Pixels],
    *,
    rate: int = 25,
    times: Iterable[int] | None = None,
    sound: str = "",
    codec: str = "libx264",
    format_: str = "yuv420p",
) -> Path:
    """Write a film with PyAV: frames at ``times`` (in units of 1 / rate), a tone of the codec ``sound``."""
    frames = list(frames)
    places = list(times) if times is not None else list(range(len(frames)))
    with av.open(path, "w") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=rate))
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], format_
        stream.codec_context.time_base = Fraction(1, rate)
        track = cast(AudioStream, container.add_stream(sound, rate=48000)) if sound else None
        for pixels, place in zip(frames, places, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=format_)
            frame.pts, frame.time_base = place, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            count = round(48000 * (places[-1] + 1) / rate)
            tone = (0.3 * np.sin(np.arange(count) / 20)).astype(np.float32)
            block = track.codec_context.frame_size or 1024
            for start in range(0, count - block + 1, block):
                part = av.AudioFrame.from_ndarray(np.stack([tone[start : start + block]] * 2), "fltp", "stereo")
                part.sample_rate, part.pts, part.time_base = 48000, start, Fraction(1, 48000)
                container.mux(track.encode(part))
            container.mux(track.encode(None))
    return path


def stripes(count: int, width: int = 64, height: int = 48) -> list[Pixels]:
    """Return frames in which a bar grows."""
    frames = []
    for index in range(count):
        frame = np.zeros((height, width, 3), np.uint8)
        frame[:, : (index + 1) * width // count] = (200, 100, 50)
        frames.append(frame)
    return frames
