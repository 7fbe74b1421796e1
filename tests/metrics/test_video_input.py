from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from lavit_eval.errors import MediumError
from lavit_eval.metrics.video_input import (
    choose_frames,
    planes,
    prepare_clip,
    short_side_crop,
    squash,
    squash_tf1,
    to_bytes,
    to_unit,
)


def video(height: int, width: int, frames: int = 3, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, height, width, 3), generator=generator, dtype=torch.uint8)


def test_parts_of_a_video() -> None:
    assert choose_frames(10, 4, "first") == [0, 1, 2, 3]
    assert choose_frames(10, 4, "central") == [3, 4, 5, 6]
    assert choose_frames(11, 4, "central") == [3, 4, 5, 6]
    assert choose_frames(10, 4, "last") == [6, 7, 8, 9]
    assert choose_frames(10, 3, "first", stride=4) == [0, 4, 8]


def test_a_rate_takes_the_frame_on_the_screen() -> None:
    # At 25 frames a second 6 a second are 4.1666 frames apart.
    assert choose_frames(100, 7, "first", fps=Fraction(25), rate=Fraction(6)) == [0, 4, 8, 12, 16, 20, 25]
    assert choose_frames(9, 4, "first", fps=Fraction(3), rate=Fraction(6)) == [0, 0, 1, 1]
    assert len(choose_frames(92, 24, "central", fps=Fraction(24000, 1001), rate=Fraction(6))) == 24


PARTS = st.sampled_from(["first", "central", "last", "random"])


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 3), PARTS)
def test_every_clip_lies_inside_or_is_refused(count: int, wanted: int, stride: int, part: str) -> None:
    needed = (wanted - 1) * stride + 1
    if count < needed:
        with pytest.raises(MediumError, match=f"needs {needed}"):
            choose_frames(count, wanted, part, stride, seed=3)  # type: ignore[arg-type]
        return
    found = choose_frames(count, wanted, part, stride, seed=3)  # type: ignore[arg-type]
    assert found == list(range(found[0], found[0] + needed, stride)) and found[0] >= 0 and found[-1] < count


def test_random_parts_follow_the_seed_and_reach_both_ends() -> None:
    starts = {choose_frames(18, 16, "random", seed=seed)[0] for seed in range(40)}
    assert starts == {0, 1, 2}
    assert choose_frames(900, 16, "random", seed=5) == choose_frames(900, 16, "random", seed=5)
    with pytest.raises(ValueError, match="seed"):
        choose_frames(18, 16, "random")
    with pytest.raises(ValueError, match="fps"):
        choose_frames(18, 16, "first", rate=Fraction(6))


def test_the_old_tensorflow_resize_by_hand() -> None:
    row = torch.tensor([[[[0.0, 10.0, 20.0, 30.0]]]]).expand(1, 1, 4, 4)
    # Shrinking 4 to 2 reads at 0 and 2; growing 2 to 4 reads at 0, 0.5, 1, 1.5, the last beyond the edge.
    assert squash_tf1(row, 2)[0, 0, 0].tolist() == [0.0, 20.0]
    assert squash_tf1(row[..., :2, :2], 4)[0, 0, 0].tolist() == [0.0, 5.0, 10.0, 10.0]
    assert squash(row, 2)[0, 0, 0].tolist() == [5.0, 25.0]


def test_the_old_tensorflow_resize_leaves_a_right_sized_picture() -> None:
    values = planes(video(8, 8))
    assert torch.equal(squash_tf1(values, 8), values)


@pytest.mark.parametrize(("height", "width"), [(30, 50), (50, 30), (32, 32), (33, 47)])
def test_the_short_side_fits_and_the_centre_stays(height: int, width: int) -> None:
    values = torch.arange(float(width)).expand(1, 3, height, width)
    found = short_side_crop(values, 16)
    assert found.shape == (1, 3, 16, 16)
    assert float(found.mean()) == pytest.approx((width - 1) / 2, abs=width / 16)


def test_clips_are_scaled_as_the_original_scales_them() -> None:
    frames = video(24, 40)
    found = prepare_clip(frames, 16, "squash")
    expected = functional.interpolate(frames.permute(0, 3, 1, 2).float(), (16, 16), mode="bilinear") * 2 / 255 - 1
    assert found.shape == (3, 3, 16, 16)
    torch.testing.assert_close(found, expected.permute(1, 0, 2, 3), atol=1e-6, rtol=0)
    assert to_unit(torch.tensor([0.0, 127.5, 255.0])).tolist() == pytest.approx([-1, 0, 1], abs=1e-6)


def test_the_first_resize_is_to_bytes() -> None:
    frames = video(64, 96)
    found = prepare_clip(frames, 32, "none", before="short_side_crop", before_side=32)
    levels = (found + 1) * 127.5
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    assert to_bytes(torch.tensor([-3.0, 0.6, 300.0])).tolist() == [0, 1, 255]


def test_other_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        planes(torch.zeros(2, 4, 4, 3))
