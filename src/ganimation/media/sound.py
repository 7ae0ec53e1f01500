"""Lay the sound of one film under the pictures of another, bit by bit, as far as the pictures go."""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ganimation.media.clip import Clip

if TYPE_CHECKING:
    from av import Packet
    from av.container import OutputContainer

#: Codecs that MP4 holds and players expect there; their packets are copied. Everything else becomes AAC.
_COPIED = ("aac", "mp3", "ac3", "alac", "opus")


class SoundTrack:
    """A sound track that is being written. Nothing is written if the film has none.

    Args:
        container: of the film that is written, before its first frame.
        clip: the film whose sound it is; ``None`` for silence.
    """

    def __init__(self, container: "OutputContainer", clip: Clip | None) -> None:
        import av

        self._container, self._source, self._start = container, None, Fraction(0)
        self._packets: Iterator[tuple[Fraction, Packet[Any]]] = iter(())
        if clip is None or not clip.has_sound:
            return
        source = av.open(str(clip.path))
        self._source, self._start = source, clip.start
        stream = source.streams.audio[0]
        if stream.codec_context.name in _COPIED:
            copy = container.add_stream_from_template(stream)
            self._packets = _copied(source, copy)
        else:
            encoded = container.add_stream("aac", rate=stream.codec_context.sample_rate or 48000)
            self._packets = _encoded(source, encoded)

    def mux_until(self, time: Fraction) -> None:
        """Write the sound that is heard before a time, in seconds."""
        for at, packet in self._packets:
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
    import av

    try:
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None and packet.pts is not None:
                at = packet.pts * packet.time_base
                packet.stream = copy
                yield at, packet
    except av.error.FFmpegError:
        return


def _encoded(source, encoder) -> Iterator[tuple[Fraction, "Packet[Any]"]]:  # type: ignore[no-untyped-def]
    """Yield a track as AAC."""
    import av

    context = encoder.codec_context
    resampler = av.AudioResampler(format=context.format, layout=context.layout, rate=context.sample_rate)

    def frames() -> Iterator[object]:
        try:
            for frame in source.decode(source.streams.audio[0]):
                yield from resampler.resample(frame)
        except av.error.FFmpegError:
            pass
        yield None

    for frame in frames():
        for packet in encoder.encode(frame):
            if packet.pts is not None:
                yield packet.pts * packet.time_base, packet
