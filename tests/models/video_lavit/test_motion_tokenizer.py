"""The motion tokenizer: its strides and padding, who sees whom, batches, half precision, gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lavit_eval.models.video_lavit import motion_tokenizer
from lavit_eval.models.video_lavit.config import MotionConfig
from lavit_eval.models.video_lavit.motion_tokenizer import (
    DOWN,
    UP,
    DownSample,
    MotionTokenizer,
    SpatioTemporalBlock,
    UpSample,
)
from tests.models.video_lavit.seeded_weights import seeded

TINY = MotionConfig(dim=8, heads=2, n_code=30, code_dim=4, blocks=4)


def draw_motion(n: int, seed: int = 0) -> torch.Tensor:
    """Seeded motion of n clips."""
    return 3 * torch.randn(n, 2, 24, 20, 36, generator=torch.Generator().manual_seed(seed))


def tap(convolution: torch.nn.Conv3d, t: int, h: int, w: int) -> None:
    """Make a convolution of one channel return one of its 27 inputs."""
    weight = torch.zeros(3, 3, 3)
    weight[t, h, w] = 1
    convolution.load_state_dict({"weight": weight[None, None], "bias": torch.zeros(1)})


@torch.no_grad()
@pytest.mark.parametrize(
    ("stage", "sizes", "reduced", "before"),
    [
        (0, (24, 20, 36), (24, 10, 18), (1, 0, 0)),
        (1, (24, 10, 18), (12, 10, 18), (0, 1, 1)),
        (2, (12, 10, 18), (6, 10, 18), (0, 1, 1)),
        (3, (6, 10, 18), (3, 5, 9), (0, 0, 0)),
    ],
)
def test_each_stage_reads_from_where_the_published_model_does(
    stage: int, sizes: tuple[int, int, int], reduced: tuple[int, int, int], before: tuple[int, int, int]
) -> None:
    """An output's first input lies `before` zeros ahead of its stride's place; behind the end there are zeros too."""
    stride, padding = DOWN[stage]
    layer = DownSample(1, stride, padding)
    x = torch.arange(1.0, 1 + sizes[0] * sizes[1] * sizes[2]).view(1, *sizes, 1)
    for taps in ((0, 0, 0), (1, 1, 1), (2, 2, 2)):
        tap(layer.conv, *taps)
        found = layer(x)[0, ..., 0]
        assert tuple(found.shape) == reduced
        for place in ((0, 0, 0), (1, 2, 3), (reduced[0] - 1, reduced[1] - 1, reduced[2] - 1)):
            source = [o * s + k - b for o, s, k, b in zip(place, stride, taps, before, strict=True)]
            inside = all(0 <= index < size for index, size in zip(source, sizes, strict=True))
            expected = float(x[0, source[0], source[1], source[2], 0]) if inside else 0.0
            assert float(found[place]) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("factors", UP)
def test_up_sampling_repeats(factors: tuple[int, int, int], dtype: torch.dtype) -> None:
    """Frame, row and column each by its factor; values are moved, not computed."""
    layer = UpSample(1, factors).to(dtype)
    tap(layer.conv, 1, 1, 1)
    x = torch.randn(1, 3, 5, 9, 1, generator=torch.Generator().manual_seed(1)).to(dtype)
    expected = x
    for dim, factor in enumerate(factors, start=1):
        expected = expected.repeat_interleave(factor, dim=dim)
    assert torch.equal(layer(x), expected)


@torch.no_grad()
def test_spatial_attention_stays_in_its_frame_and_temporal_attention_at_its_place() -> None:
    """Each is seen alone by silencing the other."""
    x = torch.randn(1, 3, 4, 8, generator=torch.Generator().manual_seed(2))
    changed = x.clone()
    changed[0, 1, 2] += torch.arange(8) % 3
    for silenced, axis, place in (("temporal_attention", 0, 1), ("spatial_attention", 1, 2)):
        block = seeded(SpatioTemporalBlock(8, 2))
        projection = block.get_submodule(f"{silenced}.proj")
        for parameter in projection.parameters():
            parameter.zero_()
        moved = (block(changed) - block(x)).abs().amax(dim=-1)[0] > 1e-5
        inside = torch.zeros(3, 4, dtype=torch.bool)
        inside.select(axis, place).fill_(True)
        assert torch.equal(moved, inside)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(n=st.integers(2, 3), seed=st.integers(0, 10_000))
def test_a_clip_gets_in_a_batch_what_it_gets_alone(n: int, seed: int) -> None:
    """Features and motion within rounding, codes exactly."""
    tokenizer, motion = seeded(MotionTokenizer(TINY)), draw_motion(n, seed)
    with torch.no_grad():
        features, codes = tokenizer.encoder(motion), tokenizer.encode(motion)
        decoded = tokenizer.decode(codes)
        for i in range(n):
            alone = motion[i : i + 1]
            torch.testing.assert_close(features[i : i + 1], tokenizer.encoder(alone), atol=1e-5, rtol=1e-5)
            assert torch.equal(codes[i : i + 1], tokenizer.encode(alone))
            torch.testing.assert_close(decoded[i : i + 1], tokenizer.decode(codes[i : i + 1]), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_many_clips_go_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same result; and none gives none."""
    tokenizer, motion = seeded(MotionTokenizer(TINY)), draw_motion(3)
    whole = tokenizer.encode(motion)
    assert tuple(whole.shape) == (3, 135)
    assert whole.dtype == torch.int64
    decoded = tokenizer.decode(whole)
    monkeypatch.setattr(motion_tokenizer, "CLIPS_AT_ONCE", 2)
    assert torch.equal(tokenizer.encode(motion), whole)
    torch.testing.assert_close(tokenizer.decode(whole), decoded, atol=1e-5, rtol=1e-5)
    assert tuple(tokenizer.encode(motion[:0]).shape) == (0, 135)


@torch.no_grad()
def test_codes_are_ordered_by_frame_row_and_column() -> None:
    """One changed code moves the decoder's input at its place of 3 x 5 x 9."""
    tokenizer = seeded(MotionTokenizer(TINY))
    seen: list[torch.Tensor] = []
    tokenizer.decoder.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    codes = torch.zeros(1, 135, dtype=torch.int64)
    tokenizer.decode(codes)
    codes[0, 1 * 45 + 2 * 9 + 3] = 1
    tokenizer.decode(codes)
    moved = (seen[1] != seen[0]).any(dim=-1)[0].nonzero().tolist()
    assert moved == [[1, 2, 3]]


@torch.no_grad()
def test_reconstruction_is_a_tenth_and_of_the_asked_size() -> None:
    """At the tokenizer's own size, resizing changes nothing."""
    tokenizer, motion = seeded(MotionTokenizer(TINY)), draw_motion(1)
    codes = tokenizer.encode(motion)
    expected = tokenizer.decode(codes) / 10
    torch.testing.assert_close(tokenizer.reconstruct(motion, 20, 36), expected, atol=1e-6, rtol=1e-5)
    assert tuple(tokenizer.reconstruct_from_codes(codes, 24, 40).shape) == (1, 2, 24, 24, 40)


@torch.no_grad()
def test_a_halved_module_runs_throughout_and_stays_near() -> None:
    """Encoder, codes and maps."""
    motion = draw_motion(1)
    exact = seeded(MotionTokenizer(TINY))
    features, codes = exact.encoder(motion), exact.encode(motion)
    maps = exact.reconstruct_from_codes(codes, 24, 40)
    for dtype, allowed in ((torch.bfloat16, 0.05), (torch.float16, 0.01)):
        halved = seeded(MotionTokenizer(TINY)).to(dtype)
        found = halved.encoder(motion)
        assert found.dtype == dtype
        assert float((found.float() - features).abs().mean()) < allowed * float(features.abs().mean())
        assert float((halved.encode(motion) == codes).float().mean()) > 0.7
        halved_maps = halved.reconstruct_from_codes(codes, 24, 40)
        assert halved_maps.dtype == dtype
        assert float((halved_maps.float() - maps).abs().mean()) < allowed * float(maps.abs().mean())


def test_wrong_sizes_are_refused() -> None:
    """Of the motion, and of the stages."""
    with pytest.raises(ValueError, match=r"expected \(2, 24, 20, 36\)"):
        MotionTokenizer(TINY).encode(torch.zeros(1, 2, 24, 36, 20))
    with pytest.raises(ValueError, match="6 blocks"):
        MotionTokenizer(MotionConfig(dim=8, heads=2, blocks=6))


def test_gradients_reach_the_encoder_and_the_decoder() -> None:
    """Codes pass none, so each side is driven by itself."""
    tokenizer = seeded(MotionTokenizer(TINY))
    vectors = tokenizer.encode_task_layer(tokenizer.encoder(draw_motion(1)))
    vectors.pow(2).sum().backward()
    tokenizer.decode(torch.arange(135)[None] % 30).pow(2).sum().backward()
    assert {name for name, parameter in tokenizer.named_parameters() if parameter.grad is None} == set()
