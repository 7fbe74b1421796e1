"""How far a run is: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Protocol

PLAIN_SECONDS = 10.0
MOST_WORKERS = 8
"""That a plain line names."""
RESPONSES = "responses"


@dataclass(frozen=True, slots=True)
class Step:
    """Work that was done."""

    part: str
    work: float
    seconds: float | None = None
    """That one worker spent on it; where absent, the time since the step before."""


class Estimate:
    """How long work will still take, by how long what is done took.

    Each part comes to a pace of its own as it is done; one that is not begun has that of the whole. The first
    step of each worker, in which it warms up, sets no pace.

    Args:
        work: Part -> what is to do, in any one unit.
        clock: Gives seconds that never run backwards.
    """

    TRUST = 2
    """How many steps the pace of the whole counts for in a part's own."""

    def __init__(self, work: Mapping[str, float], clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or time.monotonic
        self._left = dict(work)
        self._counted = dict.fromkeys(work, 0)
        self._done: dict[str, float] = dict.fromkeys(work, 0.0)
        self._took: dict[str, float] = dict.fromkeys(work, 0.0)
        self._began = self._last = self._clock()
        self._steps = 0
        self._all = 0.0
        self.workers = 1
        """How many work at once."""

    def advance(self, step: Step) -> None:
        """Note a step that was done (raises KeyError for a part that was not announced)."""
        now = self._clock()
        self._left[step.part] = max(0.0, self._left[step.part] - step.work)
        if step.seconds == 0:
            # Nobody was asked: its media are missing.
            return
        self._all += step.work
        self._steps += 1
        if self._steps > self.workers:
            self._done[step.part] += step.work
            self._took[step.part] += (now - self._last) * self.workers if step.seconds is None else step.seconds
            self._counted[step.part] += 1
        self._last = now

    def left(self) -> float | None:
        """Return the seconds still to go, None while nothing is done."""
        now = self._clock()
        if not self._all:
            return None
        done = sum(self._done.values())
        if not done:
            return sum(self._left.values()) * (now - self._began) / self._all
        whole = sum(self._took.values()) / done
        left = sum(work * self._pace(part, whole) for part, work in self._left.items()) / self.workers
        # What is under way is not done yet, but who waits for it has waited already.
        return max(left - (now - self._last), left / 2)

    def _pace(self, part: str, whole: float) -> float:
        """Return seconds per unit."""
        if not self._counted[part]:
            return whole
        usual = self.TRUST * self._done[part] / self._counted[part]
        return (self._took[part] + usual * whole) / (self._done[part] + usual)


def duration(seconds: float) -> str:
    """Return seconds as people say them: "40 s", "12 min", "3 h 05 min", "2 d 4 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


class Progress(Protocol):
    """Told how many responses of a task are done."""

    def begin(
        self, task: str, total: int, done: int, what: str = RESPONSES, work: Mapping[str, float] | None = None
    ) -> None:
        """Start on a task of which `done` responses, or whatever is counted, are there already.

        `work` is what is still to do, part by part, in any unit; without it, everything counted takes equally long.
        """
        ...

    def advance(self, by: int, step: Step | None = None) -> None:
        """Note more responses, and the step that they were."""
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

    def begin(
        self, task: str, total: int, done: int, what: str = RESPONSES, work: Mapping[str, float] | None = None
    ) -> None:
        """Ignore it."""

    def advance(self, by: int, step: Step | None = None) -> None:
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
        self._estimate = Estimate({"": 0.0})

    def begin(
        self, task: str, total: int, done: int, what: str = RESPONSES, work: Mapping[str, float] | None = None
    ) -> None:
        """Say what begins."""
        self._task, self._total, self._done, self._before = task, total, done, done
        self._began = self._last = time.monotonic()
        self._estimate = Estimate(work if work is not None else {"": float(total - done)})
        # What a task's answers are scored by is said only where it takes time.
        self._brief = what != RESPONSES
        if not self._brief:
            kept = f", {done} already answered" if done else ""
            self._say(f"{task}: {total} {what}{kept}")

    def advance(self, by: int, step: Step | None = None) -> None:
        """Say how far it is if the last line is old enough."""
        self._done += by
        self._estimate.advance(step or Step("", float(by)))
        self._say_if_due()

    def workers(self, doing: Mapping[str, str]) -> None:
        """Say what they do if the last line is old enough."""
        self._doing = dict(doing)
        self._estimate.workers = max(1, len(doing))
        self._say_if_due()

    def _say_if_due(self) -> None:
        now = time.monotonic()
        if now - self._last < PLAIN_SECONDS:
            return
        self._last = now
        left = self._estimate.left()
        said = "" if left is None else f", about {duration(left)} left"
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
        self._estimate = Estimate({"": 0.0})

    def begin(
        self, task: str, total: int, done: int, what: str = RESPONSES, work: Mapping[str, float] | None = None
    ) -> None:
        """Draw the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
        )
        self._bar.start()
        self._task = self._bar.add_task(task, total=total, completed=done, left="")
        self._estimate = Estimate(work if work is not None else {"": float(total - done)})
        self._rows = {}

    def advance(self, by: int, step: Step | None = None) -> None:
        """Lengthen the bar."""
        self._estimate.advance(step or Step("", float(by)))
        self._bar.advance(self._task, by)
        self._say_left()

    def _say_left(self) -> None:
        left = self._estimate.left()
        self._bar.update(self._task, left="" if left is None else f"about {duration(left)} left")

    def workers(self, doing: Mapping[str, str]) -> None:
        """Draw a row per worker below the bar."""
        self._estimate.workers = max(1, len(doing))
        self._say_left()
        for name in [name for name in self._rows if name not in doing]:
            self._bar.remove_task(self._rows.pop(name))
        for name, what in doing.items():
            said = f"  {name}: {what}"
            if name in self._rows:
                self._bar.update(self._rows[name], description=said)
            else:
                self._rows[name] = self._bar.add_task(said, total=None, left="")

    def end(self) -> None:
        """Leave the bar as it is, without the workers."""
        self.workers({})
        self._bar.stop()
