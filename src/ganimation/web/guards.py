"""Guards of the page's functions: access to files, errors as one sentence, and limits on concurrent computations."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import BoundedSemaphore
from typing import Any, Protocol

import gradio as gr

from ganimation.errors import GanimationError
from ganimation.text import MAX_DEPTH
from ganimation.web.middleware import INVALID_REQUEST
from ganimation.web.store import Store
from ganimation.web.visitors import VISITOR, visitor_of

#: Concurrent computations over all visitors, by kind: previews, which bypass Gradio's queue, as it would add a third to
#: their time; photos at full size, which take a gigabyte each; films that are made; measurements; frames of a camera.
AT_ONCE = {"drawing": 2, "whole": 1, "film": 1, "measurement": 1, "live": 2}
#: Options of Gradio's queue for events that need a photo at full size.
WHOLE: dict[str, Any] = {"concurrency_id": "whole", "concurrency_limit": AT_ONCE["whole"]}
#: Seconds that one waits for its turn.
PATIENCE = 30.0

#: What Gradio says of a picture.
FRAME_KEYS = frozenset(("path", "url", "size", "orig_name", "mime_type", "is_stream", "meta"))

#: The answer to every file that is not the visitor's own.
ONLY_UPLOADS = "only files that you uploaded are taken, for an hour; upload it again"


class Refusal(gr.Error):
    """Error shown to a visitor as one sentence; Gradio's own errors contain the input and print tracebacks."""

    def __init__(self, message: str) -> None:
        super().__init__(message, print_exception=False)


class Events(gr.Blocks):
    """A page whose events can read only the visitor's own files and answer exceptions with one sentence.

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
        except Exception as error:  # Gradio's message and traceback contain the visitor's input
            print(f"ganimation: {type(error).__name__} in an event", file=sys.stderr)
            raise Refusal(INVALID_REQUEST) from None
        finally:
            VISITOR.set(before)


def is_frame(url: object) -> bool:
    """Return whether an address is a picture of a camera in itself, in a form that the page sends."""
    return isinstance(url, str) and re.match(r"data:image/(jpeg|webp|png);base64,", url) is not None


def admit_files(value: Any, store: Store, depth: int = 0) -> Any:
    """Return a client's input with each file reduced to its path, if the visitor may read all of them.

    A picture in the input itself, a frame of a camera, is no file; it is passed on as its ``url``.

    Raises:
        Refusal: a file is not the visitor's own; the message does not tell whether it exists. Or too deep nesting.
    """
    if depth > MAX_DEPTH:
        raise Refusal(INVALID_REQUEST)
    if isinstance(value, dict) and set(value) <= FRAME_KEYS and is_frame(value.get("url")) and not value.get("path"):
        return {"path": None, "url": value["url"], "meta": {"_type": "gradio.FileData"}}
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


class ConcurrencyLimits:
    """Semaphores that limit how many computations of each kind run at once.

    Attributes:
        observe: called with kind, seconds, and whether no turn came, after each.
        faces: called with the number of faces that were drawn for saving.
    """

    def __init__(self) -> None:
        self.observe: Callable[[str, float, bool], None] = lambda kind, seconds, refused: None
        self.faces: Callable[[int], None] = lambda count: None
        self._semaphores = {kind: BoundedSemaphore(count) for kind, count in AT_ONCE.items()}

    @contextmanager
    def held(self, kind: str) -> Iterator[None]:
        """Hold a turn of a kind.

        Raises:
            GanimationError: none comes within :data:`PATIENCE`.
        """
        began = time.perf_counter()
        if not self._semaphores[kind].acquire(timeout=PATIENCE):
            self.observe(kind, time.perf_counter() - began, True)
            raise GanimationError("too many people are drawing; try again in a minute")
        try:
            yield
        finally:
            self._semaphores[kind].release()
            self.observe(kind, time.perf_counter() - began, False)


class HasLimits(Protocol):
    """An object whose computations are limited by :class:`ConcurrencyLimits`."""

    turns: ConcurrencyLimits


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function so that its exceptions are shown on the page as one sentence."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except GanimationError as error:
            raise Refusal(without_places(str(error))) from None
        except Refusal:
            raise
        except Exception as error:  # a bug; its message may contain the visitor's data
            print(f"ganimation: {type(error).__name__} in {function.__name__}", file=sys.stderr)
            raise Refusal("something went wrong here; try again") from None

    return call


def limited(kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Limit the concurrent computations of a kind, see :data:`AT_ONCE`; others wait up to :data:`PATIENCE` seconds."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(page: HasLimits, *arguments: Any, **options: Any) -> Any:
            with page.turns.held(kind):
                return function(page, *arguments, **options)

        return call

    return decorate


def without_places(text: str) -> str:
    """Return a message without the folders of the server's files."""
    return re.sub(r"(?<![\w.])/[^\s'\"(),:;]*/", "", text)
