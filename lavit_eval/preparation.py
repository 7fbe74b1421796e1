"""Everything that can be known and checked before a model is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavit_eval.benchmarks.annotations import uncollected
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.digests import digest_json
from lavit_eval.errors import UsageError
from lavit_eval.features.equipment import Equipment
from lavit_eval.missing_media import CaseHints
from lavit_eval.plan import BatchSizes, TaskPlan, VisualNoise, plan_task
from lavit_eval.provenance import data_digest, file_size
from lavit_eval.recipes import needs_features, recipe_problems, recipe_versions
from lavit_eval.registry import find, piece_versions
from lavit_eval.sample import JSON, Sample
from lavit_eval.subset import chosen
from lavit_eval.task import Task


@dataclass(frozen=True, slots=True)
class PreparedTask:
    """A task with its samples and the digests that say what they are."""

    task: Task
    samples: tuple[Sample, ...]
    """In the official order, after the task's subset and --limit."""
    known: frozenset[str]
    """Ids of all samples that the annotation files hold, --limit or not."""
    protocol: str
    asking: str
    """Digest of the part of the protocol that can change a response."""
    data: str
    missing: tuple[str, ...]
    """Names of media that are absent or empty."""
    skipped_metrics: Mapping[str, str]
    """Metric -> why it cannot be computed here."""

    @property
    def official(self) -> int:
        """How many samples the annotation files hold."""
        return len(self.known)

    @property
    def limited(self) -> bool:
        """Whether the task's subset or --limit left samples out."""
        return len(self.samples) < self.official


def prepare_task(
    task: Task,
    root: Path,
    limit: int | None,
    counts: Mapping[str, int],
    allow_missing: bool = False,
    equipment: Equipment | None = None,
) -> tuple[PreparedTask, list[str]]:
    """Read a task's annotations and look for its media; return it with the problems found.

    Args:
        task: The task.
        root: The data root.
        limit: Take the first so many samples in the official order; None takes all.
        counts: Task -> number of samples that stands in for the official one (made data).
        allow_missing: Whether absent media are no problem (their samples will fail).
        equipment: What metrics of features will get, to find out what it lacks; None leaves that for later.

    Raises:
        UsageError: An annotation file is missing or malformed, or a metric's recipe is.
    """
    versions = {**piece_versions([task]), **recipe_versions(task)}
    found = read_samples(task, root)
    problems = count_problems(task, found, counts)
    taken = found.samples if task.subset is None else chosen(found.samples, task.subset)
    samples = taken[:limit] if limit is not None else taken
    missing = _missing_media(samples)
    if missing and not allow_missing:
        problems.append(_missing_sentence(task, samples, missing, root))
    if equipment is not None:
        problems += recipe_problems(task, samples, equipment)
    prepared = PreparedTask(
        task=task,
        samples=tuple(samples),
        known=frozenset(sample.id for sample in found.samples),
        protocol=task.protocol(versions),
        asking=digest_json(task.asking(versions)),
        data=data_digest(found.annotations, samples),
        missing=tuple(missing),
        skipped_metrics=_skipped(task),
    )
    return prepared, problems


def _skipped(task: Task) -> dict[str, str]:
    """Return metric -> why it cannot be computed on this machine; those of features stop the run instead."""
    metrics = {name: find("metric", name)() for name in task.metrics}
    others = {name: metric for name, metric in metrics.items() if not needs_features(metric)}
    return {name: why for name, metric in others.items() if (why := metric.skipped_because()) is not None}


def read_samples(task: Task, root: Path) -> Found:
    """Return what a task's reader finds under a data root (raises UsageError)."""
    reader = find("benchmark", task.benchmark)()
    unknown = sorted(set(task.options) - set(inspect.signature(reader.read).parameters))
    if unknown:
        raise UsageError(
            f"the reader {task.benchmark} has no option {unknown[0]!r}; remove it from the task's options."
        )
    with uncollected():
        found: Found = reader.read(root, task.split, **task.options)
    return found


def count_problems(task: Task, found: Found, counts: Mapping[str, int]) -> list[str]:
    """Return a sentence when a split holds another number of samples than it should; `counts` as in `prepare_task`."""
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
    media = media_places(samples)
    return sorted(name for name, path in media.items() if not file_size(path))


def media_places(samples: Sequence[Sample]) -> dict[str, str]:
    """Return name -> path of everything that the samples show or are compared with."""
    return {medium.name: medium.path for sample in samples for medium in (*sample.media, *sample.targets)}


def _missing_sentence(task: Task, samples: Sequence[Sample], missing: Sequence[str], root: Path) -> str:
    places = media_places(samples)
    gone = set(missing)
    affected = sum(any(medium.name in gone for medium in (*sample.media, *sample.targets)) for sample in samples)
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    listed = ", ".join(places[name] for name in missing[:3])
    cased = CaseHints().first(places[name] for name in missing)
    hint = f"there is {cased[1]}, whose name differs in letters' case from {cased[0]}: rename it, or " if cased else ""
    return (
        f"{task.task}: {len(missing)} of {len(places)} media are missing or empty ({listed}{more}); {hint}"
        f"put them under {root}, or go on without them (their {affected} samples count as failed): --allow-missing"
    )


def model_digest(name: str, identity: Mapping[str, JSON]) -> str:
    """Return the digest that stands for a model: its registered name and all that can change an answer."""
    return digest_json({"name": name, "identity": dict(identity)})


def plan_tasks(
    prepared: Sequence[PreparedTask],
    *,
    seed: int,
    repeats: int,
    sizes: Callable[[Task], BatchSizes],
    visual_noise: VisualNoise,
) -> dict[str, TaskPlan]:
    """Return the plan of every task by name; `sizes` says how many requests of a task share a batch."""
    return {
        each.task.task: plan_task(
            each.task, each.samples, seed=seed, repeats=repeats, sizes=sizes(each.task), visual_noise=visual_noise
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
    tasks: Sequence[Task],
    root: Path,
    limit: int | None,
    counts: Mapping[str, int],
    allow_missing: bool = False,
    equipment: Equipment | None = None,
    roots: Mapping[str, Path] | None = None,
) -> tuple[list[PreparedTask], list[str]]:
    """Prepare every task; return those that could be read and all problems of all of them.

    `roots` gives single tasks a data root of their own; the rest is as in `prepare_task`.
    """
    prepared, problems = [], []
    for task in tasks:
        try:
            own = (roots or {}).get(task.task, root)
            one, found = prepare_task(task, own, limit, counts, allow_missing, equipment)
        except UsageError as error:
            problems.append(f"{task.task}: {error}")
            continue
        prepared.append(one)
        problems += found
    return prepared, problems
