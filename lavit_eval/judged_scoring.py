"""From stored judgements to the value of a judged metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lavit_eval.judgements import NO_JUDGE, bench_of, judged_protocol, judgements_of, verdict
from lavit_eval.judges.protocol import Verdict
from lavit_eval.metrics.judged import Judged
from lavit_eval.preparation import PreparedTask
from lavit_eval.runs import Run
from lavit_eval.sample import JSON, Sample

MOST_REASONS = 5
"""How many reasons of failed judgements stand in `scores.json`; each sample's own is in `samples.jsonl`."""


@dataclass(frozen=True, slots=True)
class FromJudgements:
    """What the stored judgements give for one metric."""

    judged: Judged | None = None
    """None where there is no value."""
    skipped: str | None = None
    labels: tuple[str, ...] = ()
    protocol: str | None = None
    notes: Mapping[int, Mapping[str, JSON]] = field(default_factory=dict)
    """Place -> what is shown of a sample whose judgement failed."""
    details: Mapping[str, JSON] = field(default_factory=dict)


def judge_stored(
    name: str, metric: Any, prepared: PreparedTask, samples: Sequence[Sample], texts: Sequence[str], run: Run
) -> FromJudgements:
    """Return what a judged metric makes of a run's stored judgements; nobody is asked.

    Args:
        name: Of the metric.
        metric: A `JudgedMetric`.
        prepared: The task.
        samples: Those that were answered, one per repeat.
        texts: Their answers.
        run: Holds the judgements, and says in its manifest which judge counts.
    """
    cases = metric.cases(samples, texts)
    if samples and not any(sample.references for sample in samples):
        return FromJudgements(skipped="the split has no public answers")
    bench = bench_of(run)
    if bench is None or metric.judgement not in bench.templates:
        return FromJudgements(skipped=NO_JUDGE if samples else "no sample was answered")
    stored = judgements_of(bench, run, prepared.task.task, cases)
    verdicts = [None if case is None else verdict(one, case) for one, case in zip(stored, cases, strict=True)]
    judged = metric.measure_judged(samples, texts, verdicts)
    failed = judged.wanted - len(judged.places)
    about = bench.about(metric.judgement)
    partial = f"partial: {failed:,} of {judged.wanted:,} judgements failed"
    # The models that answered, by their server's own words.
    served = sorted({one.served for one in stored if one is not None and one.served})
    return FromJudgements(
        judged=judged if len(judged.places) else None,
        skipped=None if judged.wanted else "nothing was to be judged",
        labels=(f"judged by {about['model']}", *([partial] if failed else [])),
        protocol=judged_protocol(prepared.protocol, name, type(metric).version, bench, metric.judgement),
        notes=judged.notes,
        details={
            "judge": {**about, "served": served},
            "judgements": {"wanted": judged.wanted, "failed": failed, "why": _reasons(verdicts)},
        },
    )


def _reasons(verdicts: Sequence[Verdict | None]) -> str:
    counts = Counter(one.failed for one in verdicts if one is not None and one.failed is not None)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    told = [f"{reason}: {count:,}" for reason, count in ordered[:MOST_REASONS]]
    return "; ".join([*told, *(["and others"] if len(ordered) > MOST_REASONS else [])])
