"""Published numbers, read from `results/paper/*.csv`, and when one may stand beside a measured score."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from lavit_eval.data_files import data_folder
from lavit_eval.errors import UsageError

ANOTHER_METRIC = "another metric"
ANOTHER_JUDGE = "another judge"
ANOTHER_SPLIT = "another split"
JUDGED_AS = {
    "judge_accuracy": "judge_accuracy_gpt35",
    "judge_score": "judge_score_gpt35",
    "mmvet_score": "judge_score_gpt4",
}
"""Our judged metric -> the published one that it stands beside. The two are never comparable: no source says which
version of its judge was asked, nor with which temperature."""


@dataclass(frozen=True, slots=True)
class PublishedNumber:
    """One number as somebody printed it; every field is a column of the CSV."""

    task: str
    """Our task; empty where there is none."""
    metric: str
    """Our metric; empty where the source does not say what was measured, so that nothing is ever set beside it."""
    benchmark: str
    split: str
    """Data and setting; "(inferred)" where the source leaves them open."""
    published_metric: str
    """The source's own name of the metric."""
    direction: str
    """`higher` or `lower`: what is better."""
    model: str
    value: str
    """As printed, with its trailing zeros."""
    source: str
    confidence: str
    """`paper_text`, `readme_text`, `other_paper_text`, `quoted` or `independent_run`."""
    target: str
    """The set that a reproduction aims at: `main`, `svd_init` (Table 10's other detokenizer) or `released_weights`
    (somebody else's run of the public checkpoint); empty for all other rows."""
    note: str
    """What to know before comparing; begins with "another split" where our task reads other data."""

    @property
    def number(self) -> float:
        """The value as a number."""
        return float(self.value)


@dataclass(frozen=True, slots=True)
class Beside:
    """The paper's number as it may stand beside a score."""

    value: str
    """As printed in the paper."""
    model: str
    """The paper's name of its model."""
    obstacles: tuple[str, ...]
    """Why the two cannot be compared, e.g. ("demo data",); empty where they can."""
    qualifier: str = ""
    """What the number is, where it is not the score's metric, e.g. "GPT-3.5 judge"."""

    @property
    def comparable(self) -> bool:
        """Whether the number is one of the same metric on the same data."""
        return not self.obstacles

    @property
    def remark(self) -> str:
        """Why the number cannot be compared, in a few words; empty where it can."""
        if self.obstacles == (ANOTHER_METRIC,):
            return f"{ANOTHER_METRIC}: {self.qualifier}"
        named = (ANOTHER_METRIC, ANOTHER_JUDGE)
        reasons = [self.qualifier if reason in named else reason for reason in self.obstacles]
        return f"not comparable: {', '.join(reasons)}" if reasons else ""

    def __str__(self) -> str:
        named = f"{self.value} ({self.qualifier})" if self.qualifier else self.value
        if not self.obstacles:
            return named
        if self.obstacles == (ANOTHER_METRIC,):
            return f"{named}: {ANOTHER_METRIC}"
        return f"{named}: not comparable ({', '.join(self.obstacles)})"


def published(task: str, metric: str | None = None) -> list[PublishedNumber]:
    """Return the published numbers of a task, and of one metric where it is named, in the order of the files."""
    return [number for number in all_published() if number.task == task and metric in (None, number.metric)]


def all_published() -> tuple[PublishedNumber, ...]:
    """Return every published number that ships with the package, in the order of the files and their lines."""
    return _read(data_folder("results/paper"))


def beside(task: str, metric: str, *, primary: bool, labels: Sequence[str] = ()) -> Beside | None:
    """Return the number of the paper's main row that belongs beside a score, or None where the paper has none.

    Args:
        task: Our task.
        metric: The score's metric. A number of another metric is returned for the primary metric only, and says so;
            one of another judge is returned for a judged metric, and says so, too.
        primary: Whether the metric is the task's primary one.
        labels: The score's labels ("demo data", "limited to 20", "partial"); each makes the two incomparable.
    """
    targets = _main_rows(data_folder("results/paper"), task)
    same = [number for number in targets if number.metric == metric]
    judged = [number for number in targets if number.metric == JUDGED_AS.get(metric)]
    if not same and not judged and not (primary and targets):
        return None
    chosen = (same or judged or targets)[0]
    obstacles = [] if same else [ANOTHER_JUDGE if judged else ANOTHER_METRIC]
    if chosen.note.startswith(ANOTHER_SPLIT):
        obstacles.append(chosen.note.split(";")[0])
    inside = re.search(r"\(([^()]*)\)$", chosen.published_metric)
    return Beside(
        value=chosen.value,
        model=chosen.model,
        obstacles=(*obstacles, *labels),
        qualifier="" if same else inside.group(1) if inside else chosen.published_metric,
    )


@functools.cache
def _main_rows(folder: Path, task: str) -> tuple[PublishedNumber, ...]:
    return tuple(number for number in _read(folder) if number.target == "main" and number.task == task)


@functools.cache
def _read(folder: Path) -> tuple[PublishedNumber, ...]:
    names = [field.name for field in fields(PublishedNumber)]
    found: list[PublishedNumber] = []
    for path in sorted(folder.glob("*.csv")):
        with open(path, encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream)
            if rows.fieldnames != names:
                raise UsageError(f"{path}: the columns must be {', '.join(names)}; mend the first line.")
            for row in rows:
                found.append(_checked(row, f"{path}, line {rows.line_num}"))
    return tuple(found)


def _checked(row: dict[str, str], where: str) -> PublishedNumber:
    try:
        number = PublishedNumber(**row)
        float(number.value)
    except (TypeError, ValueError):
        raise UsageError(f"{where}: the row needs one field per column and a number as value; mend the line.") from None
    if number.direction not in ("higher", "lower"):
        raise UsageError(f'{where}: the direction must be higher or lower, not "{number.direction}"; mend the line.')
    return number
