"""FVD and KVD of made features: the arithmetic's own functions, cases by hand, groups that leave both sets."""

from __future__ import annotations

import numpy as np
import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.feature_metric import FeatureMetric, FeatureRows, UnmeasurableError
from lavit_eval.metrics.feature_protocol import load_protocol
from lavit_eval.metrics.frechet import extrapolated, frechet_distance
from lavit_eval.metrics.kernel_distance import kernel_distance
from lavit_eval.metrics.video_distance import Fvd, FvdFirstLast, Kvd, KvdFirstLast
from tests.metrics.rows import changed, normal, rows, taken

KINDS: list[type[FeatureMetric]] = [Fvd, FvdFirstLast, Kvd, KvdFirstLast]
PROTOCOL = load_protocol("video-lavit")


def sets(count: int = 24, size: int = 5, groups: int = 6, others: int | None = None) -> dict[str, FeatureRows]:
    more = count if others is None else others
    return {
        "generated": rows(normal(1, count, size, shift=0.5), np.arange(count) % groups),
        "real": rows(normal(2, more, size, scale=1.5), np.arange(more) % groups),
    }


def distance(kind: type[FeatureMetric], x: FeatureRows, y: FeatureRows, ddof: int = 1) -> float:
    if kind in (Kvd, KvdFirstLast):
        return kernel_distance(x.stacked(), y.stacked())
    return frechet_distance(x.stacked(), y.stacked(), ddof)


def test_two_videos_of_one_number_by_hand() -> None:
    gathered = {
        "generated": rows(np.array([[0.0], [2.0]], np.float32)),
        "real": rows(np.array([[1.0], [5.0]], np.float32)),
    }
    # Means 1 and 3; variances 2 and 8 with N - 1, 1 and 4 with N.
    for ddof, expected in ((1, 4 + (8**0.5 - 2**0.5) ** 2), (0, 4 + 1)):
        measured = Fvd().measure_features(changed("video-lavit", covariance_ddof=ddof), gathered)
        assert measured.value == pytest.approx(expected, rel=1e-9)
        assert measured.left_out.shape == (0,) and measured.details == {}
    # Kernels (x y + 1)^3: 1 within generated, 216 within real; 1, 1, 27, 1331 between.
    assert Kvd().measure_features(PROTOCOL, gathered).value == pytest.approx(1 + 216 - 2 * (1 + 1 + 27 + 1331) / 4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("count", "others", "size"), [(24, 24, 5), (24, 18, 5), (12, 12, 40)])
def test_values_are_those_of_the_arithmetic_and_groups_leave_both_sets(
    kind: type[FeatureMetric], count: int, others: int, size: int
) -> None:
    gathered = sets(count, size, others=others)
    made, real = gathered["generated"], gathered["real"]
    for ddof in (0, 1):
        protocol = changed("video-lavit", covariance_ddof=ddof)
        measured = kind().measure_features(protocol, gathered)
        assert measured.value == pytest.approx(distance(kind, made, real, ddof), rel=1e-12)
        expected = [
            distance(kind, taken(made, made.groups != group), taken(real, real.groups != group), ddof)
            for group in range(6)
        ]
        assert measured.left_out == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_samples_is_nothing(kind: type[FeatureMetric]) -> None:
    gathered = sets()
    before = kind().measure_features(PROTOCOL, gathered)
    order = np.random.Generator(np.random.PCG64(3)).permutation(24)
    after = kind().measure_features(PROTOCOL, {name: taken(one, order) for name, one in gathered.items()})
    assert after.value == pytest.approx(before.value, rel=1e-10)
    assert after.left_out == pytest.approx(before.left_out, rel=1e-9)


@pytest.mark.parametrize("kind", [Fvd, Kvd])
def test_group_numbers_may_have_gaps_and_groups_may_be_in_one_set_alone(kind: type[FeatureMetric]) -> None:
    made = rows(normal(1, 9, 3), np.array([2, 2, 7, 7, 7, 11, 11, 2, 11]))
    real = rows(normal(2, 8, 3), np.array([2, 2, 7, 7, 7, 2, 19, 19]))
    measured = kind().measure_features(PROTOCOL, {"generated": made, "real": real})
    expected = [
        distance(kind, taken(made, made.groups != group), taken(real, real.groups != group)) for group in (2, 7, 11, 19)
    ]
    assert measured.left_out == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("kind", [Fvd, Kvd])
def test_groups_without_which_too_little_is_left_give_no_left_out_values(kind: type[FeatureMetric]) -> None:
    gathered = sets(6, 3, groups=1)
    assert kind().measure_features(PROTOCOL, gathered).left_out.shape == (0,)
    # Without the larger group one video would be left in one of the sets.
    for which in ("generated", "real"):
        uneven = sets(6, 3, groups=2)
        uneven[which] = rows(normal(1, 6, 3), np.array([0, 0, 0, 0, 0, 1]))
        measured = kind().measure_features(PROTOCOL, uneven)
        assert measured.left_out.shape == (0,) and np.isfinite(measured.value)
    uneven["generated"] = uneven["real"] = rows(normal(1, 6, 3), np.array([0, 0, 0, 0, 1, 1]))
    assert kind().measure_features(PROTOCOL, uneven).left_out.shape == (2,)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_video_has_no_distance(kind: type[FeatureMetric]) -> None:
    many, one, none = sets()["real"], rows(normal(1, 1, 5)), rows([])
    for made, real, told in ((one, many, "1 and 24"), (many, one, "24 and 1"), (many, none, "24 and 0")):
        with pytest.raises(UnmeasurableError, match=f"needs 2 videos on each side, there are {told}"):
            kind().measure_features(PROTOCOL, {"generated": made, "real": real})


@pytest.mark.parametrize("kind", [Fvd, Kvd])
def test_features_that_do_not_fit_or_are_not_finite_are_refused(kind: type[FeatureMetric]) -> None:
    gathered = sets()
    with pytest.raises(UsageError, match="dimensions"):
        kind().measure_features(PROTOCOL, {**gathered, "real": rows(normal(2, 24, 4))}, True)
    broken = normal(2, 24, 5)
    broken[3, 1] = np.nan
    with pytest.raises(UsageError, match="not finite"):
        kind().measure_features(PROTOCOL, {**gathered, "real": rows(broken)}, True)


def test_equal_sets_are_at_no_distance_and_the_kernel_distance_may_be_negative() -> None:
    one = rows(normal(1, 30, 4), np.arange(30) % 5)
    for kind, low, high in ((Fvd, -1e-9, 1e-9), (Kvd, -10.0, 0.0)):
        assert low < kind().measure_features(PROTOCOL, {"generated": one, "real": one}).value < high
    assert Kvd.bounds is None and KvdFirstLast.bounds is None and Fvd.bounds == (0.0, float("inf"))


def test_a_biased_distance_says_where_it_tends_when_asked() -> None:
    gathered = sets(40, 4)
    plain = Fvd().measure_features(PROTOCOL, gathered)
    measured = Fvd().measure_features(PROTOCOL, gathered, extrapolate=True)
    assert (measured.value, measured.left_out.tolist()) == (plain.value, plain.left_out.tolist())
    expected = extrapolated(gathered["generated"].stacked(), gathered["real"].stacked(), seed=0, ddof=1, points=15)
    told = {"limit": expected.limit, "slope": expected.slope, "sizes": list(expected.sizes)}
    assert measured.details == {"extrapolated": told}
    assert told["sizes"][0] == 20 and told["sizes"][-1] == 40
    other = Fvd().measure_features(changed("video-lavit", sampling_seed=1), gathered, extrapolate=True)
    assert other.details["extrapolated"]["limit"] != expected.limit
    assert Kvd().measure_features(PROTOCOL, gathered, extrapolate=True).details == {}
    few = Fvd().measure_features(PROTOCOL, sets(2, 4), extrapolate=True)
    assert few.details == {"extrapolated": None} and np.isfinite(few.value)


@pytest.mark.parametrize("kind", [Fvd, Kvd])
def test_generated_clips_are_compared_with_real_ones(kind: type[FeatureMetric]) -> None:
    protocol = load_protocol("stylegan-v")
    needs = kind().needs(protocol)
    assert {name: (need.role, need.selection.part) for name, need in needs.items()} == {
        "generated": ("made", "first"),
        "real": ("real", "random"),
    }
    with pytest.raises(UsageError, match="freenoise has no real set"):
        kind().needs(load_protocol("freenoise"))


@pytest.mark.parametrize("kind", [FvdFirstLast, KvdFirstLast])
def test_long_videos_last_clips_are_compared_with_their_first_ones(kind: type[FeatureMetric]) -> None:
    needs = kind().needs(load_protocol(kind.default_protocol))
    assert {name: (need.role, need.selection.part) for name, need in needs.items()} == {
        "generated": ("made", "last"),
        "real": ("made", "first"),
    }
    assert all(need.protocol.span == 64 for need in needs.values())
