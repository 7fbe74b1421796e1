"""The Inception Score of videos from made class probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.feature_metric import FeatureMetric, UnmeasurableError
from lavit_eval.metrics.feature_protocol import load_protocol
from lavit_eval.metrics.inception_score import inception_score
from lavit_eval.metrics.video_inception_score import CLASSES, IsC3d, IsC3dOneSplit
from tests.metrics.rows import changed, normal, rows, taken

KINDS: list[type[FeatureMetric]] = [IsC3d, IsC3dOneSplit]
ONE = load_protocol("is-c3d-one-split")


def probabilities(count: int, classes: int = 7, seed: int = 1) -> np.ndarray:
    exponents = np.exp(normal(seed, count, classes, scale=2.0).astype(np.float64))
    return (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)


def test_certain_and_balanced_classes_score_their_number() -> None:
    for classes in (5, CLASSES):
        given = {"generated": rows(np.eye(classes, dtype=np.float32))}
        assert IsC3dOneSplit().measure_features(ONE, given).value == pytest.approx(classes, rel=1e-9)
    assert IsC3d.bounds == (1.0, 101.0)


def test_two_videos_by_hand() -> None:
    given = rows(np.array([[0.9, 0.1], [0.3, 0.7]], np.float32))
    measured = IsC3dOneSplit().measure_features(ONE, {"generated": given})
    divergences = [0.9 * np.log(0.9 / 0.6) + 0.1 * np.log(0.1 / 0.4), 0.3 * np.log(0.3 / 0.6) + 0.7 * np.log(0.7 / 0.4)]
    assert measured.value == pytest.approx(np.exp(np.mean(divergences)), rel=1e-6)
    assert measured.left_out == pytest.approx([1.0, 1.0], rel=1e-6)
    assert measured.details["deviation"] == 0 and measured.details["splits"] == [measured.value]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["is-c3d", "is-c3d-one-split"])
def test_the_score_is_the_mean_over_the_recipes_splits(kind: type[FeatureMetric], name: str) -> None:
    given, protocol = rows(probabilities(43), np.arange(43) % 6), load_protocol(name)
    measured = kind().measure_features(protocol, {"generated": given})
    expected = inception_score(given.stacked(), protocol.splits or 0, protocol.shuffle_seed)
    assert measured.value == expected.mean
    assert measured.details == {"splits": list(expected.splits), "deviation": expected.deviation}
    assert len(expected.splits) == (10 if name == "is-c3d" else 1)
    left_out = [
        inception_score(taken(given, given.groups != group).stacked(), protocol.splits or 0, protocol.shuffle_seed).mean
        for group in range(6)
    ]
    assert measured.left_out == pytest.approx(left_out, rel=1e-12)
    # It rises with the number of videos per split.
    other = changed(name, splits=5)
    fewer = kind().measure_features(other, {"generated": given}).value
    assert (fewer > measured.value) == (name == "is-c3d")


def test_splits_follow_the_shuffle_of_the_recipe() -> None:
    given = {"generated": rows(probabilities(40))}
    values = {
        seed: IsC3d().measure_features(changed("is-c3d", shuffle_seed=seed), given).value for seed in (42, 2020, None)
    }
    assert len(set(values.values())) == 3
    by_hand = inception_score(probabilities(40), 10, None)
    assert values[None] == by_hand.mean


def test_the_order_of_samples_is_nothing_to_one_split() -> None:
    given = rows(probabilities(30), np.arange(30) % 4)
    order = np.random.Generator(np.random.PCG64(3)).permutation(30)
    one, other = (IsC3dOneSplit().measure_features(ONE, {"generated": each}) for each in (given, taken(given, order)))
    assert other.value == pytest.approx(one.value, rel=1e-12)
    assert other.left_out == pytest.approx(one.left_out, rel=1e-12)


@pytest.mark.parametrize("count", [0, 1, 9])
def test_more_splits_than_videos_are_refused(count: int) -> None:
    given = {"generated": rows(list(probabilities(count)))}
    with pytest.raises(UnmeasurableError, match=f"{count} videos cannot be divided into 10 splits; take one split"):
        IsC3d().measure_features(load_protocol("is-c3d"), given)
    if not count:
        with pytest.raises(UnmeasurableError, match="0 videos"):
            IsC3dOneSplit().measure_features(ONE, given)


def test_groups_whose_absence_empties_a_split_give_no_left_out_values() -> None:
    ten = load_protocol("is-c3d")
    for count, groups, expected in ((12, 3, 0), (12, 6, 6), (12, 1, 0), (13, 4, 0)):
        given = {"generated": rows(probabilities(count), np.arange(count) % groups)}
        assert len(IsC3d().measure_features(ten, given).left_out) == expected, (count, groups)
    gaps = {"generated": rows(probabilities(9), np.array([3, 3, 3, 8, 8, 8, 19, 19, 19]))}
    assert len(IsC3dOneSplit().measure_features(ONE, gaps).left_out) == 3


def test_what_is_no_probability_is_refused() -> None:
    for given in (normal(1, 12, 5), np.full((12, 5), np.nan, np.float32)):
        with pytest.raises(UsageError, match=r"probabilities|not finite"):
            IsC3dOneSplit().measure_features(ONE, {"generated": rows(given)})


@pytest.mark.parametrize("kind", KINDS)
def test_it_looks_at_central_clips_and_nothing_real(kind: type[FeatureMetric]) -> None:
    needs = kind().needs(load_protocol(kind.default_protocol))
    assert {name: (need.role, need.selection.part) for name, need in needs.items()} == {
        "generated": ("made", "central")
    }
