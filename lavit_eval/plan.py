"""The plan of a run: requests from samples, batches from requests, all before the first answer.

Batches are the unit of work: each is computed whole and journalled whole, so its content must depend on nothing but the
task, the data, the seed and the batch size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from lavit_eval.digests import digest_json
from lavit_eval.journal import Key
from lavit_eval.sample import JSON, Request, Sample, Seeds, derive_seed
from lavit_eval.task import Task

VisualNoise = Literal["per-medium", "per-question"]


@dataclass(frozen=True, slots=True)
class BatchSizes:
    """How many requests share a batch: one number, or one per bucket of text lengths; and a stage within a batch."""

    buckets: tuple[tuple[int | None, int], ...]
    """(Characters of the request's text at most, size), ascending; the last bucket has no limit (None)."""
    stages: tuple[tuple[str, int], ...] = ()
    """(Stage of making, how many go through it together), where the device decided; else the model knows."""

    @classmethod
    def even(cls, size: int) -> Self:
        """Return one size for all."""
        return cls(((None, size),))

    @classmethod
    def of_manifest(cls, planned: Mapping[str, Any]) -> Self:
        """Return the sizes that a manifest's plan of a task states."""
        buckets = planned.get("buckets") or [(None, planned["batch_size"])]
        stages = tuple(sorted(planned.get("stage_batches", {}).items()))
        return cls(tuple((limit, size) for limit, size in buckets), stages)

    @property
    def largest(self) -> int:
        """The greatest of the sizes."""
        return max(size for _, size in self.buckets)

    def of(self, request: Request) -> int:
        """Return the size for a request."""
        length = len(request.text)
        return next(size for limit, size in self.buckets if limit is None or length <= limit)

    def stated(self) -> JSON:
        """Return the sizes as the digest of a plan takes them."""
        buckets = self.largest if len(self.buckets) == 1 else [list(bucket) for bucket in self.buckets]
        return {"buckets": buckets, "stages": dict(self.stages)} if self.stages else buckets

    def in_manifest(self) -> dict[str, Any]:
        """Return the sizes as a manifest states them."""
        several = {} if len(self.buckets) == 1 else {"buckets": [list(bucket) for bucket in self.buckets]}
        stages = {"stage_batches": dict(self.stages)} if self.stages else {}
        return {"batch_size": self.largest, **several, **stages}


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
    sizes: BatchSizes

    def batches(self) -> list[Batch]:
        """Return the batches of the first attempt."""
        return in_batches(self.requests, self.sizes, attempt=1)

    def retry(self, failed: set[Key], attempt: int) -> list[Batch]:
        """Return the batches of a later attempt, which asks the failed requests again in the order of the plan."""
        again = [request for request in self.requests if request.key in failed]
        return in_batches(again, self.sizes, attempt)

    def digest(self) -> str:
        """Return the SHA-256 of the order of the requests and the batch sizes."""
        return digest_json([self.sizes.stated(), [list(request.key) for request in self.requests]])


def in_batches(requests: Sequence[Request], sizes: BatchSizes, attempt: int) -> list[Batch]:
    """Cut requests into batches, each as large as all of its requests allow."""
    batches: list[Batch] = []
    held: list[Request] = []
    room = 0
    for request in requests:
        own = sizes.of(request)
        room = min(room, own) if held else own
        if len(held) >= room:
            batches.append(Batch(attempt, len(batches), tuple(held)))
            held, room = [], own
        held.append(request)
    return [*batches, Batch(attempt, len(batches), tuple(held))] if held else batches


def plan_task(
    task: Task, samples: Sequence[Sample], *, seed: int, repeats: int, sizes: BatchSizes, visual_noise: VisualNoise
) -> TaskPlan:
    """Make the plan of a task: requests on one medium follow each other, the shorter texts first.

    Media stand in the official order; batches of similar lengths are padded less.

    Args:
        task: What is asked.
        samples: The samples after --limit, in the official order.
        seed: The run's seed.
        repeats: How often each sample is asked, each time with seeds of its own.
        sizes: Requests per batch.
        visual_noise: Whether questions on one medium share what the model sees of it.

    Raises:
        UsageError: The task asks to choose, and a sample has no options.
    """
    settings, generation, stages = task.writing, task.making, dict(sizes.stages)
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
                stages=stages,
                seeds=Seeds(
                    run=seed,
                    repeat=repeat,
                    write=derive_seed("write", str(seed), task.task, sample.id, str(repeat)),
                    question=f"{task.task}/{sample.id}" if visual_noise == "per-question" else None,
                ),
            )
            keyed.append(((place, repeat, len(text), index), request))
    keyed.sort(key=lambda pair: pair[0])
    return TaskPlan(task, tuple(samples), tuple(request for _, request in keyed), sizes)
