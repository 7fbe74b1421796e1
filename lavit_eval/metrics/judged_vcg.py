"""Video-ChatGPT's benchmark of written answers: five aspects, each a judge's score of 0 to 5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lavit_eval.errors import UsageError
from lavit_eval.judges.protocol import Case, Verdict
from lavit_eval.metrics.judged import MeanOfVerdicts, graded
from lavit_eval.metrics.occurrences import grouped
from lavit_eval.sample import Sample


class _Aspect(MeanOfVerdicts):
    """Mean of the judge's scores of one aspect, each cut to a whole number as the official scripts do; 0 to 5."""

    unit: ClassVar[str] = "points"
    bounds: ClassVar[tuple[float, float] | None] = (0.0, 5.0)
    part: ClassVar[str] = "generic"
    """The questions that are judged for this aspect (category `part`)."""

    def cases(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[Case | None]:
        """Return the cases of this aspect's questions."""
        every = super().cases(samples, texts)
        return [
            case if sample.categories.get("part") == self.part else None
            for case, sample in zip(every, samples, strict=True)
        ]

    def number(self, verdict: Verdict) -> float:
        """Return the score cut to a whole number: 4.8 counts 4."""
        return float(int(graded(verdict)))


class VcgCorrectness(_Aspect):
    """Correctness of information, on the generic questions."""

    judgement: ClassVar[str] = "vcg_correctness"


class VcgDetail(_Aspect):
    """Detail orientation, on the generic questions."""

    judgement: ClassVar[str] = "vcg_detail"


class VcgContext(_Aspect):
    """Contextual understanding, on the generic questions."""

    judgement: ClassVar[str] = "vcg_context"


class VcgTemporal(_Aspect):
    """Temporal understanding, on the temporal questions."""

    judgement: ClassVar[str] = "vcg_temporal"
    part: ClassVar[str] = "temporal"


class VcgConsistency(_Aspect):
    """Consistency of the answers to the two questions of a pair; the first question of each carries the score.

    A pair of which one answer is missing (a failed sample, --limit) is not judged.
    """

    judgement: ClassVar[str] = "vcg_consistency"
    part: ClassVar[str] = "consistency"

    def cases(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[Case | None]:
        """Return one case per pair, at the place of its first question (raises UsageError for a pair of three)."""
        found: list[Case | None] = [None] * len(samples)
        names = [str(sample.extra.get("pair", sample.id)) for sample in samples]
        for places in grouped(samples, names):
            if samples[places[0]].categories.get("part") != self.part or len(places) < 2:
                continue
            if len(places) > 2:
                raise UsageError(
                    f"sample {samples[places[0]].id} belongs to a pair of {len(places)} questions; mend the reader."
                )
            first, second = places
            found[first] = Case(
                self.judgement,
                {
                    "question_1": samples[first].question,
                    "question_2": samples[second].question,
                    "answer": samples[first].references[0],
                    "prediction_1": texts[first],
                    "prediction_2": texts[second],
                },
            )
        return found


class _Whole:
    """Scores as they were given, not cut to whole numbers."""

    shows_reply: ClassVar[bool] = False

    def number(self, verdict: Verdict) -> float:
        """Return the score."""
        return graded(verdict)


class VcgCorrectnessUntruncated(_Whole, VcgCorrectness):
    """As `VcgCorrectness`, scores as they were given."""


class VcgDetailUntruncated(_Whole, VcgDetail):
    """As `VcgDetail`, scores as they were given."""


class VcgContextUntruncated(_Whole, VcgContext):
    """As `VcgContext`, scores as they were given."""


class VcgTemporalUntruncated(_Whole, VcgTemporal):
    """As `VcgTemporal`, scores as they were given."""


class VcgConsistencyUntruncated(_Whole, VcgConsistency):
    """As `VcgConsistency`, scores as they were given."""
