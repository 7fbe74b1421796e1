"""Everything that can be known and checked before a model is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavit_eval.benchmarks.protocol import Found
from lavit_eval.digests import digest_json
from lavit_eval.errors import UsageError
from lavit_eval.plan import TaskPlan, VisualNoise, plan_task
from lavit_eval.provenance import data_digest, file_size
from lavit_eval.registry import find, piece_versions
from lavit_eval.sample import JSON, Sample
from lavit_eval.task import Task

BYTES_PER_RESPONSE = 2000
SPARE_BYTES = 50 << 20


@dataclass(frozen=True, slots=True)
class PreparedTask:
    """A task with its samples and the digests that say what they are."""

    task: Task
    samples: tuple[Sample, ...]
    """In the official order, after --limit."""
    official: int
    """How many samples the annotation files hold."""
    protocol: str
    asking: str
    """Digest of the part of the protocol that can change a response."""
    data: str
    missing: tuple[str, ...]
    """Names of media that are absent or empty."""
    skipped_metrics: Mapping[str, str]
    """Metric -> why it cannot be computed here."""

    @property
    def limited(self) -> bool:
        """Whether --limit left samples out."""
        return len(self.samples) < self.official


def prepare_task(
    task: Task, root: Path, limit: int | None, counts: Mapping[str, int], allow_missing: bool = False
) -> tuple[PreparedTask, list[str]]:
    """Read a task's annotations and look for its media; return it with the problems found.

    Args:
        task: The task.
        root: The data root.
        limit: Take the first so many samples in the official order; None takes all.
        counts: Task -> number of samples that stands in for the official one (made data).
        allow_missing: Whether absent media are no problem (their samples will fail).

    Raises:
        UsageError: An annotation file is missing or malformed.
    """
    versions = piece_versions([task])
    found: Found = find("benchmark", task.benchmark)().read(root, task.split)
    problems = _count_problems(task, found, counts)
    samples = found.samples[:limit] if limit is not None else found.samples
    missing = _missing_media(samples)
    if missing and not allow_missing:
        problems.append(_missing_sentence(task, samples, missing, root))
    skipped = {name: why for name in task.metrics if (why := find("metric", name)().skipped_because()) is not None}
    prepared = PreparedTask(
        task=task,
        samples=tuple(samples),
        official=len(found.samples),
        protocol=task.protocol(versions),
        asking=digest_json(task.asking(versions)),
        data=data_digest(found.annotations, samples),
        missing=tuple(missing),
        skipped_metrics=skipped,
    )
    return prepared, problems


def _count_problems(task: Task, found: Found, counts: Mapping[str, int]) -> list[str]:
    expected = counts.get(task.task, task.samples)
    have = len(found.samples)
    if have == 0:
        return [
            f"{task.task}: {_named(found.annotations)} holds no sample; "
            f"check that it is the file of split {task.split!r}."
        ]
    if expected is not None and have != expected:
        return [
            f"{task.task}: {_named(found.annotations)} holds {have:,} samples, "
            f"the official {task.split} split has {expected:,}; "
            "put the official file there, or describe your own subset as a task of its own (samples: "
            f"{have}) in a folder given as --task-dir."
        ]
    return []


def _named(annotations: Mapping[str, Path]) -> str:
    return " and ".join(str(path) for path in annotations.values()) or "the annotation"


def _missing_media(samples: Sequence[Sample]) -> list[str]:
    media = {medium.name: medium.path for sample in samples for medium in sample.media}
    return sorted(name for name, path in media.items() if not file_size(path))


def _missing_sentence(task: Task, samples: Sequence[Sample], missing: Sequence[str], root: Path) -> str:
    places = {medium.name: medium.path for sample in samples for medium in sample.media}
    affected = sum(1 for sample in samples if any(medium.name in set(missing) for medium in sample.media))
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    listed = ", ".join(places[name] for name in missing[:3])
    return (
        f"{task.task}: {len(missing)} of {len(places)} media are missing or empty ({listed}{more}); "
        f"put them under {root}, or go on without them (their {affected} samples count as failed): --allow-missing"
    )


def model_digest(name: str, identity: Mapping[str, JSON]) -> str:
    """Return the digest that stands for a model: its registered name and all that can change an answer."""
    return digest_json({"name": name, "identity": dict(identity)})


def disk_problem(output: Path, requests: int) -> str | None:
    """Return a sentence when the output's disk is too small for the journal of so many responses."""
    needed = requests * BYTES_PER_RESPONSE + SPARE_BYTES
    place = next(parent for parent in (output, *output.resolve().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if free >= needed:
        return None
    return (
        f"{output}: {free >> 20} MB are free, this run needs about {needed >> 20} MB; "
        "free some or choose another --output-dir."
    )


def plan_tasks(
    prepared: Sequence[PreparedTask], *, seed: int, repeats: int, batch_size: int, visual_noise: VisualNoise
) -> dict[str, TaskPlan]:
    """Return the plan of every task by name."""
    return {
        each.task.task: plan_task(
            each.task, each.samples, seed=seed, repeats=repeats, batch_size=batch_size, visual_noise=visual_noise
        )
        for each in prepared
    }


def check_capabilities(model: str, model_class: Any, tasks: Sequence[Task]) -> list[str]:
    """Return a sentence for every task that asks for what the model cannot do."""
    return [
        f"{task.task} asks for {task.kind!r}, which {model} cannot do "
        f"(it can: {', '.join(sorted(model_class.capabilities))}); leave the task out or choose another --model."
        for task in tasks
        if task.kind not in model_class.capabilities
    ]


def prepare(
    tasks: Sequence[Task], root: Path, limit: int | None, counts: Mapping[str, int], allow_missing: bool = False
) -> tuple[list[PreparedTask], list[str]]:
    """Prepare every task; return those that could be read and all problems of all of them."""
    prepared, problems = [], []
    for task in tasks:
        try:
            one, found = prepare_task(task, root, limit, counts, allow_missing)
        except UsageError as error:
            problems.append(f"{task.task}: {error}")
            continue
        prepared.append(one)
        problems += found
    return prepared, problems
