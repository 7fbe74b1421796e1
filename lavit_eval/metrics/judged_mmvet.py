"""MM-Vet's score: a judge compares an answer with the parts that it must have, in tenths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lavit_eval.judges.protocol import Case, Verdict
from lavit_eval.metrics.judged import MeanOfVerdicts, graded
from lavit_eval.sample import Sample


class MmvetScore(MeanOfVerdicts):
    """100 times the mean correctness of 0.0 to 1.0, broken down by ability and by exact set of abilities; 0 to 100.

    As MM-Vet's mm-vet_evaluator, which asks once more with another temperature where the reply is no number of that
    range, and counts 0.0 after five tries; here it is a failed judgement.
    """

    unit: ClassVar[str] = "x100"
    bounds: ClassVar[tuple[float, float] | None] = (0.0, 100.0)
    judgement: ClassVar[str] = "mmvet"
    scale: ClassVar[float] = 100.0

    def cases(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[Case | None]:
        """Return question, the answer as annotated with spaces around <AND> and <OR>, and prediction."""
        return [
            Case(self.judgement, {"question": sample.question, "answer": spaced(sample), "prediction": text})
            if sample.references
            else None
            for sample, text in zip(samples, texts, strict=True)
        ]

    def number(self, verdict: Verdict) -> float:
        """Return the correctness."""
        return graded(verdict)


def spaced(sample: Sample) -> str:
    """Return an annotated answer with spaces around its <AND> and <OR>, as the official script writes it."""
    answer = str(sample.extra.get("answer", " <OR> ".join(sample.references)))
    return " ".join(answer.replace("<AND>", " <AND> ").replace("<OR>", " <OR> ").split())
