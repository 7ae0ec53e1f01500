"""The same without a browser: what programs ask, what the server sends, and what it keeps."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ganimation.cli import main
from ganimation.editing.editor import Editor
from ganimation.errors import FaceError, MediaError
from ganimation.media.images import Photo, read_image, write_image
from ganimation.media.provenance import read_provenance
from ganimation.web import photo_state
from ganimation.web.store import PREFIX, Store
from tests.conftest import ROOT
from tests.web.conftest import served

page = pytest.importorskip("ganimation.web.page", reason="the extra web is not installed")
guards = pytest.importorskip("ganimation.web.guards", reason="the extra web is not installed")


def test_programs_edit_and_read(page_url: str, portrait: Path, tmp_path: Path) -> None:
    gradio_client = pytest.importorskip("gradio_client")
    client = gradio_client.Client(page_url, verbose=False, download_files=str(tmp_path))
    photo = gradio_client.handle_file(str(portrait))
    edited, report = client.predict(photo, {"AU12": 0.8}, "largest", api_name="/edit")
    assert report == {"changed": True, "notice": "", "doubts": []}
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


def ask(url: str, name: str, *data: object) -> str:
    """Call a function as a program would that is not polite; return what comes back."""
    body = json.dumps({"data": data}).encode()
    request = urllib.request.Request(f"{url}/gradio_api/call/{name}", body, {"Content-Type": "application/json"})
    event = json.loads(urllib.request.urlopen(request).read())["event_id"]
    return str(urllib.request.urlopen(f"{url}/gradio_api/call/{name}/{event}").read().decode())


def file_of(path: str) -> dict[str, object]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def test_only_uploads_are_taken(page_url: str, portrait: Path) -> None:
    for path in (str(portrait), "/etc/passwd", "https://example.com/a.jpg", "file:///etc/passwd", "../../etc/passwd"):
        for name, rest in (("read", ()), ("edit", ({"AU12": 0.5}, "largest"))):
            answer = ask(page_url, name, file_of(path), *rest)
            assert "event: error" in answer, path
            assert "event: complete" not in answer


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/openapi.json",
        "openapi.json",
        "docs",
        "gradio_api/component_server",
        "gradio_api/stream/a",
        "gradio_api/proxy=https://example.com/a.jpg",
        "gradio_api/deep_link?session_hash=a",
        "gradio_api/run-history/buckets",
        "gradio_api/vibe-code/",
        "monitoring",
    ],
)
def test_what_the_page_does_not_need_is_not_there(page_url: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{page_url}/{path}")


def test_files_outside_the_store_are_not_served(page_url: str, portrait: Path) -> None:
    away = ("https://example.com/a.jpg", "%68ttps://example.com/a.jpg", "/http://example.com/a.jpg")
    for path in ("/etc/passwd", str(portrait), str(portrait.parent.parent / "pyproject.toml"), *away):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{page_url}/gradio_api/file={path}")


@pytest.mark.parametrize(
    ("expression", "face", "message"),
    [
        ("{", "largest", "not JSON"),
        ([1], "largest", "the expression is list"),
        (None, "largest", "the expression is NoneType"),
        ({"AU12": 0.5}, "7", "face 7: the photo has 1"),
        ({"AU12": 0.5}, "9" * 5000, r"face 9+\.\.\. \(5000 characters\): write largest"),
    ],
)
def test_bad_questions_of_programs_get_a_sentence(
    page_url: str, portrait: Path, expression: object, face: str, message: str
) -> None:
    gradio_client = pytest.importorskip("gradio_client")
    client = gradio_client.Client(page_url, verbose=False)
    with pytest.raises(gradio_client.exceptions.AppError, match=message):
        client.predict(gradio_client.handle_file(str(portrait)), expression, face, api_name="/edit")
    with pytest.raises(gradio_client.exceptions.AppError, match="no photo"):
        client.predict(None, expression, face, api_name="/edit")


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
    monkeypatch.setattr(guards, "PATIENCE", 0.01)
    editor, store = Editor(threads=1), Store()
    try:
        shown = page.Page(editor, store, 10**7)
        work, values = (
            photo_state.open_photo_state(editor, portrait, tmp_path / "before.jpg", 10**7),
            [0.5] * len(editor.config.aus),
        )
        with contextlib.ExitStack() as taken:
            for _ in range(guards.AT_ONCE["drawing"]):
                taken.enter_context(shown.turns.held("drawing"))
            with pytest.raises(gradio.Error, match="too many people"):
                shown._draw(work, page.BOTH, False, *values)
        with contextlib.ExitStack() as taken:  # other work takes no drawing's turn
            for kind in ("whole", "film", "measurement"):
                for _ in range(guards.AT_ONCE[kind]):
                    taken.enter_context(shown.turns.held(kind))
            for event in (
                lambda: shown._save(work, page.BOTH, *values),
                lambda: shown._open({"path": str(portrait)}, None, page.BOTH),
                lambda: shown.tabs._read(str(portrait)),
                lambda: shown.tabs._make_animation(
                    work, page.BOTH, "as in the photo", "as in the photo", "linear", 1, "GIF", True
                ),
                lambda: shown._copy({"path": str(portrait)}, ["brows"], 1.0, work, page.BOTH, False, *values),
                lambda: shown.tabs._make_driven(work, None, 1.0, ["brows"], "GIF"),
            ):
                with pytest.raises(gradio.Error, match="too many people"):
                    event()
            for _ in range(2 * guards.AT_ONCE["drawing"]):  # what was taken is given back
                assert len(shown._draw(work, page.BOTH, False, *values)) == 6
        with pytest.raises(gradio.Error, match="no photo yet"):
            shown._draw(None, page.BOTH, False, *values)
    finally:
        store.close()


def test_the_page_says_where_nothing_changes(monkeypatch: pytest.MonkeyPatch, portrait: Path, tmp_path: Path) -> None:
    editor, store = Editor(threads=1), Store()
    try:
        shown = page.Page(editor, store, 10**7)
        work = photo_state.open_photo_state(editor, portrait, tmp_path / "before.jpg", 10**7)
        asked = work.shown | {"AU12": 0.9}
        values = [asked[code] for code in editor.config.aus]
        assert shown._draw(work, page.BOTH, False, *values)[-1] == ""
        edit = photo_state.draw(work, asked)
        monkeypatch.setattr(photo_state, "draw", lambda work, asked: replace(edit, changed=False))
        assert "changes no pixel with this model; ask for more" in shown._draw(work, page.BOTH, False, *values)[-1]
        assert shown._draw(work, page.BOTH, False, *work.shown.values())[-1] == ""  # nothing was asked
    finally:
        store.close()


def test_sides_are_asked_apart(portrait: Path, tmp_path: Path) -> None:
    editor, store = Editor(threads=1), Store()
    try:
        shown = page.Page(editor, store, 10**7)
        codes = list(editor.config.aus)
        work = photo_state.open_photo_state(editor, portrait, tmp_path / "before.jpg", 10**7)

        def asked(side: str, **values: float) -> dict[str, float]:
            own = dict(zip(codes, shown._values(work, side), strict=True)) | values
            found: dict[str, float] = shown._asked(work, side, list(own.values()))
            return found

        right, left = (way for way in page.WAYS if page.WAYS[way])
        assert (page.WAYS[right], page.WAYS[left]) == ("R", "L")
        work.remember(asked(left, AU12=0.9))
        assert work.changes(work.asked) == {"AU12L": 0.9}
        assert dict(zip(codes, shown._values(work, left), strict=True))["AU12"] == 0.9
        assert dict(zip(codes, shown._values(work, right), strict=True))["AU12"] == round(work.shown["AU12"], 2)
        work.remember(asked(page.BOTH, AU01=0.7))  # what is moved on both sides leaves the smile on its own
        assert work.changes(work.asked) == {"AU01": 0.7, "AU12L": 0.9}
        assert "--au AU01=0.70 AU12L=0.90" in photo_state.recipe(work, work.asked)[1]
        edit = photo_state.draw(work, work.asked)
        change = np.abs(edit.image.astype(int) - work.preview.photo.pixels).max(axis=2)
        middle = round(float(work.preview.faces[0].face.eyes[:, 0].mean()))
        lower = slice(round(work.preview.faces[0].face.points[1, 1]), None)  # below the nose
        assert change[lower, middle:].mean() > 3 * change[lower, :middle].mean()  # the person's left is on our right
        path = tmp_path / "whole.png"
        photo_state.finish(editor, work, work.asked, path, 10**7)
        made, _ = read_provenance(path)
        assert made is not None
        assert set(made.faces[0]["aus"]) == {"AU01", "AU12L"}
        work.remember(asked(page.BOTH, AU12=0.5))
        assert work.changes(work.asked) == {"AU01": 0.7, "AU12": 0.5}
    finally:
        store.close()


def test_an_expression_is_copied_from_another_photo(portrait: Path, people: list[Path], tmp_path: Path) -> None:
    gradio = pytest.importorskip("gradio")
    editor, store = Editor(threads=1), Store()
    try:
        shown = page.Page(editor, store, 10**8)
        work = photo_state.open_photo_state(editor, portrait, tmp_path / "before.jpg", 10**7)
        other, (face,) = {"path": str(people[1])}, editor.read(people[1])
        more = (work, page.BOTH, False, *work.shown.values())
        shown._copy(other, ["mouth and chin"], 1.0, *more)
        assert work.asked["AU25"] == pytest.approx(face.aus["AU25"], abs=0.02)
        assert work.asked["AU01"] == work.shown["AU01"]
        for upload, regions, message in ((None, ["brows"], "no other photo yet"), (other, [], "no region is chosen")):
            with pytest.raises(gradio.Error, match=message):
                shown._copy(upload, regions, 1.0, *more)
    finally:
        store.close()


def test_it_stops_without_a_word_on_open_pages() -> None:
    with served() as url:
        heart = urllib.request.urlopen(f"{url}/gradio_api/heartbeat/somebody")
        assert heart.status == 200
    heart.close()


def test_sigterm_removes_what_visitors_brought(portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gradio_client = pytest.importorskip("gradio_client")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for number in (signal.SIGTERM, signal.SIGKILL):
        command = [sys.executable, "-m", "ganimation", "serve", "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            client = gradio_client.Client(server.stdout.readline().split()[1], verbose=False)
            client.predict(gradio_client.handle_file(str(portrait)), api_name="/read")
            (folder,) = tmp_path.glob(f"{PREFIX}*")
            server.send_signal(number)
            server.wait(30)
        assert folder.exists() == (number == signal.SIGKILL)
    os.utime(folder, (0, 0))
    Store().close()  # the next page sweeps what a killed one left
    assert not folder.exists()


def test_files_of_visitors_go_after_their_time_and_at_the_end() -> None:
    store = Store(keep=100)
    example = store.place("example.jpg")
    example.write_bytes(b"0")
    store.pin()
    one, two = store.place("a b/../c.jpg"), store.place("c.jpg")
    assert one.parent != two.parent
    assert one.name == "a_b_.._c.jpg"
    odd = ("", ".", "..", "\U0001f600" * 90, ".x")
    assert [store.place(name).name for name in odd] == ["file"] * 3 + ["_" * 80, "x"]
    one.write_bytes(b"1")
    store.sweep(time.time() + 50)
    assert one.exists()
    store.sweep(time.time() + 150)
    assert not one.parent.exists()
    assert example.exists()
    store.close()
    assert not store.folder.exists()


def test_a_desk_remembers_what_was_asked(portrait: Path, tmp_path: Path) -> None:
    editor = Editor(threads=1)
    work = photo_state.open_photo_state(editor, portrait, tmp_path / "before.jpg", 10**7)
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
    work.step(-1)
    work.remember({code: value + 0.004 for code, value in smile.items()})  # what a slider shows of it
    assert work.was_undone(smile | {"AU04": 0.6})
    assert work.step(1) == smile | {"AU04": 0.6}
    assert not work.was_undone(smile | {"AU04": 0.6})
    for number in range(photo_state.RECENT + 3):
        path = photo_state.show(work, photo_state.draw(work, smile), tmp_path / f"{number}.jpg")
    made, _ = read_provenance(path)
    assert made is not None
    assert len(list(tmp_path.glob("[0-9]*.jpg"))) == photo_state.RECENT
    as_json, line = photo_state.recipe(work, work.asked)
    assert '"AU04": 0.6' in as_json
    assert line == "ganimation edit portrait.jpg --au AU04=0.60 AU12=0.80 -o portrait-edited.jpg"
    color, change = photo_state.masks(photo_state.draw(work, smile))
    assert color.shape == change.shape == (256, 256, 3)
    assert change.max() > 128
    untouched = photo_state.draw(work, shown)
    assert np.array_equal(untouched.image, work.preview.photo.pixels)
    assert photo_state.masks(untouched)[1].max() == 0
    with pytest.raises(FaceError, match="no photo yet"):
        photo_state.need(None)


def test_a_face_is_chosen_by_a_click(sheet: Path, tmp_path: Path) -> None:
    work = photo_state.open_photo_state(Editor(threads=1), sheet, tmp_path / "before.jpg", 10**8)
    assert len(work.preview.faces) > 4
    left, top, width, height = work.preview.faces[3].face.box
    assert work.face_at(left + width / 2, top + height / 2) == 4
    assert work.face_at(-5, -5) is None
    work.choose(4)
    assert work.asked == work.preview.faces[3].shown
    assert "--face 4" in photo_state.recipe(work, work.asked)[1]


def test_a_face_is_found_again_at_the_photos_own_size(sheet: Path, tmp_path: Path) -> None:
    editor = Editor(threads=1)
    work = photo_state.open_photo_state(editor, sheet, tmp_path / "before.jpg", 10**8)
    number = 1 + int(np.argmin([planned.shown["AU12"] for planned in work.preview.faces]))
    work.choose(number)
    photo_state.finish(editor, work, work.shown | {"AU12": 0.9}, tmp_path / "after.jpg", 10**8)
    change = np.abs(read_image(tmp_path / "after.jpg").pixels.astype(int) - read_image(sheet).pixels).max(axis=2)
    y, x = np.argwhere(change > 30).mean(axis=0) * work.scale
    assert work.face_at(x, y) == number


def test_an_animation_says_both_its_ends_and_films_have_limits(
    portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gradio", reason="the extra web is not installed")
    from ganimation.web import films, media

    editor = Editor(threads=1)
    write_image(Photo(read_image(portrait).pixels[::4, ::4].copy()), tmp_path / "small.png")
    work = photo_state.open_photo_state(editor, tmp_path / "small.png", tmp_path / "before.jpg", 10**7)
    ends = [work.shown | {"AU04": 0.8}, work.shown]
    quiet = lambda *_, **__: None  # noqa: E731
    films.animate(editor, work, ends, tmp_path / "a.mp4", "linear", 0.5, back=False, progress=quiet)
    made, _ = read_provenance(tmp_path / "a.mp4")
    assert made is not None
    assert made.faces == ({"from": {"AU04": 0.8}, "asked": {}},)
    monkeypatch.setattr(films, "PATIENCE", -1.0)
    with pytest.raises(MediaError, match="this takes over"):
        films.drive(editor, work, str(tmp_path / "a.mp4"), tmp_path / "b.mp4", 1.0, ["brows"], quiet)
    monkeypatch.setattr(media, "LARGEST_FRAME", 100)
    with pytest.raises(MediaError, match="frames of 180x180, the limit is"):
        films.drive(editor, work, str(tmp_path / "a.mp4"), tmp_path / "b.mp4", 1.0, ["brows"], quiet)
    assert not (tmp_path / "b.mp4").exists()


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


def test_the_space_serves_the_page_under_its_name_and_in_the_frame_of_its_site() -> None:
    header = (ROOT / "space" / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    about = dict(line.split(": ", 1) for line in header.splitlines())
    assert (about["sdk"], about["app_file"]) == ("gradio", "app.py")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"SPACE_HOST": "ada-faces.hf.space", "PORT": str(port)}
    command = [sys.executable, str(ROOT / "space" / about["app_file"])]
    with subprocess.Popen(command, env=os.environ | own, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline().startswith("ganimation: http://")
            answers = []
            for host in ("ada-faces.hf.space", "elsewhere.example"):
                with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
                    connection.request("GET", "/", headers={"Host": host, "X-Forwarded-Proto": "https"})
                    answers.append(connection.getresponse())
                    answers[-1].read()
            assert [answer.status for answer in answers] == [200, 403]
            assert "frame-ancestors 'self' https://huggingface.co;" in answers[0].headers["Content-Security-Policy"]
            assert "SameSite=None; Secure; Partitioned" in answers[0].headers["Set-Cookie"]
        finally:
            server.terminate()
            server.wait(30)
