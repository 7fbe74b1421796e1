"""One run against another: what is comparable, what changed, what is a regression."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lavit_eval.comparability import RULES, TASKS, Difference, beside, check_waivers
from lavit_eval.compare_sides import Side
from lavit_eval.errors import UsageError, nearest
from lavit_eval.paired_samples import Paired, least_step, paired, per_cluster, scale_in, scale_of, without_rounding
from lavit_eval.registry import find
from lavit_eval.thresholds import Threshold, Thresholds

if TYPE_CHECKING:
    from lavit_eval.metrics.protocol import Floats
    from lavit_eval.paired_tests import PairedTest

MOST_FLIPS = 1000
"""How many changed samples are kept, the worst first."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A sample whose score changed."""

    sample_id: str
    base: float
    """Its score, averaged over repeats, in the metric's own terms (a right answer is 1)."""
    new: float
    base_answer: str | None = None
    """What was answered in the first repeat; None where it is not known here."""
    new_answer: str | None = None


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """What became of one task."""

    task: str
    metric: str
    unit: str
    higher_is_better: bool
    base: float | None
    new: float | None
    threshold: Threshold
    refused: tuple[str, ...] = ()
    """Why the two cannot be compared, one sentence each."""
    incomplete: tuple[str, ...] = ()
    """What is missing, one sentence each."""
    differences: tuple[Difference, ...] = ()
    """Obstacles, waived or not."""
    beside: tuple[Difference, ...] = ()
    """What else differs."""
    untested: str | None = None
    """Why there is no test."""
    n: int = 0
    """Samples in both runs."""
    test: PairedTest | None = None
    adjusted: float | None = None
    """The one-sided p after Holm's correction over the tasks."""
    detectable: float | None = None
    """The minimum detectable effect: the smallest true drop that this comparison finds 8 times of 10."""
    room: float | None = None
    """How far BASE's value can fall, None where that is not bounded."""
    worse: int = 0
    better: int = 0
    """Samples whose score fell, and rose."""
    flips: tuple[Flip, ...] = ()
    """Samples that changed, the worst first."""

    @property
    def size(self) -> float:
        """The least drop that counts."""
        return self.threshold.size(self.base or 0.0)

    @property
    def is_regression(self) -> bool:
        """Whether the drop is significant and reaches the threshold."""
        if self.test is None or self.adjusted is None or self.test.drop <= 0:
            return False
        # A drop from 60.0 to 59.5 reaches a threshold of 0.5, whatever rounding says.
        reached = self.test.drop >= self.size * (1 - 1e-9)
        return reached and self.adjusted < self.threshold.significance


@dataclass(frozen=True, slots=True)
class RunComparison:
    """What became of all tasks."""

    base: str
    new: str
    tasks: tuple[TaskComparison, ...]
    waived: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    """Tasks that BASE has and NEW lacks."""
    added: tuple[str, ...] = ()
    """Tasks that NEW has and BASE lacks."""

    @property
    def absence_waived(self) -> bool:
        """Whether tasks may be missing from NEW."""
        return TASKS in self.waived


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """How runs are compared."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    waive: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    """Only these; all of BASE's where empty."""
    metric: str | None = None
    """Compare by this one in the place of the primary metric, in the tasks that have it; the others are left out."""


def compare_runs(base: Side, new: Side, options: CompareOptions) -> RunComparison:
    """Compare two runs task by task on the samples that both answered.

    Raises:
        UsageError: They share no task, a named task or waived field is unknown, or a file of samples is unusable.
    """
    check_waivers(options.waive)
    wanted = options.tasks or tuple(base.tasks)
    for name in wanted:
        if name not in base.tasks:
            raise UsageError(f"{base.name} has no task {name!r}.{nearest(name, base.tasks)}")
    if options.metric is not None:
        base, new = replace(base, by=options.metric), replace(new, by=options.metric)
        wanted = _having(options.metric, base, wanted)
    shared = [name for name in wanted if name in new.tasks]
    if not shared:
        raise UsageError(f"{base.name} and {new.name} share no task; compare runs of the same tasks.")
    judged = [_task(name, base, new, options) for name in shared]
    absent = tuple(name for name in wanted if name not in new.tasks)
    added = tuple(name for name in new.tasks if name not in base.tasks)
    return RunComparison(base.label, new.label, tuple(_corrected(judged)), options.waive, absent, added)


def _having(metric: str, base: Side, wanted: Sequence[str]) -> tuple[str, ...]:
    found = tuple(name for name in wanted if metric in base.task(name)["metrics"])
    if not found:
        known = sorted({one for name in wanted for one in base.task(name)["metrics"]})
        raise UsageError(f"No task of {base.name} has the metric {metric!r}.{nearest(metric, known)}")
    return found


def _corrected(judged: Sequence[TaskComparison]) -> list[TaskComparison]:
    """Return the tasks with their p corrected for how many of them were tested."""
    from lavit_eval.paired_tests import holm

    tests = {place: one.test for place, one in enumerate(judged) if one.test is not None and one.test.p is not None}
    adjusted = dict(zip(tests, holm([test.p for test in tests.values() if test.p is not None]), strict=True))
    return [
        one
        if place not in tests
        else replace(
            one,
            adjusted=adjusted[place],
            detectable=tests[place].detectable(one.threshold.significance / len(tests), one.size),
            room=_room(one.metric, one.base, one.higher_is_better),
        )
        for place, one in enumerate(judged)
    ]


def _room(metric: str, base: float | None, higher_is_better: bool) -> float | None:
    bounds = find("metric", metric).bounds
    if bounds is None or base is None:
        return None
    room = base - bounds[0] if higher_is_better else bounds[1] - base
    return float(room) if math.isfinite(room) else None


def _task(task: str, base: Side, new: Side, options: CompareOptions) -> TaskComparison:
    score, other = base.score(task), new.score(task)
    rules = [rule(task, base, new, options.waive) for rule in RULES]
    broken = [(rule.refuses, sentence) for rule in rules if (sentence := rule.fails()) is not None]
    found = TaskComparison(
        task=task,
        metric=base.metric(task),
        unit=score["unit"],
        higher_is_better=score["higher_is_better"],
        base=score["value"],
        new=other["value"],
        threshold=_threshold(task, base, options),
        refused=tuple(sentence for refuses, sentence in broken if refuses),
        incomplete=tuple(sentence for refuses, sentence in broken if not refuses),
        differences=tuple(difference for rule in rules for difference in rule.differences()),
        beside=tuple(beside(task, base, new)),
    )
    if found.refused:
        return replace(found, untested="not comparable")
    if new.metric(task) != found.metric:
        return replace(found, untested=f"another primary metric: {new.metric(task)}")
    if found.base is None or found.new is None:
        return replace(found, untested=f"no value of {found.metric} ({score['skipped'] or other['skipped']})")
    if "left_out" in score["details"] or "left_out" in other["details"]:
        return _sets(found, score, other)
    mine, theirs = base.samples(task, found.metric), new.samples(task, found.metric)
    return _samples(found, paired(mine, theirs), scale_in(mine, score), base, new)


def _threshold(task: str, base: Side, options: CompareOptions) -> Threshold:
    """Return the task's threshold; its absolute size is of the primary metric's unit and holds in no other."""
    found, primary = options.thresholds.of(task), base.task(task)["metrics"][base.task(task)["primary"]]
    same = base.score(task)["unit"] == primary["unit"]
    return found if same else found.model_copy(update={"absolute": 0.0})


def _sets(found: TaskComparison, score: Mapping[str, Any], other: Mapping[str, Any]) -> TaskComparison:
    from lavit_eval.paired_tests import of_sets

    base, new = ((float(one["value"]), one["details"].get("left_out", [])) for one in (score, other))
    if score["details"].get("groups") != other["details"].get("groups"):
        return replace(found, untested="the runs lack different groups of samples")
    test = of_sets(base, new, found.higher_is_better)
    return replace(found, test=test, n=int(score["n"]), untested=test.method if test.p is None else None)


def _samples(found: TaskComparison, pairs: Paired, scale: float, base: Side, new: Side) -> TaskComparison:
    import numpy as np

    from lavit_eval.paired_tests import resampled

    if not pairs.ids:
        return replace(found, untested="the runs share no scored sample")
    metric, sign = find("metric", found.metric), 1.0 if found.higher_is_better else -1.0
    both = np.concatenate([pairs.base.scores, pairs.new.scores])
    # The scores of samples of a metric with sums come in its own unit.
    size = scale_of(both, metric.bounds, 1.0 if pairs.base.sums is not None else scale)
    drops = without_rounding(sign * (pairs.base.scores - pairs.new.scores), size)
    kinds = {(one.sums is not None, one.parts is not None) for one in (pairs.base, pairs.new)}
    if len(kinds) > 1 or (hasattr(metric, "reduce") and pairs.base.sums is None):
        raise UsageError(
            f"{found.task}: the samples of {base.name} or {new.name} lack what {found.metric} is compared by; "
            "score that run again: lavit-eval score RUN"
        )
    if pairs.base.sums is not None and pairs.new.sums is not None:
        sums = [per_cluster(one, pairs.groups) for one in (pairs.base.sums, pairs.new.sums)]
        test = resampled(sums[0], sums[1], metric.reduce, found.higher_is_better)
    elif pairs.base.parts is not None and pairs.new.parts is not None:
        parts = np.concatenate([pairs.base.parts, pairs.new.parts])
        test = _flipped(pairs, sign * (pairs.base.parts - pairs.new.parts), parts, scale_of(parts, None, 1.0), 1.0)
    else:
        test = _flipped(pairs, drops, both, size, scale)
    return replace(
        found,
        n=len(pairs.ids),
        test=test,
        untested=test.method if test.p is None else None,
        worse=int((drops > 0).sum()),
        better=int((drops < 0).sum()),
        flips=_flips(found.task, pairs, drops, base, new),
    )


def _flipped(pairs: Paired, drops: Floats, occurring: Floats, size: float, scale: float) -> PairedTest:
    from lavit_eval.paired_tests import sign_flip

    seen = without_rounding(drops, size)
    step = least_step(occurring, size, bool(seen.any()))
    return sign_flip(per_cluster(seen, pairs.groups), len(pairs.ids), scale, step)


def _flips(task: str, pairs: Paired, drops: object, base: Side, new: Side) -> tuple[Flip, ...]:
    import numpy as np

    fall = np.asarray(drops)
    order = np.argsort(-fall, kind="stable")
    chosen = [place for place in order if fall[place] != 0][:MOST_FLIPS]
    ids = {pairs.ids[place] for place in chosen}
    before, after = base.answers(task, ids), new.answers(task, ids)
    return tuple(
        Flip(
            sample_id=pairs.ids[place],
            base=float(pairs.base.scores[place]),
            new=float(pairs.new.scores[place]),
            base_answer=before.get(pairs.ids[place]),
            new_answer=after.get(pairs.ids[place]),
        )
        for place in chosen
    )
