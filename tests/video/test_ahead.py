"""A stage that runs in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from lavit_eval.video.ahead import DEPTH, run_ahead


def test_items_come_in_order() -> None:
    assert list(run_ahead(index for index in range(100))) == list(range(100))


def test_error_is_raised_after_the_items_before_it() -> None:
    def failing() -> Generator[int, None, None]:
        yield 1
        yield 2
        raise LookupError("three")

    ahead = run_ahead(failing())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(LookupError, match="three"):
        next(ahead)


def test_closing_early_ends_the_thread_and_the_iterator() -> None:
    made, closed = [], []

    def endless() -> Generator[int, None, None]:
        try:
            while True:
                made.append(len(made))
                yield made[-1]
        finally:
            closed.append(threading.current_thread().name)

    before = threading.active_count()
    ahead = run_ahead(endless())
    assert [next(ahead), next(ahead)] == [0, 1]
    ahead.close()
    assert threading.active_count() == before
    assert closed == ["video-decoder"]
    assert len(made) <= DEPTH + 4
