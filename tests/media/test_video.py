from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ganimation.errors import MediaError
from ganimation.media.video import shrink, write_film
from tests.conftest import Pixels


def frames(count: int, width: int = 64, height: int = 48) -> Iterator[Pixels]:
    for index in range(count):
        frame = np.zeros((height, width, 3), np.uint8)
        frame[:, : (index + 1) * width // count] = (200, 100, 50)
        yield frame


@pytest.mark.parametrize("size", [(64, 48), (65, 49)])
def test_mp4_has_the_frames_that_were_given(tmp_path: Path, size: tuple[int, int]) -> None:
    assert write_film(frames(10, *size), tmp_path / "film.mp4", 25) == 10
    with av.open(tmp_path / "film.mp4") as film:
        decoded = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert film.streams.video[0].average_rate == 25
    assert len(decoded) == 10
    assert decoded[0].shape == (size[1] + size[1] % 2, size[0] + size[0] % 2, 3)
    assert np.abs(decoded[-1][:48, :64].astype(int) - (200, 100, 50)).mean() < 8


def test_mp4_says_what_its_colours_mean(tmp_path: Path) -> None:
    write_film((np.full((720, 1280, 3), (200, 60, 40), np.uint8) for _ in range(2)), tmp_path / "film.mp4", 25)
    with av.open(tmp_path / "film.mp4") as film:
        frame = next(film.decode(video=0))
        colours = film.streams.video[0].codec_context
        assert (colours.color_primaries, colours.color_trc, colours.colorspace, colours.color_range) == (1, 1, 1, 1)
        rgb = frame.to_ndarray(format="rgb24", src_colorspace="ITU709")
    assert np.abs(rgb.astype(int) - (200, 60, 40)).max() <= 3


@pytest.mark.parametrize(("suffix", "fps"), [(".gif", 30), (".gif", 120), (".gif", 25), (".webp", 30)])
def test_animations_last_as_long_as_asked(tmp_path: Path, suffix: str, fps: int) -> None:
    write_film(frames(fps), tmp_path / f"film{suffix}", fps)
    with Image.open(tmp_path / f"film{suffix}") as film:
        total = 0
        for number in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(number)
            film.load()
            assert film.info["duration"] >= (20 if suffix == ".gif" else 30)
            total += film.info["duration"]
    assert total == pytest.approx(1000, abs=20)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_have_the_frames_that_were_given(tmp_path: Path, suffix: str) -> None:
    assert write_film(frames(6), tmp_path / f"film{suffix}", 10) == 6
    with Image.open(tmp_path / f"film{suffix}") as film:
        assert film.n_frames == 6  # type: ignore[attr-defined]
        assert film.size == (64, 48)


def test_a_film_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Pixels]:
        yield from frames(3)
        raise RuntimeError("the editor failed")

    with pytest.raises(RuntimeError):
        write_film(broken(), tmp_path / "film.mp4", 25)
    with pytest.raises(MediaError, match="no frames"):
        write_film(iter(()), tmp_path / "film.mp4", 25)
    with pytest.raises(MediaError, match=r"cannot write .avi"):
        write_film(frames(2), tmp_path / "film.avi", 25)
    assert list(tmp_path.iterdir()) == []


def test_shrink_keeps_the_proportions() -> None:
    assert shrink(np.zeros((100, 400, 3), np.uint8), 200).shape == (50, 200, 3)
    assert shrink(np.zeros((100, 150, 3), np.uint8), 200).shape == (100, 150, 3)
