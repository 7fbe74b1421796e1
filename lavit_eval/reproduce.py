"""Published numbers beside measured ones: reproduced, different, not comparable, not run, and what was left open."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from lavit_eval.errors import UsageError, nearest
from lavit_eval.open_points import OpenPoint, open_points, protocol_assumptions
from lavit_eval.published import ANOTHER_SPLIT, JUDGED_AS, PublishedNumber, all_published

SCHEMA = 1
Verdict = Literal["reproduced", "differs", "not comparable", "not run"]
TARGETS = ("released_weights", "main", "svd_init")
"""The sets that a reproduction aims at, in the order shown: first the one whose settings are known."""
TARGET_TITLES: Mapping[str, str] = {
    "released_weights": "a third party's run of the released weights",
    "main": "the paper's main rows",
    "svd_init": "the paper's detokenizer with SVD initialisation",
}
UNDER = "protocol "
"""Begins the label of scores under another protocol than the task's own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One published number and what a run says of it."""

    claim: PublishedNumber
    verdict: Verdict
    why: str
    """Why not comparable or not run, or by how much it differs; empty for a number that was reproduced."""
    model: str | None = None
    value: float | None = None
    interval: tuple[float, float] | None = None
    n: int = 0
    left_open: tuple[OpenPoint, ...] = ()
    assumptions: tuple[str, ...] = ()
    """Of the protocol under which features became the measured number."""
    under: tuple[tuple[str, float], ...] = ()
    """(protocol, value) of the same run under other protocols."""
    run: str | None = None
    """The run's id, where it is known."""
    task: str | None = None
    """The task that measured it: the number's own, or one that is published as it."""

    @property
    def moves(self) -> str:
        """How far the score moves between protocols; empty where there are no others."""
        if self.value is None or not self.under:
            return ""
        values = [self.value, *(value for _, value in self.under)]
        named = ", ".join(f"{name} {value:.4g}" for name, value in self.under)
        return f"{min(values):.4g} to {max(values):.4g} between protocols ({named})"


def claims(what: str | None, suites: Mapping[str, Sequence[str]]) -> list[PublishedNumber]:
    """Return the numbers that a reproduction aims at, the known settings first.

    Args:
        what: A table of the paper ("4", "table4"), a suite, a task, or None for all.
        suites: Name -> tasks.

    Raises:
        UsageError: There is no number of that name.
    """
    aimed = [number for target in TARGETS for number in all_published() if number.target == target]
    if what is None or what == "all":
        return aimed
    table = re.fullmatch(r"(?:table[ _-]?)?(\d+)", what.lower())
    if table:
        found = [one for one in aimed if one.source.endswith(f"Table {table[1]}")]
    else:
        tasks = suites.get(what, (what,))
        found = [one for one in aimed if one.task in tasks]
    if not found:
        tables = sorted({one.source.rpartition(" ")[2] for one in aimed if " Table " in one.source}, key=int)
        known = [*(f"table{one}" for one in tables), *suites, *sorted({one.task for one in aimed if one.task})]
        raise UsageError(f"No published number to reproduce is called {what!r}.{nearest(what, known)}")
    return found


def reproduce(aimed: Sequence[PublishedNumber], documents: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Return a finding per number and task of a run that measured it, or that nobody did.

    Args:
        aimed: What `claims` returned.
        documents: The content of `scores.json` files, those under other protocols included.
    """
    stored = list(documents)
    findings = []
    for claim in aimed:
        measured = [
            replace(_measured(claim, task, document, stored), run=document.get("run"), task=task)
            for document in stored
            for task, scored in document["tasks"].items()
            if claim.task in (task, scored.get("published_as")) and not _protocol_of(scored)
        ]
        # That a metric was not measured is said once, and only where no run measured it.
        of_metric = [found for found in measured if found.n] or measured[:1]
        findings += _told_apart(of_metric) or [_not_run(claim)]
    return findings


def _told_apart(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings of one number, the model named with its task where that is another than the number's.

    Models that share a name and a task are named with their runs.
    """
    met = Counter((found.model, found.task) for found in findings)
    told = []
    for found in findings:
        task = f", task {found.task}" if found.task != found.claim.task else ""
        run = f", run {found.run}" if met[found.model, found.task] > 1 and found.run else ""
        told.append(replace(found, model=f"{found.model}{task}{run}"))
    return told


def _not_run(claim: PublishedNumber) -> Finding:
    return Finding(claim, "not run", f"no run of {claim.task or claim.benchmark}", left_open=_left_open(claim))


def _left_open(claim: PublishedNumber) -> tuple[OpenPoint, ...]:
    return tuple(open_points(claim.task, claim.metric))


def _measured(
    claim: PublishedNumber, task: str, document: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]
) -> Finding:
    scored = document["tasks"][task]
    score = scored["metrics"].get(claim.metric)
    label = document["model"].get("label") or document["model"]["name"]
    if score is not None:
        return _judged(claim, scored, _part(claim, score), label, _under(claim, task, document, documents))
    judged = _other_judge(claim, scored, label)
    if judged is not None:
        return judged
    others = ", ".join(scored["metrics"])
    why = f"measured {others}, not {claim.published_metric}"
    return Finding(claim, "not comparable", why, label, left_open=_left_open(claim))


def _other_judge(claim: PublishedNumber, scored: Mapping[str, Any], label: str) -> Finding | None:
    """Return what our judge says where the number is another judge's; None where nothing was judged."""
    ours = next((name for name, theirs in JUDGED_AS.items() if theirs == claim.metric), "")
    score = scored["metrics"].get(ours, {})
    if score.get("value") is None:
        return None
    judge = score.get("details", {}).get("judge", {}).get("model", "another model")
    bounds = score.get("interval")
    why = f"judged by {judge}; of the published {claim.published_metric} the judge's version is not known"
    interval = (float(bounds[0]), float(bounds[1])) if bounds else None
    left_open = _left_open(claim)
    return Finding(claim, "not comparable", why, label, score["value"], interval, int(score["n"]), left_open)


def _part(claim: PublishedNumber, score: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the score of the category that a number is of, e.g. a subset of VideoHallucer, else the score itself."""
    for named in score.get("categories", {}).values():
        if claim.split in named:
            part = named[claim.split]
            ends = [part["low"], part["high"]] if "low" in part else None
            method = "of the category" if ends else "none is stored for a category"
            return {**score, "value": part.get("value"), "n": part["n"], "interval": ends, "interval_method": method}
    return score


def _judged(
    claim: PublishedNumber,
    scored: Mapping[str, Any],
    score: Mapping[str, Any],
    label: str,
    under: tuple[tuple[str, float], ...],
) -> Finding:
    bounds = score.get("interval")
    interval = (float(bounds[0]), float(bounds[1])) if bounds else None
    verdict, why = _verdict(claim, scored, score, interval)
    return Finding(
        claim,
        verdict,
        why,
        label,
        score.get("value"),
        interval,
        int(score["n"]),
        _left_open(claim),
        tuple(protocol_assumptions(score.get("recipe") or {})),
        under,
    )


def _verdict(
    claim: PublishedNumber, scored: Mapping[str, Any], score: Mapping[str, Any], interval: tuple[float, float] | None
) -> tuple[Verdict, str]:
    if score.get("value") is None:
        return "not run", score.get("skipped") or "no value"
    obstacles = list(dict.fromkeys([*scored.get("labels", ()), *score.get("labels", ())]))
    if claim.note.startswith(ANOTHER_SPLIT):
        obstacles.append(claim.note.split(";")[0])
    if score["coverage"] < 1 and not any("partial" in one for one in obstacles):
        obstacles.append("partial")
    if interval is None:
        obstacles.append(f"no interval ({score.get('interval_method')})")
    if obstacles or interval is None:
        return "not comparable", ", ".join(obstacles)
    half = rounding(claim.value)
    low, high = interval[0] - half, interval[1] + half
    if low <= claim.number <= high:
        return "reproduced", ""
    distance = claim.number - interval[1] if claim.number > interval[1] else claim.number - interval[0]
    better = (distance < 0) == (claim.direction == "higher")
    return "differs", f"the claim lies {abs(distance):.4g} outside; measured is {'better' if better else 'worse'}"


def rounding(printed: str) -> float:
    """Return half a unit of a number's last printed digit: it may be that far from what was measured."""
    exponent = Decimal(printed).as_tuple().exponent
    return 0.5 * 10.0 ** int(exponent)


def _under(
    claim: PublishedNumber, task: str, document: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, float], ...]:
    """Return (protocol, value) of the same model and task under other protocols."""
    found = []
    for other in documents:
        scored = other["tasks"].get(task)
        same = other["model"]["digest"] == document["model"]["digest"] and other.get("seed") == document.get("seed")
        if scored is None or not same or not (name := _protocol_of(scored)):
            continue
        value = scored["metrics"].get(claim.metric, {}).get("value")
        if value is not None:
            found.append((name, float(value)))
    return tuple(sorted(found))


def _protocol_of(scored: Mapping[str, Any]) -> str:
    """Return the protocol that took the place of a task's own; empty for a task's own score."""
    return next((str(label)[len(UNDER) :] for label in scored.get("labels", ()) if str(label).startswith(UNDER)), "")


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings as a document with all digits."""
    records = []
    for one in findings:
        record = {**asdict(one), "claim": asdict(one.claim), "left_open": [p.model_dump() for p in one.left_open]}
        records.append({**record, "moves": one.moves})
    return {"schema": SCHEMA, "findings": records}
