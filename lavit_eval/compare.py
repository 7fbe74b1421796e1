"""One run against another: what is comparable, what changed, what is a regression."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lavit_eval.comparability import RULES, TASKS, Difference, beside, check_waivers
from lavit_eval.compare_sides import Side
from lavit_eval.errors import UsageError, nearest
from lavit_eval.paired_samples import (
    Paired,
    Samples,
    least_step,
    paired,
    per_cluster,
    scale_in,
    scale_of,
    without_rounding,
)
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
    """Its score, averaged over repeats, in the metric's unit (of a percentage, a right answer is 100)."""
    new: float
    base_answer: str | None = None
    """What was answered in the first repeat; None where it is not known here."""
    new_answer: str | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    """The two scores over all that each run scored, where only a part of that could be compared."""

    base: float
    new: float
    base_n: int
    new_n: int
    """Scored samples."""
    restricted: bool
    """Whether the comparison's own values are of the shared samples; a metric of whole sets cannot be cut down."""


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """What became of one task."""

    task: str
    metric: str
    unit: str
    higher_is_better: bool
    base: float | None
    """BASE's value on the samples compared."""
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
    cannot_tell: str | None = None
    """Why no drop whatever could be told with so few clusters; such a task takes no part in Holm's correction."""
    n: int = 0
    """Samples in both runs."""
    whole: Whole | None = None
    """None where all samples of both runs are compared."""
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
    base_from: str = ""
    """Which folder or file BASE was read from."""
    new_from: str = ""

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
    return RunComparison(
        base.label, new.label, tuple(_corrected(judged)), options.waive, absent, added, base.origin, new.origin
    )


def _having(metric: str, base: Side, wanted: Sequence[str]) -> tuple[str, ...]:
    found = tuple(name for name in wanted if metric in base.task(name)["metrics"])
    if not found:
        known = sorted({one for name in wanted for one in base.task(name)["metrics"]})
        raise UsageError(f"No task of {base.name} has the metric {metric!r}.{nearest(metric, known)}")
    return found


def _corrected(judged: Sequence[TaskComparison]) -> list[TaskComparison]:
    """Return the tasks with their p corrected for how many of them could be told anything about."""
    from lavit_eval.paired_tests import holm, unable

    tested = [one for one in judged if one.test is not None and one.test.p is not None]
    tests = [one.test for one in tested if one.test is not None]
    families = unable([test.smallest for test in tests], [one.threshold.significance for one in tested])
    kept = {one.task: test for one, test, family in zip(tested, tests, families, strict=True) if not family}
    blind = {
        one.task: _blind(one, test, family) for one, test, family in zip(tested, tests, families, strict=True) if family
    }
    adjusted = dict(zip(kept, holm([test.p or 0.0 for test in kept.values()]), strict=True))
    return [
        replace(
            one,
            adjusted=adjusted[one.task],
            detectable=kept[one.task].detectable(one.threshold.significance / len(kept), one.size),
            room=_room(one.metric, one.base, one.higher_is_better),
        )
        if one.task in kept
        else replace(one, cannot_tell=blind.get(one.task))
        for one in judged
    ]


def _blind(one: TaskComparison, test: PairedTest, family: int) -> str:
    """Return why no drop of a task could be told (raises UsageError where that is the fault of the threshold)."""
    from lavit_eval.paired_tests import FLIPS, clusters_needed

    level = one.threshold.significance
    over = f" over {family} tasks" if family > 1 else ""
    if test.drawn:
        raise UsageError(
            f"The significance of {one.task}, {level:g}, can never be reached: {FLIPS:,} resamples and Holm's "
            f"correction{over} allow no p below {family * test.smallest:.2g}; give a larger one in the file of "
            "thresholds, or compare fewer tasks (--tasks)."
        )
    fallen = f"all {test.clusters} clusters" if test.clusters > 1 else "its only cluster"
    corrected = f", {min(1.0, family * test.smallest):.2g} after Holm's correction{over}" if family > 1 else ""
    needed = clusters_needed(level / family)
    return (
        f"had {fallen} fallen, p would be {test.smallest:.2g}{corrected}, and {level:g} is asked for; "
        f"a drop can be told from {needed} clusters on"
    )


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
    found = _samples(found, paired(mine, theirs), scale_in(mine, score), base, new)
    counts = len(mine.scores), len(theirs.scores)
    if found.test is None or counts == (found.n, found.n):
        return found
    return replace(found, whole=Whole(score["value"], other["value"], *counts, restricted=True))


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
    counts = int(score["n"]), int(other["n"])
    others = counts[0] != counts[1] or any(difference.field in ("data", "limit") for difference in found.differences)
    return replace(
        found,
        test=test,
        n=min(counts),
        whole=Whole(base[0], new[0], *counts, restricted=False) if others else None,
        untested=test.method if test.p is None else None,
    )


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
        lacking = base if pairs.base.sums is None and pairs.base.parts is None else new
        raise UsageError(
            f"{found.task}: the samples of {lacking.name} lack what {found.metric} is compared by; {lacking.mend}"
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
        # On the shared samples; where those are all, the scores stand as they are.
        base=_value(pairs.base, metric, scale) if len(pairs.ids) < pairs.base_n else found.base,
        new=_value(pairs.new, metric, scale) if len(pairs.ids) < pairs.new_n else found.new,
        test=test,
        untested=test.method if test.p is None else None,
        worse=int((drops > 0).sum()),
        better=int((drops < 0).sum()),
        flips=_flips(found.task, pairs, drops, 1.0 if pairs.base.sums is not None else scale, base, new),
    )


def _value(samples: Samples, metric: Any, scale: float) -> float:
    """Return the metric's value over these samples alone; of pseudo-values their mean."""
    if samples.sums is not None:
        return float(metric.reduce(samples.sums.sum(axis=0)))
    if samples.parts is not None:
        return math.fsum(samples.parts) / len(samples.parts)
    return scale * math.fsum(samples.scores) / len(samples.scores)


def _flipped(pairs: Paired, drops: Floats, occurring: Floats, size: float, scale: float) -> PairedTest:
    from lavit_eval.paired_tests import sign_flip

    seen = without_rounding(drops, size)
    step = least_step(occurring, size, bool(seen.any()))
    return sign_flip(per_cluster(seen, pairs.groups), len(pairs.ids), scale, step)


def _flips(task: str, pairs: Paired, drops: object, scale: float, base: Side, new: Side) -> tuple[Flip, ...]:
    import numpy as np

    fall = np.asarray(drops)
    order = np.argsort(-fall, kind="stable")
    chosen = [place for place in order if fall[place] != 0][:MOST_FLIPS]
    ids = {pairs.ids[place] for place in chosen}
    before, after = base.answers(task, ids), new.answers(task, ids)
    return tuple(
        Flip(
            sample_id=pairs.ids[place],
            base=scale * float(pairs.base.scores[place]),
            new=scale * float(pairs.new.scores[place]),
            base_answer=before.get(pairs.ids[place]),
            new_answer=after.get(pairs.ids[place]),
        )
        for place in chosen
    )
