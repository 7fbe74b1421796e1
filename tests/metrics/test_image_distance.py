"""FID of frames and images: pooled, by frame index, and of the best of four."""

from __future__ import annotations

import numpy as np
import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.feature_metric import FeatureMetric, FeatureRows, UnmeasurableError
from lavit_eval.metrics.feature_protocol import load_protocol
from lavit_eval.metrics.frechet import extrapolated, frechet_distance
from lavit_eval.metrics.image_distance import FidClip, FidClipByFrame, FidInception, FidInceptionBestOf4
from tests.metrics.rows import changed, normal, rows, taken

PROTOCOL = load_protocol("fid-clip")
POOLED: list[type[FeatureMetric]] = [FidClip, FidInception]


def videos(seed: int, lengths: list[int], size: int = 4, shift: float = 0.0, groups: int = 5) -> FeatureRows:
    given = [normal(seed + place, length, size, shift=shift) for place, length in enumerate(lengths)]
    return rows(given, np.arange(len(lengths)) % groups)


def sets(made: list[int], real: list[int]) -> dict[str, FeatureRows]:
    return {"generated": videos(100, made, shift=0.4), "real": videos(200, real)}


def pooled(one: FeatureRows) -> np.ndarray:
    return np.concatenate(one.rows)


@pytest.mark.parametrize("kind", POOLED)
def test_all_frames_of_all_videos_are_one_pool(kind: type[FeatureMetric]) -> None:
    gathered = sets([3, 1, 4, 2, 6, 2, 5], [2, 2, 5, 1, 3, 3])
    made, real = gathered["generated"], gathered["real"]
    for ddof in (0, 1):
        protocol = changed("fid-clip", covariance_ddof=ddof)
        measured = kind().measure_features(protocol, gathered)
        assert measured.value == pytest.approx(frechet_distance(pooled(made), pooled(real), ddof), rel=1e-12)
        expected = [
            frechet_distance(pooled(taken(made, made.groups != group)), pooled(taken(real, real.groups != group)), ddof)
            for group in range(5)
        ]
        assert measured.left_out == pytest.approx(expected, rel=1e-7)
        assert measured.details == {}
    order = np.array([4, 0, 6, 1, 5, 3, 2])
    turned = kind().measure_features(protocol, {"generated": taken(made, order), "real": taken(real, order[order < 6])})
    assert turned.value == pytest.approx(measured.value, rel=1e-9)
    assert turned.left_out == pytest.approx(measured.left_out, rel=1e-7)


@pytest.mark.parametrize("kind", POOLED)
def test_two_images_of_one_number_by_hand(kind: type[FeatureMetric]) -> None:
    made, real = np.array([[[0.0]], [[2.0]]], np.float32), np.array([[[1.0]], [[5.0]]], np.float32)
    measured = kind().measure_features(PROTOCOL, {"generated": rows(made), "real": rows(real)})
    assert measured.value == pytest.approx(4 + (8**0.5 - 2**0.5) ** 2, rel=1e-9)
    assert measured.left_out.shape == (0,)


@pytest.mark.parametrize("kind", POOLED)
def test_a_pool_that_is_too_small_is_said(kind: type[FeatureMetric]) -> None:
    some, one, none = videos(1, [2, 2]), videos(2, [1]), rows([])
    for made, real, told in ((one, some, "1 and 4"), (some, none, "4 and 0"), (none, none, "0 and 0")):
        with pytest.raises(UnmeasurableError, match=f"needs 2 images on each side, there are {told}"):
            kind().measure_features(PROTOCOL, {"generated": made, "real": real})
    # One video of two frames is enough, but no group can be left out.
    assert kind().measure_features(PROTOCOL, {"generated": videos(3, [2]), "real": some}).left_out.shape == (0,)


@pytest.mark.parametrize("kind", POOLED)
def test_a_pool_says_where_it_tends_when_asked(kind: type[FeatureMetric]) -> None:
    gathered = sets([3] * 10, [3] * 10)
    measured = kind().measure_features(PROTOCOL, gathered, extrapolate=True)
    expected = extrapolated(pooled(gathered["generated"]), pooled(gathered["real"]), seed=0, points=15)
    assert measured.details["extrapolated"] == {
        "limit": expected.limit, "slope": expected.slope, "sizes": list(expected.sizes)
    }  # fmt: skip


def test_by_frame_is_the_mean_over_indices_of_the_distance_of_frames_with_that_index() -> None:
    gathered = sets([3] * 12, [3] * 10)
    made, real = gathered["generated"], gathered["real"]
    measured = FidClipByFrame().measure_features(PROTOCOL, gathered)

    def of(made: FeatureRows, real: FeatureRows) -> list[float]:
        return [
            frechet_distance(np.stack([one[at] for one in made.rows]), np.stack([one[at] for one in real.rows]))
            for at in range(3)
        ]

    assert measured.details["by_frame"] == pytest.approx(of(made, real), rel=1e-12)
    assert measured.value == pytest.approx(np.mean(of(made, real)), rel=1e-12)
    assert measured.value > FidClip().measure_features(PROTOCOL, gathered).value
    expected = [np.mean(of(taken(made, made.groups != group), taken(real, real.groups != group))) for group in range(5)]
    assert measured.left_out == pytest.approx(expected, rel=1e-7)


def test_by_frame_of_one_frame_is_the_pooled_distance() -> None:
    gathered = sets([1] * 9, [1] * 9)
    one, other = (kind().measure_features(PROTOCOL, gathered) for kind in (FidClip, FidClipByFrame))
    assert (one.value, one.left_out.tolist()) == (other.value, other.left_out.tolist())
    alone = FidClipByFrame().measure_features(
        PROTOCOL, {"generated": videos(1, [2, 2], groups=1), "real": videos(2, [2, 2])}
    )
    assert alone.left_out.shape == (0,)


def test_by_frame_needs_videos_of_one_length() -> None:
    with pytest.raises(UnmeasurableError, match="between 2 and 4 frames"):
        FidClipByFrame().measure_features(PROTOCOL, sets([2, 2, 2], [2, 4, 2]))
    with pytest.raises(UnmeasurableError, match="2 videos on each side, there are 1 and 3"):
        FidClipByFrame().measure_features(PROTOCOL, sets([2], [2, 2, 2]))
    with pytest.raises(UnmeasurableError, match="there are 0 and 0"):
        FidClipByFrame().measure_features(PROTOCOL, {"generated": rows([]), "real": rows([])})


CAPTIONS = 6
BEST = np.array([2, 0, 3, 1, 1, 2])


def candidates(repeats: int = 4, seed: int = 5) -> tuple[dict[str, FeatureRows], np.ndarray]:
    """Return sets in which repeat BEST[i] of caption i has the caption's direction, and where those stand."""
    captions, others = normal(seed, CAPTIONS, 8), normal(seed + 1, repeats * CAPTIONS, 8)
    places = BEST * CAPTIONS + np.arange(CAPTIONS)
    # Half as long and still the best: the cosine decides, not the product.
    others[places] = captions / 2 + normal(seed + 2, CAPTIONS, 8) / 50
    images = normal(seed + 3, repeats * CAPTIONS, 1, 3)
    return {
        "generated": rows(images, repeats=repeats),
        "real": rows(normal(seed + 4, CAPTIONS, 1, 3)),
        "candidates": rows(others[:, None], repeats=repeats),
        "captions": rows(np.concatenate([captions] * repeats), repeats=repeats),
    }, places


def test_the_best_of_four_is_chosen_by_the_cosine_with_the_caption() -> None:
    gathered, places = candidates()
    protocol = load_protocol("fid-30k")
    measured = FidInceptionBestOf4().measure_features(protocol, gathered)
    best = taken(gathered["generated"], places)
    assert measured.value == pytest.approx(frechet_distance(pooled(best), pooled(gathered["real"])), rel=1e-12)
    assert len(measured.left_out) == CAPTIONS
    for group, value in enumerate(measured.left_out):
        kept = np.arange(CAPTIONS) != group
        expected = frechet_distance(pooled(taken(best, kept)), pooled(taken(gathered["real"], kept)))
        assert value == pytest.approx(expected, rel=1e-7)


def test_only_the_first_four_are_candidates() -> None:
    gathered, _ = candidates(repeats=6)
    four = np.arange(4 * CAPTIONS)
    first = {name: one if name == "real" else taken(one, four) for name, one in gathered.items()}
    # The fifth and sixth would be better than all others.
    best = np.concatenate(gathered["candidates"].rows)
    best[4 * CAPTIONS :] = np.stack(gathered["captions"].rows)[4 * CAPTIONS :]
    gathered["candidates"] = rows(best[:, None], repeats=6)
    found, expected = (
        FidInceptionBestOf4().measure_features(load_protocol("fid-30k"), one) for one in (gathered, first)
    )
    assert (found.value, found.left_out.tolist()) == (expected.value, expected.left_out.tolist())


def test_groups_stay_with_their_captions_where_an_image_is_lacking() -> None:
    gathered, _ = candidates(repeats=5)
    kept = np.arange(5 * CAPTIONS) != 2
    some = {name: one if name == "real" else taken(one, kept) for name, one in gathered.items()}
    measured = FidInceptionBestOf4().measure_features(load_protocol("fid-30k"), some)
    places = BEST * CAPTIONS + np.arange(CAPTIONS)
    best, real = taken(gathered["generated"], places), gathered["real"]
    expected = [
        frechet_distance(pooled(taken(best, best.groups != group)), pooled(taken(real, real.groups != group)))
        for group in range(CAPTIONS)
    ]
    assert measured.left_out == pytest.approx(expected, rel=1e-7)


def test_the_order_of_samples_is_nothing_to_the_choice() -> None:
    gathered, _ = candidates()
    order = np.concatenate([np.array([3, 0, 5, 1, 4, 2]) + CAPTIONS * repeat for repeat in range(4)])
    turned = {name: taken(one, order[: len(one.ids)]) for name, one in gathered.items()}
    one, other = (FidInceptionBestOf4().measure_features(load_protocol("fid-30k"), each) for each in (gathered, turned))
    assert other.value == pytest.approx(one.value, rel=1e-9)
    assert other.left_out == pytest.approx(one.left_out, rel=1e-8)


def test_fewer_than_four_images_are_refused() -> None:
    gathered, _ = candidates()
    kept = np.arange(4 * CAPTIONS) != 7
    short = {name: one if name == "real" else taken(one, kept) for name, one in gathered.items()}
    with pytest.raises(UnmeasurableError, match="1 of 6 captions have fewer than 4 images; run with --repeats 4"):
        FidInceptionBestOf4().measure_features(load_protocol("fid-30k"), short)
    gathered["real"] = rows([])
    with pytest.raises(UnmeasurableError, match="6 and 0"):
        FidInceptionBestOf4().measure_features(load_protocol("fid-30k"), gathered)


@pytest.mark.parametrize("kind", [FidClip, FidClipByFrame, FidInception])
def test_generated_frames_are_compared_with_real_ones(kind: type[FeatureMetric]) -> None:
    protocol = load_protocol(kind.default_protocol)
    needs = kind().needs(protocol)
    assert {name: need.role for name, need in needs.items()} == {"generated": "made", "real": "real"}
    with pytest.raises(UsageError, match="has no real set"):
        kind().needs(changed(kind.default_protocol, real=None, equal_counts=False))


def test_the_choice_looks_at_all_candidates_and_captions_by_its_own_network() -> None:
    protocol = load_protocol("fid-30k")
    needs = FidInceptionBestOf4().needs(protocol)
    assert {name: (need.role, need.protocol.protocol) for name, need in needs.items()} == {
        "generated": ("made", "fid-30k"),
        "real": ("real", "fid-30k"),
        "candidates": ("made", "clip-vitl14"),
        "captions": ("caption", "clip-vitl14"),
    }
    demo = FidInceptionBestOf4().needs(protocol.with_demo_features())
    assert all(need.protocol.demo for need in demo.values())
    assert not any(need.protocol.demo for need in needs.values())
