"""Intervals, spreads and categories, against hand-computed cases, properties and simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from lavit_eval.category_scores import categories
from lavit_eval.metrics.feature_metric import SetMeasured
from lavit_eval.metrics.frechet import frechet_distance, left_out
from lavit_eval.metrics.protocol import Floats, Measured, mean_of
from lavit_eval.sample import Medium, Sample
from lavit_eval.statistics import (
    clopper_pearson,
    group_jackknife,
    interval,
    paired_jackknife,
    spread,
    total_value,
)


def named(sizes: Sequence[int]) -> list[str]:
    """Return the cluster names of rows that stand cluster by cluster."""
    return [f"video{index}" for index, size in enumerate(sizes) for _ in range(size)]


def ratio(rows: Sequence[Sequence[float]]) -> Measured:
    """Return a metric that is no mean: 100 times the square root of the ratio of two sums."""

    def reduce(sums: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(100.0 * np.sqrt(sums[..., 0] / sums[..., 1]), dtype=np.float64)

    return Measured(rows=np.asarray(rows, dtype=np.float64), reduce=reduce)


# Quantiles of Student's t: 2.776445 with 4 degrees of freedom, 12.706205 with 1 (two-sided 95 %).


def test_few_clusters_give_the_t_interval_of_their_means() -> None:
    # Cluster means 0, 50, 50, 50, 100: mean 50, standard deviation sqrt(5000 / 4) = 35.35534.
    scores = [0, 0, 0, 1, 0, 1, 0, 1, 1, 1]
    found = interval(mean_of(scores, 100.0), named([2] * 5))
    reach = 2.7764451 * 35.3553391 / math.sqrt(5)
    assert found.method == "t on 5 cluster means"
    assert found.clusters == 5
    assert found.bounds == pytest.approx((50 - reach, 50 + reach), abs=1e-5)


def test_a_t_interval_of_percentages_stays_in_their_range() -> None:
    # Means 0 and 50: 25 +- 12.7 * 25 would leave [0, 100] on both sides.
    found = interval(mean_of([0, 0, 0, 1], 100.0), named([2, 2]))
    assert found.bounds == (0.0, 100.0)


def test_clusters_of_unequal_size_are_weighted() -> None:
    # Value 40 (2 of 5). Distances weighted by size over 2.5: (50 - 40) * 1.6 = 16 and (0 - 40) * 0.4 = -16.
    found = interval(mean_of([1, 0, 1, 0, 0], 100.0), named([4, 1]), bounds=(-1000, 1000))
    reach = 12.7062047 * math.sqrt((16**2 + 16**2) / 1 / 2)
    assert found.method == "t on 2 cluster means, weighted by size"
    assert found.bounds == pytest.approx((40 - reach, 40 + reach), abs=1e-4)


def test_all_wrong_gives_clopper_pearson_on_clusters() -> None:
    found = interval(mean_of([0] * 36, 100.0), named([4] * 9))
    assert found.method == "Clopper-Pearson on 9 clusters"
    assert found.bounds == pytest.approx((0.0, 100 * (1 - 0.025 ** (1 / 9))))


def test_all_right_gives_clopper_pearson_on_clusters_however_many() -> None:
    found = interval(mean_of([1] * 40, 100.0), named([2] * 20))
    assert found.method == "Clopper-Pearson on 20 clusters"
    assert found.bounds == pytest.approx((100 * 0.025 ** (1 / 20), 100.0))


def test_equal_clusters_between_the_ends_count_as_so_many_right() -> None:
    # Every video has 1 of 2 right: 5 of 10 clusters. Table value of the exact binomial interval: 0.1871 to 0.8129.
    found = interval(mean_of([0, 1] * 10, 100.0), named([2] * 10))
    assert found.method == "Clopper-Pearson on 10 clusters"
    assert found.bounds == pytest.approx((18.71, 81.29), abs=0.01)


@pytest.mark.parametrize(("right", "trials", "low", "high"), [(1, 10, 0.0025, 0.4450), (3, 20, 0.0321, 0.3789)])
def test_clopper_pearson_gives_the_tabled_values(right: int, trials: int, low: float, high: float) -> None:
    assert clopper_pearson(right, trials) == pytest.approx((low, high), abs=5e-5)


@settings(deadline=None)
@given(trials=st.integers(1, 200), data=st.data())
def test_clopper_pearson_equals_scipy(trials: int, data: st.DataObject) -> None:
    from scipy.stats import binomtest

    right = data.draw(st.integers(0, trials))
    expected = binomtest(right, trials).proportion_ci(0.95, "exact")
    assert clopper_pearson(right, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_one_cluster_is_enough_only_where_the_range_is_known() -> None:
    found = interval(mean_of([0, 0, 0], 100.0), named([3]))
    assert found.method == "Clopper-Pearson on 1 cluster"
    assert found.bounds == pytest.approx((0.0, 97.5))
    unknown = interval(mean_of([3.0, 4.0]), named([2]))
    assert unknown.bounds is None
    assert unknown.method == "needs 2 clusters"


def test_equal_values_of_unknown_range_have_no_interval() -> None:
    found = interval(mean_of([2.5] * 6), named([2] * 3))
    assert found.bounds is None
    assert found.method == "3 equal clusters, range unknown"
    judged = interval(mean_of([0.0] * 6), named([2] * 3), bounds=(0, 5))
    assert judged.bounds == pytest.approx((0.0, 5 * (1 - 0.025 ** (1 / 3))))


def test_few_clusters_of_another_metric_give_the_jackknife() -> None:
    measured = ratio([[1, 4], [4, 4], [2, 4]])
    # Values without one cluster each: sqrt(6/8), sqrt(3/8), sqrt(5/8); t with 2 degrees of freedom is 4.302653.
    others = 100 * np.sqrt([6 / 8, 3 / 8, 5 / 8])
    error = math.sqrt(2 / 3 * sum((others - others.mean()) ** 2))
    value = 100 * math.sqrt(7 / 12)
    found = interval(measured, named([1] * 3))
    assert found.method == "jackknife t on 3 clusters"
    assert found.bounds == pytest.approx((value - 4.3026527 * error, value + 4.3026527 * error), abs=1e-4)
    clipped = interval(measured, named([1] * 3), bounds=(0, 100))
    assert clipped.high == 100.0


def test_the_jackknife_of_a_mean_is_the_t_interval() -> None:
    rows = [[score, 1.0] for score in (0.1, 0.7, 0.4, 0.9, 0.2)]
    plain = mean_of([score for score, _ in rows])
    # A value of its own makes the metric no plain mean, and the jackknife takes over.
    corpus = Measured(rows=plain.rows, reduce=plain.reduce, value=0.46)
    assert interval(corpus, named([1] * 5)).bounds == pytest.approx(interval(plain, named([1] * 5)).bounds)


def test_many_clusters_are_resampled() -> None:
    scores = np.random.default_rng(3).random(400)
    found = interval(mean_of(scores), named([1] * 400))
    assert found.method == "cluster bootstrap, 2000 resamples"
    reach = 1.966 * scores.std(ddof=1) / 20
    assert found.bounds == pytest.approx((scores.mean() - reach, scores.mean() + reach), abs=0.1 * reach)


def test_questions_on_one_video_do_not_count_as_independent() -> None:
    scores = np.random.default_rng(4).random(50)
    single = interval(mean_of(scores), named([1] * 50))
    repeated = interval(mean_of(np.repeat(scores, 20)), named([20] * 50))
    assert repeated.bounds == pytest.approx(single.bounds)


def test_an_interval_is_shifted_to_the_corpus_value() -> None:
    plain = mean_of(np.random.default_rng(5).random(60), 100.0)
    moved = Measured(rows=plain.rows, reduce=plain.reduce, value=30.0)
    shift = 30.0 - float(plain.reduce(plain.rows.sum(axis=0)))
    low, high = interval(plain, named([2] * 30)).bounds or (math.nan, math.nan)
    assert interval(moved, named([2] * 30)).bounds == pytest.approx((low + shift, high + shift))


def test_the_level_widens_the_interval() -> None:
    measured = mean_of(np.random.default_rng(6).random(60))
    for sizes in ([1] * 60, [6] * 10):
        narrow, wide = interval(measured, named(sizes), level=0.8), interval(measured, named(sizes), level=0.99)
        assert narrow.low is not None
        assert narrow.high is not None
        assert wide.low is not None
        assert wide.high is not None
        assert wide.low < narrow.low < narrow.high < wide.high


def test_nothing_scored_or_undefined_is_said() -> None:
    assert interval(mean_of([]), []).method == "no scored responses"
    assert interval(ratio([[1, 0]] * 3), named([1] * 3)).bounds is None
    assert total_value(mean_of([])) is None
    assert total_value(ratio([[0, 0]])) is None


def test_rows_and_clusters_must_match() -> None:
    with pytest.raises(ValueError, match="2 rows, but 1 cluster names"):
        interval(mean_of([0, 1]), ["a"])
    with pytest.raises(ValueError, match="level"):
        interval(mean_of([0, 1]), ["a", "b"], level=95)


CLUSTERED = st.lists(
    st.tuples(st.integers(0, 24).map(str), st.floats(0, 1, allow_subnormal=False)), min_size=1, max_size=60
)


@settings(max_examples=40, deadline=None)
@given(pairs=CLUSTERED, seed=st.integers(0, 2**32 - 1), as_mean=st.booleans())
def test_the_order_of_the_samples_changes_no_bit(pairs: list[tuple[str, float]], seed: int, as_mean: bool) -> None:
    def found(pairs: Sequence[tuple[str, float]]) -> tuple[object, object]:
        scores = [score for _, score in pairs]
        measured = mean_of(scores, 100.0) if as_mean else ratio([[score, 1.0 + score] for score in scores])
        return interval(measured, [cluster for cluster, _ in pairs], bounds=(0, 100)), total_value(measured)

    mixed = [pairs[index] for index in np.random.default_rng(seed).permutation(len(pairs))]
    assert repr(found(mixed)) == repr(found(pairs))


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 24).map(str), st.booleans()), min_size=1, max_size=80))
def test_an_interval_of_right_and_wrong_holds_the_value_and_is_never_a_point(pairs: list[tuple[str, bool]]) -> None:
    measured = mean_of([float(right) for _, right in pairs], 100.0)
    bounds = interval(measured, [cluster for cluster, _ in pairs]).bounds
    value = total_value(measured)
    assert bounds is not None
    assert value is not None
    assert 0 <= bounds[0] <= value <= bounds[1] <= 100
    assert bounds[0] < bounds[1]


@pytest.mark.parametrize(
    ("clusters", "size", "right"), [(10, 5, (2.0, 1.5)), (20, 4, (1.0, 1.0)), (60, 5, (2.0, 1.0)), (200, 3, (1.0, 2.0))]
)
def test_the_interval_covers_the_truth_as_often_as_it_says(
    clusters: int, size: int, right: tuple[float, float]
) -> None:
    """Correlated questions: each video has its own chance of a right answer, so that plain intervals are too short."""
    generator = np.random.default_rng(7)
    truth = 100 * right[0] / sum(right)
    hits, trials = 0, 400
    for _ in range(trials):
        chances = np.repeat(generator.beta(*right, size=clusters), size)
        scores = (generator.random(clusters * size) < chances).astype(np.float64)
        low, high = interval(mean_of(scores, 100.0), named([size] * clusters)).bounds or (math.nan, math.nan)
        hits += low <= truth <= high
    assert 0.925 <= hits / trials <= 0.975


def test_spread_of_repeats() -> None:
    found = spread([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert found.mean == 5.0
    assert found.sd == pytest.approx(math.sqrt(32 / 7))
    assert found.n == 8
    assert spread([3.0]).sd is None
    with pytest.raises(ValueError, match="no values"):
        spread([])


def sample(name: str, **axes: str) -> Sample:
    """Return a sample with categories."""
    return Sample(id=name, media=(), question="", references=(), categories=axes)


def without_ends(found: dict[str, dict[str, dict[str, float]]]) -> object:
    """Return values by category without their intervals."""
    return {
        axis: {
            name: {key: value for key, value in part.items() if key in ("value", "n")} for name, part in parts.items()
        }
        for axis, parts in found.items()
    }


def test_a_category_has_the_interval_of_its_samples_alone() -> None:
    draw = np.random.default_rng(3)
    kinds = ["a" if number % 3 else "b" for number in range(90)]
    # Two questions on each medium, whose answers go together.
    samples = [
        Sample(str(number), (Medium("image", "", f"{number // 2}"),), "", (), {"kind": kind})
        for number, kind in enumerate(kinds)
    ]
    scores = [float(score) for score in np.repeat(draw.random(45) < 0.6, 2)]
    found = categories(mean_of(scores, 100.0), samples)["kind"]
    held = [number for number, kind in enumerate(kinds) if kind == "b"]
    alone = mean_of([scores[number] for number in held], 100.0)
    # Each of the thirty has a medium of its own: the textbook's t interval of a mean.
    values = 100 * np.asarray([scores[number] for number in held])
    reach = float(stdtrit(29, 0.975)) * values.std(ddof=1) / math.sqrt(30)
    assert found["b"]["low"] == pytest.approx(values.mean() - reach)
    assert found["b"]["high"] == pytest.approx(values.mean() + reach)
    assert interval(alone, [samples[number].cluster for number in held], quick=True).method.startswith("t on 30")
    # Of the other kind most media have two questions, so that its interval is wider than if they were independent.
    apart = interval(
        mean_of([score for score, kind in zip(scores, kinds, strict=True) if kind == "a"], 100.0),
        [str(number) for number in range(60)],
        quick=True,
    ).bounds
    assert apart is not None
    assert found["a"]["high"] - found["a"]["low"] > apart[1] - apart[0]


def test_the_quick_interval_of_a_ratio_is_near_that_of_the_bootstrap() -> None:
    draw = np.random.default_rng(5)
    measured = ratio([[float(draw.integers(0, 5)), float(draw.integers(4, 9))] for _ in range(200)])
    names = [str(number) for number in range(200)]
    quick, slow = interval(measured, names, quick=True), interval(measured, names)
    assert quick.method == "jackknife t on 200 clusters"
    assert quick.bounds == pytest.approx(slow.bounds, rel=0.05)


def test_categories_break_the_value_down_along_each_axis() -> None:
    samples = [sample("a", kind="colour", size="big"), sample("b", kind="count"), sample("c", kind="colour")]
    found = categories(mean_of([1, 0, 0], 100.0), samples)
    assert without_ends(found) == {
        "kind": {"colour": {"value": 50.0, "n": 2}, "count": {"value": 0.0, "n": 1}},
        "size": {"big": {"value": 100.0, "n": 1}},
    }


def test_an_undefined_category_has_its_count_only() -> None:
    assert categories(ratio([[0, 0]]), [sample("a", kind="x")]) == {"kind": {"x": {"n": 1}}}
    with pytest.raises(ValueError, match="1 rows, but 0 samples"):
        categories(mean_of([1]), [])


def set_measured(value: float, left_out: Sequence[float]) -> SetMeasured:
    return SetMeasured(value, np.asarray(left_out, dtype=np.float64))


def test_a_group_jackknife_is_what_the_textbook_says() -> None:
    # Of a mean over groups of equal size it is the t interval of the group means: 1, 2, 3, 6 give 3 +- 3.182 * 1.0801.
    means = np.array([1.0, 2.0, 3.0, 6.0])
    found = group_jackknife([set_measured(3.0, [(means.sum() - one) / 3 for one in means])], 40)
    reach = 3.1824463 * math.sqrt(means.var(ddof=1) / 4)
    assert found.value == 3.0
    assert found.interval.bounds == pytest.approx((3 - reach, 3 + reach), abs=1e-6)
    assert found.interval.method == "4-group jackknife over samples, for the expectation at 40"
    clipped = group_jackknife([set_measured(0.1, [0.0, 0.1, 0.2, 0.5])], 40, bounds=(0.0, math.inf))
    assert clipped.interval.low == 0.0


def test_repeats_share_the_groups_and_are_averaged() -> None:
    found = group_jackknife([set_measured(1.0, [1.0, 2.0]), set_measured(3.0, [2.0, 5.0])], 10)
    assert found.value == 2.0
    assert found.left_out == (1.5, 3.5)


@pytest.mark.parametrize(
    ("left_out", "told"),
    [([], "too few"), ([1.0], "too few"), ([2.0, 2.0, 2.0], "no variation")],
)
def test_sets_without_groups_have_no_interval(left_out: list[float], told: str) -> None:
    found = group_jackknife([set_measured(2.0, left_out)], 10)
    assert found.interval.bounds is None
    assert told in found.interval.method


def test_repeats_that_lack_different_groups_have_no_interval() -> None:
    found = group_jackknife([set_measured(1.0, [1.0, 2.0]), set_measured(1.0, [1.0, 2.0, 3.0])], 10)
    assert found.interval.bounds is None
    assert "lack different groups" in found.interval.method


def frechet_set(seed: int, count: int, shift: float, groups: int = 20) -> SetMeasured:
    """Return the distance of a made set from its pairs, with each group of prompts left out."""
    draw = np.random.Generator(np.random.PCG64(seed))
    real = draw.standard_normal((count, 4))
    made = 0.5 * real + draw.standard_normal((count, 4)) + shift
    labels = np.arange(count) % groups
    return SetMeasured(frechet_distance(made, real), left_out(made, real, labels, labels))


def test_the_interval_of_a_frechet_distance_covers_its_expectation_at_that_number() -> None:
    sets = [frechet_set(seed, 100, 0.4) for seed in range(300)]
    expectation = float(np.mean([one.value for one in sets]))
    found = [group_jackknife([one], 100).interval for one in sets]
    covered = sum(one.low <= expectation <= one.high for one in found)  # type: ignore[operator]
    assert 0.91 <= covered / len(sets) <= 0.99


def test_the_difference_of_two_runs_on_the_same_prompts_is_known_better_than_either() -> None:
    differences, widths = [], []
    for seed in range(200):
        draw = np.random.Generator(np.random.PCG64(seed))
        real = draw.standard_normal((100, 4))
        base = 0.5 * real + draw.standard_normal((100, 4)) + 0.4
        new = base + 0.15 * draw.standard_normal((100, 4)) + 0.05
        labels = np.arange(100) % 20
        measured = [SetMeasured(frechet_distance(x, real), left_out(x, real, labels, labels)) for x in (base, new)]
        pairs = [(one.value, one.left_out.tolist()) for one in measured]
        differences.append((measured[1].value - measured[0].value, paired_jackknife(*pairs)))
        alone = group_jackknife([measured[0]], 100).interval
        paired = differences[-1][1]
        widths.append((paired.high - paired.low) / (alone.high - alone.low))  # type: ignore[operator]
    expectation = float(np.mean([value for value, _ in differences]))
    covered = sum(one.low <= expectation <= one.high for _, one in differences)  # type: ignore[operator]
    assert 0.9 <= covered / len(differences) <= 0.99
    assert float(np.median(widths)) < 0.6


def test_groups_that_do_not_match_are_not_paired() -> None:
    with pytest.raises(ValueError, match="2 and 3 groups"):
        paired_jackknife((1.0, [1.0, 2.0]), (1.0, [1.0, 2.0, 3.0]))
    assert paired_jackknife((1.0, []), (2.0, [])).bounds is None
