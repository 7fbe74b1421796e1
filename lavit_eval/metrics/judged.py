"""What a metric must be whose scores a language model gives, and what the means of such scores share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

from lavit_eval.judges.protocol import Case, Verdict
from lavit_eval.metrics.protocol import Measured, mean_of
from lavit_eval.sample import JSON, Sample


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judged metric found."""

    measured: Measured
    """One row per sample that counts."""
    places: Sequence[int]
    """Of those samples among the ones given."""
    wanted: int
    """How many would count if every case had a verdict."""
    notes: Mapping[int, Mapping[str, JSON]] = field(default_factory=dict)
    """Place -> what is shown of a sample that does not count, since its judgement failed."""


class JudgedMetric(Protocol):
    """A metric of judgements; class attributes as in `Metric`."""

    version: ClassVar[int]
    higher_is_better: ClassVar[bool]
    unit: ClassVar[str]
    bounds: ClassVar[tuple[float, float] | None]
    judgement: ClassVar[str]
    """What the judge is asked for: a key of `judges.templates.READINGS`."""

    def skipped_because(self) -> str | None:
        """Return None: whether there is a judge is known later."""
        ...

    def cases(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[Case | None]:
        """Return what is to be judged, one entry per sample; None where nothing is."""
        ...

    def measure_judged(
        self, samples: Sequence[Sample], texts: Sequence[str], verdicts: Sequence[Verdict | None]
    ) -> Judged:
        """Score from verdicts, one entry per sample, None where `cases` had None."""
        ...


def noted(verdict: Verdict, shows_reply: bool) -> dict[str, JSON]:
    """Return what a sample's record says of its judgement."""
    failed = {} if verdict.failed is None else {"judge_failed": verdict.failed}
    return {**({"judge_reply": verdict.reply} if shows_reply and not verdict.missing else {}), **failed}


class MeanOfVerdicts:
    """What metrics share that are the mean of one number per case.

    A case without a verdict (the reply cannot be read, the judge refused or was not asked) is left out and counted,
    never guessed.
    """

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str]
    bounds: ClassVar[tuple[float, float] | None]
    judgement: ClassVar[str]
    scale: ClassVar[float] = 1.0
    shows_reply: ClassVar[bool] = True
    """Whether records hold the reply: of metrics that read the same one, the first does."""

    def skipped_because(self) -> str | None:
        """Return None: whether there is a judge is known later."""
        return None

    def cases(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[Case | None]:
        """Return question, first reference and prediction of every sample that has a reference."""
        return [
            Case(self.judgement, {"question": sample.question, "answer": sample.references[0], "prediction": text})
            if sample.references
            else None
            for sample, text in zip(samples, texts, strict=True)
        ]

    def number(self, verdict: Verdict) -> float:
        """Return what a verdict counts, in the unit of the metric divided by `scale`."""
        raise NotImplementedError

    def measure_judged(
        self, samples: Sequence[Sample], texts: Sequence[str], verdicts: Sequence[Verdict | None]
    ) -> Judged:
        """Score from verdicts (see `JudgedMetric.measure_judged`)."""
        asked = {place: verdict for place, verdict in enumerate(verdicts) if verdict is not None}
        places = [place for place, verdict in asked.items() if verdict.failed is None]
        scores = [self.number(asked[place]) for place in places]
        records = [
            {"score": score, **noted(asked[place], self.shows_reply)}
            for place, score in zip(places, scores, strict=True)
        ]
        return Judged(
            replace(mean_of(scores, scale=self.scale), per_sample=records),
            places,
            len(asked),
            {place: noted(one, self.shows_reply) for place, one in asked.items() if one.failed is not None},
        )


def graded(verdict: Verdict) -> float:
    """Return a verdict's score (its reading guarantees one)."""
    if verdict.score is None:
        raise ValueError("a verdict without score was taken for one with a score")
    return verdict.score
