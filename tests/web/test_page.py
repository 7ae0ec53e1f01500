"""The page in a real browser, without a head."""

import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from ganimation.action_units import EMOTIONS
from ganimation.editing.editor import Editor
from ganimation.media.images import Photo, read_image, write_image
from ganimation.media.provenance import read_provenance
from ganimation.media.video import write_film
from ganimation.web import photo_state
from tests.conftest import Pixels
from tests.web.conftest import CHROMIUM

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; Debian's package is chromium"),
    pytest.mark.xdist_group("browser"),
]
SECONDS = 60_000  # milliseconds that anything may take on a busy machine


@pytest.fixture(scope="module")
def browser(portrait: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser whose camera shows the portrait."""
    film = tmp_path_factory.mktemp("camera") / "film.mjpeg"
    picture = cv2.resize(read_image(portrait).pixels[:, :, ::-1], (480, 480), interpolation=cv2.INTER_AREA)
    film.write_bytes(cv2.imencode(".jpg", picture)[1].tobytes() * 10)
    camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
    with playwright.sync_playwright() as play:
        running = play.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-background-networking", "--disable-sync", *camera],
        )
        yield running
        running.close()


@pytest.fixture
def visit(browser: Any, page_url: str) -> Iterator[Callable[..., Any]]:
    """Open the page as somebody new; requests to anywhere else fail the test."""
    contexts, strangers = [], []

    def visit(width: int = 1300, height: int = 1000, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        page.on("request", lambda request: strangers.append(request.url) if is_strange(request.url) else None)
        page.goto(page_url)
        page.wait_for_selector("#photo input[type=file]", state="attached")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert strangers == []


def is_strange(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1"


def upload(page: Any, path: Path) -> None:
    page.set_input_files("#photo input[type=file]", str(path))
    page.wait_for_selector("#result img")
    page.wait_for_function("[...document.querySelectorAll('[id^=AU] input[type=range]')].some(x => x.value !== '0')")


def value(page: Any, code: str) -> float:
    return float(page.locator(f"#{code} input[type=range]").input_value())


def wait_for(page: Any, code: str, wanted: float) -> None:
    page.wait_for_function(f"Math.abs(document.querySelector('#{code} input[type=range]').value - {wanted}) < 0.006")


def results(page: Any) -> list[str]:
    return [image.get_attribute("src") for image in page.locator("#result img").all()]


def drag(page: Any, code: str, to: float) -> None:
    slider = page.locator(f"#{code} input[type=range]")
    slider.scroll_into_view_if_needed()
    box, before = slider.bounding_box(), results(page)
    left, width, y = box["x"] + 8, box["width"] - 16, box["y"] + box["height"] / 2
    start = left + width * value(page, code)
    page.mouse.move(start, y)
    page.mouse.down()
    for part in (0.25, 0.5, 0.75, 1.0):
        page.mouse.move(start + part * (left + width * to - start), y)
    page.mouse.up()
    page.wait_for_function(f"!{before!r}.includes([...document.querySelectorAll('#result img')].at(-1).src)")


def saved(page: Any, tmp_path: Path) -> Path:
    with page.expect_download() as download:
        page.locator("#save").click()  # one click saves
    path = tmp_path / str(download.value.suggested_filename)
    download.value.save_as(path)
    return path


@pytest.fixture
def smiling(astronaut: Pixels, tmp_path: Path) -> Path:
    write_image(Photo(astronaut), tmp_path / "astronaut.png")
    return tmp_path / "astronaut.png"


def test_a_slider_changes_the_mouth_and_nothing_else_and_the_file_says_so(
    visit: Callable[..., Any], smiling: Path, astronaut: Pixels, tmp_path: Path
) -> None:
    page = visit()
    upload(page, smiling)
    face = Editor(threads=1).read(astronaut)[0]
    assert value(page, "AU12") == pytest.approx(face.aus["AU12"], abs=0.02)
    drag(page, "AU12", 0.05)
    path = saved(page, tmp_path)
    change = np.abs(read_image(path).pixels.astype(int) - astronaut).max(axis=2)
    left, top, width, height = (round(number) for number in face.box)
    mouth = change[top + height // 2 : top + height, left : left + width]
    assert mouth.max() > 40
    outside = change.copy()
    outside[top : top + round(1.2 * height), left - width // 8 : left + width + width // 8] = 0
    assert outside.max() == 0
    made, _ = read_provenance(path)
    assert made is not None
    assert set(made.faces[0]["aus"]) == {"AU12"}
    assert made.faces[0]["aus"]["AU12"][1] == pytest.approx(value(page, "AU12"), abs=0.006)


def test_presets_masks_undo_redo_and_reset(visit: Callable[..., Any], portrait: Path) -> None:
    page = visit()
    upload(page, portrait)
    own = value(page, "AU01")
    page.get_by_role("button", name="Surprise").click()
    wait_for(page, "AU01", 0.8 * EMOTIONS["surprise"]["AU01"])
    page.locator("#masks input").check()
    page.wait_for_selector("#mask img")
    page.wait_for_selector("#color img")
    page.locator("#undo").click()
    wait_for(page, "AU01", own)
    page.locator("#redo").click()
    wait_for(page, "AU01", 0.8 * EMOTIONS["surprise"]["AU01"])
    page.locator("#reset").click()
    wait_for(page, "AU01", own)
    page.locator("#named input").click()
    page.get_by_role("option", name="frown").click()
    page.wait_for_function("document.querySelector('#AU04 input[type=range]').value > 0.5")
    page.locator("#reset").click()
    wait_for(page, "AU01", own)
    page.get_by_role("button", name="Recipe").click()
    assert "ganimation edit portrait.jpg" in page.locator(".cm-content").last.inner_text()


def test_a_click_chooses_the_face(visit: Callable[..., Any], sheet: Path, tmp_path: Path) -> None:
    page = visit()
    upload(page, sheet)
    note = page.locator("#note")
    assert re.match("Face 1 of", note.inner_text())
    faces = photo_state.open_photo_state(Editor(threads=1), sheet, tmp_path / "before.jpg", 10**8).preview
    left, top, width, height = faces.faces[2].face.box
    tall, wide = faces.photo.pixels.shape[:2]
    picture = page.locator("#photo img").bounding_box()  # the photo lies in the middle of it
    scale = min(picture["width"] / wide, picture["height"] / tall)
    x = picture["x"] + (picture["width"] - scale * wide) / 2 + scale * (left + width / 2)
    y = picture["y"] + (picture["height"] - scale * tall) / 2 + scale * (top + height / 2)
    page.mouse.click(x, y)
    page.wait_for_function("document.querySelector('#note').innerText.startsWith('Face 3 of')")
    wait_for(page, "AU12", round(faces.faces[2].shown["AU12"], 2))


def test_sliders_move_by_keyboard(visit: Callable[..., Any], portrait: Path) -> None:
    page = visit()
    upload(page, portrait)
    before, own = results(page), value(page, "AU12")
    page.locator("#AU12 input[type=range]").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(f"!{before!r}.includes([...document.querySelectorAll('#result img')].at(-1).src)")
    page.locator("#undo").click()  # keys never let go of a slider, and are remembered all the same
    wait_for(page, "AU12", own)
    page.locator("#redo").click()
    wait_for(page, "AU12", own + 0.05)


def test_an_example_opens_and_a_bad_photo_takes_its_place(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = visit()
    page.locator("button.gallery-item").first.click()
    page.wait_for_selector("#result img")
    (tmp_path / "photo.jpg").write_text("not a picture")
    page.get_by_role("button", name="Remove Image").click()
    page.wait_for_selector("#result img", state="detached")
    page.set_input_files("#photo input[type=file]", str(tmp_path / "photo.jpg"))
    page.wait_for_selector(".toast-body")
    assert page.locator(".toast-body").count() == 1
    page.locator("#save").click()
    page.wait_for_function("document.body.innerText.includes('no photo yet')")


@pytest.mark.parametrize("kind", ["text", "wall", "huge"])
def test_what_cannot_be_used_gets_one_sentence(
    kind: str, visit: Callable[..., Any], tmp_path: Path, page_url: str
) -> None:
    path = tmp_path / "photo.jpg"
    if kind == "text":
        path.write_text("not a picture")
    elif kind == "wall":
        cv2.imwrite(str(path), np.full((300, 300, 3), 120, np.uint8))
    else:
        path.write_bytes(b"\xff\xd8\xff" + b"\0" * 60_000_000)
    page = visit()
    page.set_input_files("#photo input[type=file]", str(path))
    toast = page.wait_for_selector(".toast-body")
    text = toast.inner_text()
    expected = {"text": "not a picture", "wall": "no face found", "huge": "at most 50 MB"}[kind]
    assert re.search(expected, text, re.IGNORECASE)
    assert "Traceback" not in text
    assert "/tmp" not in text
    assert not page.locator("#result img").count()


def test_two_visitors_never_see_each_others_photo(
    visit: Callable[..., Any], portrait: Path, smiling: Path, tmp_path: Path
) -> None:
    one, two = visit(), visit()
    upload(one, portrait)
    upload(two, smiling)
    drag(one, "AU26", 0.8)
    drag(two, "AU04", 0.8)
    assert not set(results(one)) & set(results(two))
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first, second = saved(one, tmp_path / "one"), saved(two, tmp_path / "two")
    assert read_image(first).pixels.shape == (720, 720, 3)
    assert read_image(second).pixels.shape == (512, 512, 3)
    assert "astronaut" in second.name


def test_a_film_is_made_and_one_drives(visit: Callable[..., Any], portrait: Path, tmp_path: Path) -> None:
    driver = tmp_path / "driver.mp4"
    still = cv2.resize(read_image(portrait).pixels, (240, 240), interpolation=cv2.INTER_AREA)
    editor = Editor(threads=1)
    write_film(editor.animate(np.asarray(still, np.uint8), {"AU12": 1.0}, [0, 0, 0.5, 1.0]), driver, 10)
    page = visit()
    upload(page, portrait)
    shown = editor.read(portrait)[0].aus["AU12"]
    page.get_by_role("button", name="Happiness").click()
    wait_for(page, "AU12", shown + 0.8 * (EMOTIONS["happiness"]["AU12"] - shown))
    page.get_by_role("tab", name="Animate").click()
    make = page.locator("#make-animation")
    make.click()
    page.wait_for_function("document.querySelector('#make-animation').disabled")  # from the click on
    page.wait_for_selector("#animate-status .progress-text, #animate-status .progress-level", state="attached")
    page.wait_for_selector("#animate-video video")
    page.wait_for_function("!document.querySelector('#make-animation').disabled")
    with page.expect_download() as download:
        page.locator("#animate-file a").first.click()
    download.value.save_as(tmp_path / "animation.mp4")
    made, _ = read_provenance(tmp_path / "animation.mp4")
    assert made is not None
    assert made.operation == "animate"
    page.get_by_role("tab", name="Drive").click()
    page.set_input_files("#driver input[type=file]", str(driver))
    page.wait_for_selector("#driver video")
    page.locator("#make-driven").click()
    page.wait_for_selector("#drive-video video")


def test_the_camera_gives_a_photo_and_drives_it(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = visit(permissions=["camera", "microphone"])
    page.get_by_role("button", name="Capture from camera").first.click()
    page.get_by_role("button", name="Click to Access Webcam").click()
    page.get_by_role("button", name="capture photo").click()
    page.wait_for_selector("#result img")
    page.get_by_role("tab", name="Drive").click()
    page.locator("#driver").get_by_role("button", name="Capture from camera").click()
    page.locator("#driver").get_by_role("button", name="Click to Access Webcam").click()
    record = page.locator("#driver").get_by_role("button", name="start recording")
    record.click()
    page.wait_for_timeout(1500)
    record.click()
    page.wait_for_selector("#driver video[src]")
    page.locator("#make-driven").click()
    page.wait_for_selector("#drive-video video")
    with page.expect_download() as download:
        page.locator("#drive-file a").first.click()
    download.value.save_as(tmp_path / "driven.mp4")
    made, _ = read_provenance(tmp_path / "driven.mp4")
    assert made is not None
    assert made.operation == "drive"


def test_the_camera_drives_the_photo_live(visit: Callable[..., Any], smiling: Path) -> None:
    page = visit(permissions=["camera"])
    upload(page, smiling)
    page.get_by_role("tab", name="Drive").click()
    page.get_by_role("button", name="Live, by the camera").click()
    camera = page.locator("#live-camera")
    camera.get_by_role("button", name="Click to Access Webcam").click()
    camera.get_by_role("button", name="capture photo").click()
    page.wait_for_selector("#live-photo img")
    page.wait_for_function(
        "/latency \\d+ ms .* frames a second/.test(document.querySelector('#live-latency').innerText)"
    )
    camera.locator("button").filter(has_text="Stop").click()
    page.wait_for_timeout(500)
    assert page.locator(".toast-body").count() == 0


def test_a_photo_is_pasted(visit: Callable[..., Any], portrait: Path) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    png = base64.b64encode(cv2.imencode(".png", read_image(portrait).pixels[:, :, ::-1])[1].tobytes()).decode()
    page.evaluate(
        """text => navigator.clipboard.write([new ClipboardItem({"image/png":
        new Blob([Uint8Array.from(atob(text), c => c.charCodeAt(0))], {type: "image/png"})})])""",
        png,
    )
    page.get_by_role("button", name="Paste from clipboard").click()
    page.wait_for_selector("#result img")


def test_photos_and_films_are_measured(visit: Callable[..., Any], portrait: Path) -> None:
    page = visit()
    page.get_by_role("tab", name="Measure").click()
    page.set_input_files("#measured input[type=file]", str(portrait))
    page.wait_for_selector("#measured .file-preview, #measured table")
    page.locator("#make-measure").click()
    page.wait_for_selector("#bars table.bars")
    assert "Smile (AU12)" in page.locator("#bars").inner_text()
    with page.expect_download() as download:
        page.locator("#measure-file a").first.click()
    assert "AU12" in Path(download.value.path()).read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(scheme: str, visit: Callable[..., Any], portrait: Path) -> None:
    page = visit(390, 844, color_scheme=scheme)
    upload(page, portrait)
    for name in ("Animate", "Drive", "Measure", "Edit"):
        if not page.get_by_role("tab", name=name).is_visible():
            page.locator(".overflow-menu button").first.click()
        page.get_by_role("tab", name=name).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#AU26").scroll_into_view_if_needed()
    box = page.locator("#result").bounding_box()
    assert box["y"] >= -1  # the picture stays in sight
    assert box["y"] + box["height"] < page.locator("#AU26").bounding_box()["y"] + 1
    assert page.locator("body.dark").count() == (scheme == "dark")


def test_the_consent_is_said_before_the_first_upload(visit: Callable[..., Any]) -> None:
    page = visit()
    notice, photo = page.locator("#consent").bounding_box(), page.locator("#photo").bounding_box()
    assert notice["y"] < photo["y"]
    assert "who agreed" in page.locator("#consent").inner_text()
