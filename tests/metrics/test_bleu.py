"""BLEU: counts that add up to pycocoevalcap's corpus value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu as Official

from lavit_eval.metrics.bleu import ORDERS, corpus_bleu, ngram_counts
from lavit_eval.metrics.caption_tokens import Tokenised
from lavit_eval.metrics.protocol import Floats
from tests.metrics.captions import tokenised

captions = st.lists(st.sampled_from("abcd"), max_size=7).map(" ".join)
image = st.tuples(st.lists(captions, min_size=1, max_size=3), captions)


def bleu(tokens: Tokenised, order: int) -> Floats:
    counts = ngram_counts(tokens)
    return counts[:, [*range(order), *range(ORDERS, ORDERS + order), -3, -2, -1]]


def test_hand_computed() -> None:
    tokens = tokenised([["the cat sat"]], ["the the cat"])
    one, two = bleu(tokens, 1).sum(axis=0), bleu(tokens, 2).sum(axis=0)
    assert list(two) == [2, 1, 3, 2, 3, 3, 1]
    assert float(corpus_bleu(one)) == pytest.approx(100 * 2 / 3)
    assert float(corpus_bleu(two)) == pytest.approx(100 * math.sqrt(2 / 3 * 1 / 2))


def test_a_short_caption_is_punished_against_the_closest_reference() -> None:
    tokens = tokenised([["a b c d", "a b c d e f g h"]], ["a b"])
    assert float(corpus_bleu(bleu(tokens, 1).sum(axis=0))) == pytest.approx(100 * math.exp(1 - 4 / 2))


@settings(max_examples=60, deadline=None)
@given(st.lists(image, min_size=1, max_size=6))
def test_equal_to_pycocoevalcap(images: list[tuple[list[str], str]]) -> None:
    references, hypotheses = [one[0] for one in images], [one[1] for one in images]
    expected, each = Official(4).compute_score(
        dict(enumerate(references)), {key: [text] for key, text in enumerate(hypotheses)}, verbose=0
    )
    tokens = tokenised(references, hypotheses)
    for order in range(1, ORDERS + 1):
        rows = bleu(tokens, order)
        assert float(corpus_bleu(rows.sum(axis=0))) == pytest.approx(100 * expected[order - 1], rel=1e-12, abs=1e-12)
        assert list(corpus_bleu(rows)) == pytest.approx([100 * one for one in each[order - 1]], rel=1e-12, abs=1e-12)


def test_reduction_works_on_many_sums_and_knows_nothing_of_none() -> None:
    rows = bleu(tokenised([["a b"], ["a"]], ["a b", ""]), 2)
    sums = np.stack([rows[:1].sum(axis=0), rows.sum(axis=0), rows[:0].sum(axis=0)])
    values = corpus_bleu(np.stack([sums, sums]))
    assert values.shape == (2, 3)
    assert values[0, 0] == pytest.approx(100)
    assert values[0, 1] == pytest.approx(100 * math.exp(1 - 3 / 2))
    assert np.isnan(values[0, 2])
