"""The same without a browser: what programs ask, what the server sends, and what it keeps."""

import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from ganimation.cli import main
from ganimation.editing.editor import Editor
from ganimation.errors import FaceError
from ganimation.media.images import read_image
from ganimation.web import desk
from ganimation.web.store import Store
from tests.web.conftest import served

page = pytest.importorskip("ganimation.web.page", reason="the extra web is not installed")


def test_programs_edit_and_read(page_url: str, portrait: Path, tmp_path: Path) -> None:
    gradio_client = pytest.importorskip("gradio_client")
    client = gradio_client.Client(page_url, verbose=False, download_files=str(tmp_path))
    photo = gradio_client.handle_file(str(portrait))
    edited = client.predict(photo, {"AU12": 0.8}, "largest", api_name="/edit")
    assert read_image(edited).pixels.shape == (720, 720, 3)
    (face,) = client.predict(gradio_client.handle_file(edited), api_name="/read")
    assert face["aus"]["AU12"] > Editor(threads=1).read(portrait)[0].aus["AU12"] + 0.2
    with pytest.raises(gradio_client.exceptions.AppError, match="AU12=2: an intensity lies in"):
        client.predict(photo, {"AU12": 2}, "largest", api_name="/edit")
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {"/edit", "/read"}


def test_the_browser_is_told_to_ask_nobody_else(page_url: str) -> None:
    with urllib.request.urlopen(page_url) as answer:
        policy, text = answer.headers["Content-Security-Policy"], answer.read().decode()
    assert "default-src 'self'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "fonts.googleapis" not in text
    assert "cdnjs" not in text


def test_strangers_are_kept_out(portrait: Path) -> None:
    gradio_client = pytest.importorskip("gradio_client")
    with served("--auth", "ada:secret", "--auth", "bob:other") as url:
        with pytest.raises(gradio_client.exceptions.AuthenticationError):
            gradio_client.Client(url, verbose=False)
        with pytest.raises(ValueError, match="Could not login"):
            gradio_client.Client(url, verbose=False, auth=("ada", "other"))
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{url}/gradio_api/info")
        client = gradio_client.Client(url, verbose=False, auth=("bob", "other"))
        (face,) = client.predict(gradio_client.handle_file(str(portrait)), api_name="/read")
        assert set(face["aus"]) == set(Editor(threads=1).config.aus)


def test_drawings_are_few_at_once(monkeypatch: pytest.MonkeyPatch, portrait: Path, tmp_path: Path) -> None:
    gradio = pytest.importorskip("gradio")
    monkeypatch.setattr(page, "PATIENCE", 0.01)
    editor, store = Editor(threads=1), Store()
    try:
        shown = page.Page(editor, store, 10**7)
        work, values = desk.open_work(editor, portrait, 10**7), [0.5] * len(editor.config.aus)
        for _ in range(page.DRAWINGS):
            shown.drawing.acquire()
        with pytest.raises(gradio.Error, match="too many people"):
            shown._draw(work, False, *values)
        shown.drawing.release()
        for _ in range(2 * page.DRAWINGS):  # what was taken is given back
            assert len(shown._draw(work, False, *values)) == 5
        with pytest.raises(gradio.Error, match="no photo yet"):
            shown._draw(None, False, *values)
    finally:
        store.close()


def test_it_stops_without_a_word_on_open_pages() -> None:
    with served() as url:
        heart = urllib.request.urlopen(f"{url}/gradio_api/heartbeat/somebody")
        assert heart.status == 200
    heart.close()


def test_files_of_visitors_go_after_their_time_and_at_the_end() -> None:
    store = Store(keep=100)
    one, two = store.place("a b/../c.jpg"), store.place("c.jpg")
    assert one.parent != two.parent
    assert one.name == "a_b_.._c.jpg"
    one.write_bytes(b"1")
    store.sweep(time.time() + 50)
    assert one.exists()
    store.sweep(time.time() + 150)
    assert not one.exists()
    store.close()
    assert not store.folder.exists()


def test_a_desk_remembers_what_was_asked(portrait: Path) -> None:
    editor = Editor(threads=1)
    work = desk.open_work(editor, portrait, 10**7)
    shown = work.asked
    smile = shown | {"AU12": 0.8}
    work.remember(smile)
    work.remember(smile)
    work.remember(smile | {"AU25": 0.5})
    assert len(work.history) == 3
    assert work.step(-1) == smile
    assert work.step(-5) == shown
    assert work.step(1) == smile
    work.remember(smile | {"AU04": 0.6})
    assert work.step(1) == smile | {"AU04": 0.6}
    as_json, line = desk.recipe(work, work.asked)
    assert '"AU04": 0.6' in as_json
    assert line == "ganimation edit portrait.jpg --au AU04=0.60 AU12=0.80 -o portrait-edited.jpg"
    color, change = desk.masks(desk.draw(work, smile))
    assert color.shape == change.shape == (256, 256, 3)
    assert change.max() > 128
    untouched = desk.draw(work, shown)
    assert np.array_equal(untouched.image, work.preview.photo.pixels)
    assert desk.masks(untouched)[1].max() == 0
    with pytest.raises(FaceError, match="no photo yet"):
        desk.need(None)


def test_a_face_is_chosen_by_a_click(sheet: Path) -> None:
    work = desk.open_work(Editor(threads=1), sheet, 10**8)
    assert len(work.preview.faces) > 4
    left, top, width, height = work.preview.faces[3].face.box
    assert work.face_at(left + width / 2, top + height / 2) == 4
    assert work.face_at(-5, -5) is None
    work.choose(4)
    assert work.asked == work.preview.faces[3].shown
    assert "--face 4" in desk.recipe(work, work.asked)[1]


def test_bad_servers_are_refused_in_one_line(capsys: pytest.CaptureFixture[str], page_url: str) -> None:
    taken = page_url.rpartition(":")[2]
    for words, message in (
        (["--port", "99999"], "--port 99999"),
        (["--auth", "name"], "write NAME:PASSWORD"),
        (["--port", taken], "cannot be listened at"),
        (["--host", "no.such.host.invalid"], "cannot be listened at"),
    ):
        assert main(["serve", *words]) == 2
        assert message in capsys.readouterr().err
