"""One stage of work in a thread of its own, a few items ahead of the stage that takes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from contextlib import closing
from typing import Any, TypeVar

Item = TypeVar("Item")

DEPTH = 4
"""Items that wait at most; each may be a large picture."""
_POLL_SECONDS = 0.1


def run_ahead(items: Generator[Item, None, None]) -> Generator[Item, None, None]:
    """Yield the items of an iterator that runs in a thread, so that libav decodes while it encodes.

    An exception of the iterator is raised here, in its place. Closing this generator ends the thread and closes the
    iterator in it before it returns.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(DEPTH)
    stopped = threading.Event()

    def hand_over(kind: str, value: Any) -> bool:
        while not stopped.is_set():
            try:
                waiting.put((kind, value), timeout=_POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            with closing(items):
                for item in items:
                    if not hand_over("item", item):
                        return
        except BaseException as error:
            # Whatever it is, it belongs to the thread that waits for the next item.
            hand_over("error", error)
        else:
            hand_over("end", None)

    thread = threading.Thread(target=work, name="video-decoder", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        stopped.set()
        thread.join()
