"""Serve the page: to this computer unless told otherwise, and without a word to any other."""

import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from ganimation.editing.editor import Editor
from ganimation.errors import GanimationError, require

#: Of an upload; photos may also have no more pixels than these.
MAX_UPLOAD, MAX_PIXELS = "50mb", 50_000_000

#: What the page may load, enforced by the browser: itself, and nothing from elsewhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)


def serve(editor: Editor, host: str = "127.0.0.1", port: int = 7860, auth: list[tuple[str, str]] | None = None) -> None:
    """Serve the page until it is stopped.

    Args:
        editor: who edits, for all visitors.
        host: address to listen at.
        port: to listen at.
        auth: names and passwords that are let in; ``None`` for everybody.

    Raises:
        GanimationError: the port is taken.
        MissingExtraError: the extra ``web`` is not installed.
    """
    uvicorn = require("uvicorn", "web")
    require("gradio", "web")
    from ganimation.web.store import Store

    sock, store = _listen(host, port), Store()
    try:
        app = application(editor, store, auth)
        print(f"ganimation: http://{host}:{sock.getsockname()[1]} (Ctrl-C stops)", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)).run(
            [sock]
        )
    finally:
        sock.close()
        store.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except (OSError, OverflowError) as error:
        sock.close()
        raise GanimationError(f"{host}:{port}: cannot be listened at ({error}); choose another with --port") from error
    return sock


def application(editor: Editor, store: Any, auth: list[tuple[str, str]] | None = None) -> Any:
    """Return the page as an ASGI application.

    Args:
        editor: who edits.
        store: where files of visitors lie.
        auth: see :func:`serve`.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(store.folder / "uploads")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gradio as gr
    from fastapi import FastAPI, Request, Response

    from ganimation.web.page import CSS, THEME, Page

    page = Page(editor, store, MAX_PIXELS).build()
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def stay_at_home(request: Request, respond: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await respond(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return gr.mount_gradio_app(
        app, page, path="", auth=auth or None, max_file_size=MAX_UPLOAD, ssr_mode=False, theme=THEME, css=CSS,
        footer_links=["api", "settings"], show_error=False, enable_monitoring=False,
    )  # fmt: skip
