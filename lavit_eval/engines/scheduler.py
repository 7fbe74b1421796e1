"""Who does what next: leases, losses, time-outs and joining workers, as pure logic with a clock that is given.

A job is a batch of the plan, known here by its key and its size. It is leased whole. A job that cost `tries` workers is
taken apart: each of its members is then leased alone, and one that costs a worker even so fails with the reason, while
the others are answered. A job is finished once, when all its members are; its results come back in their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

TRIES = 3
WINDOW = 2

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Failed:
    """A member that has no result: it ended its worker even when it was asked alone."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finished(Generic[K, R]):
    """A job whose members all have a result, or a reason why there is none, in their order."""

    key: K
    results: tuple[R | Failed, ...]


@dataclass(frozen=True, slots=True)
class Lease(Generic[K]):
    """What a worker is to do."""

    number: int
    worker: str
    key: K
    places: range
    """Which members of the job: all of them, or one that is asked alone."""
    alone: bool
    """Whether this is one member of a job that cost too many workers."""


@dataclass(slots=True, eq=False)
class _Part(Generic[K]):
    key: K
    places: range
    alone: bool = False
    losses: int = 0
    avoid: set[str] = field(default_factory=set)
    """Who failed at it and still lives."""


@dataclass(slots=True)
class _Worker(Generic[K]):
    leases: deque[tuple[Lease[K], _Part[K]]] = field(default_factory=deque)
    """The first one is being done, the others wait for it."""
    since: float = 0.0
    """When the first one began."""


class Scheduler(Generic[K, R]):
    """Leases jobs to workers so that each is finished exactly once.

    Args:
        jobs: Key -> number of members (at least 1), in the order in which they are leased.
        clock: Gives seconds that never run backwards, of the driver alone: no worker's clock is ever read.
        window: How many leases a worker may hold, so that it need not wait for the next one; only one while fewer jobs
            are left than there are workers.
        timeout: Seconds that a lease may take once it has begun; None for ever.
        tries: How many workers a job may cost before it is taken apart.
    """

    def __init__(
        self,
        jobs: Mapping[K, int],
        clock: Callable[[], float],
        *,
        window: int = WINDOW,
        timeout: float | None = None,
        tries: int = TRIES,
    ) -> None:
        if any(size < 1 for size in jobs.values()):
            raise ValueError("a job has no members")
        self._clock, self._window, self._timeout, self._tries = clock, window, timeout, tries
        self._queue = deque(_Part(key, range(size)) for key, size in jobs.items())
        self._sizes = dict(jobs)
        self._partial: dict[K, dict[int, R | Failed]] = {}
        self._workers: dict[str, _Worker[K]] = {}
        self._leased = 0

    @property
    def done(self) -> bool:
        """Whether every job is finished."""
        return not self._sizes

    @property
    def unfinished(self) -> int:
        """How many jobs are not finished."""
        return len(self._sizes)

    @property
    def workers(self) -> tuple[str, ...]:
        """Who takes part, in the order of joining."""
        return tuple(self._workers)

    def running(self, worker: str) -> tuple[Lease[K], float] | None:
        """Return what a worker is doing and for how many seconds."""
        held = self._workers[worker]
        return (held.leases[0][0], self._clock() - held.since) if held.leases else None

    def join(self, worker: str) -> None:
        """Let a worker take part; raises ValueError if it does already."""
        if worker in self._workers:
            raise ValueError(f"worker {worker} joined twice")
        self._workers[worker] = _Worker()

    def lease(self, worker: str) -> Lease[K] | None:
        """Return what a worker is to do next, None when there is nothing for it now (KeyError if it never joined).

        A member that is asked alone has its worker to itself: one that waits behind it may end the worker while the
        answer to the first is on its way, and the first would be blamed.
        """
        held = self._workers[worker]
        window = self._window if len(self._queue) > len(self._workers) else 1
        if len(held.leases) >= window or any(lease.alone for lease, _ in held.leases):
            return None
        part = self._next_for(worker, idle=not held.leases)
        if part is None:
            return None
        if not held.leases:
            held.since = self._clock()
        lease = Lease(self._leased, worker, part.key, part.places, part.alone)
        self._leased += 1
        held.leases.append((lease, part))
        return lease

    def _next_for(self, worker: str, idle: bool) -> _Part[K] | None:
        for index, part in enumerate(self._queue):
            if worker not in part.avoid or self._workers.keys() <= part.avoid:
                if part.alone and not idle:
                    return None
                del self._queue[index]
                return part
        return None

    def complete(self, worker: str, number: int, results: Sequence[R]) -> Finished[K, R] | None:
        """Take the results of a lease; return the job if that finished it.

        What comes for a lease that is no longer held (its worker was given up) changes nothing: another has it.
        """
        part = self._take(worker, number)
        if part is None:
            return None
        if len(results) != len(part.places):
            raise ValueError(f"{len(results)} results for {len(part.places)} members of job {part.key}")
        return self._settle(part, list(results))

    def fail(self, worker: str, number: int, reason: str) -> Finished[K, R] | None:
        """Note that a worker could not do a lease and lives on, as when memory did not suffice.

        Another worker gets it, if there is one. Returns the job if that finished it.
        """
        part = self._take(worker, number)
        if part is None:
            return None
        part.avoid.add(worker)
        return self._blame(part, reason)

    def lost(self, worker: str, reason: str) -> Finished[K, R] | None:
        """Note that a worker died or was given up: only what it was doing is to blame, what waited goes back.

        Returns the job if that finished it.
        """
        held = self._workers.pop(worker, None)
        if held is None or not held.leases:
            return None
        (_, part), *waiting = held.leases
        self._queue.extendleft(other for _, other in reversed(waiting))
        return self._blame(part, reason)

    def leave(self, worker: str) -> None:
        """Note that a worker left of its own accord: all that it held goes back and nothing is to blame."""
        held = self._workers.pop(worker, None)
        if held is not None:
            self._queue.extendleft(part for _, part in reversed(held.leases))

    def overdue(self) -> list[str]:
        """Return the workers whose lease takes longer than the time-out."""
        if self._timeout is None:
            return []
        now = self._clock()
        return [name for name, held in self._workers.items() if held.leases and now - held.since >= self._timeout]

    def patience(self) -> float | None:
        """Return the seconds until a lease can be overdue, None when none ever is."""
        if self._timeout is None:
            return None
        begun = [held.since for held in self._workers.values() if held.leases]
        return max(0.0, min(begun) + self._timeout - self._clock()) if begun else None

    def _take(self, worker: str, number: int) -> _Part[K] | None:
        held = self._workers.get(worker)
        for index, (lease, part) in enumerate(held.leases if held is not None else ()):
            if lease.number == number:
                assert held is not None
                del held.leases[index]
                if index == 0:
                    held.since = self._clock()
                return part
        return None

    def _blame(self, part: _Part[K], reason: str) -> Finished[K, R] | None:
        part.losses += 1
        if part.alone or (part.losses >= self._tries and len(part.places) == 1):
            return self._settle(part, [Failed(reason)])
        if part.losses < self._tries:
            self._queue.appendleft(part)
        else:
            self._queue.extendleft(_Part(part.key, range(place, place + 1), True) for place in reversed(part.places))
        return None

    def _settle(self, part: _Part[K], results: Sequence[R | Failed]) -> Finished[K, R] | None:
        found = self._partial.setdefault(part.key, {})
        found.update(zip(part.places, results, strict=True))
        if len(found) < self._sizes[part.key]:
            return None
        del self._partial[part.key], self._sizes[part.key]
        return Finished(part.key, tuple(found[place] for place in sorted(found)))
