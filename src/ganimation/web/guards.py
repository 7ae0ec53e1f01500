"""What stands between a visitor and the functions of the page: one door for files, one clear sentence, and a turn."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import BoundedSemaphore
from typing import Any, Protocol

import gradio as gr

from ganimation.errors import GanimationError
from ganimation.text import MAX_DEPTH
from ganimation.web.store import Store
from ganimation.web.visitors import VISITOR, visitor_of

#: Drawings computed at once, and seconds that one waits for its turn. Drags pass Gradio's queue by, which would add a
#: third to their time; a browser asks for one drawing at a time.
DRAWINGS, PATIENCE = 2, 30.0

#: The answer to every file that is not the visitor's own.
ONLY_UPLOADS = "only files that you uploaded are taken, for an hour; upload it again"


class Events(gr.Blocks):
    """A page whose events see no file but the visitor's own, and answer mistakes with one sentence.

    Every way to call an event, through the queue or past it, comes through :meth:`process_api`.

    Args:
        store: where files of visitors lie.
        options: of ``gradio.Blocks``.
    """

    def __init__(self, store: Store, **options: Any) -> None:
        self._store = store
        super().__init__(**options)

    async def process_api(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Answer an event; ``inputs`` and ``request`` are given by name."""
        before = VISITOR.get()
        try:
            VISITOR.set(visitor_of(options["request"].request.scope))
            options["inputs"] = admit_files(options["inputs"], self._store)
            return await super().process_api(*arguments, **options)
        except gr.Error:
            raise
        except Exception as error:  # Gradio's own words and its traceback hold what the visitor sent
            print(f"ganimation: {type(error).__name__} in an event", file=sys.stderr)
            raise gr.Error("this is not what the page asks for", print_exception=False) from None
        finally:
            VISITOR.set(before)


def admit_files(value: Any, store: Store, depth: int = 0) -> Any:
    """Return what a client sent, in which nothing is left of each file but its place, if that is the visitor's own.

    Raises:
        gr.Error: it is not, whether there is such a file or not.
    """
    if depth > MAX_DEPTH:
        raise gr.Error("this is not what the page asks for", print_exception=False)
    if isinstance(value, dict) and ("path" in value or "url" in value):
        path = store.admit(value.get("path"))
        if path is None:
            raise gr.Error(ONLY_UPLOADS, print_exception=False)
        return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
    if isinstance(value, dict):
        return {name: admit_files(part, store, depth + 1) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [admit_files(part, store, depth + 1) for part in value]
    return value


class Busy(Protocol):
    """Whose computations take turns."""

    @property
    def drawing(self) -> BoundedSemaphore:
        """What each of them holds while it computes."""

    @property
    def whole(self) -> BoundedSemaphore:
        """What those hold that need a photo at its own size."""


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Show what a function of ours complains about as one sentence on the page."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except GanimationError as error:
            raise gr.Error(without_places(str(error)), print_exception=False) from None
        except gr.Error:
            raise
        except Exception as error:  # a mistake of ours; its text may hold what is the visitor's
            print(f"ganimation: {type(error).__name__} in {function.__name__}", file=sys.stderr)
            raise gr.Error("something went wrong here; try again", print_exception=False) from None

    return call


def in_turn(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let few of a page's computations run at once; the others wait for a while."""

    @wraps(function)
    def call(page: Busy, *arguments: Any, **options: Any) -> Any:
        with _held(page.drawing):
            return function(page, *arguments, **options)

    return call


def alone(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let one of a page's computations on whole photos run at once: they take a gigabyte."""

    @wraps(function)
    def call(page: Busy, *arguments: Any, **options: Any) -> Any:
        with _held(page.whole):
            return function(page, *arguments, **options)

    return call


@contextmanager
def _held(turn: BoundedSemaphore) -> Iterator[None]:
    if not turn.acquire(timeout=PATIENCE):
        raise GanimationError("too many people are drawing; try again in a minute")
    try:
        yield
    finally:
        turn.release()


def without_places(text: str) -> str:
    """Return a message without the folders of the server's files."""
    return re.sub(r"(?<![\w.])/[^\s'\"(),:;]*/", "", text)
