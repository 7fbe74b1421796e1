"""Metrics of answers and captions need something to compare with."""

from __future__ import annotations

from collections.abc import Sequence

from lavit_eval.errors import UsageError
from lavit_eval.sample import Sample


def check_references(samples: Sequence[Sample], texts: Sequence[str]) -> None:
    """Raise UsageError if a sample has no references, ValueError if samples and texts are not as many."""
    if len(samples) != len(texts):
        raise ValueError(f"{len(samples)} samples but {len(texts)} texts")
    for sample in samples:
        if not sample.references:
            raise UsageError(
                f"sample {sample.id} has no references, so nothing can be scored: "
                "this split publishes none, send its answers to the benchmark's server or choose another split"
            )
