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
from ganimation.web.door import NOT_ASKED
from ganimation.web.store import Store
from ganimation.web.visitors import VISITOR, visitor_of

#: Computed at once over all visitors, by kind: previews, which pass Gradio's queue by, as it would add a third to their
#: time; what needs a photo at its own size, and with it a gigabyte; films that are made; measurements.
AT_ONCE = {"drawing": 2, "whole": 1, "film": 1, "measurement": 1}
#: How Gradio's queue lets events wait that need a photo at its own size.
WHOLE: dict[str, Any] = {"concurrency_id": "whole", "concurrency_limit": AT_ONCE["whole"]}
#: Seconds that one waits for its turn.
PATIENCE = 30.0

#: The answer to every file that is not the visitor's own.
ONLY_UPLOADS = "only files that you uploaded are taken, for an hour; upload it again"


class Refusal(gr.Error):
    """A sentence of ours for a visitor. Gradio's own errors hold what was sent, and print tracebacks."""

    def __init__(self, message: str) -> None:
        super().__init__(message, print_exception=False)


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
        except Refusal:
            raise
        except Exception as error:  # Gradio's own words and its traceback hold what the visitor sent
            print(f"ganimation: {type(error).__name__} in an event", file=sys.stderr)
            raise Refusal(NOT_ASKED) from None
        finally:
            VISITOR.set(before)


def admit_files(value: Any, store: Store, depth: int = 0) -> Any:
    """Return what a client sent, in which nothing is left of each file but its place, if that is the visitor's own.

    Raises:
        Refusal: it is not, whether there is such a file or not.
    """
    if depth > MAX_DEPTH:
        raise Refusal(NOT_ASKED)
    if isinstance(value, dict) and ("path" in value or "url" in value):
        path = store.admit(value.get("path"))
        if path is None:
            raise Refusal(ONLY_UPLOADS)
        return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
    if isinstance(value, dict):
        return {name: admit_files(part, store, depth + 1) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [admit_files(part, store, depth + 1) for part in value]
    return value


class Turns:
    """Whose computations take turns, by kind: how many run at once."""

    def __init__(self) -> None:
        self._semaphores = {kind: BoundedSemaphore(count) for kind, count in AT_ONCE.items()}

    @contextmanager
    def held(self, kind: str) -> Iterator[None]:
        """Hold a turn of a kind.

        Raises:
            GanimationError: none comes within :data:`PATIENCE`.
        """
        if not self._semaphores[kind].acquire(timeout=PATIENCE):
            raise GanimationError("too many people are drawing; try again in a minute")
        try:
            yield
        finally:
            self._semaphores[kind].release()


class Busy(Protocol):
    """Whose computations take turns."""

    turns: Turns


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Show what a function of ours complains about as one sentence on the page."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except GanimationError as error:
            raise Refusal(without_places(str(error))) from None
        except Refusal:
            raise
        except Exception as error:  # a mistake of ours; its text may hold what is the visitor's
            print(f"ganimation: {type(error).__name__} in {function.__name__}", file=sys.stderr)
            raise Refusal("something went wrong here; try again") from None

    return call


def in_turn(kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let few of a page's computations of a kind run at once, see :data:`AT_ONCE`; the others wait for a while."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(page: Busy, *arguments: Any, **options: Any) -> Any:
            with page.turns.held(kind):
                return function(page, *arguments, **options)

        return call

    return decorate


def without_places(text: str) -> str:
    """Return a message without the folders of the server's files."""
    return re.sub(r"(?<![\w.])/[^\s'\"(),:;]*/", "", text)
