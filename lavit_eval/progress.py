"""How far a run is: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import IO, Any, Protocol

PLAIN_SECONDS = 10.0
MOST_WORKERS = 8
"""That a plain line names."""
RESPONSES = "responses"


class Progress(Protocol):
    """Told how many responses of a task are done."""

    def begin(self, task: str, total: int, done: int, what: str = RESPONSES) -> None:
        """Start on a task of which `done` responses, or whatever is counted, are there already."""
        ...

    def advance(self, by: int) -> None:
        """Note more responses."""
        ...

    def workers(self, doing: Mapping[str, str]) -> None:
        """Note what each of several workers is doing."""
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

    def workers(self, doing: Mapping[str, str]) -> None:
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
        self._doing: dict[str, str] = {}

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
        self._say_if_due()

    def workers(self, doing: Mapping[str, str]) -> None:
        """Say what they do if the last line is old enough."""
        self._doing = dict(doing)
        self._say_if_due()

    def _say_if_due(self) -> None:
        now = time.monotonic()
        if now - self._last < PLAIN_SECONDS:
            return
        self._last = now
        done = self._done - self._before
        left = (self._total - self._done) * (now - self._began) / done if done else None
        said = "" if left is None else f", about {left:.0f} s left"
        each = [f"{name}: {what}" for name, what in list(self._doing.items())[:MOST_WORKERS]]
        if len(self._doing) > MOST_WORKERS:
            each.append(f"and {len(self._doing) - MOST_WORKERS} workers more")
        self._say("; ".join([f"{self._task}: {self._done}/{self._total}{said}", *each]))

    def end(self) -> None:
        """Say how long it took."""
        self._doing = {}
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
        self._rows: dict[str, Any] = {}

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
        self._rows = {}

    def advance(self, by: int) -> None:
        """Lengthen the bar."""
        self._bar.advance(self._task, by)

    def workers(self, doing: Mapping[str, str]) -> None:
        """Draw a row per worker below the bar."""
        for name in [name for name in self._rows if name not in doing]:
            self._bar.remove_task(self._rows.pop(name))
        for name, what in doing.items():
            said = f"  {name}: {what}"
            if name in self._rows:
                self._bar.update(self._rows[name], description=said)
            else:
                self._rows[name] = self._bar.add_task(said, total=None)

    def end(self) -> None:
        """Leave the bar as it is, without the workers."""
        self.workers({})
        self._bar.stop()
