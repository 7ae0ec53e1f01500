"""A photo driven by frames as they come, from a camera that is a film."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from ganimation.cli import main
from ganimation.editing.editor import Editor
from ganimation.editing.live import LiveDriver
from ganimation.errors import ActionUnitError, FaceError, MediaError
from ganimation.media.camera import Camera, newest
from ganimation.media.clip import Clip, Frame
from ganimation.media.images import read_image
from ganimation.media.screen import open_screen
from tests.conftest import ROOT, Pixels
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


class Paced:
    """A film that poses as a camera: its frames come at its own pace, whether they are taken or not."""

    film: Path
    RATE = 20.0

    def __init__(self, source: object) -> None:
        self._frames = [frame.pixels[:, :, ::-1] for frame in Clip(self.film)] * 2
        self._began = time.monotonic()
        self._next = 0

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, what: int) -> float:
        return self.RATE

    def read(self) -> tuple[bool, Pixels | None]:
        if self._next == len(self._frames):
            return False, None
        time.sleep(max(0.0, self._began + self._next / self.RATE - time.monotonic()))
        self._next += 1
        return True, np.ascontiguousarray(self._frames[self._next - 1])

    def release(self) -> None:
        pass


def test_frames_that_come_while_one_is_in_use_are_left_out() -> None:
    released = threading.Semaphore(0)

    def frames() -> Iterator[Frame]:
        for number in range(9):
            yield Frame(np.zeros((1, 1, 3), np.uint8), Fraction(number))
            if number in (0, 5):
                released.acquire(timeout=10)

    numbers = []
    for taken in newest(frames()):
        numbers.append(int(taken.frame.time))
        released.release()
        time.sleep(0.2)  # the rest come meanwhile, up to the next stop
    assert numbers[0] == 0
    assert numbers[-1] == 8
    assert len(numbers) < 6

    def broken() -> Iterator[Frame]:
        yield Frame(np.zeros((1, 1, 3), np.uint8), Fraction(0))
        raise MediaError("gone")

    with pytest.raises(MediaError, match="gone"):
        list(newest(broken()))


def test_a_virtual_camera_is_given_the_driven_photo_with_its_latency(
    portrait: Path, driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[Pixels] = []

    class Device:
        def __init__(self, width: int, height: int, fps: float, device: str | None) -> None:
            if device == "/dev/video8":
                raise RuntimeError("'/dev/video8' does not exist")
            assert (width, height, fps, device) == (160, 160, Paced.RATE, "/dev/video9")

        def send(self, pixels: Pixels) -> None:
            sent.append(pixels.copy())

        def close(self) -> None:
            closed.append(len(sent))

    closed: list[int] = []
    monkeypatch.setattr(Paced, "film", driver, raising=False)
    monkeypatch.setattr("cv2.VideoCapture", Paced)
    monkeypatch.setitem(sys.modules, "pyvirtualcam", SimpleNamespace(Camera=Device))
    drive = ["drive", str(portrait), "--camera", "0", "--max-side", "160", "--to"]
    assert main([*drive, "/dev/video9"]) == 0
    answer = capsys.readouterr()
    found = re.fullmatch(r"latency (\d+) ms \(95 %: (\d+) ms\), ([\d.]+) frames a second\n", answer.out)
    assert found is not None
    assert 1 <= int(found[1]) <= int(found[2])
    assert closed == [len(sent)]
    assert 2 < len(sent) <= 38
    assert sent[0].shape == (160, 160, 3)
    assert max(moved(frame, sent[0]) for frame in sent) > 0.3
    for words, message in (
        ([*drive, "/dev/video8"], "--to /dev/video8: no such virtual camera ('/dev/video8' does not exist); on Linux"),
        ([*drive, "moon"], "--to moon: it is window, camera, or a device like /dev/video9"),
        ([*drive, "window", "-o", "x.mp4"], "give a file with -o, or with --camera a screen with --to; one of the two"),
        (["drive", str(portrait), "--by", str(driver), "--to", "window"], "--to window: only a camera drives live"),
        (["drive", str(portrait), "--by", str(driver)], "give a file with -o"),
    ):
        assert main(words) == 2
        assert message in capsys.readouterr().err


def test_without_a_display_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tkinter", reason="this Python has no Tk")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(MediaError, match="--to window: no display"):
        open_screen("window", 25)


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="no Xvfb on this machine, a display without a screen")
def test_a_window_shows_the_driven_photo(portrait: Path, driver: Path, tmp_path: Path) -> None:
    pytest.importorskip("tkinter", reason="this Python has no Tk")
    code = (
        "import sys; sys.path.insert(0, '.'); from pathlib import Path\n"
        "from tests.editing.test_live import Paced; import cv2\n"
        f"Paced.film = Path({str(driver)!r}); cv2.VideoCapture = Paced\n"
        "from ganimation.cli import main\n"
        f"sys.exit(main(['drive', {str(portrait)!r}, '--camera', '0', '--max-side', '160', '--to', 'window']))"
    )
    with subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-nolisten", "tcp"], stdout=subprocess.PIPE, text=True
    ) as display:
        try:
            assert display.stdout is not None
            number = display.stdout.readline().strip()
            done = subprocess.run(
                [sys.executable, "-c", code], env=os.environ | {"DISPLAY": f":{number}"}, cwd=ROOT, timeout=120,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        finally:
            display.terminate()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("latency ")


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
