"""Paired tests against hand-computed cases, scipy and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavit_eval.metrics.bleu import corpus_bleu
from lavit_eval.metrics.protocol import Floats
from lavit_eval.paired_samples import least_step, paired, per_cluster, samples_of, scale_in, without_rounding
from lavit_eval.paired_tests import FLIPS, clusters_needed, holm, of_sets, resampled, sign_flip, unable

DROPS = st.lists(st.integers(-6, 6), min_size=2, max_size=9)


def mean(sums: Floats) -> Floats:
    return np.asarray(100 * sums[..., 0] / sums[..., 1], dtype=np.float64)


@pytest.mark.parametrize(
    ("drops", "p"),
    [
        ([3, 2, 1], 1 / 8),  # only the observed signs give 6
        ([2, 1, -1], 3 / 8),  # 4, 2 and 2 of the eight sums reach 2
        ([-3, -2, -1], 1.0),
        ([0, 0, 5], 1 / 2),  # clusters without a difference say nothing
        ([0, 0, 0], 1.0),
    ],
)
def test_few_clusters_are_counted_exactly(drops: list[float], p: float) -> None:
    found = sign_flip(np.array(drops, dtype=float), 10, 100.0, 1.0)
    assert found.p == p
    assert found.drop == pytest.approx(10.0 * sum(drops))
    assert found.method == "exact sign-flip over 3 clusters"


@settings(deadline=None, max_examples=60)
@given(drops=DROPS)
def test_the_exact_test_equals_scipys_permutation_test(drops: list[int]) -> None:
    from scipy.stats import permutation_test

    values = np.array(drops, dtype=float)
    expected = permutation_test(
        (values, np.zeros_like(values)),
        lambda one, other: np.sum(one - other),
        permutation_type="samples",
        alternative="greater",
        n_resamples=np.inf,
    )
    assert sign_flip(values, len(drops), 1.0, 1.0).p == pytest.approx(expected.pvalue, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(fell=st.integers(0, 120), rose=st.integers(0, 120))
def test_drawn_flips_of_equal_drops_agree_with_the_binomial_test(fell: int, rose: int) -> None:
    from scipy.stats import binomtest

    if fell + rose <= 20:
        return
    found = sign_flip(np.array([1.0] * fell + [-1.0] * rose), fell + rose, 1.0, 1.0)
    expected = binomtest(fell, fell + rose, alternative="greater").pvalue
    assert found.p is not None
    assert found.p == pytest.approx(expected, abs=5 * math.sqrt(expected * (1 - expected) / 10_000) + 2e-4)
    assert found.p >= 1 / 10_001


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), count=st.sampled_from([7, 60]))
def test_no_test_depends_on_the_order_of_clusters(seed: int, count: int) -> None:
    draw = np.random.default_rng(seed)
    drops, order = draw.normal(size=count), draw.permutation(count)
    assert sign_flip(drops, count, 1.0, 0.1) == sign_flip(drops[order], count, 1.0, 0.1)
    base, new = (draw.integers(1, 30, (count, 11)).astype(float) for _ in range(2))
    assert resampled(base, new, corpus_bleu, True) == resampled(base[order], new[order], corpus_bleu, True)


def test_ties_by_rounding_count_as_ties() -> None:
    # 0.1 + 0.2 and 0.3 differ in the last digit; flipping either way reaches the observed sum.
    found = sign_flip(np.array([0.1, 0.2, -0.3]), 3, 1.0, 0.1)
    signs = itertools.product((1, -1), repeat=3)
    assert found.p == sum(a + 2 * b + 3 * c >= 0 for a, b, c in signs) / 8


def test_the_test_of_sets_is_the_paired_t_test_where_the_metric_is_a_mean() -> None:
    from scipy.stats import ttest_rel

    draw = np.random.default_rng(4)
    base, new = draw.normal(10, 1, 20), draw.normal(9.4, 1, 20)
    sides = [(float(one.mean()), ((one.sum() - one) / 19).tolist()) for one in (base, new)]
    expected = ttest_rel(base, new, alternative="greater")
    found = of_sets(sides[0], sides[1], higher_is_better=True)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.drop == pytest.approx(base.mean() - new.mean())
    interval = ttest_rel(base, new).confidence_interval(0.95)
    assert found.interval == pytest.approx((interval.low, interval.high))
    # Of a distance, the same numbers are an improvement.
    turned = of_sets(sides[0], sides[1], higher_is_better=False)
    assert turned.p == pytest.approx(1 - expected.pvalue)


def test_sets_without_pairs_are_not_tested() -> None:
    assert of_sets((1.0, []), (2.0, []), True).p is None
    assert of_sets((1.0, [1, 2]), (2.0, [1, 2, 3]), True).method == "the runs lack different groups of samples"
    assert of_sets((3.0, [3.0, 3.5]), (3.0, [3.0, 3.5]), True).p == 1.0


@pytest.mark.parametrize("clusters", [9, 200])
def test_a_corpus_metric_that_is_a_mean_gets_nearly_the_t_test(clusters: int) -> None:
    from scipy.stats import ttest_rel

    draw = np.random.default_rng(clusters)
    base = np.stack([draw.random(clusters) * 4, np.full(clusters, 4.0)], axis=1)
    new = base - np.stack([draw.normal(0.1, 0.5, clusters), np.zeros(clusters)], axis=1)
    found = resampled(base, new, mean, True)
    expected = ttest_rel(base[:, 0], new[:, 0], alternative="greater").pvalue
    assert found.p == pytest.approx(expected, abs=0.01 if clusters > 15 else 1e-9)


def test_holm_corrects_as_computed_by_hand() -> None:
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1: .02, .03, .06, .04, the last one raised to what stands before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.7, 0.9]) == [1.0, 1.0]


def test_too_few_clusters_can_show_nothing() -> None:
    assert clusters_needed(0.05) == 5
    assert clusters_needed(0.05 / 10) == 8
    found = sign_flip(np.array([1.0, 1, 1, 1]), 16, 100.0, 1.0)
    assert found.p == 1 / 16
    assert found.detectable(0.05) is None


def test_equal_runs_could_have_seen_a_drop_of_so_many_clusters() -> None:
    # Nothing differs among 16 clusters of 4: at 5 % five of them must fall by one answer of 64.
    assert sign_flip(np.zeros(16), 64, 100.0, 1.0).detectable(0.05) == pytest.approx(100 * 5 / 64)


def simulated(draw: np.random.Generator, videos: int, drop: float) -> np.ndarray:
    """Return summed drops per video of two runs with 24 questions a video.

    What a run sees of a video moves all its answers to it: errors are correlated within run and video, and both runs
    find the same videos hard.
    """
    ease = draw.normal(0, 1, (videos, 1))
    right = []
    for loss in (0.0, drop):
        sight = draw.normal(0, 0.8, (videos, 1))
        chance = np.clip(1 / (1 + np.exp(-(ease + sight))) - loss, 0, 1)
        right.append(draw.random((videos, 24)) < chance)
    return (right[0].astype(float) - right[1]).sum(axis=1)


@pytest.mark.parametrize("videos", [12, 60])
def test_no_change_is_seldom_called_a_drop(videos: int) -> None:
    draw = np.random.default_rng(videos)
    values = [sign_flip(simulated(draw, videos, 0.0), videos * 24, 100.0, 1.0).p for _ in range(1000)]
    false = sum(p is not None and p < 0.05 for p in values)
    print(f"{videos} videos: {false} of 1000 pairs without a change called a drop")
    assert false <= 73
    assert false >= 25, "a test that never speaks has no power"


def test_the_minimum_detectable_effect_is_found_eight_times_of_ten() -> None:
    draw, videos = np.random.default_rng(5), 60
    sights = [sign_flip(simulated(draw, videos, 0.0), videos * 24, 100.0, 1.0).detectable(0.05) for _ in range(50)]
    effect = float(np.mean([one for one in sights if one is not None]))
    many = [sign_flip(simulated(draw, videos, effect / 100), videos * 24, 100.0, 1.0) for _ in range(500)]
    assert np.mean([one.drop for one in many]) == pytest.approx(effect, rel=0.08)
    power = float(np.mean([one.p is not None and one.p < 0.05 for one in many]))
    print(f"power {power:.2f} at the minimum detectable effect of {effect:.1f} points")
    assert 0.72 <= power <= 0.88


def test_corpus_scores_without_a_change_are_seldom_called_a_drop() -> None:
    draw, false = np.random.default_rng(11), 0
    for _ in range(300):
        counts = draw.integers(5, 15, (2, 40, 1))
        ease = draw.random((40, 1))
        matches = draw.binomial(counts, np.clip(ease + draw.normal(0, 0.1, (2, 40, 1)), 0, 1))
        sides = np.concatenate([matches, counts], axis=2).astype(float)
        found = resampled(sides[0], sides[1], mean, True)
        false += found.p is not None and found.p < 0.05
    print(f"bootstrap: {false} of 300")
    assert 4 <= false <= 27


def record(sample_id: str, score: float, repeat: int = 0, cluster: str = "v", **more: object) -> dict[str, object]:
    return {"sample_id": sample_id, "repeat": repeat, "cluster": cluster, "m": {"score": score, **more}}


def test_samples_are_averaged_over_repeats_and_paired_by_id() -> None:
    base = samples_of([record("a", 1), record("b", 0), record("a", 0, 1), record("b", 0, 1)], "m")
    assert base.scores.tolist() == [0.5, 0.0]
    new = samples_of([record("c", 1), record("b", 1), {**record("a", 0), "m": {"score": 1.0}}], "m")
    pairs = paired(base, new)
    assert pairs.ids == ("a", "b")
    assert (pairs.base.scores - pairs.new.scores).tolist() == [-0.5, -1.0]
    assert per_cluster(pairs.new.scores, pairs.groups).tolist() == [2.0]


def test_sums_are_averaged_over_repeats() -> None:
    found = samples_of([record("a", 1, sums=[2, 4]), record("a", 1, 1, sums=[4, 4])], "m")
    assert found.sums is not None
    assert found.sums.tolist() == [[3.0, 4.0]]


def test_what_no_table_shows_is_no_difference() -> None:
    assert without_rounding(np.array([1e-54, 0.5]), 10.0).tolist() == [0.0, 0.5]
    assert least_step(np.array([0, 0.3, 1e-12, 1]), 1.0, differ=True) == pytest.approx(0.3)
    assert least_step(np.array([0.0, 0.3, 1]), 1.0, differ=False) == 1.0
    assert least_step(np.zeros(3), 10.0, differ=True) == 10.0


@pytest.mark.parametrize(
    ("scores", "value", "scale"), [([0, 1], 50.0, 100.0), ([20, 40], 30.0, 1.0), ([0, 0], 0.0, 100.0)]
)
def test_samples_may_come_in_percent_themselves(scores: list[float], value: float, scale: float) -> None:
    found = samples_of([record(str(place), score) for place, score in enumerate(scores)], "m")
    assert scale_in(found, {"unit": "percent", "value": value}) == scale


@pytest.mark.parametrize(
    ("clusters", "families"),
    [
        ([4], [1]),  # 1/16 is not below 0.05
        ([5], [0]),
        ([5, 5], [2, 2]),  # 1/32 over two tests is not, and neither goes before the other
        ([12, 12, 5], [0, 0, 3]),
        ([12] * 8 + [4, 4], [0] * 8 + [10, 10]),
        ([8] * 10, [0] * 10),
        ([], []),
    ],
)
def test_tests_that_could_find_nothing_are_known_by_their_clusters(clusters: list[int], families: list[int]) -> None:
    assert unable([0.5**count for count in clusters], [0.05] * len(clusters)) == families
    backwards = unable([0.5**count for count in clusters[::-1]], [0.05] * len(clusters))
    assert backwards[::-1] == families


@settings(deadline=None, max_examples=60)
@given(
    clusters=st.lists(st.integers(1, 14), min_size=1, max_size=8),
    levels=st.lists(st.sampled_from([0.01, 0.05, 0.1]), min_size=8, max_size=8),
)
def test_every_test_that_is_kept_could_be_significant_alone(clusters: list[int], levels: list[float]) -> None:
    least, asked = [0.5**count for count in clusters], levels[: len(clusters)]
    families = unable(least, asked)
    kept = [place for place, family in enumerate(families) if not family]
    for place in kept:
        # All its clusters fell, the others show nothing.
        values = [least[other] if other == place else 1.0 for other in kept]
        assert holm(values)[kept.index(place)] < asked[place]
    for place, family in enumerate(families):
        assert not family or family * least[place] >= asked[place]


def test_the_least_p_is_that_of_clusters_which_all_fall() -> None:
    few, many = (sign_flip(np.ones(count), count, 100.0, 1.0) for count in (6, 40))
    assert few.p == few.smallest == 1 / 64
    assert not few.drawn
    assert many.p == many.smallest == 1 / (FLIPS + 1)
    assert many.drawn
    same = sign_flip(np.zeros(6), 6, 100.0, 1.0)
    assert same.smallest == 1 / 64


def test_as_many_clusters_are_needed_as_bring_p_below_the_level() -> None:
    for level in (0.05, 0.0625, 0.01, 0.5):
        needed = clusters_needed(level)
        assert 0.5**needed < level
        assert needed == 1 or 0.5 ** (needed - 1) >= level
