"""Serve the page: by default to this computer only, and without outgoing connections."""

import logging
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ganimation.editing.editor import Editor
from ganimation.errors import GanimationError, require

if TYPE_CHECKING:
    from ganimation.web.store import Store


#: Connections at once; an open page has two or three.
CONNECTIONS = 1000

#: Largest number of sessions whose state is kept; the least recently used is dropped first.
SESSIONS = 200


def serve(
    editor: Editor,
    host: str = "127.0.0.1",
    port: int = 7860,
    auth: list[tuple[str, str]] | None = None,
    hosts: Sequence[str] = (),
    proxy: str = "",
    frames: Sequence[str] = (),
    metrics_port: int | None = None,
) -> None:
    """Serve the page until it is stopped.

    Args:
        editor: shared by all visitors.
        host: address to listen at.
        port: to listen at.
        auth: pairs of name and password that may log in; ``None`` if no login is needed.
        hosts: host names that the page is served under, beside ``host`` and the names of the loopback interface.
        proxy: address of a reverse proxy whose forwarded headers (client address, HTTPS) are trusted; ``*`` for any.
        frames: names of other sites that may show the page in a frame.
        metrics_port: where Prometheus is answered, at ``host``.

    Raises:
        GanimationError: the port is taken.
        MissingExtraError: the extra ``web`` is not installed.
    """
    from ganimation.web.media import OPENER
    from ganimation.web.store import Store

    uvicorn = require("uvicorn", "web")
    sock, store = _listen(host, port), Store()
    try:
        app = application(editor, store, auth, [*hosts, host], frames)
        if metrics_port is not None:
            app.metrics.serve(host, metrics_port)
        print(f"ganimation: http://{host}:{sock.getsockname()[1]} (Ctrl-C stops)", flush=True)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=2, limit_concurrency=CONNECTIONS,
            proxy_headers=bool(proxy), forwarded_allow_ips=proxy or None,
        )  # fmt: skip
        server = uvicorn.Server(config)
        stop = server.handle_exit

        def stop_quietly(*signal: Any) -> None:
            """Stop without log messages about open connections."""
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            stop(*signal)

        server.handle_exit = stop_quietly
        with quiet_decoders(), stopped_by_sigterm():
            server.run([sock])
    finally:
        sock.close()
        store.close()
        OPENER.close()


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM stop the page as Ctrl-C does: visitors' files are removed."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Silence OpenCV's log messages about visitors' photos."""
    import cv2

    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # lets asyncio set TCP_NODELAY
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen()  # connections before the server is ready wait in the backlog
    except (OSError, OverflowError) as error:
        sock.close()
        raise GanimationError(f"{host}:{port}: cannot be listened at ({error}); choose another with --port") from error
    return sock


def application(
    editor: Editor,
    store: "Store",
    auth: list[tuple[str, str]] | None = None,
    hosts: Sequence[str] = (),
    frames: Sequence[str] = (),
) -> Any:
    """Return the page as an ASGI application, :class:`ganimation.web.metrics.Observed`.

    Args:
        editor: shared by all visitors.
        store: where files of visitors lie.
        auth: see :func:`serve`.
        hosts: likewise.
        frames: likewise.
    """
    os.environ |= {"GRADIO_TEMP_DIR": str(store.folder), "HF_HUB_OFFLINE": "1"}
    gr = require("gradio", "web")
    from fastapi import FastAPI

    from ganimation.web.media import MAX_PIXELS
    from ganimation.web.metrics import Metrics, Observed
    from ganimation.web.middleware import GuardMiddleware
    from ganimation.web.page import CSS, QUEUE, THEME, Page
    from ganimation.web.uploads import add_uploads
    from ganimation.web.visitors import cookies

    built = Page(editor, store, MAX_PIXELS)
    page = built.build()
    metrics = Metrics(lambda: len(page._queue))
    built.turns.observe = lambda kind, seconds, refused: metrics.work(kind, seconds, refused=refused)
    built.turns.faces = metrics.faces
    page.state_session_capacity = SESSIONS
    store.pin()
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_uploads(app, store)
    gr.mount_gradio_app(
        app, page, path="", auth=auth or None, ssr_mode=False, theme=THEME, css=CSS,
        footer_links=["api", "settings"], show_error=False, enable_monitoring=False, run_history=False,
    )  # fmt: skip
    inner: Any = app.routes[-1].app  # type: ignore[attr-defined]  # what was mounted last

    def is_known(scope: Mapping[str, Any]) -> bool:
        """Return whether a request carries the token that Gradio gave at login."""
        names = (f"access-token-{inner.cookie_id}", f"access-token-unsecure-{inner.cookie_id}")
        return not auth or any(cookies(scope).get(name) in inner.tokens for name in names)

    guard = GuardMiddleware(app, store, {name.lower() for name in hosts}, is_known, frames)
    return Observed(guard, metrics, lambda: len(page._queue) < QUEUE)
