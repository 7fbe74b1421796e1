"""CIDEr by domain, as NoCaps prints it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from lavit_eval.metrics.caption_tokens import tokenise
from lavit_eval.metrics.cider import cider_scores
from lavit_eval.metrics.java import missing_java
from lavit_eval.metrics.protocol import Measured, mean_of
from lavit_eval.sample import Sample

AXIS = "domain"


class CiderWithinDomain:
    """CIDEr with each domain's captions scored as a set of their own, times 100.

    The values by domain are what scorers of NoCaps print as in-domain, near-domain and out-domain: the weight of an
    n-gram comes from that domain's references alone. The total is the mean of these scores over all captions and is
    not NoCaps's "entire", which is `cider`. A sample without a domain is in one of its own kind.
    """

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "x100"
    bounds: ClassVar[tuple[float, float] | None] = (0.0, 1000.0)

    def skipped_because(self) -> str | None:
        """Return "no Java" when the tokenizer cannot run."""
        return missing_java()

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score captions; a caption's score is in [0, 10] (see `Metric.measure`)."""
        scores = np.zeros(len(samples))
        domains = [sample.categories.get(AXIS, "") for sample in samples]
        for domain in dict.fromkeys(domains):
            held = [index for index, one in enumerate(domains) if one == domain]
            scores[held] = cider_scores(tokenise([samples[i] for i in held], [texts[i] for i in held]))
        return mean_of(scores, scale=100.0)
