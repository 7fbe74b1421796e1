"""METEOR: the score that follows from statistics which add up."""

from __future__ import annotations

import numpy as np
import pytest

from lavit_eval.metrics.meteor import CHUNKS, STATISTICS, Meteor, alignment_statistics, corpus_meteor
from tests.metrics.captions import TEXTS, needs_java, samples, tokenised, total


def test_hand_computed() -> None:
    # Four words each, no function word, two exact matches in one chunk: P = R = 1/2, penalty 0.6 * (1/2) ** 0.2.
    row = np.zeros(STATISTICS + 1)
    row[[0, 1]], row[[4, 5]], row[CHUNKS:] = 4, 2, [1, 2, 2, 1]
    assert float(corpus_meteor(row)) == pytest.approx(100 * 0.5 * (1 - 0.6 * 0.5**0.2))


def test_nothing_matched_is_zero_and_nothing_scored_is_undefined() -> None:
    row = np.zeros(STATISTICS + 1)
    row[[0, 1, -1]] = 3, 4, 1
    assert float(corpus_meteor(row)) == 0.0
    assert np.isnan(corpus_meteor(np.zeros((2, STATISTICS + 1)))).all()


def test_no_captions_need_no_java() -> None:
    assert Meteor().measure([], []).rows.shape == (0, STATISTICS + 1)


@needs_java
def test_the_program_answers_for_every_caption() -> None:
    references = [
        ["a dog runs", "the dog is running"],
        ["a dog runs"],
        ["", "cat"],
        ["a hound ran home"],
        ["caf\u00e9"],
    ]
    rows = alignment_statistics(tokenised(references, ["a dog runs", "", "a cat", "dog ran", "café"]))
    scores = corpus_meteor(rows)
    assert scores[0] == pytest.approx(100)
    assert scores[1] == 0.0
    assert rows[1, 1] == 3
    assert scores[4] == pytest.approx(100)
    assert 0 < scores[3] < 100
    assert rows[0, CHUNKS] == 0


@pytest.mark.slow
@needs_java
def test_repeats_and_order_change_no_value() -> None:
    images = samples()
    both = Meteor().measure([*images, *images[::-1]], [*TEXTS, *TEXTS[::-1]])
    assert (both.rows[:5] == both.rows[5:][::-1]).all()
    assert total(both) == pytest.approx(float(both.reduce(both.rows[:5].sum(axis=0))))
    assert both.per_sample[3] == {"score": 0.0}
