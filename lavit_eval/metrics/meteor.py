"""METEOR 1.5 of COCO captioning: the Java program aligns, the statistics add up, the score follows from their sums."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lavit_eval.errors import UsageError
from lavit_eval.metrics.caption_tokens import Tokenised, tokenise
from lavit_eval.metrics.java import jar, missing_java, run_lines
from lavit_eval.metrics.protocol import Floats, Measured
from lavit_eval.sample import Sample

HEAP = "-Xmx2G"
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
"""Of exact, stem, synonym and paraphrase matches; all five are METEOR 1.5's for English, task "rank"."""
STATISTICS = 23
"""Words of hypothesis and reference, their function words, then per matcher (content words of hypothesis and
reference, function words of both), then chunks, matched words of hypothesis and reference."""
CHUNKS = 20


class Meteor:
    """METEOR 1.5 over the corpus, English, normalised, times 100; equal to pycocoevalcap's `Meteor`.

    Rows are the program's 23 statistics per caption (against its best reference) and 1. The corpus value comes from
    their sums, as in the program, and is no mean of the captions' values. An empty caption counts: it matches nothing
    of its reference.
    """

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "x100"
    bounds: ClassVar[tuple[float, float] | None] = (0.0, 100.0)

    @staticmethod
    def reduce(sums: Floats) -> Floats:
        """Return the corpus value of summed rows (see `Measured.reduce`)."""
        return corpus_meteor(sums)

    def skipped_because(self) -> str | None:
        """Return "no Java" when neither tokenizer nor METEOR can run."""
        return missing_java()

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score captions (see `Metric.measure`)."""
        rows = alignment_statistics(tokenise(samples, texts))
        scores = corpus_meteor(rows)
        return Measured(rows=rows, reduce=self.reduce, per_sample=[{"score": float(score)} for score in scores])


@lru_cache(maxsize=1)
def alignment_statistics(tokens: Tokenised) -> Floats:
    """Return [n, STATISTICS + 1] rows from one run of the program.

    A caption aligned with the whole of its reference in one piece has no penalty, and its chunk is not counted in the
    sums; the program does so while it adds, here it is done in the row.
    """
    lines = [
        " ||| ".join(("SCORE", *tokens.references[image], caption))
        for caption, image in zip(tokens.hypotheses, tokens.images, strict=True)
    ]
    program = [HEAP, "-jar", str(jar("meteor", "meteor-1.5.jar")), "-", "-", "-stdio", "-l", "en", "-norm"]
    output = run_lines("METEOR", program, lines)
    try:
        rows = np.array([[*map(float, line.split()), 1.0] for line in output]).reshape(len(output), STATISTICS + 1)
    except ValueError as error:
        refused = next((line for line in output if not line[:1].isdigit()), output[0])
        raise UsageError(f"METEOR did not answer with its statistics ({refused}): reinstall pycocoevalcap") from error
    rows[whole(rows), CHUNKS] = 0.0
    rows.flags.writeable = False
    return rows


def whole(rows: Floats) -> npt.NDArray[np.bool_]:
    """Return for each row whether caption and reference are aligned word by word in one chunk."""
    matches = rows[..., 4:CHUNKS].reshape(*rows.shape[:-1], len(WEIGHTS), 4).sum(axis=-2)
    caption, reference = matches[..., 0] + matches[..., 2], matches[..., 1] + matches[..., 3]
    aligned = (caption == rows[..., 0]) & (reference == rows[..., 1]) & (rows[..., CHUNKS] == 1)
    return np.asarray(aligned, dtype=np.bool_)


def corpus_meteor(sums: Floats) -> Floats:
    """Return [...] METEOR times 100 from [..., STATISTICS + 1] summed rows; NaN where there are no captions.

    Denkowski and Lavie (2014): weighted precision and recall, with function words discounted, their harmonic mean
    weighted by ALPHA, and a penalty for a fragmented alignment. It is 0 where nothing matches.
    """
    words, functions = sums[..., 0:2], sums[..., 2:4]
    matches = sums[..., 4:CHUNKS].reshape(*sums.shape[:-1], len(WEIGHTS), 2, 2)
    content, function = matches[..., 0, :], matches[..., 1, :]
    weighted = ((DELTA * content + (1.0 - DELTA) * function) * WEIGHTS[:, None]).sum(axis=-2)
    lengths = DELTA * (words - functions) + (1.0 - DELTA) * functions
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = np.moveaxis(weighted / lengths, -1, 0)
        mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall)
        fragmentation = sums[..., CHUNKS] / (sums[..., CHUNKS + 1 : CHUNKS + 3].sum(axis=-1) / 2.0)
        scores = np.nan_to_num(mean * (1.0 - GAMMA * fragmentation**BETA), nan=0.0)
    return np.asarray(np.where(sums[..., -1] > 0, 100.0 * scores, np.nan), dtype=np.float64)
