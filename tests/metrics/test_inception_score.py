from __future__ import annotations

import numpy as np
import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.inception_score import inception_score, inception_score_of_logits


def softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def test_certain_and_balanced_classes_score_their_number() -> None:
    assert inception_score(np.eye(5), splits=1).mean == pytest.approx(5.0, rel=1e-12)
    assert inception_score(np.full((6, 4), 0.25), splits=2).mean == pytest.approx(1.0, rel=1e-12)


def test_two_samples_by_hand() -> None:
    found = inception_score(np.array([[0.9, 0.1], [0.3, 0.7]]), splits=1).mean
    divergences = [0.9 * np.log(0.9 / 0.6) + 0.1 * np.log(0.1 / 0.4), 0.3 * np.log(0.3 / 0.6) + 0.7 * np.log(0.7 / 0.4)]
    assert found == pytest.approx(np.exp(np.mean(divergences)), rel=1e-12)


def test_logits_and_their_probabilities_score_the_same() -> None:
    logits = np.random.Generator(np.random.PCG64(1)).normal(0, 3, (103, 7))
    for splits, seed in ((1, None), (10, 42), (10, None)):
        expected = inception_score(softmax(logits), splits, seed)
        assert inception_score_of_logits(logits, splits, seed).splits == pytest.approx(expected.splits, rel=1e-10)


def test_one_split_does_not_depend_on_the_order_and_is_higher_than_ten() -> None:
    rows = softmax(np.random.Generator(np.random.PCG64(2)).normal(0, 4, (100, 30)))
    whole = inception_score(rows, 1).mean
    assert inception_score(rows[::-1], 1).mean == pytest.approx(whole, rel=1e-12)
    assert inception_score(rows, 10).mean < whole
    assert inception_score(rows, 1).deviation == 0


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(UsageError, match="softmax"):
        inception_score(np.array([[2.0, -1.0]]), splits=1)
    with pytest.raises(UsageError, match="3 samples cannot be divided into 10"):
        inception_score(np.full((3, 2), 0.5), splits=10)
    with pytest.raises(UsageError, match="not finite"):
        inception_score_of_logits(np.array([[np.nan, 1.0]]), splits=1)
