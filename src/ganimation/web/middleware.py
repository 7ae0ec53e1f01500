"""ASGI middleware that filters all requests to the page and hardens its responses.

A request is served only if:

1. ``Host`` is one that the page is served under, so that no other site can point its name here (DNS rebinding).
2. ``Origin``, which browsers send with every event and upload, is the page itself.
3. The path is one that the page asks for; Gradio offers more.
4. Where there are logins, whoever asks below :data:`API` is logged in, and login tries are limited.
5. A requested file is the visitor's own.
6. The body stays within limits of size and time; an event is a JSON object with a session name of at most 64 letters.

Exceptions of the application are answered with a generic message; only their class is logged.
"""

import asyncio
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ganimation.text import parse_json
from ganimation.web.store import Store
from ganimation.web.visitors import VISITOR, address, headers, new_cookie, own_cookie, restriction, visitor_of

#: Largest body in bytes: of an upload (multipart), and of any other request.
MAX_UPLOAD, MAX_BODY = 51_000_000, 1_000_000
#: Timeouts in seconds: between two parts of a body, and for the whole body.
STALLED, SLOW = 20.0, 600.0
#: Concurrent uploads: in all, and from one address.
UPLOADS, OWN_UPLOADS = 12, 3
#: Concurrent events that bypass Gradio's queue: of one visitor, and from one address.
OWN_EVENTS, ADDRESS_EVENTS = 4, 32
#: Failed logins: from one address, from all addresses, and the period in seconds.
TRIES, ALL_TRIES, WITHIN = 10, 100, 600.0

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

API = "/gradio_api/"
UPLOAD = API + "upload"
#: Answer to requests that the page itself never sends.
INVALID_REQUEST = "this is not what the page asks for"
#: First segments of the paths that are served below :data:`API`; and those of them that need no login.
CALLS = frozenset((
    "app_id", "call", "cancel", "heartbeat", "info", "login_check", "queue", "reset", "run", "startup-events",
    "stream", "theme.css", "token", "upload", "upload_progress", "user", "api",
))  # fmt: skip
OPEN_CALLS = frozenset({"app_id", "login_check", "startup-events", "theme.css", "token", "user"})
#: First segments of the paths that are served outside :data:`API`.
PAGES = frozenset((
    "", "assets", "config", "favicon.ico", "login", "logout", "manifest.json", "pwa_icon", "robots.txt", "static",
    "svelte", "theme.css",
))  # fmt: skip

#: Where a browser sends frames of its camera, by the number of the event that takes them.
FRAMES = re.compile(re.escape(API) + r"stream/[0-9a-f]{32}(/close)?", re.ASCII)

#: What the page may load, enforced by the browser: itself, and nothing from elsewhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-src 'self' blob:; frame-ancestors {frames}; object-src 'none'; base-uri 'self'; "
    "form-action 'self'"
)

HEADERS = (
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
#: Status and reason.
Refusal = tuple[int, str]


class LoginAttempts:
    """Logins of the last minutes that failed or have not ended yet."""

    def __init__(self) -> None:
        self._failed: deque[tuple[float, str]] = deque(maxlen=ALL_TRIES)

    def begin(self, address: str) -> bool:
        """Count an attempt before it is made, so that concurrent ones are limited too; return whether it is allowed."""
        since = time.monotonic() - WITHIN
        recent = [who for when, who in self._failed if when > since]
        if len(recent) >= ALL_TRIES or recent.count(address) >= TRIES:
            return False
        self._failed.append((time.monotonic(), address))
        return True

    def succeed(self, address: str) -> None:
        """Remove the newest attempt of an address, which succeeded."""
        for entry in reversed(self._failed):
            if entry[1] == address:
                self._failed.remove(entry)
                return


@dataclass
class GuardMiddleware:
    """ASGI middleware, see the module.

    Args:
        app: the page.
        store: of visitors' files.
        hosts: names that the page is served under, beside :data:`LOOPBACK`.
        is_known: whether a request comes from somebody who is logged in, or needs no login.
        frames: names of other sites that may show the page in a frame.
    """

    app: Callable[[Scope, Receive, Send], Awaitable[None]]
    store: Store
    hosts: Collection[str] = ()
    is_known: Callable[[Mapping[str, Any]], bool] = lambda scope: True
    frames: Collection[str] = ()
    uploads: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    tries: LoginAttempts = field(default_factory=LoginAttempts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page uses no websockets
            await send({"type": "websocket.close", "code": 1008})
            return
        scope["headers"] = [(key, value) for key, value in scope["headers"] if not key.startswith(b"x-forwarded-")]
        answer = Answer(send, scope, self.frames)
        refusal = self._refusal(scope)
        if refusal is not None:
            await answer.refuse(*refusal)
            return
        body = Body(receive, MAX_UPLOAD if scope["path"] == UPLOAD else MAX_BODY)
        answer.body = body
        token = VISITOR.set(visitor_of(scope))
        try:
            with self._counted(scope):
                await self.app(scope, await _whole_event(scope, body) if scope["method"] == "POST" else receive, answer)
        except Exception as error:
            if body.refusal is None:
                print(f"ganimation: {type(error).__name__} in a request", file=sys.stderr)
            await answer.refuse(*(body.refusal or (500, "something went wrong here; try again")))
        finally:
            VISITOR.reset(token)
            if is_login(scope) and answer.status == HTTPStatus.OK:
                self.tries.succeed(address(scope))

    @contextmanager
    def _counted(self, scope: Scope) -> Iterator[None]:
        """Count an upload, or an event that bypasses the queue, while it is being answered."""
        counts = self.uploads if scope["path"] == UPLOAD else self.events if is_direct(scope) else Counter[str]()
        names = (address(scope), visitor_of(scope))
        counts.update(names)
        try:
            yield
        finally:
            counts.subtract(names)
            for name in names:
                if not counts[name]:
                    del counts[name]

    def _refusal(self, scope: Scope) -> Refusal | None:
        """Return why a request is not answered."""
        return refuse_foreign(scope) or self._refuse_name(scope) or self._refuse_path(scope) or self._refuse_load(scope)

    def _refuse_name(self, scope: Scope) -> Refusal | None:
        """Refuse names that the page is not served under."""
        host = headers(scope, b"host")
        if len(host) == 1 and host_name(host[0]) in {*LOOPBACK, *self.hosts}:
            return None
        return 403, "this page is not served under this name; start it with --allow-host NAME"

    def _refuse_path(self, scope: Scope) -> Refusal | None:
        """Refuse unknown paths, requests without a login, and files of other visitors."""
        below, call, file = _parts(scope["path"])
        if file is None and call not in (CALLS if below else PAGES):
            return 404, "not found"
        if below and call == "stream" and (scope["method"] != "POST" or FRAMES.fullmatch(scope["path"]) is None):
            return 404, "not found"  # frames of a camera come in; no film is streamed out
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        sessions = [*query.get("session_hash", ()), *(scope["path"].split("/")[3:4] if call == "heartbeat" else ())]
        if not all(map(is_session, sessions)):
            return 422, INVALID_REQUEST
        if below and call not in OPEN_CALLS and not self.is_known(scope):
            return 401, "log in first"
        if file is None:
            return None
        token = VISITOR.set(visitor_of(scope))
        admitted = self.store.admit(file)
        VISITOR.reset(token)
        return None if admitted is not None else (403, "not a file of yours")

    def _refuse_load(self, scope: Scope) -> Refusal | None:
        """Refuse too many login attempts, and too many concurrent uploads or events."""
        own, every = self.uploads[address(scope)], self.uploads.total() / 2  # each counts by address and by visitor
        if scope["path"] == UPLOAD and (own >= OWN_UPLOADS or every >= UPLOADS):
            return 503, "too many uploads at once; try again in a minute"
        events, here = self.events[visitor_of(scope)], self.events[address(scope)]
        if is_direct(scope) and (events >= OWN_EVENTS or here >= ADDRESS_EVENTS):
            return 503, "too many drawings at once; wait for one before you ask for the next"
        if is_login(scope) and not self.tries.begin(address(scope)):
            return 429, f"too many tries; wait {WITHIN / 60:.0f} minutes"
        return None


def refuse_foreign(scope: Scope) -> Refusal | None:
    """Refuse events, uploads and files that another site's page asks for."""
    host, (below, call, _) = headers(scope, b"host"), _parts(scope["path"])
    foreign = any(not is_same_origin(origin, host[0] if host else "") for origin in headers(scope, b"origin"))
    if below or call == "logout":
        foreign |= any(site in ("cross-site", "same-site") for site in headers(scope, b"sec-fetch-site"))
    return (403, "another site asks; open the page itself") if foreign else None


def policy(frames: Collection[str]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that restrict what a browser does with the page.

    Args:
        frames: names of other sites that may show it in a frame.
    """
    ancestors = " ".join(["'self'", *(f"https://{name}" for name in sorted(frames))])
    return (b"content-security-policy", POLICY.format(frames=ancestors).encode()), *HEADERS


def is_login(scope: Scope) -> bool:
    """Return whether a request is a login attempt."""
    return scope["method"] == "POST" and _parts(scope["path"])[1] == "login"


def is_direct(scope: Scope) -> bool:
    """Return whether a request is an event that passes the queue by."""
    return scope["method"] == "POST" and _parts(scope["path"])[:2] in ((True, "run"), (True, "api"))


def is_session(name: object) -> bool:
    """Return whether a session name has the form of the page's own; Gradio would store any name that it receives."""
    return name is None or (isinstance(name, str) and re.fullmatch(r"[\w-]{0,64}", name, re.ASCII) is not None)


async def _whole_event(scope: Scope, body: "Body") -> Receive:
    """Return a receiver that streams an upload or a form; an event's body is first read whole and validated."""
    if scope["path"] == UPLOAD or not scope["path"].startswith(API):
        return body
    parts = []
    while True:
        message = await body()
        if message["type"] != "http.request":
            return body
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    content = b"".join(parts)
    if not content and scope["path"].startswith(API + "stream/"):  # the end of a camera's frames says nothing
        return body
    try:
        event = parse_json(content)
    except ValueError:
        event = None
    if not isinstance(event, dict) or not is_session(event.get("session_hash")):
        body.refusal = HTTPStatus.UNPROCESSABLE_ENTITY, INVALID_REQUEST
        return body
    waiting: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Message:
        return waiting.pop() if waiting else await body()

    return receive


def _parts(path: str) -> tuple[bool, str, str | None]:
    """Return whether a path lies below :data:`API`, its first part there, and the file that it names."""
    below = path.startswith(API)
    rest = path.removeprefix(API) if below else path.removeprefix("/")
    file = rest.removeprefix("file=") if below and rest.startswith("file=") else None
    return below, rest.split("/")[0], file


def host_name(host: str) -> str:
    """Return the name of a ``Host`` header without its port, in lower case; empty if it is none."""
    if set(host) & set("@/?#\\ "):
        return ""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_same_origin(origin: str, host: str) -> bool:
    """Return whether an ``Origin`` header names the page that a ``Host`` header names."""
    try:
        asks, here = urlsplit(origin), urlsplit(f"//{host}")
        usual = {"http": 80, "https": 443}.get(asks.scheme)
        return usual is not None and (asks.hostname, asks.port or usual) == (here.hostname, here.port or usual)
    except ValueError:
        return False


class Answer:
    """Response sender: adds security headers, restricts cookies, and sends a refusal if the body was refused."""

    def __init__(self, send: Send, scope: Scope, frames: Collection[str] = ()) -> None:
        self._send, self._scope, self._frames = send, scope, frames
        self.status = 0
        self.body: Body | None = None
        self._ended = False

    async def __call__(self, message: Message) -> None:
        """Send a message on."""
        if message["type"] == "http.response.start":
            refusal = self.body.refusal if self.body is not None else None
            if refusal is not None:
                await self.refuse(*refusal)
                return
            if message["status"] == HTTPStatus.UNPROCESSABLE_ENTITY:  # FastAPI's message contains the request's data
                await self.refuse(HTTPStatus.UNPROCESSABLE_ENTITY, INVALID_REQUEST)
                return
            self.status = message["status"]
            message = {**message, "headers": [*self._cookies(message.get("headers", ())), *policy(self._frames)]}
        if not self._ended:
            self._ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await self._send(message)

    async def refuse(self, status: int, reason: str) -> None:
        """Send a refusal as plain text; a response that has already started is ended instead."""
        if self._ended:
            return
        self._ended = True
        if self.status:
            with suppress(Exception):  # its Content-Length announced more bytes
                await self._send({"type": "http.response.body", "body": b""})
            return
        self.status = status
        content = reason.encode()
        kind = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(content)).encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": [*kind, *policy(self._frames)]})
        await self._send({"type": "http.response.body", "body": content})

    def _cookies(self, found: Collection[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the headers with restricted cookies; a response to ``/`` sets the visitor cookie if it is missing."""
        secure, framed = self._scope.get("scheme") == "https", bool(self._frames)
        result = []
        for name, value in found:
            if name.lower() == b"set-cookie":
                cookie: SimpleCookie = SimpleCookie(value.decode("latin-1"))
                for morsel in cookie.values():
                    morsel["samesite"], morsel["httponly"], morsel["secure"] = "", True, ""
                    whole = f"{morsel.OutputString()}; {restriction(secure=secure, framed=framed)}"
                    result.append((b"set-cookie", whole.encode("latin-1")))
            else:
                result.append((name, value))
        if self._scope["path"] == "/":
            result.append((b"cache-control", b"no-store"))
        if self._scope["path"] == "/" and own_cookie(self._scope) is None:
            result.append((b"set-cookie", new_cookie(secure=secure, framed=framed)))
        return result


class Body:
    """The body of a request as it comes, within limits of size and time.

    Attributes:
        refusal: status and reason once a limit was exceeded; the application then receives ``http.disconnect``.
    """

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left, self._ended = receive, most, time.monotonic() + SLOW
        self._whole = False
        self.refusal: Refusal | None = None

    async def __call__(self) -> Message:
        """Return the next message."""
        if self.refusal is not None:
            return {"type": "http.disconnect"}
        if self._whole:
            return await self._receive()
        patience = min(STALLED, self._ended - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, patience))
        except TimeoutError:
            self.refusal = HTTPStatus.REQUEST_TIMEOUT, "nothing comes any more; try again"
            return {"type": "http.disconnect"}
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.refusal = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too large; a file has at most 50 MB"
            return {"type": "http.disconnect"}
        self._whole = not message.get("more_body", False)
        return message
