"""What an engine adds to a sample: 10,000 made questions in batches of 50, model `constant`, journal on.

The bare side asks the model for the same batches in a loop. The engines are timed from the moment when their workers
are ready (and journal to disk as in a run); starting them is printed apart. At the end one Ray actor of two is
killed by its process id when 4,000 samples are journalled.

Run: python perf/ray_overhead.py            (needs the extra `ray`)
"""

from __future__ import annotations

import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from overhead import SAMPLES, made_work

from lavit_eval.engines.driving import TaskWork, answer
from lavit_eval.engines.here import Here
from lavit_eval.engines.local import LocalPool
from lavit_eval.engines.options import EngineOptions
from lavit_eval.engines.pool import Pool
from lavit_eval.engines.ray_cluster import RayPool, connect, import_ray
from lavit_eval.interruption import Interruption
from lavit_eval.journal import Entry, JournalWriter, read_journal
from lavit_eval.models.baselines import Constant
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.plan import TaskPlan

BATCH = 50
REPEATS = 3
KILLED_AT = 4_000


class Watch:
    """Notes when all workers were ready and when the last batch was written; kills one of them if told."""

    def __init__(self, workers: int, kill: bool = False) -> None:
        self.workers_wanted, self.kill = workers, kill
        self.pids: list[int] = []
        self.ready = self.ended = time.perf_counter()
        self.done = 0
        self.notes: list[str] = []

    def batch(self, task: str, entries: Sequence[Entry], seconds: float) -> None:
        """Count, and kill."""
        self.done += len(entries)
        self.ended = time.perf_counter()
        if self.kill and self.done >= KILLED_AT:
            self.kill = False
            os.kill(self.pids[0], signal.SIGKILL)

    def note(self, text: str) -> None:
        """Keep the workers' process ids."""
        self.notes.append(text)
        self.pids += [int(pid) for pid in re.findall(r"is ready .*pid (\d+)", text)]
        self.ready = time.perf_counter() if self.done == 0 else self.ready

    def workers(self, doing: Mapping[str, str]) -> None:
        """Ignore it."""


def main() -> None:
    """Time the bare loop and every engine, and print the least of each."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        plan, greeting = made_work(root, SAMPLES, BATCH)
        model, samples = Constant(ModelOptions()), plan.samples
        bare = min(_bare(model, plan) for _ in range(REPEATS))
        print(f"answering alone: {bare / len(samples) * 1e3:.4f} ms a sample")
        began = time.perf_counter()
        connect("local", workers=2)
        print(f"starting Ray on this machine: {time.perf_counter() - began:.1f} s")

        def ray(workers: int) -> Pool:
            return RayPool(greeting, EngineOptions(engine="ray", workers=workers), "cpu", root)

        pools: dict[str, Callable[[], Pool]] = {
            "in this process": lambda: Here(model, greeting.samples),
            "1 spawned worker": lambda: LocalPool(greeting, ["cpu"], root),
            "2 spawned workers": lambda: LocalPool(greeting, ["cpu"] * 2, root),
            "Ray, 1 worker": lambda: ray(1),
            "Ray, 2 workers": lambda: ray(2),
        }
        for label, make in pools.items():
            times = [_timed(make(), plan, samples, root / f"{label}-{repeat}") for repeat in range(REPEATS)]
            spent, started = min(spent for spent, _ in times), min(started for _, started in times)
            added = (spent - bare) / len(samples) * 1e3
            print(
                f"{label}: ready after {started:.1f} s, then {added:.4f} ms overhead a sample "
                f"(goal 0.1), ratio to a goal of 0.1 ms {added / 0.1:.2f}"
            )
        _kill(ray(2), plan, samples, root / "killed")
        import_ray().shutdown()


def _bare(model: Constant, plan: TaskPlan) -> float:
    began = time.perf_counter()
    kept = [response for batch in plan.batches() for response in model.respond(batch.requests)]
    assert len(kept) == len(plan.requests)
    return time.perf_counter() - began


def _answer(pool: Pool, plan: TaskPlan, samples: Sequence[object], folder: Path, watch: Watch) -> JournalWriter:
    with JournalWriter(folder / "journal.jsonl") as writer:
        work = TaskWork(plan.task.task, plan.samples, plan.batches(), writer)
        answer([work], pool, watch, Interruption().shielded)
    return writer


def _timed(pool: Pool, plan: TaskPlan, samples: Sequence[object], folder: Path) -> tuple[float, float]:
    watch = Watch(0)
    began = time.perf_counter()
    _answer(pool, plan, samples, folder, watch)
    assert watch.done == len(samples)
    return watch.ended - watch.ready, max(0.0, watch.ready - began)


def _kill(pool: Pool, plan: TaskPlan, samples: Sequence[object], folder: Path) -> None:
    watch = Watch(0, kill=True)
    _answer(pool, plan, samples, folder, watch)
    keys = [entry.key for entry in read_journal(folder / "journal.jsonl").entries]
    lost = [note for note in watch.notes if "is lost" in note]
    print(
        f"a Ray actor killed by its process id at {KILLED_AT:,}: {len(set(keys)):,} of {len(samples):,} answered, "
        f"{len(keys) - len(set(keys))} twice; {len(lost)} actor lost"
    )
    assert len(keys) == len(set(keys)) == len(samples)


if __name__ == "__main__":
    main()
