"""CIDEr: weights from each image's references once, whatever the number of responses."""

from __future__ import annotations

import numpy as np
import pytest

from lavit_eval.metrics.cider import cider_scores, rounds
from tests.metrics.captions import tokenised

REFERENCES = [["a b c d", "a b c"], ["c d e f"], ["f g a b", "g h"]]


def test_hand_computed() -> None:
    # Two images, no word in common: all weights are log 2, so 1- and 2-grams have cosine 1, longer ones do not exist.
    assert list(cider_scores(tokenised([["a b"], ["c d"]], ["a b", "c d"]))) == pytest.approx([5.0, 5.0])
    # Three words have no 4-gram: 7.5 of 10.
    assert list(cider_scores(tokenised([["a b e"], ["c d f"]], ["a b e", "x"]))) == pytest.approx([7.5, 0.0])


def test_one_image_scores_nothing_even_for_its_own_caption() -> None:
    assert list(cider_scores(tokenised([["a b c d"]], ["a b c d"]))) == [0.0]


def test_empty_captions_and_references_score_nothing() -> None:
    assert list(cider_scores(tokenised([["a b"], ["c d"]], ["", "c d"]))) == pytest.approx([0.0, 5.0])
    assert list(cider_scores(tokenised([[""], ["", ""]], ["", "a"]))) == [0.0, 0.0]


def test_repeats_have_the_scores_of_single_runs() -> None:
    first, second = ["a b c d", "c d", "g h a"], ["a b", "c d e f", ""]
    single = [cider_scores(tokenised(REFERENCES, texts)) for texts in (first, second)]
    together = cider_scores(tokenised(REFERENCES, [*first, *second], [0, 1, 2, 0, 1, 2]))
    assert list(together) == list(np.concatenate(single))
    mixed = cider_scores(tokenised(REFERENCES, ["a b", *first], [0, 0, 1, 2]))
    assert list(mixed) == [single[1][0], *single[0]]


def test_rounds_take_each_image_once() -> None:
    assert rounds([0, 0, 1, 0, 1]) == [{0: 0, 1: 2}, {0: 1, 1: 4}, {0: 3}]


def test_order_changes_no_score() -> None:
    texts = ["a b c", "c d e", "g h"]
    scores = cider_scores(tokenised(REFERENCES, texts))
    order = [2, 0, 1]
    shuffled = cider_scores(tokenised([REFERENCES[n] for n in order], [texts[n] for n in order]))
    assert list(shuffled) == pytest.approx([scores[n] for n in order], rel=1e-12)
