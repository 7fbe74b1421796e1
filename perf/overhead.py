"""CPU time that the harness adds to a sample: 10,000 made questions, model `constant`, journal on.

Both sides run in this process in turn: the bare loop asks the model for the same batches and keeps the answers in a
list; the harness plans, asks, journals (flushed and fsynced per batch) and keeps going. Reading annotations,
scoring and intervals are not part of a sample's overhead and are printed apart.

Run: python perf/overhead.py
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lavit_eval.engines.driving import TaskWork, answer
from lavit_eval.engines.greeting import Greeting
from lavit_eval.engines.here import Here
from lavit_eval.evaluate import evaluate
from lavit_eval.interruption import Interruption
from lavit_eval.journal import Entry, JournalWriter
from lavit_eval.models.baselines import Constant
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.plan import BatchSizes, TaskPlan, plan_task
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue, find
from lavit_eval.sample import Sample
from lavit_eval.task import Task

SAMPLES = 10_000
QUESTIONS_PER_VIDEO = 25
REPEATS = 5


class Nobody:
    """Listens to nothing."""

    def batch(self, task: str, entries: Sequence[Entry], seconds: float) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""

    def workers(self, doing: Mapping[str, str]) -> None:
        """Ignore it."""


def write_questions(root: Path, samples: int = SAMPLES) -> Task:
    """Write MSVD-QA's official layout with made questions and return the task that reads it."""
    folder = root / "MSVD-QA"
    (folder / "video").mkdir(parents=True)
    rows = []
    for index in range(samples):
        video = index // QUESTIONS_PER_VIDEO + 1
        rows.append({"id": index + 1, "question": f"what is in part {index}?", "answer": "cat", "video_id": video})
    for video in range(1, -(-samples // QUESTIONS_PER_VIDEO) + 1):
        (folder / "video" / f"vid{video}.avi").write_bytes(b"made")
    (folder / "test_qa.json").write_text(json.dumps(rows))
    tasks = root / "tasks"
    tasks.mkdir()
    (tasks / "made_qa.yaml").write_text(json.dumps({"task": "made_qa", "extends": "msvd_qa", "samples": samples}))
    return Catalogue([tasks]).task("made_qa")


def plan_questions(task: Task, samples: Sequence[Sample], batch: int) -> TaskPlan:
    """Return the plan of a task in batches of one size."""
    sizes = BatchSizes.even(batch)
    return plan_task(task, samples, seed=42, repeats=1, sizes=sizes, visual_noise="per-medium")


def made_work(root: Path, samples: int, batch: int) -> tuple[TaskPlan, Greeting]:
    """Return the plan of made questions in batches of this size, and what workers are told that answer it."""
    task = write_questions(root, samples)
    read = find("benchmark", task.benchmark)().read(root, task.split).samples
    plan = plan_questions(task, read, batch)
    options = ModelOptions()
    target = "lavit_eval.models.baselines:Constant"
    return plan, Greeting(target, Constant, options, Constant.identify(options), 1, {task.task: read})


def main() -> None:
    """Time both sides in turn, five times, and print the least of each."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        task = write_questions(root)
        samples = find("benchmark", task.benchmark)().read(root, task.split).samples
        model = Constant(ModelOptions())
        bare, harness = [], []
        for repeat in range(REPEATS):
            batches = plan_questions(task, samples, Constant.default_batch_size).batches()
            began = time.process_time()
            kept = [response for batch in batches for response in model.respond(batch.requests)]
            bare.append(time.process_time() - began)
            assert len(kept) == SAMPLES
            began = time.process_time()
            plan = plan_questions(task, samples, Constant.default_batch_size)
            with JournalWriter(root / f"journal-{repeat}.jsonl") as writer:
                work = TaskWork(task.task, samples, plan.batches(), writer)
                answer([work], Here(model, {task.task: samples}), Nobody(), Interruption().shielded)
            harness.append(time.process_time() - began)
        began = time.process_time()
        evaluate(RunOptions(model="constant", tasks=(task,), data_root=root, output=root / "out"))
        whole = time.process_time() - began
    added = (min(harness) - min(bare)) / SAMPLES * 1e3
    alone, together = (min(side) * 1e3 / SAMPLES for side in (bare, harness))
    print(f"answering alone {alone:.4f} ms, with the harness {together:.4f} ms a sample")
    print(f"overhead {added:.4f} ms CPU a sample (goal: 0.1), ratio {min(harness) / min(bare):.1f}")
    print(f"a whole run of {SAMPLES:,} samples, annotations, scoring and intervals included: {whole:.2f} CPU-s")


if __name__ == "__main__":
    main()
