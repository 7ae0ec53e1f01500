"""What the page does not do for strangers: open files, answer to other names and sites, take what it cannot hold."""

import asyncio
import contextlib
import http.client
import json
import re
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from ganimation.errors import MediaError
from ganimation.web.store import Store
from ganimation.web.visitors import COOKIE
from tests.web.conftest import served

middleware = pytest.importorskip("ganimation.web.middleware", reason="the extra web is not installed")
guards = pytest.importorskip("ganimation.web.guards", reason="the extra web is not installed")

#: Notes of the page on malformed events; they hold a kind of error and nothing of what was sent.
NOTES = r"ganimation: \w+ in (an event|a request)"


class Client:
    """A program, or a browser with a cookie, that sends what it likes."""

    def __init__(self, url: str, cookie: str = "") -> None:
        self.host = urlsplit(url).netloc
        self.cookie = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str, http.client.HTTPMessage]:
        """Return status, text and headers of an answer; of a stream of events up to the one that ends it."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        connection.request(method, path, body, {**self.cookie, **(headers or {})})
        answer = connection.getresponse()
        if "event-stream" not in (answer.headers["Content-Type"] or ""):
            text = answer.read().decode("utf-8", "replace")
        else:
            text = ""
            line = answer.readline().decode()
            while line and "process_completed" not in line and "close_stream" not in line:
                text += line
                line = answer.readline().decode()
            text += line
        connection.close()
        return answer.status, text, answer.headers

    def post(self, path: str, content: object, **headers: str) -> tuple[int, str]:
        """Send JSON."""
        status, text, _ = self.ask(
            "POST", path, json.dumps(content).encode(), {"Content-Type": "application/json", **headers}
        )
        return status, text

    def upload(self, path: Path, **headers: str) -> tuple[int, str]:
        """Upload a file; return status and text, a list of places."""
        edge = uuid.uuid4().hex
        head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'
        body = head.encode() + path.read_bytes() + f"\r\n--{edge}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        status, text, _ = self.ask("POST", "/gradio_api/upload", body, kind | headers)
        return status, text

    def call(self, entry: str, event: dict[str, Any], data: list[Any]) -> str:
        """Send an event by one of the entries; return all that comes back, without what differs each time."""
        name, number, session = event["api_name"], event["id"], uuid.uuid4().hex[:10]
        if entry == "queue":
            body = {"data": data, "fn_index": number, "session_hash": session, "trigger_id": None}
            _, text = self.post("/gradio_api/queue/join", body)
            if "event_id" in text:
                text = self.ask("GET", f"/gradio_api/queue/data?session_hash={session}")[1]
        elif entry in ("run", "api"):
            body = {"data": data, "fn_index": number, "session_hash": session}
            text = self.post(f"/gradio_api/{entry}/predict", body)[1]
        else:
            named = entry == "call/v2"
            path = f"/gradio_api/{entry}/{name}"
            names = ("photo", "expression", "face")[: len(data)]
            text = self.post(path, dict(zip(names, data, strict=True)) if named else {"data": data})[1]
            if "event_id" in text:
                text = self.ask("GET", f"{path}/{json.loads(text)['event_id']}")[1]
        return re.sub(r'[0-9a-f]{32}|\d+\.\d+(e-\d+)?|"(duration|average_duration|eta|rank_eta)":[^,}]*', "", text)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(notes=NOTES) as address:
        yield address


def file_forms(path: str) -> list[Any]:
    """Return every form in which a client can name a file."""
    meta = {"_type": "gradio.FileData"}
    forms: list[Any] = [
        {"path": path},
        {"path": path, "meta": meta},
        {"path": path, "meta": meta, "is_stream": True},
        {"path": path, "meta": meta, "url": f"/gradio_api/file={path}"},
        {"path": f"file://{path}", "meta": meta},
        {"path": f"{path}/../{Path(path).name}", "meta": meta},
        {"url": f"file://{path}", "meta": meta},
        {"url": f"http://127.0.0.1:1/{path}", "meta": meta},
        path,
        f"/gradio_api/file={path}",
        f"file://{path}",
    ]
    inner = {"path": path, "meta": meta, "is_stream": True}
    return [*forms, [inner], {"video": inner}, {"value": inner}, {"files": [inner]}, [[inner]]]


def test_no_event_opens_a_file_that_nobody_uploaded(url: str, portrait: Path, tmp_path: Path) -> None:
    """All events of the page's own configuration, by every entry, with every form of file in every input."""
    client = Client(url)
    config = json.loads(client.ask("GET", "/config")[1])
    types = {component["id"]: component["type"] for component in config["components"]}
    missing = tmp_path / portrait.name
    tried = set()
    for event in config["dependencies"]:
        entries = ["queue", "run", "api", *(["call", "call/v2"] if event["api_visibility"] == "public" else [])]
        inputs = [types[number] for number in event["inputs"]]
        for place, kind in enumerate(inputs):
            if kind == "state":  # never comes from a client
                continue
            files = kind in ("image", "video", "file")
            for form, (there, gone) in enumerate(zip(file_forms(str(portrait)), file_forms(str(missing)), strict=True)):
                if not files and form != 2:  # the worst of them is enough where no file belongs
                    continue
                for entry in entries if files else entries[:1]:
                    answers = []
                    for hostile in (there, gone):
                        data: list[Any] = [None] * len(inputs)
                        data[place] = hostile
                        answers.append(client.call(entry, event, data).replace(str(hostile), ""))
                    where = f"{event['targets']} {event['api_name']} by {entry}: {kind} {there}"
                    assert answers[0] == answers[1], where
                    assert "event: complete" not in answers[0], where
                    assert '"success":true' not in answers[0], where
                    assert str(tmp_path) not in answers[0], where
                    if files and isinstance(there, dict):
                        refusals = (guards.ONLY_UPLOADS, "does not accept direct HTTP POST requests")
                        assert any(refusal in answers[0] for refusal in refusals), where
                    tried.add((event["id"], place, entry))
    assert len({event for event, _, _ in tried}) >= 5
    assert {entry for *_, entry in tried} == {"queue", "run", "api", "call", "call/v2"}


def test_a_visitor_sees_no_file_of_another(url: str, portrait: Path) -> None:
    ada, bob, program = Client(url, "a" * 43), Client(url, "b" * 43), Client(url)
    event = next(
        event for event in json.loads(ada.ask("GET", "/config")[1])["dependencies"] if event["api_name"] == "read"
    )
    uploads = {}
    for who in (ada, bob, program):
        status, text = who.upload(portrait)
        assert status == 200, text
        uploads[who] = json.loads(text)[0]
    for owner, place in uploads.items():
        for who in uploads:
            file = {"path": place, "meta": {"_type": "gradio.FileData"}}
            answer = who.call("call", event, [file])
            status, content, _ = who.ask("GET", f"/gradio_api/file={place}")
            if who is owner:
                assert "event: complete" in answer
                assert status == 200
            else:
                assert guards.ONLY_UPLOADS in answer
                assert (status, content) == (403, "not a file of yours")


def test_who_opens_the_page_gets_a_cookie_that_no_other_site_can_use(url: str) -> None:
    given = Client(url).ask("GET", "/")[2]["Set-Cookie"]
    assert re.fullmatch(rf"{COOKIE}=[\w-]{{43}}; HttpOnly; Path=/; SameSite=Lax", given)
    assert Client(url, "c" * 43).ask("GET", "/")[2]["Set-Cookie"] is None


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "a@localhost:80@evil"]
)
def test_other_names_are_refused(url: str, host: str) -> None:
    status, text, _ = Client(url).ask("GET", "/", headers={"Host": host})
    assert status in (400, 403)
    assert "gradio" not in text


def test_names_that_are_allowed_are_served(portrait: Path) -> None:
    with served("--allow-host", "Photos.Example.org") as url:
        client = Client(url)
        for host in ("photos.example.org", "photos.example.org:8443", "PHOTOS.EXAMPLE.ORG.", "localhost:1"):
            assert client.ask("GET", "/", headers={"Host": host})[0] == 200
        shown = {"Host": "photos.example.org", "Origin": "https://photos.example.org"}
        assert client.upload(portrait, **shown)[0] == 200
        assert client.ask("GET", "/", headers={"Host": "example.org"})[0] == 403


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/call/read", "/gradio_api/queue/join", "/login"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1", "x", ""])
def test_other_sites_are_refused(url: str, path: str, origin: str) -> None:
    assert Client(url).post(path, {"data": [None]}, Origin=origin) == (403, "another site asks; open the page itself")
    here = Client(url).post("/gradio_api/call/read", {"data": [None]}, Origin=url)
    assert here[0] == 200
    for site in ("cross-site", "same-site"):
        assert Client(url).ask("GET", "/gradio_api/info", headers={"Sec-Fetch-Site": site})[0] == 403


def test_login_cookies_stay_here_and_tries_are_few(portrait: Path) -> None:
    with served("--auth", "ada:secret", "--proxy", "127.0.0.1") as url:
        client = Client(url)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        status, _, headers = client.ask("POST", "/login", b"username=ada&password=secret", form)
        assert status == 200
        cookies = headers.get_all("Set-Cookie") or []
        assert len(cookies) == 2
        for cookie in cookies:
            assert "SameSite=Lax" in cookie
            assert "HttpOnly" in cookie
            assert "Secure" not in cookie
        https = client.ask("POST", "/login", b"username=ada&password=secret", form | {"X-Forwarded-Proto": "https"})
        assert all("Secure" in cookie for cookie in https[2].get_all("Set-Cookie") or ["none"])
        assert client.upload(portrait)[0] == 401
        assert client.upload(portrait, Cookie=cookies[0].split(";")[0])[0] == 200
        for path in ("info", "queue/status", "call/read", "file=/etc/passwd", "heartbeat/a", "run/read"):
            assert client.ask("GET", f"/gradio_api/{path}")[0] == 401, path
        # all at once: each sends all but the last byte before any is answered
        wrong = b"username=ada&password=wrong"
        head = f"POST /login HTTP/1.1\r\nHost: {client.host}\r\nContent-Length: {len(wrong)}\r\n"
        head += f"Content-Type: {form['Content-Type']}\r\nConnection: close\r\n\r\n"
        host, _, port = client.host.partition(":")
        with contextlib.ExitStack() as stack:
            waiting = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(30)]
            for connection in waiting:
                connection.sendall(head.encode() + wrong[:-1])
            time.sleep(0.5)
            for connection in waiting:
                with contextlib.suppress(OSError):  # refused already
                    connection.sendall(wrong[-1:])
            answers = [connection.recv(12)[-3:] for connection in waiting]
        assert sorted(answers) == [b"400"] * middleware.TRIES + [b"429"] * (30 - middleware.TRIES)
        assert client.ask("POST", "/login", b"username=ada&password=secret", form)[0] == 429


def test_no_address_is_believed_that_a_client_invents(portrait: Path) -> None:
    with served("--auth", "ada:secret") as url:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        tries = []
        for number in range(12):
            headers = form | {"X-Forwarded-For": f"192.0.2.{number}", "X-Forwarded-Proto": "https"}
            tries.append(Client(url).ask("POST", "/login", b"username=ada&password=wrong", headers)[0])
        assert tries == [400] * middleware.TRIES + [429] * (12 - middleware.TRIES)


def test_one_address_does_not_take_all_uploads(url: str, portrait: Path) -> None:
    client = Client(url)
    host, _, port = client.host.partition(":")
    head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {client.host}\r\nContent-Length: 1000\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(middleware.OWN_UPLOADS):
            slow = stack.enter_context(socket.create_connection((host, int(port))))
            slow.sendall(f"{head}Content-Type: multipart/form-data; boundary=a\r\n\r\n--a\r\n".encode())
        time.sleep(0.5)
        assert client.upload(portrait) == (503, "too many uploads at once; try again in a minute")
    time.sleep(0.5)
    assert client.upload(portrait)[0] == 200


def test_the_queue_cannot_be_passed_by(url: str, portrait: Path) -> None:
    """Only drawings, which wait for a turn of their own, are answered past it."""
    client = Client(url)
    events = json.loads(client.ask("GET", "/config")[1])["dependencies"]
    assert {event["queue"] for event in events} == {True, False}
    for event in events:
        body = {"data": [None] * len(event["inputs"]), "fn_index": event["id"], "session_hash": "s"}
        for entry in ("run", "api"):
            status, _ = client.post(f"/gradio_api/{entry}/predict", body)
            assert status in ((404,) if event["queue"] else (200, 500)), event


def test_bodies_have_limits_and_come(portrait: Path, tmp_path: Path) -> None:
    setup = "from ganimation.web import middleware as m; m.STALLED = 1.0; m.MAX_BODY = 100_000; m.MAX_UPLOAD = 500_000"
    with served(setup=setup) as url:
        client = Client(url)
        assert client.upload(portrait)[0] == 200
        big = tmp_path / "big.jpg"
        big.write_bytes(portrait.read_bytes() * 10)
        limit = (413, "too large; a file has at most 50 MB")
        assert client.upload(big) == limit
        assert client.post("/gradio_api/call/read", {"data": ["x" * 200_000]}) == limit
        host, _, port = client.host.partition(":")
        with socket.create_connection((host, int(port))) as stalled:
            head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {client.host}\r\nContent-Length: 1000\r\n"
            stalled.sendall(f"{head}Content-Type: multipart/form-data; boundary=a\r\n\r\n--a\r\n".encode())
            stalled.settimeout(20)
            assert b"408" in stalled.recv(100)
        assert client.upload(portrait)[0] == 200


def test_malformed_events_are_answered_without_a_traceback(url: str, portrait: Path) -> None:
    client, secret = Client(url), "a secret of the visitor"
    place = json.loads(client.upload(portrait)[1])[0]
    file = {"path": place, "meta": {"_type": "gradio.FileData"}}
    bodies: list[Any] = [
        {"data": [None, secret, secret, "linear", 1, "MP4", True, *[0] * 16], "fn_index": 18, "session_hash": "s"},
        {"data": [secret] * 99, "fn_index": 3, "session_hash": "s"},
        {"data": [{"meta": secret}], "fn_index": 1, "session_hash": "s"},
        {"data": [], "fn_index": 10**9, "session_hash": "s"},
        {"data": [], "fn_index": -1, "session_hash": "s"},
        {"data": [[[file]]], "fn_index": 0, "session_hash": "s", "event_data": {"index": secret}, "trigger_id": 99},
        {"data": secret},
        secret,
        [],
        {"data": [[[[[[secret]]]]]], "session_hash": {"a": 1}},
    ]
    deep = b'{"data": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    paths = ("run/predict", "api/predict", "call/read", "call/v2/read", "call/v2/none", "call/none", "cancel", "reset")
    for path in paths:
        for body in bodies:
            status, text = client.post(f"/gradio_api/{path}", body)
            assert "Traceback" not in text
            assert "/site-packages/" not in text
            assert secret not in text
            assert status < 600
        status, text, _ = client.ask("POST", f"/gradio_api/{path}", deep, {"Content-Type": "application/json"})
        assert "Traceback" not in text
    events = json.loads(client.ask("GET", "/config")[1])["dependencies"]
    for event in events:  # a choice that there is not, a number that is none
        answer = client.call("queue", event, [secret] * len(event["inputs"]))
        assert "Traceback" not in answer
        assert secret not in answer
    assert client.call("call", {"api_name": "read", "id": 0}, [file]).count("event: complete") == 1


@pytest.mark.parametrize("session", ["k" * 65, "\ud800", "a b", 7, ["a"], {"a": 1}, "../a"])
def test_sessions_are_named_in_few_letters(url: str, session: object) -> None:
    """Gradio keeps every name that it is given."""
    client = Client(url)
    for path in ("queue/join", "run/predict", "call/read", "cancel"):
        body = {"data": [None], "fn_index": 3, "session_hash": session}
        assert client.post(f"/gradio_api/{path}", body) == (422, middleware.INVALID_REQUEST)
    name = quote(str(session), safe="", errors="replace")
    for path in (f"queue/data?session_hash={name}", f"heartbeat/{name}"):
        if isinstance(session, str) and session != "\ud800":
            assert client.ask("GET", f"/gradio_api/{path}")[0] in (404, 422)


def test_what_a_proxy_would_say_is_not_believed(url: str) -> None:
    said = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil"}
    for path in ("/", "/config"):
        assert "evil" not in Client(url).ask("GET", path, headers=said)[1]


def test_another_site_logs_nobody_out(url: str) -> None:
    assert Client(url).ask("GET", "/logout", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert Client(url).ask("GET", "/", headers={"Sec-Fetch-Site": "cross-site"})[0] == 200  # a link to the page


def test_one_visitor_does_not_take_all_drawings() -> None:
    """Events that pass the queue by are few at once for each visitor, and for each address."""
    store = Store()

    async def hold() -> list[int]:
        gate, statuses = asyncio.Event(), []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await gate.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        tested = middleware.GuardMiddleware(app, store)

        async def ask(cookie: str) -> None:
            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": b"{}", "more_body": False}

            async def send(message: Any) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            headers = [(b"host", b"localhost"), (b"cookie", f"{COOKIE}={cookie}".encode())]
            scope = {"type": "http", "method": "POST", "path": "/gradio_api/run/predict", "headers": headers}
            await tested(scope | {"client": ("127.0.0.1", 1)}, receive, send)

        tasks = [asyncio.create_task(ask("a" * 43)) for _ in range(10)]
        tasks += [asyncio.create_task(ask("b" * 43)) for _ in range(2)]
        await asyncio.sleep(0.1)
        gate.set()
        await asyncio.gather(*tasks)
        assert not tested.events
        return statuses

    try:
        found = asyncio.run(hold())
        assert sorted(found) == [200] * (middleware.OWN_EVENTS + 2) + [503] * (10 - middleware.OWN_EVENTS)
    finally:
        store.close()


@pytest.mark.parametrize(
    "value",
    [
        {"path": "/etc/passwd", "url": "data:image/jpeg;base64,AAAA"},
        {"path": None, "url": "data:text/html;base64,AAAA"},
        {"path": None, "url": "http://127.0.0.1/frame.jpg"},
        {"path": None, "url": "file:///etc/passwd"},
        {"path": None, "url": "data:image/jpeg;base64,AAAA", "more": 1},
    ],
)
def test_only_a_picture_in_itself_is_a_frame(value: dict[str, Any]) -> None:
    store = Store()
    try:
        with pytest.raises(guards.Refusal, match="only files that you uploaded"):
            guards.admit_files([value], store)
        frame = {"path": None, "url": "data:image/jpeg;base64,AAAA", "mime_type": None, "is_stream": False}
        (admitted,) = guards.admit_files([frame], store)
        assert (admitted["path"], admitted["url"]) == (None, frame["url"])
    finally:
        store.close()


def test_frames_come_in_and_no_film_is_streamed_out(url: str) -> None:
    client, event = Client(url), uuid.uuid4().hex
    for method, path in (
        ("GET", f"stream/{event}"),
        ("GET", f"stream/{event}/0/1/playlist.m3u8"),
        ("POST", "stream/../x"),
        ("POST", f"stream/{event}/x"),
        ("POST", f"stream/{event}"),  # an event that is not there
    ):
        body = json.dumps({"data": [], "session_hash": "x"}).encode() if method == "POST" else None
        answer = client.ask(method, f"/gradio_api/{path}", body, {"Content-Type": "application/json"})
        assert answer[0] in (404, 422), path


def test_a_damaged_frame_is_said() -> None:
    films = pytest.importorskip("ganimation.web.films", reason="the extra web is not installed")
    live, store = films.LivePhoto((), lambda pixels, time: pixels), Store()
    try:
        for text in ("data:image/jpeg;base64,%%%", "data:image/jpeg;base64,AAAA"):
            path = store.place("frame.jpg")
            with pytest.raises(MediaError, match=r"damaged|not a picture"):
                live.show(text, path, 10**6)
            assert not path.exists()
    finally:
        store.close()
