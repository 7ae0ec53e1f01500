"""Prefetch items in a thread, so that reading, editing and writing of a film run in parallel."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

_END = object()


def ahead(items: Iterable[T], depth: int = 2) -> Generator[T, None, None]:
    """Yield items that a thread takes from an iterable, at most ``depth`` of them in advance.

    An exception of the iterable is raised here, after the items before it. Closing the generator early stops the
    thread, which closes the iterable's iterator if it has ``close``.

    Args:
        items: iterated in the thread alone.
        depth: at least 1.
    """
    waiting: queue.Queue[object] = queue.Queue(depth)
    stopped = threading.Event()
    raised: list[BaseException] = []

    def put(item: object) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put(item):
                    break
        except BaseException as error:
            raised.append(error)
        finally:
            if hasattr(iterator, "close"):
                iterator.close()
            put(_END)

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            yield item  # type: ignore[misc]
        if raised:
            raise raised[0]
    finally:
        stopped.set()
        thread.join()
