"""A photo driven by frames as they come, from a camera that is a film."""

import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from ganimation.cli import main
from ganimation.editing.editor import Editor
from ganimation.editing.live import LiveDriver
from ganimation.errors import ActionUnitError, FaceError, MediaError
from ganimation.media.camera import Camera
from ganimation.media.clip import Clip
from ganimation.media.images import read_image
from tests.conftest import Pixels
from tests.media.films import film


@pytest.fixture(scope="module")
def still(portrait: Path) -> Pixels:
    return np.asarray(cv2.resize(read_image(portrait).pixels, (320, 320), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="module")
def smile(still: Pixels) -> Pixels:
    return Editor().edit(still, {"AU12": 1.0, "AU25": 0.8}).image


@pytest.fixture(scope="module")
def driver(still: Pixels, smile: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second at rest and half a second of smiling, ten frames a second; nobody at the end."""
    frames = [still] * 12 + [smile] * 5 + [np.full_like(still, 90)] * 2
    return film(tmp_path_factory.mktemp("driver") / "driver.mp4", frames, rate=10)


def moved(one: Pixels, two: Pixels) -> float:
    return float(np.abs(one.astype(int) - two).mean())


def test_the_first_second_is_rest_and_who_is_not_seen_keeps_the_last_expression(still: Pixels, driver: Path) -> None:
    editor = Editor()
    live = LiveDriver(editor.session(still, {}), editor.reader)
    shown = [live(frame.pixels, float(frame.time)) for frame in Clip(driver)]
    assert all(np.array_equal(image, still) for image in shown[:10])
    assert moved(shown[16], still) > 3 * moved(shown[11], still)
    assert moved(shown[16], still) > 0.3
    assert np.array_equal(shown[-1], shown[16])
    assert live.seen == 17


def test_regions_and_strength_are_kept(still: Pixels, driver: Path) -> None:
    editor = Editor()
    session = editor.session(still, {})
    brows = LiveDriver(session, editor.reader, regions=("brows",))
    weak = LiveDriver(session, editor.reader, strength=0.0)
    for frame in Clip(driver):
        only, none = (live(frame.pixels, float(frame.time)) for live in (brows, weak))
    assert moved(only, still) < 0.3
    assert np.array_equal(none, still)
    with pytest.raises(ActionUnitError, match="strength 3: it lies in"):
        LiveDriver(session, editor.reader, strength=3)


def test_a_camera_gives_frames_until_its_time_is_over_or_it_is_stopped(driver: Path) -> None:
    frames = list(Camera(str(driver)))
    assert len(frames) == 19
    assert float(frames[5].time) == pytest.approx(0.5)
    assert len(list(Camera(str(driver), seconds=0.75))) == 8
    camera = Camera(str(driver))
    seen = []
    for frame in camera:
        seen.append(frame)
        if len(seen) == 4:
            camera.stop()
    assert len(seen) == 4


def test_a_camera_that_is_not_there_is_said(tmp_path: Path, portrait: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MediaError, match="camera 97: not there"):
        Camera(97)
    assert main(["drive", str(portrait), "--camera", "97", "-o", str(tmp_path / "out.mp4")]) == 2
    assert capsys.readouterr().err.strip() == (
        "ganimation: camera 97: not there, or used by another program; cameras are numbered from 0"
    )
    for words, message in (
        (["--camera", "0", "--seconds", "-1"], "--seconds -1"),
        (["--camera", "0", "--neutral-frame", "1"], "first second"),
    ):
        assert main(["drive", str(portrait), *words, "-o", str(tmp_path / "out.mp4")]) == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_control_c_ends_the_recording_and_keeps_it(
    portrait: Path, driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The camera is a film that never ends."""

    class Endless:
        def __init__(self, source: object) -> None:
            self._frames = [frame.pixels for frame in Clip(driver)][:12]
            self.given = 0

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return True

        def get(self, what: int) -> float:
            return 30.0

        def read(self) -> tuple[bool, Pixels]:
            self.given += 1
            if self.given == 20:
                signal.raise_signal(signal.SIGINT)
            return True, self._frames[self.given % 12]

        def release(self) -> None:
            released.append(self.given)

    released: list[int] = []
    monkeypatch.setattr("cv2.VideoCapture", Endless)
    out = tmp_path / "out.mp4"
    assert main(["drive", str(portrait), "--camera", "0", "--max-side", "160", "-o", str(out)]) == 0
    assert len(list(Clip(out))) == released[0] > 3
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_frames_drive_a_photo_from_python(still: Pixels, driver: Path) -> None:
    editor = Editor()
    by_film = list(editor.drive(still, driver, neutral_frame=0))
    by_frames = list(editor.drive(still, (frame.pixels for frame in Clip(driver)), fps=10, neutral_frame=0))
    assert len(by_film) == 19
    assert all(np.array_equal(one, two) for one, two in zip(by_film, by_frames, strict=True))
    assert moved(by_film[16], still) > 0.3
    with pytest.raises(FaceError, match="no face in any of the 2 frames"):
        editor.drive(still, [np.full_like(still, 90)] * 2)


def test_an_edit_shows_itself_in_a_notebook(still: Pixels, smile: Pixels) -> None:
    shown = cv2.imdecode(np.frombuffer(Editor().edit(still, {"AU12": 1.0, "AU25": 0.8})._repr_png_(), np.uint8), 1)
    assert shown is not None
    assert np.array_equal(shown[:, :, ::-1], smile)
