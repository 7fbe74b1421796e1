"""Vectors to block maps to motion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lavit_eval.video.vectors import STD, block_map, clip_motion


def dense(vectors: np.ndarray, height: int, width: int, rescale: bool = True) -> np.ndarray:
    """The reference's way: a float64 map of the whole frame, last vector wins, then 16x16 maximum per channel."""
    rows, columns = -(-height // 16), -(-width // 16)
    full = np.full((rows * 16, columns * 16, 2), -10000.0)
    for source, _, _, _, _, x, y, motion_x, motion_y, scale in vectors.tolist():
        value = np.array([source * motion_x / scale / width, source * motion_y / scale / height])
        spread = np.array(STD) / (10 if rescale else 1)
        full[min(max(y, 0), height - 1), min(max(x, 0), width - 1)] = value / spread
    pooled = torch.nn.functional.max_pool2d(torch.from_numpy(full).float().permute(2, 0, 1), 16).numpy()
    return np.where(pooled < -1000, np.float32(0), pooled)


def random_vectors(rng: np.random.Generator, height: int, width: int, count: int) -> np.ndarray:
    """Sub-blocks, duplicates, centres outside the frame, both scales, both directions."""
    table = np.zeros((count, 10), dtype=np.int32)
    table[:, 0] = rng.choice([-1, 1], count)
    table[:, 5] = rng.integers(-20, width + 20, count)
    table[:, 6] = rng.integers(-20, height + 20, count)
    table[:, 7:9] = rng.integers(-300, 300, (count, 2))
    table[:, 9] = rng.choice([2, 4], count)
    return np.concatenate([table, table[rng.integers(0, count, count // 3)] + [0, 0, 0, 0, 0, 0, 0, 5, -5, 0]]).astype(
        np.int32
    )


@pytest.mark.parametrize("seed", range(40))
def test_block_map_equals_the_dense_way_bit_for_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(1, 100)), int(rng.integers(1, 120))
    vectors = random_vectors(rng, height, width, int(rng.integers(3, 200)))
    for rescale in (True, False):
        np.testing.assert_array_equal(
            block_map(vectors, height, width, rescale), dense(vectors, height, width, rescale)
        )


def test_one_vector_per_block_equals_the_dense_way() -> None:
    rng = np.random.default_rng(7)
    y, x = np.mgrid[8:64:16, 8:96:16]
    vectors = np.zeros((y.size, 10), dtype=np.int32)
    vectors[:, 0], vectors[:, 5], vectors[:, 6], vectors[:, 9] = -1, x.ravel(), y.ravel(), 2
    vectors[:, 7:9] = rng.integers(-40, 40, (y.size, 2))
    np.testing.assert_array_equal(block_map(vectors, 57, 90), dense(vectors, 57, 90))


def test_displacement_is_a_share_of_the_frame_over_its_spread() -> None:
    vectors = np.array([[-1, 16, 16, 0, 0, 24, 8, -7, 5, 2]], dtype=np.int32)
    found = block_map(vectors, 32, 64)
    assert found.shape == (2, 2, 4)
    assert found[0, 0, 1] == pytest.approx(3.5 / 64 / 0.0993703 * 10, rel=1e-6)
    assert found[1, 0, 1] == pytest.approx(-2.5 / 32 / 0.1130276 * 10, rel=1e-6)
    assert np.count_nonzero(found) == 2
    np.testing.assert_allclose(block_map(vectors, 32, 64, rescale=False) * 10, found, rtol=1e-6)


def test_x_and_y_of_a_block_may_come_from_different_vectors() -> None:
    vectors = np.array([[1, 8, 8, 0, 0, 4, 4, 8, -2, 2], [1, 8, 8, 0, 0, 12, 4, -6, 4, 2]], dtype=np.int32)
    found = block_map(vectors, 16, 16)[:, 0, 0]
    assert found[0] > 0
    assert found[1] > 0


def maps(count: int, rows: int = 15, columns: int = 20, seed: int = 0) -> list[np.ndarray]:
    """Random block maps."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 4, (2, rows, columns)).astype(np.float32) for _ in range(count)]


def test_frame_12_is_the_mean_of_its_neighbours_whatever_it_was() -> None:
    frames = maps(24, 20, 36)
    found = clip_motion(frames)
    assert found.shape == (2, 24, 20, 36)
    torch.testing.assert_close(found[:, 12], torch.from_numpy((frames[11] + frames[13]) / 2), rtol=0, atol=1e-6)
    torch.testing.assert_close(found[:, 11], torch.from_numpy(frames[11]), rtol=0, atol=0)


def test_short_clip_is_filled_with_nothing() -> None:
    found = clip_motion(maps(5, 20, 36))
    assert bool(found[:, 5:].eq(0).all())
    assert clip_motion(maps(1)).shape == (2, 24, 20, 36)


def test_resize_does_not_antialias() -> None:
    frames = maps(24, 45, 80)
    stacked = torch.from_numpy(np.stack(frames))
    smoothed = torch.nn.functional.interpolate(stacked, (20, 36), mode="bicubic", antialias=True)
    plain = torch.nn.functional.interpolate(stacked, (20, 36), mode="bicubic", antialias=False)
    found = clip_motion(frames).permute(1, 0, 2, 3)
    assert torch.equal(found[1], plain[1])
    assert float((found[1] - smoothed[1]).norm() / plain[1].norm()) > 0.2
