"""The scheduler: whatever workers do, every job is finished exactly once and only what kills is given up."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavit_eval.engines.scheduler import Failed, Finished, Lease, Scheduler


class Clock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _made(jobs: dict[str, int], **fields: object) -> tuple[Scheduler[str, str], Clock]:
    clock = Clock()
    return Scheduler(jobs, clock, **fields), clock  # type: ignore[arg-type]


def _results(lease: Lease[str]) -> list[str]:
    return [f"{lease.key}{place}" for place in lease.places]


class Storm:
    """Workers that join, leave, die, hang and run short of memory at random, and jobs with members that kill."""

    def __init__(self, seed: int, sizes: list[int], poison: set[tuple[str, int]]) -> None:
        self.chance = random.Random(seed)
        self.jobs = {f"job{index}": size for index, size in enumerate(sizes)}
        self.poison = poison
        self.scheduler, self.clock = _made(self.jobs, timeout=5.0)
        self.finished: list[Finished[str, str]] = []
        self.held: dict[str, list[Lease[str]]] = {}
        self.names = 0
        self.blamed: Counter[str] = Counter()
        self.stale: list[Lease[str]] = []

    def join(self) -> None:
        self.names += 1
        self.scheduler.join(str(self.names))
        self.held[str(self.names)] = []

    def settle(self, finished: Finished[str, str] | None) -> None:
        if finished is not None:
            self.finished.append(finished)

    def drop(self, worker: str) -> None:
        self.stale += self.held.pop(worker)

    def turn(self) -> None:
        """Let one worker do one thing."""
        if not self.held or self.chance.random() < 0.05:
            self.join()
        worker = self.chance.choice(sorted(self.held))
        while (lease := self.scheduler.lease(worker)) is not None:
            self.held[worker].append(lease)
            assert len(self.held[worker]) <= 2
        self.clock.now += self.chance.random()
        if self.held[worker]:
            self.work(worker)
        elif self.chance.random() < 0.1:
            self.scheduler.leave(worker)
            self.drop(worker)
        if self.stale and self.chance.random() < 0.5:
            late = self.stale.pop()
            assert self.scheduler.complete(late.worker, late.number, _results(late)) is None

    def work(self, worker: str) -> None:
        lease = self.held[worker][0]
        deadly = any((lease.key, place) in self.poison for place in lease.places)
        kind = self.chance.choices(
            ["done", "dies", "short", "hangs", "leaves"], [0, 5, 3, 2, 1] if deadly else [90, 4, 2, 2, 2]
        )[0]
        if kind == "done":
            self.held[worker].pop(0)
            self.settle(self.scheduler.complete(worker, lease.number, _results(lease)))
        elif kind == "short":
            self.held[worker].pop(0)
            self.blamed[lease.key] += 1
            self.settle(self.scheduler.fail(worker, lease.number, "short"))
        elif kind == "dies":
            self.blamed[lease.key] += 1
            self.settle(self.scheduler.lost(worker, "died"))
            self.drop(worker)
        elif kind == "hangs":
            self.clock.now += 5.0
            for late in self.scheduler.overdue():
                self.blamed[self.held[late][0].key] += 1
                self.settle(self.scheduler.lost(late, "hung"))
                self.drop(late)
        else:
            self.scheduler.leave(worker)
            self.drop(worker)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(1, 6), min_size=1, max_size=25), data=st.data())
def test_every_job_is_finished_exactly_once_whatever_happens(seed: int, sizes: list[int], data: st.DataObject) -> None:
    members = [(f"job{index}", place) for index, size in enumerate(sizes) for place in range(size)]
    poison = set(data.draw(st.lists(st.sampled_from(members), max_size=4)))
    storm = Storm(seed, sizes, poison)
    for _ in range(20_000):
        if storm.scheduler.done:
            break
        storm.turn()
    assert storm.scheduler.done
    assert sorted(found.key for found in storm.finished) == sorted(storm.jobs)
    for found in storm.finished:
        assert len(found.results) == storm.jobs[found.key]
        for place, result in enumerate(found.results):
            if (found.key, place) in poison:
                assert isinstance(result, Failed)
            elif not isinstance(result, Failed):
                assert result == f"{found.key}{place}"
            else:
                assert storm.blamed[found.key] >= 3, "a member that is given up cost several workers"


def test_a_job_is_tried_three_times_and_then_taken_apart() -> None:
    scheduler, _ = _made({"a": 3})
    for worker in ("1", "2", "3"):
        scheduler.join(worker)
        lease = scheduler.lease(worker)
        assert lease is not None
        assert (list(lease.places), lease.alone) == ([0, 1, 2], False)
        assert scheduler.lost(worker, "died") is None
    scheduler.join("4")
    for place in range(3):
        lease = scheduler.lease("4")
        assert lease is not None
        assert (list(lease.places), lease.alone) == ([place], True)
        if place != 1:
            finished = scheduler.complete("4", lease.number, _results(lease))
        else:
            finished = scheduler.lost("4", "killed")
            scheduler.join("4")
    assert finished == Finished("a", ("a0", Failed("killed"), "a2"))
    assert scheduler.done


def test_a_member_that_is_asked_alone_has_its_worker_to_itself() -> None:
    scheduler, _ = _made({"bad": 3, **{f"good{index}": 1 for index in range(9)}})
    for name in "abc":
        scheduler.join(name)
        assert scheduler.lease(name) is not None
        scheduler.lost(name, "died")
    scheduler.join("d")
    first = scheduler.lease("d")
    assert first is not None
    assert (first.key, first.places, first.alone) == ("bad", range(1), True)
    assert scheduler.lease("d") is None, "nobody waits behind it"
    scheduler.join("e")
    scheduler.complete("d", first.number, _results(first))
    second, third = scheduler.lease("d"), scheduler.lease("e")
    assert second is not None and third is not None
    assert (second.places, third.places) == (range(1, 2), range(2, 3))
    scheduler.complete("d", second.number, _results(second))
    whole = scheduler.lease("d")
    assert whole is not None and not whole.alone
    scheduler.lost("e", "died")
    scheduler.join("f")
    last = scheduler.lease("f")
    assert last is not None and last.key.startswith("good"), "who was alone has failed, and is not asked again"


def test_nobody_is_asked_alone_behind_a_whole_job() -> None:
    scheduler, _ = _made({"bad": 2, **{f"good{index}": 1 for index in range(9)}})
    scheduler.join("busy")
    for name in "abc":
        scheduler.join(name)
        assert scheduler.lease(name) is not None
        if name != "c":
            scheduler.lost(name, "died")
    running = scheduler.lease("busy")
    assert running is not None and running.key == "good0"
    scheduler.lost("c", "died")
    assert scheduler.lease("busy") is None
    scheduler.complete("busy", running.number, _results(running))
    alone = scheduler.lease("busy")
    assert alone is not None and alone.alone


def test_a_dead_worker_costs_only_what_it_was_doing() -> None:
    scheduler, _ = _made({"a": 1, "b": 1, "c": 1, "d": 1}, tries=1)
    scheduler.join("1")
    first, second = scheduler.lease("1"), scheduler.lease("1")
    assert first is not None
    assert second is not None
    assert (first.key, second.key, scheduler.lease("1")) == ("a", "b", None)
    assert scheduler.lost("1", "died") == Finished("a", (Failed("died"),))
    scheduler.join("2")
    retried = scheduler.lease("2")
    assert retried is not None
    assert retried.key == "b"


def test_what_a_worker_that_leaves_held_is_not_to_blame() -> None:
    scheduler, _ = _made({"a": 1, "b": 1, "c": 1}, tries=1)
    for worker in map(str, range(20)):
        scheduler.join(worker)
        lease = scheduler.lease(worker)
        assert lease is not None
        assert lease.key == "a"
        scheduler.leave(worker)
    assert scheduler.unfinished == 3


def test_another_worker_gets_what_did_not_fit_if_there_is_one() -> None:
    scheduler, _ = _made({"a": 2})
    scheduler.join("small")
    scheduler.join("large")
    lease = scheduler.lease("small")
    assert lease is not None
    scheduler.fail("small", lease.number, "short")
    assert scheduler.lease("small") is None
    scheduler.leave("large")
    assert scheduler.lease("small") is not None


def test_near_the_end_nobody_holds_what_another_could_do() -> None:
    scheduler, _ = _made({"a": 1, "b": 1, "c": 1})
    for worker in ("1", "2", "3"):
        scheduler.join(worker)
    assert scheduler.lease("1") is not None
    assert scheduler.lease("1") is None
    assert scheduler.lease("2") is not None


def test_the_time_out_runs_from_the_moment_a_lease_begins() -> None:
    scheduler, clock = _made({"a": 1, "b": 1, "c": 1}, timeout=10.0)
    assert scheduler.patience() is None
    scheduler.join("1")
    first, second = scheduler.lease("1"), scheduler.lease("1")
    assert first is not None
    assert second is not None
    clock.now = 9.0
    assert scheduler.overdue() == []
    assert scheduler.patience() == 1.0
    scheduler.complete("1", first.number, ["x"])
    clock.now = 18.0
    assert scheduler.overdue() == []
    clock.now = 19.0
    assert scheduler.overdue() == ["1"]


def test_mistakes_of_a_driver_are_refused() -> None:
    with pytest.raises(ValueError, match="no members"):
        _made({"a": 0})
    scheduler, _ = _made({"a": 2})
    scheduler.join("1")
    with pytest.raises(ValueError, match="joined twice"):
        scheduler.join("1")
    lease = scheduler.lease("1")
    assert lease is not None
    with pytest.raises(ValueError, match="1 results for 2 members"):
        scheduler.complete("1", lease.number, ["x"])
