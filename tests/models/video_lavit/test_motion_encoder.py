from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F

from lavit_eval.models.video_lavit.motion_encoder import MotionEncoder, MotionEncoderConfig, resize_motion
from tests.conftest import GOLDEN
from tests.models.video_lavit.seeded_weights import seeded

PUBLISHED = GOLDEN / "generation" / "full_size_parameters.json"
SMALL = MotionEncoderConfig(dim=16, heads=2, blocks=2, out_dim=12)


def full_size() -> MotionEncoder:
    with torch.device("meta"):
        return MotionEncoder(MotionEncoderConfig())


def test_the_number_of_tensors_and_parameters_is_that_of_the_checkpoint() -> None:
    state = full_size().state_dict()
    assert len(state) == 247
    assert sum(tensor.numel() for tensor in state.values()) == 51_095_040
    assert list(full_size().buffers()) == []


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("pos_embed", (1, 256, 512)),
        ("in_proj.weight", (512, 2)),
        ("out_proj.bias", (1024,)),
        ("norm.weight", (512,)),
        ("blocks.11.norm2.bias", (512,)),
        ("blocks.11.spatial_attention.v_bias", (512,)),
        ("blocks.0.temporal_attention.qkv.weight", (1536, 512)),
        ("blocks.0.temporal_attention.proj.bias", (512,)),
        ("blocks.5.mlp.fc1.weight", (2048, 512)),
    ],
)
def test_a_tensor_of_the_checkpoint_has_its_place(name: str, shape: tuple[int, ...]) -> None:
    assert tuple(full_size().state_dict()[name].shape) == shape


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the list of the published parameters is not on this machine")
def test_names_and_shapes_are_exactly_the_published_ones() -> None:
    published = json.loads(PUBLISHED.read_text())["video_decoder.motion_encoder"]["tensors"]
    assert {name: list(tensor.shape) for name, tensor in full_size().state_dict().items()} == published


@torch.no_grad()
@pytest.mark.parametrize("size", [(20, 36), (8, 16), (16, 16), (64, 112)])
def test_each_frame_is_resized_on_its_own_and_keeps_its_values(size: tuple[int, int]) -> None:
    motion = torch.randn((2, 2, 3, *size), generator=torch.Generator().manual_seed(0))
    resized = resize_motion(motion)
    assert resized.shape == (2, 2, 3, 16, 16)
    frame = F.interpolate(motion[1:, :, 2], size=(16, 16), mode="bicubic")
    torch.testing.assert_close(resized[1:, :, 2], frame)
    torch.testing.assert_close(resize_motion(torch.full_like(motion, 3.0)), torch.full_like(resized, 3.0))


def test_half_precision_motion_is_resized_in_float32() -> None:
    motion = torch.randn((1, 2, 2, 20, 36), generator=torch.Generator().manual_seed(0)).bfloat16()
    found = resize_motion(motion)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, resize_motion(motion.float()).bfloat16())


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 5, 24])
def test_a_batch_gives_what_its_clips_give_alone(frames: int) -> None:
    encoder = seeded(MotionEncoder(SMALL))
    motion = torch.randn((3, 2, frames, 8, 16), generator=torch.Generator().manual_seed(1))
    together = encoder.encode_motion(motion)
    assert together.shape == (3, frames, 256, SMALL.out_dim)
    alone = torch.cat([encoder.encode_motion(clip) for clip in motion.split(1)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_place_is_told_from_another_and_a_frame_from_another() -> None:
    """Same motion everywhere: the states differ by place through the table, not by frame, which has none."""
    states = seeded(MotionEncoder(SMALL))(torch.ones(1, 2, 3, 16, 16))
    torch.testing.assert_close(states[:, 0], states[:, 2], atol=1e-5, rtol=1e-5)
    assert float((states[0, 0, 1] - states[0, 0, 16]).abs().max()) > 1e-2
    moved = torch.ones(1, 2, 3, 16, 16)
    moved[:, :, 2] = -1
    assert float((seeded(MotionEncoder(SMALL))(moved)[:, 0] - states[:, 0]).abs().max()) > 1e-4


@torch.no_grad()
def test_norms_work_in_float32_where_all_else_is_half() -> None:
    """Values beyond float16's squares would overflow in a float16 norm."""
    encoder = seeded(MotionEncoder(SMALL)).bfloat16()
    block = encoder.blocks[0]
    x = 1e4 * torch.randn((4, SMALL.dim), generator=torch.Generator().manual_seed(0)).bfloat16()
    for norm in (encoder.norm, block.norm0, block.norm1, block.norm2):
        exact = F.layer_norm(x.float(), (SMALL.dim,), norm.weight.float(), norm.bias.float(), 1e-5)
        assert torch.equal(norm(x), exact.bfloat16())
    assert encoder.encode_motion(torch.ones(1, 2, 2, 8, 16)).dtype == torch.bfloat16


@torch.no_grad()
def test_a_float32_norm_takes_half_precision_values_and_returns_them() -> None:
    encoder = MotionEncoder(SMALL)
    assert encoder.norm(torch.ones(2, SMALL.dim, dtype=torch.float16)).dtype == torch.float16


@pytest.mark.parametrize("shape", [(1, 2, 3, 16, 15), (1, 3, 3, 16, 16), (2, 3, 16, 16)])
def test_motion_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        MotionEncoder(SMALL)(torch.zeros(shape))
