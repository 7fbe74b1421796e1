"""When a comparison fails a check: one small class per rule, whose `fails()` returns the sentence to print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from lavit_eval.compare import RunComparison, TaskComparison
from lavit_eval.compare_numbers import number, percent, unit_of

Kind = Literal["regression", "incomplete", "not comparable"]
EXIT_CODES: dict[Kind, int] = {"not comparable": 4, "incomplete": 3, "regression": 1}
"""The first that applies is the exit code."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule that failed."""

    kind: Kind
    task: str | None
    """None where it is of the comparison as a whole."""
    sentence: str


class Comparable:
    """The two scores mean the same."""

    kind: ClassVar[Kind] = "not comparable"

    def __init__(self, one: TaskComparison) -> None:
        self.one = one

    def fails(self) -> str | None:
        """Return which fields differ."""
        return " ".join(self.one.refused) or None


class Complete:
    """Both runs answered everything and have a value."""

    kind: ClassVar[Kind] = "incomplete"

    def __init__(self, one: TaskComparison) -> None:
        self.one = one

    def fails(self) -> str | None:
        """Return what is missing."""
        return " ".join(self.one.incomplete) or None


class NoRegression:
    """The task became no worse, as far as this can be said."""

    kind: ClassVar[Kind] = "regression"

    def __init__(self, one: TaskComparison) -> None:
        self.one = one

    def fails(self) -> str | None:
        """Return how far the score fell and how sure that is."""
        one = self.one
        if not one.is_regression or one.test is None or one.adjusted is None:
            return None
        moved = f"{one.metric} went from {number(one.base, one)} to {number(one.new, one)}"
        drop = f"a drop of {number(one.test.drop, one)}{unit_of(one)}"
        if one.test.interval is not None:
            drop += " (95 % interval {} to {})".format(*(number(end, one) for end in one.test.interval))
        sure = f"p {percent(one.adjusted)} after Holm's correction, threshold {number(one.size, one)}"
        flipped = f"; {one.worse} samples fell, {one.better} rose" if one.flips else ""
        return f"{one.task} is worse: {moved}, {drop}, {sure}{flipped}."


class NothingMissing:
    """NEW has every task of BASE."""

    kind: ClassVar[Kind] = "incomplete"

    def __init__(self, found: RunComparison, task: str) -> None:
        self.found, self.task = found, task

    def fails(self) -> str | None:
        """Return that the task is missing."""
        if self.found.absence_waived:
            return None
        mend = "run it as well, choose the tasks with --tasks, or allow that: --waive tasks"
        return f"{self.task} is missing from NEW; {mend}"


class AnythingTested:
    """At least one task could be told something about: a gate that looks at nothing must not pass."""

    kind: ClassVar[Kind] = "incomplete"

    def __init__(self, found: RunComparison) -> None:
        self.found = found

    def fails(self) -> str | None:
        """Return that nothing is known, however far the scores fell."""
        if any(one.adjusted is not None for one in self.found.tasks):
            return None
        said = "no task could be tested, so a drop of any size would pass"
        if any(one.cannot_tell is not None for one in self.found.tasks):
            return f"{said}; compare runs of more samples, or give a larger significance in the file of --thresholds"
        reasons = (f"{one.task}: {one.untested}" for one in self.found.tasks if one.untested is not None)
        return "; ".join([said, *reasons])


RULES = (Comparable, Complete, NoRegression)


def failures(found: RunComparison) -> list[Failure]:
    """Return every rule that failed, task by task; that nothing could be tested, where no other rule says why."""
    failed: list[Failure] = []
    for one in found.tasks:
        for rule in RULES:
            sentence = rule(one).fails()
            if sentence is not None:
                failed.append(Failure(rule.kind, one.task, sentence))
    for task in found.absent:
        sentence = NothingMissing(found, task).fails()
        if sentence is not None:
            failed.append(Failure(NothingMissing.kind, task, sentence))
    sentence = AnythingTested(found).fails()
    if sentence is not None and not failed:
        failed.append(Failure(AnythingTested.kind, None, sentence))
    return failed


def tested(found: RunComparison) -> str:
    """Return how many tasks the verdict rests on, with the names of those that say nothing: no gate passes unseen."""
    blind = [one.task for one in found.tasks if one.cannot_tell is not None]
    without = [one.task for one in found.tasks if one.adjusted is None and one.cannot_tell is None]
    said = f"{len(found.tasks) - len(blind) - len(without)} of {len(found.tasks) + len(found.absent)} tasks tested"
    said += f"; cannot tell: {', '.join(blind)}" if blind else ""
    said += f"; not tested: {', '.join(without)}" if without else ""
    return said + (f"; missing from NEW: {', '.join(found.absent)}" if found.absent else "")


def exit_code(failed: Sequence[Failure], gate: bool) -> int:
    """Return 4 where scores are not comparable; of a gate also 3 where something is missing, 1 for a regression."""
    kinds = {failure.kind for failure in failed}
    for kind, code in EXIT_CODES.items():
        if kind in kinds and (gate or kind == "not comparable"):
            return code
    return 0
