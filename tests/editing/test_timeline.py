"""Keyframes by hand and measured ones."""

import json
from pathlib import Path

import pytest

from ganimation.action_units import DEFAULT_AUS
from ganimation.cli import main
from ganimation.editing.timeline import read_timeline
from ganimation.errors import ActionUnitError
from ganimation.media.clip import Clip

SHOWN = dict.fromkeys(DEFAULT_AUS, 0.1)


def written(path: Path, *frames: object) -> Path:
    path.write_text(json.dumps({"keyframes": list(frames)}))
    return path


def test_keys_are_reached_and_left_alone(tmp_path: Path) -> None:
    path = written(
        tmp_path / "t.json",
        {"time": 1, "aus": {"AU12": 0.9, "AU45": 0}, "easing": "linear"},
        {"time": 1.5, "aus": {"AU45": 1.0}, "easing": "linear"},
        {"time": 3, "aus": {"AU12": "+0.1"}},
    )
    timeline = read_timeline(path)
    assert timeline.seconds == 3
    assert timeline.at(0, SHOWN) == SHOWN
    assert timeline.at(0.5, SHOWN)["AU12"] == pytest.approx(0.5)
    assert timeline.at(1, SHOWN)["AU12"] == pytest.approx(0.9)
    assert timeline.at(1.25, SHOWN)["AU45"] == pytest.approx(0.5)
    assert timeline.at(2.9, SHOWN)["AU45"] == 1  # stays where it was asked to be
    assert timeline.at(2, SHOWN)["AU12"] == pytest.approx(0.55)  # smooth, half way to what the photo shows and .1
    assert timeline.at(1.1, SHOWN)["AU12"] > 0.89  # gently
    assert timeline.at(9, SHOWN)["AU12"] == pytest.approx(0.2)
    assert timeline.at(2, SHOWN)["AU01"] == 0.1
    assert "AU12" not in timeline.at(1, {"AU01": 0.3})


def test_what_read_writes_can_be_played(tmp_path: Path) -> None:
    path = tmp_path / "aus.csv"
    path.write_text("frame,time,AU12,AU99,AU45\n0,2.0,0.2,1,0\n1,2.5,,1,\n2,3.0,0.6,1,0.5\n")
    timeline = read_timeline(path)
    assert timeline.tracks.keys() == {"AU12", "AU45"}
    assert timeline.seconds == 1  # from its first row
    assert timeline.at(0, SHOWN)["AU12"] == 0.2
    assert timeline.at(0.5, SHOWN)["AU12"] == pytest.approx(0.4)  # the face was not seen: a hole is bridged


def test_openface(tmp_path: Path) -> None:
    path = tmp_path / "of.csv"
    path.write_text("frame, timestamp, confidence, AU12_r, AU12_c\n1, 0.0, 0.98, 0.0, 0\n2, 0.04, 0.98, 2.5, 1\n")
    assert read_timeline(path).at(0.04, SHOWN)["AU12"] == 0.5


def test_arkit(tmp_path: Path) -> None:
    path = tmp_path / "ark.csv"
    path.write_text(
        "Timecode,BlendshapeCount,EyeBlinkLeft,EyeBlinkRight,JawOpen,MouthSmileLeft,MouthSmileRight\n"
        "10:00:00:00.0,5,0,0,0,0.5,0.7\n10:00:00:30.0,5,1,0.5,0.4,0,0\n"
    )
    timeline = read_timeline(path)
    assert timeline.seconds == 0.5
    assert timeline.at(0, SHOWN)["AU12"] == pytest.approx(0.6)
    end = timeline.at(0.5, SHOWN)
    assert (end["AU45"], end["AU26"], end["AU25"]) == pytest.approx((0.75, 0.4, 0.4))
    assert end["AU01"] == 0.1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.json", "{", "not JSON"),
        ("t.json", '{"frames": []}', "expected .*keyframes"),
        ("t.json", '{"keyframes": [{"time": 1}]}', "expected .*keyframes"),
        ("t.json", '{"keyframes": []}', "no keyframe names an AU"),
        ("t.json", '{"keyframes": [{"time": -1, "aus": {"AU12": 1}}]}', "keyframe 1: time -1"),
        ("t.json", '{"keyframes": [{"time": 1, "aus": {"AU12": 2}}]}', "keyframe 1: AU12=2: an intensity"),
        ("t.json", '{"keyframes": [{"time": 1, "aus": {"AU12": 1}, "easing": "jump"}]}', "unknown easing 'jump'"),
        ("t.json", '{"keyframes": [{"time": 1, "aus": {"AU1": 1}}, {"time": 1, "aus": {}}]}', "keyframe 2: time 1;"),
        ("t.csv", "", "expected the columns time and AU12"),
        ("t.csv", "a,b\n1,2\n", "expected the columns time and AU12"),
        ("t.csv", "time,AU12\n0,x\n", "line 2: could not convert"),
        ("t.csv", "time,AU12\n0,1.5\n", "line 2: AU12 1.5; an intensity lies in"),
        ("t.csv", "time,AU12\n1,1\n0,1\n", "line 3: time -1"),
        ("t.csv", "Timecode,JawOpen\nnow,1\n", "line 2: time code 'now'"),
        ("t.csv", "time,AU12\n0,1\n0.5\n", r"line 3: not as many cells as there are columns \(2\)"),
        ("t.csv", "time,AU12\n0,1,7\n", "line 2: not as many cells"),
        ("t.csv", "time,AU12\n0," + "1" * 200_000 + "\n", "cannot be read as a table .field larger"),
        ("t.json", "[" * 100_000, "not JSON .*nested deeper"),
        ("t.json", '{"keyframes": [{"time": 1e999, "aus": {}}]}', "not JSON .*too large"),
    ],
)
def test_what_cannot_be_played_is_said(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ActionUnitError, match=message):
        read_timeline(tmp_path / name)


def test_a_timeline_becomes_a_film(portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "t.json", {"time": 0.4, "aus": {"AU12": 0.9}}, {"time": 0.8, "aus": {"AU12": 0.0}})
    out = tmp_path / "out.mp4"
    arguments = ["animate", str(portrait), "--timeline", str(path), "--max-side", "256", "-o", str(out)]
    assert main([*arguments, "--fps", "10"]) == 0
    frames = [frame.pixels.astype(int) for frame in Clip(out)]
    assert len(frames) == 9
    moved = [abs(frame - frames[0]).mean() for frame in frames]
    assert moved[4] == max(moved)
    assert moved[8] < moved[4]
    assert main([*arguments, "--au", "AU01=1"]) == 2
    assert "leave out --au" in capsys.readouterr().err
