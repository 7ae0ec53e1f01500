import threading
import time
from collections.abc import Iterator

import pytest

from ganimation.media.ahead import ahead


def test_items_come_in_their_order_from_another_thread() -> None:
    names = []

    def items() -> Iterator[int]:
        for number in range(20):
            names.append(threading.current_thread().name)
            yield number

    assert list(ahead(items())) == list(range(20))
    assert set(names) == {"ahead"}


def test_no_more_than_its_depth_is_taken_in_advance() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    stream = ahead(items(), depth=2)
    assert next(stream) == 0
    deadline = time.monotonic() + 5
    while len(taken) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert taken == [0, 1, 2, 3]  # one used, two waiting, one in hand
    stream.close()


def test_what_fails_there_fails_here_after_what_went_well() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    stream = ahead(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="broken"):
        next(stream)


def test_who_stops_early_stops_the_thread_and_closes_what_it_read() -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(threading.current_thread().name)

    for number in ahead(items()):
        if number == 3:
            break
    assert closed == ["ahead"]
    assert "ahead" not in {thread.name for thread in threading.enumerate()}
