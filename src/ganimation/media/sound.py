"""Mux the sound track of one film with the frames of another, incrementally, up to the last frame."""

import itertools
import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ganimation.errors import MediaError, require
from ganimation.media.clip import Clip, open_container

if TYPE_CHECKING:
    from av import Packet
    from av.container import OutputContainer

#: Codecs that MP4 holds and players expect there; their packets are copied from containers whose times are exact.
#: Everything else becomes AAC.
_COPIED = ("aac", "mp3", "ac3", "alac", "opus")
#: Seconds before the first picture whose sound is looked at: a packet may reach into the film.
BEFORE = 1
_EXACT = frozenset({"mp4", "mov", "matroska", "webm"})


class SoundTrack:
    """A sound track that is being written. Nothing is written if the film has none.

    Args:
        container: of the film that is written, before its first frame.
        clip: the film whose sound it is; ``None`` for silence.
    """

    def __init__(self, container: "OutputContainer", clip: Clip | None) -> None:
        self._container, self._source, self._start, self._end = container, None, Fraction(0), math.inf
        self._packets: Iterator[tuple[Fraction, Packet[Any]]] = iter(())
        if clip is None or not clip.has_sound:
            return
        source = open_container(clip.path)
        self._source, self._start = source, clip.start
        if clip.patience:
            self._end = monotonic() + clip.patience
        if clip.start > BEFORE:
            with suppress(require("av", "films").error.FFmpegError):  # without an index all is read
                source.seek(int((clip.start - BEFORE) * 1_000_000))
        stream = source.streams.audio[0]
        if stream.codec_context is None:  # no decoder for this codec: no sound is written
            return
        if stream.codec_context.name in _COPIED and _EXACT & set(source.format.name.split(",")):
            copy = container.add_stream_from_template(stream)
            self._packets = _copied(source, copy)
        else:
            encoded = container.add_stream("aac", rate=stream.codec_context.sample_rate or 48000)
            self._packets = _encoded(source, encoded)

    def mux_until(self, time: Fraction) -> None:
        """Write the sound that is heard before a time, in seconds.

        Raises:
            MediaError: that takes longer than the film may.
        """
        for at, packet in self._packets:
            if monotonic() > self._end:
                raise MediaError("its sound takes too long; give a shorter or a smaller film")
            if at < self._start - BEFORE:
                continue
            if at - self._start >= time:
                self._packets = itertools.chain([(at, packet)], self._packets)
                return
            shift = round(self._start / Fraction(packet.time_base)) if packet.time_base else 0
            packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
            self._container.mux(packet)

    def __enter__(self) -> "SoundTrack":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._source is not None:
            self._source.close()


def _copied(source, copy) -> Iterator[tuple[Fraction, "Packet[Any]"]]:  # type: ignore[no-untyped-def]
    """Yield the packets of a track, with their times; a damaged end ends it."""
    av = require("av", "films")
    last = None
    try:
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None and packet.pts is not None and (last is None or packet.dts > last):
                last = packet.dts
                at = packet.pts * packet.time_base
                packet.stream = copy
                yield at, packet
    except av.error.FFmpegError:
        return


def _encoded(source, encoder) -> Iterator[tuple[Fraction, "Packet[Any]"]]:  # type: ignore[no-untyped-def]
    """Yield a track as AAC."""
    av = require("av", "films")
    context = encoder.codec_context
    resampler = av.AudioResampler(format=context.format, layout=context.layout, rate=context.sample_rate)

    def frames() -> Iterator[object]:
        try:
            after = None  # the last sample: some containers (AVI) give times so roughly that frames overlap
            for frame in source.decode(source.streams.audio[0]):
                for part in resampler.resample(frame):
                    begins = round((part.pts or 0) * (part.time_base or Fraction(0)) * context.sample_rate)
                    begins = begins if after is None else max(begins, after)
                    part.pts, part.time_base = begins, Fraction(1, context.sample_rate)
                    after = begins + part.samples
                    yield part
        except av.error.FFmpegError:
            pass
        yield None

    for frame in frames():
        for packet in encoder.encode(frame):
            if packet.pts is not None:
                yield packet.pts * packet.time_base, packet
