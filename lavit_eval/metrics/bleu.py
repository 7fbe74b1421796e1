"""Corpus BLEU-1 to BLEU-4 of COCO captioning, from counts that add up over captions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np

from lavit_eval.metrics.caption_tokens import Tokenised, tokenise
from lavit_eval.metrics.java import missing_java
from lavit_eval.metrics.protocol import Floats, Measured
from lavit_eval.sample import Sample

ORDERS = 4
TINY, SMALL = 1e-15, 1e-9
"""pycocoevalcap adds these to numerators and denominators, so that a caption shorter than n words scores about 0."""


class Bleu:
    """BLEU of order 1 to n over the corpus, closest reference length, times 100; equal to pycocoevalcap's `Bleu`.

    Rows are, per caption, [matches of order 1..n, n-grams of order 1..n, words, words of the closest reference, 1];
    their sums give the corpus value, which is no mean of the captions' values.
    """

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "x100"
    bounds: ClassVar[tuple[float, float] | None] = (0.0, 100.0)
    order: ClassVar[int] = ORDERS

    @staticmethod
    def reduce(sums: Floats) -> Floats:
        """Return the corpus value of summed rows (see `Measured.reduce`)."""
        return corpus_bleu(sums)

    def skipped_because(self) -> str | None:
        """Return "no Java" when the tokenizer cannot run."""
        return missing_java()

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score captions (see `Metric.measure`)."""
        counts = ngram_counts(tokenise(samples, texts))
        columns = [*range(self.order), *range(ORDERS, ORDERS + self.order), -3, -2, -1]
        rows = counts[:, columns]
        scores = corpus_bleu(rows)
        return Measured(rows=rows, reduce=self.reduce, per_sample=[{"score": float(score)} for score in scores])


class Bleu1(Bleu):
    """BLEU-1."""

    order = 1


class Bleu2(Bleu):
    """BLEU-2."""

    order = 2


class Bleu3(Bleu):
    """BLEU-3."""

    order = 3


class Bleu4(Bleu):
    """BLEU-4."""

    order = 4


@lru_cache(maxsize=2)
def ngram_counts(tokens: Tokenised) -> Floats:
    """Return [n, 2 * ORDERS + 3] counts per caption: matches, n-grams, words, words of the closest reference, 1."""
    from pycocoevalcap.bleu.bleu_scorer import cook_refs, cook_test

    references = [cook_refs(captions, n=ORDERS) for captions in tokens.references]
    rows = np.ones((len(tokens.hypotheses), 2 * ORDERS + 3))
    for row, hypothesis, image in zip(rows, tokens.hypotheses, tokens.images, strict=True):
        counts = cook_test(hypothesis, references[image], eff="closest", n=ORDERS)
        row[:-1] = [*counts["correct"], *counts["guess"], counts["testlen"], counts["reflen"]]
    rows.flags.writeable = False
    return rows


def corpus_bleu(sums: Floats) -> Floats:
    """Return [...] BLEU times 100 from [..., 2n + 3] summed rows; NaN where there are no captions."""
    order = (sums.shape[-1] - 3) // 2
    matches, ngrams = sums[..., :order], sums[..., order : 2 * order]
    words, closest, captions = sums[..., -3], sums[..., -2], sums[..., -1]
    precision = np.prod((matches + TINY) / (ngrams + SMALL), axis=-1) ** (1.0 / order)
    ratio = (words + TINY) / (closest + SMALL)
    brevity = np.exp(np.minimum(0.0, 1.0 - 1.0 / ratio))
    return np.asarray(np.where(captions > 0, 100.0 * precision * brevity, np.nan), dtype=np.float64)
