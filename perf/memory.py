"""Memory while 100,000 samples are answered: model `constant`, journal on, in this process and by two workers.

The plan is made first; then the driver's resident memory is read after every tenth. Flat means that what is answered is
not kept: the ratio of the last reading to the first is near 1. Beside it stands the bare loop, which keeps its answers.

Run: python perf/memory.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from overhead import made_work

from lavit_eval.engines.driving import TaskWork, answer
from lavit_eval.engines.here import Here
from lavit_eval.engines.local import LocalPool
from lavit_eval.engines.pool import Pool
from lavit_eval.interruption import Interruption
from lavit_eval.journal import Entry, JournalWriter, Standing
from lavit_eval.models.baselines import Constant
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.plan import TaskPlan

SAMPLES = 100_000
BATCH = 50


class Meter:
    """Reads the memory after every tenth of the samples."""

    def __init__(self) -> None:
        self.done = 0
        self.read: list[float] = []
        self.standing = Standing()

    def batch(self, task: str, entries: Sequence[Entry], seconds: float) -> None:
        """Count."""
        self.standing.note(entries)
        self.count(len(entries))

    def count(self, more: int) -> None:
        """Read the memory if a tenth is full."""
        before, self.done = self.done, self.done + more
        if before * 10 // SAMPLES < self.done * 10 // SAMPLES:
            self.read.append(psutil.Process().memory_info().rss / 1e6)

    def note(self, text: str) -> None:
        """Ignore it."""

    def workers(self, doing: Mapping[str, str]) -> None:
        """Ignore it."""


def main() -> None:
    """Answer by each side and print what the driver's memory did."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        plan, greeting = made_work(root, SAMPLES, BATCH)
        model = Constant(ModelOptions())
        _say("in this process", _answered(Here(model, greeting.samples), plan, root / "here"))
        _say("two spawned workers", _answered(LocalPool(greeting, ["cpu"] * 2, root), plan, root / "two"))
        meter, kept = Meter(), []
        for batch in plan.batches():
            kept.append(model.respond(batch.requests))
            meter.count(len(batch.requests))
        _say("a loop that keeps its answers", meter.read)


def _answered(pool: Pool, plan: TaskPlan, folder: Path) -> list[float]:
    meter = Meter()
    with JournalWriter(folder / "journal.jsonl") as writer:
        work = TaskWork(plan.task.task, plan.samples, plan.batches(), writer)
        answer([work], pool, meter, Interruption().shielded)
    return meter.read


def _say(label: str, read: Sequence[float]) -> None:
    line = " ".join(f"{megabytes:.0f}" for megabytes in read)
    print(f"{label}: MB after each tenth {line}; last to first {read[-1] / read[0]:.3f}")


if __name__ == "__main__":
    main()
