"""How far a run is: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import IO, Any, Protocol

PLAIN_SECONDS = 10.0
RESPONSES = "responses"


class Progress(Protocol):
    """Told how many responses of a task are done."""

    def begin(self, task: str, total: int, done: int, what: str = RESPONSES) -> None:
        """Start on a task of which `done` responses, or whatever is counted, are there already."""
        ...

    def advance(self, by: int) -> None:
        """Note more responses."""
        ...

    def end(self) -> None:
        """Finish the task."""
        ...


def progress_on(stream: IO[str] | None = None) -> Progress:
    """Return a bar if the stream (standard error) is a terminal, plain lines otherwise."""
    stream = stream or sys.stderr
    return BarProgress() if stream.isatty() else PlainProgress(stream)


class Silence:
    """Says nothing."""

    def begin(self, task: str, total: int, done: int, what: str = RESPONSES) -> None:
        """Ignore it."""

    def advance(self, by: int) -> None:
        """Ignore it."""

    def end(self) -> None:
        """Ignore it."""


class PlainProgress:
    """One line at the start and end of a task and at most one in ten seconds between."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._task, self._total, self._done, self._before = "", 0, 0, 0
        self._began = self._last = 0.0
        self._brief = False

    def begin(self, task: str, total: int, done: int, what: str = RESPONSES) -> None:
        """Say what begins."""
        self._task, self._total, self._done, self._before = task, total, done, done
        self._began = self._last = time.monotonic()
        # What a task's answers are scored by is said only where it takes time.
        self._brief = what != RESPONSES
        if not self._brief:
            kept = f", {done} already answered" if done else ""
            self._say(f"{task}: {total} {what}{kept}")

    def advance(self, by: int) -> None:
        """Say how far it is if the last line is old enough."""
        self._done += by
        now = time.monotonic()
        if now - self._last >= PLAIN_SECONDS:
            self._last = now
            rate = (self._done - self._before) / (now - self._began)
            self._say(f"{self._task}: {self._done}/{self._total}, about {(self._total - self._done) / rate:.0f} s left")

    def end(self) -> None:
        """Say how long it took."""
        took = time.monotonic() - self._began
        if self._done > self._before and (not self._brief or took >= PLAIN_SECONDS):
            self._say(f"{self._task}: {self._done}/{self._total} in {took:.1f} s")

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class BarProgress:
    """A bar by rich, with elapsed and remaining time."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def begin(self, task: str, total: int, done: int, what: str = RESPONSES) -> None:
        """Draw the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bar.start()
        self._task = self._bar.add_task(task, total=total, completed=done)

    def advance(self, by: int) -> None:
        """Lengthen the bar."""
        self._bar.advance(self._task, by)

    def end(self) -> None:
        """Leave the bar as it is."""
        self._bar.stop()
