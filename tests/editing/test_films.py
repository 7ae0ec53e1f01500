"""Films in, films out."""

import csv
import io
import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ganimation.action_units import REGIONS
from ganimation.cli import main
from ganimation.editing.films import Performance, parse_regions
from ganimation.errors import ActionUnitError, FaceError
from ganimation.media.clip import Clip
from ganimation.media.images import read_image
from tests.media.films import film

Pixels = NDArray[np.uint8]
AUS = ("AU01", "AU12", "AU45")


def performance(*rows: tuple[float, float, float]) -> Performance:
    return Performance(AUS, tuple(Fraction(number, 25) for number in range(len(rows))), np.array(rows))


NOTHING = (np.nan, np.nan, np.nan)


def test_the_calmest_tenth_is_neutral() -> None:
    acted = performance((0.5, 0.5, 0.5), (0.1, 0.2, 0.0), *[(0.9, 0.9, 0.9)] * 8, NOTHING)
    assert np.allclose(acted.neutral(), (0.1, 0.2, 0.0))
    assert np.allclose(acted.neutral(0), (0.5, 0.5, 0.5))
    with pytest.raises(FaceError, match="neutral frame 11: the film has 11"):
        acted.neutral(11)
    with pytest.raises(FaceError, match="no face is seen"):
        acted.neutral(10)


def test_changes_are_relative_scaled_local_and_without_holes() -> None:
    acted = performance((0.1, 0.2, 0.0), NOTHING, (0.3, 0.6, 1.0))
    rest = acted.neutral(0)
    assert np.allclose(acted.changes(rest), [(0, 0, 0), (0.1, 0.2, 0.5), (0.2, 0.4, 1.0)])
    assert np.allclose(acted.changes(rest, 0.5, ("brows",)), [(0, 0, 0), (0.05, 0, 0), (0.1, 0, 0)])
    with pytest.raises(ActionUnitError, match=r"strength 2.5: it lies in \[0, 2\]"):
        acted.changes(rest, 2.5)


def test_regions() -> None:
    assert parse_regions("brows, Mouth") == ("brows", "mouth and chin")
    assert parse_regions("brows,eyes,nose,mouth") == REGIONS
    with pytest.raises(ActionUnitError, match="unknown region 'ears'; they are brows, eyes"):
        parse_regions("ears")
    with pytest.raises(ActionUnitError, match="no region"):
        parse_regions(",")


@pytest.fixture(scope="module")
def moods(sheet: Path) -> list[Pixels]:
    """One person, four expressions, 300x224."""
    image = read_image(sheet).pixels
    height, width = image.shape[0] // 4, image.shape[1] // 4
    tiles = [image[y * height : (y + 1) * height, x * width : (x + 1) * width] for y in (0, 1) for x in (0, 1)]
    return [np.asarray(cv2.resize(tile, (300, 224), interpolation=cv2.INTER_AREA), np.uint8) for tile in tiles]


@pytest.fixture(scope="module")
def acted(moods: list[Pixels], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames at an uneven pace, the last two of a wall, with a tone."""
    frames = [mood for mood in moods[:3] for _ in range(3)][:10] + [np.full_like(moods[0], 90)] * 3
    places = [0, 1, 2, 4, 6, 7, 8, 9, 10, 11, 12, 13]
    return film(tmp_path_factory.mktemp("acted") / "acted.mp4", frames, times=places, sound="aac")


def change(first: Path, second: Path) -> list[float]:
    """Return the mean difference of each frame."""
    pairs = zip(Clip(first), Clip(second), strict=True)
    return [float(np.abs(a.pixels.astype(int) - b.pixels).mean()) for a, b in pairs]


def test_a_film_is_edited_where_there_is_a_face(
    acted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, same = tmp_path / "out.mp4", tmp_path / "same.mp4"
    assert main(["edit", str(acted), "--au", "AU12=1", "AU25=1", "AU01=1", "-o", str(out)]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(out)
    assert "no face in 3 of 12 frames" in told.err
    assert main(["edit", str(acted), "-o", str(same)]) == 0
    assert [frame.time for frame in Clip(out)] == [frame.time for frame in Clip(acted)]
    assert Clip(out).has_sound
    edited = change(same, out)  # both were encoded once more
    assert min(edited[:9]) > 0.4
    assert max(edited[9:]) < 0.2


def test_a_photo_is_driven(portrait: Path, acted: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    arguments = ["drive", str(portrait), "--by", str(acted), "-o", str(out), "--max-side", "320"]
    assert main([*arguments, "--neutral-frame", "0"]) == 0
    frames = list(Clip(out))
    assert [frame.time for frame in frames] == [frame.time for frame in Clip(acted)]
    assert frames[0].pixels.shape == (320, 320, 3)
    moved = [float(np.abs(frame.pixels.astype(int) - frames[0].pixels).mean()) for frame in frames]
    assert max(moved[:3]) < 0.5 * max(moved)
    assert main([*arguments, "--strength", "0"]) == 0
    still = list(Clip(out))
    assert max(float(np.abs(frame.pixels.astype(int) - still[0].pixels).mean()) for frame in still) < 0.5


def test_a_film_is_driven_as_long_as_both_last(acted: Path, moods: list[Pixels], tmp_path: Path) -> None:
    long = film(tmp_path / "long.mp4", [moods[3]] * 30)
    out = tmp_path / "out.mp4"
    assert main(["drive", str(long), "--by", str(acted), "--regions", "mouth,brows", "-o", str(out)]) == 0
    assert len(list(Clip(out))) == 14
    frames = [frame.pixels.astype(int) for frame in Clip(out)]
    assert max(np.abs(frame - frames[0]).mean() for frame in frames) > 0.3


def test_a_film_is_read(acted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", str(acted)]) == 0
    assert "12 frames, a face in 9" in capsys.readouterr().out
    assert main(["read", str(acted), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["time"] for row in rows[:5]] == ["0.0000", "0.0400", "0.0800", "0.1600", "0.2400"]
    assert [bool(row["AU12"]) for row in rows] == [True] * 9 + [False] * 3
    assert main(["read", str(acted), "--json"]) == 0
    frames = json.loads(capsys.readouterr().out)["frames"]
    assert frames[0]["aus"]["AU12"] == pytest.approx(float(rows[0]["AU12"]))
    assert frames[-1]["aus"] is None
    assert main(["read", str(acted), str(acted)]) == 2
    assert "one film at a time" in capsys.readouterr().err


def test_what_cannot_be_done_is_said_and_nothing_is_written(
    portrait: Path, acted: Path, moods: list[Pixels], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wall = film(tmp_path / "wall.mp4", [np.full_like(moods[0], 90)] * 3)
    out = tmp_path / "out.mp4"

    def refused(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        assert not out.exists()
        assert list(tmp_path.iterdir()) == [wall]
        return capsys.readouterr().err

    assert "no face in any of the 3 frames" in refused("edit", wall, "--au", "AU12=1", "-o", out)
    assert "no face in any of the 3 frames" in refused("drive", portrait, "--by", wall, "-o", out)
    assert "not a film; a driver moves" in refused("drive", portrait, "--by", portrait, "-o", out)
    assert "unknown region" in refused("drive", portrait, "--by", acted, "--regions", "ears", "-o", out)
    assert "in a film one face is followed" in refused("edit", acted, "--face", "all", "-o", out)
    assert "use one of .gif .mp4 .webp" in refused("edit", acted, "-o", tmp_path / "out.jpg")
    assert "neutral frame 99" in refused("drive", portrait, "--by", acted, "--neutral-frame", 99, "-o", out)
    assert "add --overwrite" in refused("edit", wall, "-o", wall)


def test_a_film_that_breaks_off_is_edited_as_far_as_it_goes(
    moods: list[Pixels], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    frames = [np.clip(moods[0] + rng.normal(0, 12, moods[0].shape), 0, 255).astype(np.uint8) for _ in range(50)]
    path = film(tmp_path / "film.ts", frames, codec="mpeg2video")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert main(["edit", str(path), "--au", "AU12=1", "-o", str(tmp_path / "out.mp4")]) == 0
    assert 5 < len(list(Clip(tmp_path / "out.mp4"))) < 45
