"""MVBench's accuracy, with the official comparison and without its fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lavit_eval.metrics.option_accuracy import choices_of
from lavit_eval.metrics.percentage import Percentage
from lavit_eval.metrics.protocol import Measured, mean_of
from lavit_eval.metrics.references import check_references
from lavit_eval.multiple_choice import LETTERS, mvbench_hit, mvbench_hit_with_letter
from lavit_eval.sample import Sample


class _Mvbench(Percentage):
    """What the two comparisons share: an answer and the right option agree or not; none is chosen."""

    version: ClassVar[int] = 1

    def right(self, text: str, options: Sequence[str], answer: int) -> bool:
        """Return whether a text is right."""
        raise NotImplementedError

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score answers (see `Metric.measure`)."""
        check_references(samples, texts)
        asked = [(choices_of(sample), LETTERS.index(sample.references[0])) for sample in samples]
        pairs = zip(texts, asked, strict=True)
        return mean_of([float(self.right(text, options, answer)) for text, (options, answer) in pairs], scale=100.0)


class MvbenchAccuracyOfficial(_Mvbench):
    """Percentage of answers that MVBench's `check_ans` takes for right, an empty one among them; range 0 to 100."""

    def right(self, text: str, options: Sequence[str], answer: int) -> bool:
        """Return whether a text is right."""
        return mvbench_hit(text, options, answer)


class MvbenchAccuracy(_Mvbench):
    """As `MvbenchAccuracyOfficial`, but an answer without the right letter in its first word is wrong."""

    def right(self, text: str, options: Sequence[str], answer: int) -> bool:
        """Return whether a text is right."""
        return mvbench_hit_with_letter(text, options, answer)
