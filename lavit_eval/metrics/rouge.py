"""ROUGE-L of COCO captioning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lavit_eval.metrics.caption_tokens import tokenise
from lavit_eval.metrics.java import missing_java
from lavit_eval.metrics.protocol import Measured, mean_of
from lavit_eval.sample import Sample


class RougeL:
    """Mean ROUGE-L F-score by pycocoevalcap (beta 1.2, best precision and best recall over references), times 100."""

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "x100"
    bounds: ClassVar[tuple[float, float] | None] = (0.0, 100.0)

    def skipped_because(self) -> str | None:
        """Return "no Java" when the tokenizer cannot run."""
        return missing_java()

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score captions; a caption's score is in [0, 1] (see `Metric.measure`)."""
        from pycocoevalcap.rouge.rouge import Rouge

        tokens, scorer = tokenise(samples, texts), Rouge()
        pairs = zip(tokens.hypotheses, tokens.images, strict=True)
        scores = [float(scorer.calc_score([caption], list(tokens.references[image]))) for caption, image in pairs]
        return mean_of(scores, scale=100.0)
