"""The driver: gives the batches of a run to workers and journals each whole, until all are answered."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from lavit_eval.engines.asking import first_missing, media_alone, with_output, without_medium
from lavit_eval.engines.pool import Answered, Event, Left, Lost, Pool, Ready, Short
from lavit_eval.engines.scheduler import Failed, Finished, Lease, Scheduler
from lavit_eval.journal import Entry, JournalWriter
from lavit_eval.plan import Batch
from lavit_eval.sample import JSON, Request, Response, Sample

Shield = Callable[[], AbstractContextManager[None]]
Key = tuple[str, int, int]
"""Task, attempt and number of a batch."""
AHEAD = 16
"""Leases beyond those that it holds of which a worker is told, if its model prepares for them."""
AHEAD_REQUESTS = 256
"""No more than these leases, once they have so many requests together."""
LONGEST_SLEEP = 1.0
SHOWN_EVERY = 0.5


@dataclass(frozen=True, slots=True)
class TaskWork:
    """What is to be answered of a task."""

    task: str
    samples: Sequence[Sample]
    """All of the task."""
    batches: Sequence[Batch]
    writer: JournalWriter
    missing: frozenset[str] = frozenset()
    """Names of media that preflight did not find; their requests fail without asking the model."""


class Listener(Protocol):
    """Told what happens while batches are answered."""

    def batch(self, task: str, entries: Sequence[Entry], seconds: float) -> None:
        """Note a batch that is on disk, and how many seconds workers spent on it."""

    def note(self, text: str) -> None:
        """Note what a person may want to know of the workers."""

    def workers(self, doing: Mapping[str, str]) -> None:
        """Note what each worker ("worker 1") is doing."""


@dataclass(slots=True)
class _Open:
    """A batch that is being answered."""

    batch: Batch
    work: TaskWork
    asked: list[Request]
    absent: dict[tuple[str, int], str] = field(default_factory=dict)
    """Request -> the medium that is missing."""
    seconds: float = 0.0


def answer(
    work: Sequence[TaskWork],
    pool: Pool,
    listener: Listener,
    shielded: Shield,
    timeout: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Answer every batch and journal each whole, in one write, as soon as it is answered.

    Args:
        work: What is to do, in the order in which it is begun.
        pool: Who does it; it is started and closed here.
        listener: Told of batches, workers and losses.
        shielded: A context in which an interruption waits.
        timeout: Seconds that a batch may take before its worker is given up.
        clock: Of this process alone.

    Raises:
        UsageError: A worker cannot take part, or the disk is full.
        WorkerError: The model raised what nobody foresaw.
    """
    _Driver(work, pool, listener, shielded, timeout, clock).run()


class _Driver:
    def __init__(
        self,
        work: Sequence[TaskWork],
        pool: Pool,
        listener: Listener,
        shielded: Shield,
        timeout: float | None,
        clock: Callable[[], float],
    ) -> None:
        self._pool, self._listener, self._shielded, self._clock = pool, listener, shielded, clock
        self._timeout = timeout
        self._batches = {
            (each.task, batch.attempt, batch.number): (each, batch) for each in work for batch in each.batches
        }
        self._open: dict[Key, _Open] = {}
        self._leases: dict[int, Lease[Key]] = {}
        self._foreseeing: set[str] = set()
        self._shown = clock() - SHOWN_EVERY
        sizes = {key: self._asked(*found) for key, found in self._batches.items()}
        self._unasked = [key for key, size in sizes.items() if not size]
        self._scheduler: Scheduler[Key, Response] = Scheduler(
            {key: size for key, size in sizes.items() if size}, clock, window=pool.window, timeout=timeout
        )

    @staticmethod
    def _asked(work: TaskWork, batch: Batch) -> int:
        if not work.missing:
            return len(batch.requests)
        return sum(first_missing(request, work.missing) is None for request in batch.requests)

    def run(self) -> None:
        try:
            for key in self._unasked:
                self._journal(self._opened(key), [])
            if self._scheduler.done:
                return
            self._pool.start()
            while not self._scheduler.done:
                self._hand_out()
                for event in self._pool.events(self._patience()):
                    self._take(event)
                self._give_up_overdue()
                self._show()
        finally:
            self._pool.close()

    def _patience(self) -> float:
        left = self._scheduler.patience()
        return LONGEST_SLEEP if left is None else min(LONGEST_SLEEP, left)

    def _hand_out(self) -> None:
        for worker in self._scheduler.workers:
            while (lease := self._scheduler.lease(worker)) is not None:
                self._leases[lease.number] = lease
                found = self._opened(lease.key)
                asked = found.asked if len(lease.places) == len(found.asked) else [found.asked[p] for p in lease.places]
                likely = self._likely(worker) if worker in self._foreseeing else []
                self._pool.send(worker, lease.number, found.work.task, asked, likely)

    def _likely(self, worker: str) -> list[Request]:
        """Return what a worker may want to prepare for, and was not told of yet."""
        found: list[Request] = []
        for key, places in self._scheduler.foretell(worker, AHEAD, AHEAD_REQUESTS):
            asked = self._opened(key).asked
            found += [asked[place] for place in places]
        return media_alone(found)

    def _opened(self, key: Key) -> _Open:
        if key not in self._open:
            work, batch = self._batches[key]
            folder = work.writer.path.parent
            absent = {r.key: name for r in batch.requests if (name := first_missing(r, work.missing)) is not None}
            asked = [with_output(request, folder) for request in batch.requests if request.key not in absent]
            self._open[key] = _Open(batch, work, asked, absent)
        return self._open[key]

    def _take(self, event: Event) -> None:
        match event:
            case Ready(worker, about):
                self._scheduler.join(worker)
                if event.foresees:
                    self._foreseeing.add(worker)
                if about:
                    said = ", ".join(f"{name} {value}" for name, value in about.items() if value is not None)
                    self._listener.note(f"worker {worker} is ready ({said})")
            case Answered(worker, number, responses):
                lease = self._leases.pop(number, None)
                if lease is not None:
                    self._opened(lease.key).seconds += event.seconds
                    self._keep_times(event, lease)
                    marked = [_asked_alone(response) for response in responses] if lease.alone else list(responses)
                    self._settle(self._scheduler.complete(worker, number, marked))
            case Short(worker, number, detail):
                lease = self._leases.pop(number, None)
                if lease is not None:
                    self._listener.note(f"{_named(lease)} did not fit into worker {worker}'s memory: {detail}")
                    self._settle(self._scheduler.fail(worker, number, "memory did not suffice"))
            case Lost(worker, reason, detail):
                self._lose(worker, reason, detail)
            case Left(worker):
                self._listener.note(f"worker {worker} left")
                self._forget(worker)
                self._scheduler.leave(worker)

    def _forget(self, worker: str) -> None:
        self._leases = {number: lease for number, lease in self._leases.items() if lease.worker != worker}

    def _lose(self, worker: str, reason: str, detail: str = "") -> None:
        said = f"{reason} ({detail})" if detail else reason
        if worker in self._scheduler.workers:
            running = self._scheduler.running(worker)
            over = f" over {_named(running[0])}" if running is not None else ""
            self._listener.note(f"worker {worker} is lost{over}: {said}")
            self._forget(worker)
            self._settle(self._scheduler.lost(worker, reason))
        else:
            self._listener.note(f"worker {worker} ended: {said}")

    def _give_up_overdue(self) -> None:
        for worker in self._scheduler.overdue():
            self._pool.give_up(worker)
            self._lose(worker, f"no answer in {self._timeout:g} s")

    def _settle(self, finished: Finished[Key, Response] | None) -> None:
        if finished is None:
            return
        found = self._opened(finished.key)
        pairs = zip(found.asked, finished.results, strict=True)
        self._journal(found, [_failure(r, result) if isinstance(result, Failed) else result for r, result in pairs])

    def _journal(self, found: _Open, answered: Sequence[Response]) -> None:
        by_key = {response.key: response for response in answered}
        responses = [
            by_key[request.key] if request.key in by_key else without_medium(request, found.absent[request.key])
            for request in found.batch.requests
        ]
        with self._shielded():
            entries = found.work.writer.append(found.batch.attempt, found.batch.number, responses)
        key = (found.work.task, found.batch.attempt, found.batch.number)
        del self._open[key], self._batches[key]
        self._listener.batch(found.work.task, entries, found.seconds)

    def _keep_times(self, event: Answered, lease: Lease[Key]) -> None:
        _, attempt, batch = lease.key
        fields: dict[str, JSON] = {
            "attempt": attempt,
            "batch": batch,
            "requests": len(lease.places),
            "worker": event.worker,
            "seconds": round(event.seconds, 6),
            "waited": {name: round(seconds, 6) for name, seconds in event.waited.items()},
            "used": dict(event.used),
        }
        if lease.alone:
            fields["alone"] = lease.places.start
        path = self._opened(lease.key).work.writer.path
        # Times that cannot be written cost nothing that was computed.
        with suppress(OSError), open(path.with_name(path.name.replace("journal", "times", 1)), "a") as stream:
            stream.write(json.dumps(fields) + "\n")

    def _show(self) -> None:
        now = self._clock()
        if now - self._shown < SHOWN_EVERY:
            return
        self._shown = now
        doing = {} if self._scheduler.workers else {"workers": "none is ready yet"}
        for worker in self._scheduler.workers:
            running = self._scheduler.running(worker)
            doing[f"worker {worker}"] = "waits" if running is None else f"{_named(running[0])} for {running[1]:.0f} s"
        self._listener.workers(doing)


def _named(lease: Lease[Key]) -> str:
    task, attempt, number = lease.key
    again = f" of attempt {attempt}" if attempt > 1 else ""
    one = f", request {lease.places.start + 1} alone" if lease.alone else ""
    return f"{task} batch {number + 1}{again}{one}"


def _asked_alone(response: Response) -> Response:
    return dataclasses.replace(response, counts={**response.counts, "asked_alone": 1})


def _failure(request: Request, failed: Failed) -> Response:
    reason = f"It ended its worker even when it was asked alone: {failed.reason}."
    if failed.reason == "memory did not suffice":
        reason = "Memory did not suffice even when it was asked alone."
    return Response(request.sample_id, request.repeat, "failed", error=reason)
