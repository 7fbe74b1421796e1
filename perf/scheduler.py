"""How busy 64 workers are kept: the real scheduler, driven by a fake clock with measured service times and failures.

Service times are those of the shipped canary on made videos, measured first, batch by batch; how long a worker takes to
start is measured too, and both keep their proportion. Then 64 fake workers answer 6,400 batches: leases and replies
take 5 ms each way, workers die, hang, join and leave. Beside it stand fixed shares of the same batches (what a launcher
that splits a data set does), whose dead workers are started again and go on in their own share.

Efficiency: seconds of service that ended in a result, divided by the seconds for which workers were there (ready, or
dead or hanging and not yet known to be); the second number counts the seconds in which replacements start as well.

Run: python perf/scheduler.py
"""

from __future__ import annotations

import heapq
import json
import random
import tempfile
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lavit_eval.demo import demo_counts
from lavit_eval.demo.material import canary_checkpoint, demo_data
from lavit_eval.engines.options import EngineOptions
from lavit_eval.engines.scheduler import Lease, Scheduler
from lavit_eval.evaluate import evaluate
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue

WORKERS = 64
BATCHES = 6400
BATCH_SIZE = 8
LATENCY = 0.005
SIZE = 16
RUNS = 5


@dataclass(frozen=True)
class Weather:
    """What goes wrong: chances per batch; seconds relative to the mean service time."""

    name: str
    dies: float = 0.0
    hangs: float = 0.0
    late: int = 0
    """Workers that join when a tenth of the time has passed."""
    leaving: int = 0
    """Workers that leave after half of it."""
    poison: int = 0
    """Batches with a member that kills whoever answers it."""


CALM = Weather("nothing fails")
ROUGH = Weather("1 of 500 batches kills its worker, 1 of 5,000 hangs", dies=1 / 500, hangs=1 / 5000)
STORM = Weather("the same, 16 join late, 8 leave, 4 samples kill", 1 / 500, 1 / 5000, late=16, leaving=8, poison=4)


def measure(folder: Path) -> tuple[list[float], float]:
    """Return seconds per batch of the canary on made videos, and seconds until a spawned worker was ready."""
    tasks = tuple(Catalogue().task(name) for name in ("msvd_qa", "msrvtt_qa"))
    options = RunOptions(
        model="video-lavit",
        tasks=tasks,
        data_root=demo_data(SIZE),
        output=folder,
        counts=demo_counts(SIZE, SIZE),
        demo=True,
        threads=1,
        batch_size=BATCH_SIZE,
        model_options=ModelOptions(checkpoint=str(canary_checkpoint("canary/final"))),
        engine=EngineOptions(workers=1),
    )
    run = evaluate(options).run
    began, ready = (
        datetime.fromisoformat(line.split()[0])
        for line in (run.folder / "run.log").read_text().splitlines()
        if "workers on" in line or "is ready" in line
    )
    seconds = [
        json.loads(line)["seconds"]
        for task in run.tasks
        for line in (run.task_folder(task) / "times.jsonl").read_text().splitlines()
    ]
    return seconds, (ready - began).total_seconds() + 1.0


@dataclass
class _World:
    """Fake workers around the real scheduler."""

    services: list[float]
    start: float
    weather: Weather
    seed: int = 0
    now: float = 0.0
    busy: float = 0.0
    capacity: float = 0.0
    events: list[tuple[float, int, Any, tuple[Any, ...]]] = field(default_factory=list)
    count: int = 0
    held: dict[str, deque[Lease[int]]] = field(default_factory=dict)
    machine: dict[str, int] = field(default_factory=dict)
    """Worker -> the machine that it runs on, where its replacement starts."""
    since: dict[str, float] = field(default_factory=dict)
    """Worker -> when it became ready."""
    starting: float = 0.0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.mean = sum(self.services) / len(self.services)
        self.cost = [self.chance.choice(self.services) for _ in range(BATCHES)]
        self.poisoned = set(self.chance.sample(range(BATCHES), self.weather.poison))
        self.scheduler: Scheduler[int, int] = Scheduler(
            dict.fromkeys(range(BATCHES), BATCH_SIZE), lambda: self.now, timeout=10 * max(self.services)
        )
        self.finished: set[int] = set()
        self.names = 0

    def at(self, when: float, what: Any, *arguments: Any) -> None:
        """Let something happen later."""
        self.count += 1
        heapq.heappush(self.events, (when, self.count, what, arguments))

    def run(self) -> tuple[float, float, float]:
        """Return the efficiency of the workers that were there, that of all machines, and the seconds taken."""
        ideal = sum(self.cost) / WORKERS
        for index in range(WORKERS):
            self.at(0.1 * ideal if index < self.weather.late else 0.0, self.join, index)
        for index in range(self.weather.leaving):
            self.at(0.5 * ideal + index, self.leave)
        while not self.scheduler.done:
            self.now, _, what, arguments = heapq.heappop(self.events)
            what(*arguments)
            for worker in self.scheduler.overdue():
                self.lose(worker, "hangs")
            self.hand_out()
        assert self.finished == set(range(BATCHES)), "a batch was lost"
        alive = sum(self.now - since for since in self.since.values())
        there = self.capacity + alive
        return self.busy / there, self.busy / (there + self.starting), self.now

    def join(self, machine: int) -> None:
        self.names += 1
        name = str(self.names)
        self.held[name], self.machine[name] = deque(), machine
        self.since[name] = self.now
        self.scheduler.join(name)

    def leave(self) -> None:
        worker = self.chance.choice(sorted(self.held))
        del self.held[worker]
        self.capacity += self.now - self.since.pop(worker)
        self.scheduler.leave(worker)

    def hand_out(self) -> None:
        for worker in self.scheduler.workers:
            while (lease := self.scheduler.lease(worker)) is not None:
                self.at(self.now + LATENCY, self.arrive, worker, lease)

    def arrive(self, worker: str, lease: Lease[int]) -> None:
        if worker in self.held:
            self.held[worker].append(lease)
            if len(self.held[worker]) == 1:
                self.serve(worker)

    def serve(self, worker: str) -> None:
        lease = self.held[worker][0]
        service = self.cost[lease.key] * len(lease.places) / BATCH_SIZE
        if lease.key in self.poisoned and 3 in lease.places:
            self.at(self.now + service / 2 + LATENCY, self.lose, worker, "dies")
        elif self.chance.random() < self.weather.dies:
            self.at(self.now + service * self.chance.random() + LATENCY, self.lose, worker, "dies")
        elif self.chance.random() < self.weather.hangs:
            self.at(self.now + 10 * max(self.services), self.noop)
        else:
            self.at(self.now + service, self.end, worker, lease, service)

    def noop(self) -> None:
        """Only let the time-out be looked at."""

    def end(self, worker: str, lease: Lease[int], service: float) -> None:
        if worker not in self.held or self.held[worker][0] is not lease:
            return
        self.held[worker].popleft()
        self.at(self.now + LATENCY, self.reply, worker, lease, service)
        if self.held[worker]:
            self.serve(worker)

    def reply(self, worker: str, lease: Lease[int], service: float) -> None:
        if worker not in self.held:
            return
        self.busy += service
        finished = self.scheduler.complete(worker, lease.number, [1] * len(lease.places))
        self.note(finished)

    def lose(self, worker: str, reason: str) -> None:
        if worker in self.held:
            del self.held[worker]
            self.capacity += self.now - self.since.pop(worker)
            self.starting += self.start
            self.note(self.scheduler.lost(worker, reason))
            self.at(self.now + self.start, self.join, self.machine[worker])

    def note(self, finished: Any) -> None:
        if finished is not None:
            assert finished.key not in self.finished, "a batch was done twice"
            self.finished.add(finished.key)


def fixed_shares(services: list[float], start: float, weather: Weather, seed: int) -> float:
    """Return the seconds of 64 fixed shares of the same batches, each with its own dead workers started again."""
    chance = random.Random(seed)
    cost = [chance.choice(services) for _ in range(BATCHES)]
    ends = []
    for share in range(WORKERS):
        spent = 0.0
        for service in cost[share::WORKERS]:
            while chance.random() < weather.dies:
                spent += service * chance.random() + start
            if chance.random() < weather.hangs:
                spent += 10 * max(services) + start
            spent += service
        ends.append(spent)
    return max(ends)


def main() -> None:
    """Measure, simulate each weather five times, and print the least efficiency."""
    with tempfile.TemporaryDirectory() as name:
        services, start = measure(Path(name))
    mean = sum(services) / len(services)
    print(
        f"measured: {len(services)} batches of {BATCH_SIZE}, {mean:.2f} s on average "
        f"({min(services):.2f} to {max(services):.2f}); a worker starts in {start:.1f} s"
    )
    for weather in (CALM, ROUGH, STORM):
        found = [_World(services, start, weather, seed).run() for seed in range(RUNS)]
        there, machines = (min(each[index] for each in found) for index in (0, 1))
        beside = ""
        if weather is not STORM:
            fixed = sum(fixed_shares(services, start, weather, seed) for seed in range(RUNS))
            beside = f"; fixed shares take {fixed / sum(seconds for _, _, seconds in found):.2f} times as long"
        print(f"{weather.name}: efficiency {there:.3f} (goal 0.95), with restarts {machines:.3f}{beside}")


if __name__ == "__main__":
    main()
