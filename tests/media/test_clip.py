"""Reading films, and writing them at their own pace with their own sound."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ganimation.errors import MediaError, MissingExtraError
from ganimation.media.clip import Clip, is_clip
from ganimation.media.video import write_timed
from tests.media.films import film, stripes


def test_frames_come_with_their_times(tmp_path: Path) -> None:
    places = [0, 1, 2, 5, 9]  # a film of variable frame rate
    clip = Clip(film(tmp_path / "film.mp4", stripes(5), times=places))
    assert (clip.width, clip.height, clip.count, clip.has_sound, clip.notice) == (64, 48, 5, False, "")
    for _ in range(2):  # as often as one likes
        frames = list(clip)
        assert [frame.time * 25 for frame in frames] == places
        assert clip.damaged is None
    assert np.abs(frames[-1].pixels.astype(int) - (200, 100, 50)).mean() < 8


def test_written_again_it_keeps_its_times_and_its_sound(tmp_path: Path) -> None:
    places = [0, 1, 2, 5, 9, 20]
    for sound in ("aac", "pcm_s16le"):
        clip = Clip(film(tmp_path / "film.mkv", stripes(6), times=places, sound=sound))
        assert clip.has_sound
        assert write_timed(clip, tmp_path / "again.mp4", clip.rate, clip.time_base, clip) == 6
        again = Clip(tmp_path / "again.mp4")
        assert [round(frame.time * 25) for frame in again] == places
        with av.open(tmp_path / "again.mp4") as container:
            assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]
            heard = sum(frame.samples for frame in container.decode(audio=0)) / 48000
        assert heard == pytest.approx(21 / 25, abs=0.1)


def test_sound_ends_with_the_pictures(tmp_path: Path) -> None:
    clip = Clip(film(tmp_path / "film.mp4", stripes(50), sound="aac"))
    first = [frame for frame in clip if frame.time < Fraction(1, 2)]
    write_timed(first, tmp_path / "short.mp4", clip.rate, clip.time_base, clip)
    with av.open(tmp_path / "short.mp4") as container:
        heard = sum(frame.samples for frame in container.decode(audio=0)) / 48000
    assert heard == pytest.approx(0.5, abs=0.1)


def test_a_film_that_starts_late_starts_at_zero(tmp_path: Path) -> None:
    clip = Clip(film(tmp_path / "film.mkv", stripes(3), times=[50, 51, 52]))
    assert clip.start == 2
    assert [frame.time for frame in clip] == [0, Fraction(1, 25), Fraction(2, 25)]


def test_a_film_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", stripes(4))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"tkhd") + 4 + 40  # after version, times, id and so on: the matrix
    turned = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30], ">i4")
    data[at : at + 36] = turned.tobytes()
    path.write_bytes(bytes(data))
    clip = Clip(path)
    assert (clip.width, clip.height) == (48, 64)
    frame = next(iter(clip)).pixels
    assert frame[:12].mean() > frame[20:].mean() + 50  # the bar grew from the left; turned clockwise, from above


def test_colours_are_read_as_the_file_means_them(tmp_path: Path) -> None:
    grey = [np.full((48, 64, 3), 128, np.uint8)] * 2
    for format_ in ("yuv420p", "yuvj420p"):
        pixels = next(iter(Clip(film(tmp_path / "film.mp4", grey, format_=format_)))).pixels
        assert np.abs(pixels.astype(int) - 128).max() <= 3, format_


def test_ten_bits_are_read_in_eight_and_said(tmp_path: Path) -> None:
    clip = Clip(film(tmp_path / "film.mkv", stripes(2), codec="ffv1", format_="yuv420p10le"))
    assert clip.notice == "10 bits a colour: read in 8"
    assert next(iter(clip)).pixels.dtype == np.uint8


def test_a_film_that_breaks_off_says_where(tmp_path: Path) -> None:
    noise = list(np.random.default_rng(0).integers(0, 255, (50, 48, 64, 3), np.uint8))
    path = film(tmp_path / "film.mkv", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    clip = Clip(path)
    read = list(clip)
    assert 5 < len(read) < 45


def test_what_is_not_a_film_is_said(tmp_path: Path) -> None:
    for name, content in (("text.mp4", b"not a film"), ("empty.mp4", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MediaError, match="not a film that can be read"):
            Clip(tmp_path / name)
    with pytest.raises(MediaError, match="no such file"):
        Clip(tmp_path / "none.mp4")
    with av.open(tmp_path / "tone.mp4", "w") as container:
        track = container.add_stream("aac", rate=48000)
        part = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        part.sample_rate = 48000
        container.mux(track.encode(part))
        container.mux(track.encode(None))
    with pytest.raises(MediaError, match="without pictures"):
        Clip(tmp_path / "tone.mp4")


def test_films_are_known_by_their_ending() -> None:
    assert is_clip("a/b.MP4")
    assert not is_clip("a/b.gif")
    assert not is_clip("a/b.jpg")


def test_a_list_by_another_name_is_not_opened(tmp_path: Path) -> None:
    """One that names itself would be opened until the stack is full, and end the process."""
    for name, content in (
        ("self.mp4", "ffconcat version 1.0\nfile self.mp4\n"),
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfilm.ts\n#EXT-X-ENDLIST\n"),
        ("sdp.mp4", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(MediaError, match="not a film that can be read"):
            Clip(tmp_path / name)


def test_a_film_whose_frames_grow_is_refused_before_they_are_decoded(tmp_path: Path) -> None:
    small = film(tmp_path / "small.mkv", stripes(3), codec="mjpeg", format_="yuvj420p")
    large = film(tmp_path / "large.mkv", stripes(3, 1600, 1200), codec="mjpeg", format_="yuvj420p")
    with av.open(small) as one, av.open(large) as two, av.open(tmp_path / "both.mkv", "w") as both:
        stream = both.add_stream_from_template(one.streams.video[0])
        for number, packet in enumerate([*one.demux(video=0), *two.demux(video=0)]):
            if packet.size:
                packet.stream, packet.pts, packet.dts = stream, number * 40, number * 40
                both.mux(packet)
    assert len(list(Clip(tmp_path / "both.mkv"))) == 6
    clip = Clip(tmp_path / "both.mkv", 64 * 48)
    assert all(frame.pixels.shape == (48, 64, 3) for frame in clip)
    assert clip.damaged is not None


def test_patience_ends_also_where_no_frame_comes_out(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", stripes(40))
    with pytest.raises(MediaError, match="this takes over 0 minutes"):
        list(Clip(path, patience=1e-9))
    assert len(list(Clip(path, patience=60.0))) == 40


@pytest.mark.parametrize("suffix", [".m3u8", ".ffconcat", ".mp4"])
def test_a_list_of_films_opens_none_of_them(tmp_path: Path, suffix: str) -> None:
    named, path = tmp_path / "film.mp4", tmp_path / f"list{suffix}"
    film(named, stripes(5))
    Clip(named)
    if suffix == ".m3u8":
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{named}\n#EXT-X-ENDLIST\n")
    else:
        path.write_text(f"ffconcat version 1.0\nfile {named.name}\n")
    with pytest.raises(MediaError, match=r"a list of films|not a film"):
        Clip(path)


def test_sound_of_an_avi_is_encoded_again(tmp_path: Path) -> None:
    """Its times are rough, and MP4 takes none that do not rise."""
    path = film(tmp_path / "film.avi", stripes(50), codec="mpeg4", sound="libmp3lame")
    clip = Clip(path)
    assert write_timed(clip, tmp_path / "again.mp4", clip.rate, clip.time_base, clip) == 50
    with av.open(tmp_path / "again.mp4") as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert len(heard) / 48000 == pytest.approx(2.0, abs=0.1)
    crossings = np.count_nonzero(np.diff(np.signbit(heard[4800:-4800])))
    assert crossings / (len(heard) - 9600) == pytest.approx(1 / (20 * np.pi), rel=0.02)  # the tone, without gaps


def test_an_unknown_codec_is_said(tmp_path: Path) -> None:
    path = film(tmp_path / "film.avi", stripes(5), codec="mpeg4")
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"ZZZZ"))
    with pytest.raises(MediaError, match=r"its codec cannot be read here; give H\.264"):
        Clip(path)


def test_films_without_their_extra_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "film.mp4", stripes(2))
    frames = list(Clip(path))
    monkeypatch.setitem(sys.modules, "av", None)
    for attempt in (lambda: Clip(path), lambda: write_timed(frames, tmp_path / "out.mp4", Fraction(25))):
        with pytest.raises(MissingExtraError, match=r"pip install 'ganimation\[films\]'"):
            attempt()
    assert write_timed(frames, tmp_path / "out.gif", Fraction(25)) == 2
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["film.mp4", "out.gif"]


def test_sound_before_the_pictures_is_not_written_and_takes_no_time(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", stripes(3), times=[500, 501, 502], sound="pcm_s16le")
    clip = Clip(path)
    assert clip.start == 20
    write_timed(clip, tmp_path / "out.mp4", clip.rate, clip.time_base, clip)
    with av.open(tmp_path / "out.mp4") as container:
        heard = sum(frame.samples for frame in container.decode(audio=0)) / 48000
    assert heard < 1.5
    hasty = Clip(path, patience=60.0)
    frames = list(hasty)
    hasty.patience = 1e-9
    with pytest.raises(MediaError, match="its sound takes too long"):
        write_timed(frames, tmp_path / "late.mp4", hasty.rate, hasty.time_base, hasty)
    assert not (tmp_path / "late.mp4").exists()
