"""Which recipe each metric of features takes in a task, and what stands in the way of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lavit_eval.errors import UsageError
from lavit_eval.features.equipment import Equipment
from lavit_eval.registry import find
from lavit_eval.sample import Sample
from lavit_eval.task import Task

if TYPE_CHECKING:
    from lavit_eval.metrics.feature_metric import Need
    from lavit_eval.metrics.feature_protocol import FeatureProtocol


WORDS = {"made": "generated", "real": "real"}


def needs_features(metric: Any) -> bool:
    """Say whether a metric (class or object) compares features."""
    return hasattr(metric, "measure_features")


def feature_metrics(task: Task) -> dict[str, Any]:
    """Return name -> class of the task's metrics that compare features, in the task's order."""
    found = {name: find("metric", name) for name in task.metrics}
    return {name: metric for name, metric in found.items() if needs_features(metric)}


def recipe(task: Task, name: str) -> FeatureProtocol:
    """Return the protocol that a metric of features takes in a task.

    Raises UsageError when the named one does not exist or is one of another network.
    """
    from lavit_eval.metrics.feature_protocol import load_protocol

    metric = find("metric", name)
    found = load_protocol(task.protocols.get(name, metric.default_protocol))
    if found.network != metric.network:
        raise UsageError(
            f"{task.task}: {name} compares features of {metric.network}, but the protocol {found.protocol} takes those "
            f"of {found.network}; name another under protocols."
        )
    if metric.weights not in (None, found.weights):
        raise UsageError(
            f"{task.task}: {name} is defined by {metric.weights}, but the protocol {found.protocol} takes "
            f"{found.weights}; name another under protocols."
        )
    return found.with_demo_features() if task.features == "demo" else found


def needs_of(task: Task, name: str) -> Mapping[str, Need]:
    """Return what a metric of features looks at in a task (raises UsageError as `recipe`)."""
    needs: Mapping[str, Need] = find("metric", name)().needs(recipe(task, name))
    return needs


def recipe_versions(task: Task) -> dict[str, int | str]:
    """Return "recipe:METRIC" -> fingerprint of all that its features are made and compared by."""
    from lavit_eval.metrics.feature_metric import recipe_fingerprint

    strange = sorted(set(task.protocols) - set(feature_metrics(task)))
    if strange:
        raise UsageError(
            f"{task.task}: protocols names {strange[0]!r}, a metric without features; remove it from the task."
        )
    return {f"recipe:{name}": recipe_fingerprint(needs_of(task, name)) for name in feature_metrics(task)}


def recipe_problems(task: Task, samples: Sequence[Sample], equipment: Equipment) -> list[str]:
    """Return what stands in the way of the task's metrics of features, one sentence each with what mends it.

    Missing or wrong weight files, recipes that want more videos than there are, samples without real media.
    """
    from lavit_eval.features.networks import device_problem, weights_at_hand

    problems: dict[str, list[str]] = {}
    for name in feature_metrics(task):
        if task.features == "published" and (problem := device_problem(equipment.device)):
            problems.setdefault(problem, []).append(name)
        for need in needs_of(task, name).values():
            try:
                weights_at_hand(need.protocol, equipment)
            except UsageError as error:
                problems.setdefault(str(error), []).append(name)
            for problem in _set_problems(need, samples, equipment.allow_partial):
                problems.setdefault(problem, []).append(name)
    return [f"{task.task} ({', '.join(dict.fromkeys(names))}): {problem}" for problem, names in problems.items()]


def _set_problems(need: Need, samples: Sequence[Sample], allow_partial: bool) -> list[str]:
    problems = []
    if need.role == "real" and (lacking := sum(not sample.targets for sample in samples)):
        problems.append(
            f"{lacking} of {len(samples)} samples have no real medium to compare with; choose another metric or task."
        )
    wanted = need.selection.videos
    if need.role in WORDS and wanted is not None and wanted > len(samples) and not allow_partial:
        problems.append(
            f"the protocol {need.protocol.protocol} wants {wanted:,} {WORDS[need.role]} files, there are "
            f"{len(samples):,}; take more, choose another protocol, or accept a score that is labelled: --allow-partial"
        )
    return problems
