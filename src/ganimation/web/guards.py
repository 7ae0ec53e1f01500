"""What stands between a visitor and the functions of the page: one clear sentence, and a turn."""

import re
import sys
from collections.abc import Callable
from functools import wraps
from threading import BoundedSemaphore
from typing import Any, Protocol

import gradio as gr

from ganimation.errors import GanimationError

#: Drawings computed at once, and seconds that one waits for its turn. Drags pass Gradio's queue by, which would add a
#: third to their time; a browser asks for one drawing at a time.
DRAWINGS, PATIENCE = 2, 30.0


class Busy(Protocol):
    """Whose computations take turns."""

    @property
    def drawing(self) -> BoundedSemaphore:
        """What each of them holds while it computes."""


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
        if not page.drawing.acquire(timeout=PATIENCE):
            raise GanimationError("too many people are drawing; try again in a minute")
        try:
            return function(page, *arguments, **options)
        finally:
            page.drawing.release()

    return call


def without_places(text: str) -> str:
    """Return a message without the folders of the server's files."""
    return re.sub(r"(?<![\w.])/[^\s'\"(),:;]*/", "", text)
