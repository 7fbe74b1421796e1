"""The plan of a run: requests from samples, batches from requests, all before the first answer.

Batches are the unit of work: each is computed whole and journalled whole, so its content must depend on nothing but the
task, the data, the seed and the batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lavit_eval.digests import digest_json
from lavit_eval.journal import Key
from lavit_eval.sample import Request, Sample, Seeds, derive_seed
from lavit_eval.task import Task

VisualNoise = Literal["per-medium", "per-question"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that are answered together."""

    attempt: int
    number: int
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """All requests of a task in the order in which they are asked."""

    task: Task
    samples: tuple[Sample, ...]
    """In the official order, after --limit."""
    requests: tuple[Request, ...]
    batch_size: int

    def batches(self) -> list[Batch]:
        """Return the batches of the first attempt."""
        return in_batches(self.requests, self.batch_size, attempt=1)

    def retry(self, failed: set[Key], attempt: int) -> list[Batch]:
        """Return the batches of a later attempt, which asks the failed requests again in the order of the plan."""
        again = [request for request in self.requests if request.key in failed]
        return in_batches(again, self.batch_size, attempt)

    def digest(self) -> str:
        """Return the SHA-256 of the order of the requests and the batch size."""
        return digest_json([self.batch_size, [list(request.key) for request in self.requests]])


def in_batches(requests: Sequence[Request], size: int, attempt: int) -> list[Batch]:
    """Cut requests into batches of `size`, the last one shorter."""
    return [
        Batch(attempt, number, tuple(requests[start : start + size]))
        for number, start in enumerate(range(0, len(requests), size))
    ]


def plan_task(
    task: Task, samples: Sequence[Sample], *, seed: int, repeats: int, batch_size: int, visual_noise: VisualNoise
) -> TaskPlan:
    """Make the plan of a task: requests on one medium follow each other, the shorter texts first.

    Media stand in the official order; batches of similar lengths are padded less.

    Args:
        task: What is asked.
        samples: The samples after --limit, in the official order.
        seed: The run's seed.
        repeats: How often each sample is asked, each time with seeds of its own.
        batch_size: Requests per batch.
        visual_noise: Whether questions on one medium share what the model sees of it.

    Raises:
        UsageError: The task asks to choose, and a sample has no options.
    """
    settings, generation = task.writing, task.making
    first: dict[str, int] = {}
    keyed = []
    for index, sample in enumerate(samples):
        place = first.setdefault(sample.cluster, index)
        text, options = task.text(sample), task.candidates(sample)
        for repeat in range(repeats):
            request = Request(
                sample_id=sample.id,
                repeat=repeat,
                kind=task.kind,
                media=sample.media,
                text=text,
                settings=settings,
                options=options,
                generation=generation,
                seeds=Seeds(
                    run=seed,
                    repeat=repeat,
                    write=derive_seed("write", str(seed), task.task, sample.id, str(repeat)),
                    question=f"{task.task}/{sample.id}" if visual_noise == "per-question" else None,
                ),
            )
            keyed.append(((place, repeat, len(text), index), request))
    keyed.sort(key=lambda pair: pair[0])
    return TaskPlan(task, tuple(samples), tuple(request for _, request in keyed), batch_size)
