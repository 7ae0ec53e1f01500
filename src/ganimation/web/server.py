"""Serve the page: to this computer unless told otherwise, and without a word to any other."""

import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ganimation.editing.editor import Editor
from ganimation.errors import GanimationError, require

#: Of an upload; photos may also have no more pixels than these.
MAX_UPLOAD, MAX_PIXELS = "50mb", 50_000_000

#: Visitors whose work is remembered at once; those who were away longest are forgotten first.
SESSIONS = 200

#: What is answered below :data:`API`, by the first part of the path.
API = "/gradio_api/"
CALLS = frozenset((
    "api", "app_id", "call", "cancel", "heartbeat", "info", "login_check", "queue", "reset", "run", "startup-events",
    "theme.css", "token", "upload", "upload_progress", "user",
))  # fmt: skip

#: What the page may load, enforced by the browser: itself, and nothing from elsewhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)


HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
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
    from ganimation.web.store import Store

    uvicorn = require("uvicorn", "web")
    sock, store = _listen(host, port), Store()
    try:
        app = application(editor, store, auth)
        print(f"ganimation: http://{host}:{sock.getsockname()[1]} (Ctrl-C stops)", flush=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        stop = server.handle_exit

        def stop_quietly(*signal: Any) -> None:
            """Stop without a word on pages that are still open."""
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            stop(*signal)

        server.handle_exit = stop_quietly
        server.run([sock])
    finally:
        sock.close()
        store.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # so named, asyncio sends without delay
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen()  # who comes before the server is ready waits
    except (OSError, OverflowError) as error:
        sock.close()
        raise GanimationError(f"{host}:{port}: cannot be listened at ({error}); choose another with --port") from error
    return sock


class StayAtHome:
    """ASGI middleware: browsers are told to load nothing from elsewhere, and only what the page needs is answered.

    Gradio also offers to fetch pages for a client, to show another visitor's session, and to keep records of runs.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        """Answer as the application does, with :data:`HEADERS`."""

        async def say(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message["headers"], *HEADERS]}
            await send(message)

        if scope["type"] != "lifespan" and not is_ours(scope["path"]):
            await say({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._app(scope, receive, say)


def is_ours(path: str) -> bool:
    """Return whether a request's path, decoded, is one that the page makes."""
    if not path.startswith(API):
        return "deep_link" not in path and not path.startswith(("/monitoring", "/custom_component"))
    call = path.removeprefix(API)
    if call.startswith("file="):
        return not call[len("file=") :].lstrip("/").lower().startswith(("http:", "https:"))
    return call.split("/")[0] in CALLS


def _take_only_uploads() -> None:
    """Let components take files of the folder where uploads lie, and neither other files nor what an address names.

    Gradio looks where files come from only in pages that it serves itself, and it would fetch what an address names.
    """
    gradio = require("gradio", "web")
    block = gradio.blocks.Block
    take = block.async_move_resource_to_block_cache
    if take.__module__ == __name__:
        return

    async def take_upload(self: Any, path: str | Path | None) -> str | None:
        if path is not None and not Path(path).resolve().is_relative_to(Path(self.GRADIO_CACHE).resolve()):
            raise gradio.Error("only what was uploaded is taken", print_exception=False)
        taken: str | None = await take(self, path)
        return taken

    block.async_move_resource_to_block_cache = take_upload


def application(editor: Editor, store: Any, auth: list[tuple[str, str]] | None = None) -> Any:
    """Return the page as an ASGI application.

    Args:
        editor: who edits.
        store: where files of visitors lie.
        auth: see :func:`serve`.
    """
    os.environ |= {"GRADIO_TEMP_DIR": str(store.folder), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    gr = require("gradio", "web")
    from fastapi import FastAPI

    from ganimation.web.page import CSS, THEME, Page

    page = Page(editor, store, MAX_PIXELS).build()
    page.state_session_capacity = SESSIONS
    _take_only_uploads()
    store.pin()
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(StayAtHome)
    return gr.mount_gradio_app(
        app, page, path="", auth=auth or None, max_file_size=MAX_UPLOAD, ssr_mode=False, theme=THEME, css=CSS,
        footer_links=["api", "settings"], show_error=False, enable_monitoring=False, run_history=False,
    )  # fmt: skip
