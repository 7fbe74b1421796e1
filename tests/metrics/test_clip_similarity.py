"""CLIPSIM with captions and between frames, from made embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.clip_similarity import ClipsimFrameConsistency, ClipsimVitb16, ClipsimVitb32
from lavit_eval.metrics.feature_metric import UnmeasurableError
from lavit_eval.metrics.feature_protocol import load_protocol
from tests.metrics.captions import total
from tests.metrics.rows import normal, rows, taken

PROTOCOL = load_protocol("clipsim-vitb16")
CAPTIONED = [ClipsimVitb16, ClipsimVitb32]


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x.astype(np.float64), y.astype(np.float64)
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


@pytest.mark.parametrize("kind", CAPTIONED)
def test_two_videos_by_hand(kind: type[ClipsimVitb16]) -> None:
    frames = [np.array([[2, 0], [0, 3], [-1, 0]], np.float32), np.array([[1, 1]], np.float32)]
    captions = np.array([[5, 0], [0, 1]], np.float32)
    measured = kind().measure_features(PROTOCOL, {"generated": rows(frames), "captions": rows(captions)})
    assert [one["score"] for one in measured.per_sample] == pytest.approx([0.0, 0.5**0.5])
    assert total(measured) == pytest.approx(0.5**0.5 / 2)


def test_videos_weigh_the_same_however_many_frames_they_have() -> None:
    frames = [normal(seed, count, 6) for seed, count in enumerate((1, 9, 4))]
    captions = normal(9, 3, 6)
    measured = ClipsimVitb16().measure_features(PROTOCOL, {"generated": rows(frames), "captions": rows(captions)})
    by_frame = [[cosine(frame, caption) for frame in video] for video, caption in zip(frames, captions, strict=True)]
    assert total(measured) == pytest.approx(np.mean([np.mean(one) for one in by_frame]), rel=1e-9)
    assert total(measured) != pytest.approx(np.mean(np.concatenate(by_frame)), rel=1e-3)


def test_the_order_of_samples_and_the_lengths_of_embeddings_are_nothing() -> None:
    frames, captions = [normal(seed, 3, 6) for seed in range(5)], normal(9, 5, 6)
    gathered = {"generated": rows(frames), "captions": rows(captions)}
    measured = ClipsimVitb16().measure_features(PROTOCOL, gathered)
    turned = ClipsimVitb16().measure_features(
        PROTOCOL, {name: taken(one, np.arange(5)[::-1]) for name, one in gathered.items()}
    )
    assert turned.rows.tolist() == measured.rows[::-1].tolist()
    scaled = {"generated": rows([one * 7 for one in frames]), "captions": rows(captions / 3)}
    assert ClipsimVitb16().measure_features(PROTOCOL, scaled).rows == pytest.approx(measured.rows, abs=1e-6)


def test_sets_of_different_samples_are_no_pair() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ClipsimVitb16().measure_features(
            PROTOCOL, {"generated": rows([normal(1, 2, 3)] * 2), "captions": rows(normal(2, 1, 3))}
        )


def test_an_embedding_without_direction_is_refused() -> None:
    given = {"generated": rows([np.zeros((2, 3), np.float32)]), "captions": rows(normal(2, 1, 3))}
    with pytest.raises(UsageError, match="An embedding is zero"):
        ClipsimVitb16().measure_features(PROTOCOL, given)


def test_consistency_is_the_mean_cosine_of_neighbours() -> None:
    frames = [np.array([[1, 0], [3, 0], [0, 1]], np.float32), np.array([[1, 0], [1, 1]], np.float32)]
    measured = ClipsimFrameConsistency().measure_features(PROTOCOL, {"generated": rows(frames)})
    assert [one["score"] for one in measured.per_sample] == pytest.approx([0.5, 0.5**0.5])
    assert total(measured) == pytest.approx((0.5 + 0.5**0.5) / 2)
    # Not the mean over all pairs of frames: the order within a video counts.
    turned = [frames[0][[0, 2, 1]], frames[1]]
    other = ClipsimFrameConsistency().measure_features(PROTOCOL, {"generated": rows(turned)})
    assert other.per_sample[0]["score"] == pytest.approx(0.0)


def test_consistency_needs_two_frames() -> None:
    frames = [normal(1, 1, 3), normal(2, 2, 3), normal(3, 1, 3)]
    with pytest.raises(UnmeasurableError, match="2 videos have fewer than 2 frames"):
        ClipsimFrameConsistency().measure_features(PROTOCOL, {"generated": rows(frames)})


def test_what_they_look_at() -> None:
    for kind in CAPTIONED:
        protocol = load_protocol(kind.default_protocol)
        needs = kind().needs(protocol)
        assert {name: need.role for name, need in needs.items()} == {"generated": "made", "captions": "caption"}
        assert kind.weights == protocol.weights
    assert ClipsimVitb32.weights == "ViT-B-32.pt" and ClipsimFrameConsistency.weights is None
    assert {name: need.role for name, need in ClipsimFrameConsistency().needs(PROTOCOL).items()} == {
        "generated": "made"
    }
    assert not any(kind.of_sets for kind in (*CAPTIONED, ClipsimFrameConsistency))
