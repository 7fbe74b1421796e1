"""At full size the modules have exactly the parameters of the public checkpoint."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from lavit_eval.models.video_lavit.config import MotionConfig, VisualConfig
from lavit_eval.models.video_lavit.motion_tokenizer import MotionTokenizer
from lavit_eval.models.video_lavit.visual_tokenizer import VisualTokenizer
from tests.conftest import GOLDEN

PUBLISHED = GOLDEN / "understanding" / "checkpoint_parameters.json"


def make(part: str) -> nn.Module:
    """A full-size module without storage."""
    with torch.device("meta"):
        return VisualTokenizer(VisualConfig()) if part == "visual_tokenizer" else MotionTokenizer(MotionConfig())


@pytest.mark.parametrize(
    ("part", "tensors", "parameters"),
    [("visual_tokenizer", 813, 1_422_408_322), ("motion_tokenizer", 515, 158_476_322)],
)
def test_the_number_of_tensors_and_parameters_is_that_of_the_checkpoint(
    part: str, tensors: int, parameters: int
) -> None:
    """All of them parameters: no module keeps a buffer."""
    module = make(part)
    state = module.state_dict()
    assert len(state) == tensors
    assert sum(tensor.numel() for tensor in state.values()) == parameters
    assert list(module.buffers()) == []


@pytest.mark.parametrize(
    ("part", "name", "shape"),
    [
        ("visual_tokenizer", "encoder.pos_embed", (1, 257, 1408)),
        ("visual_tokenizer", "encoder.blocks.39.attn.qkv.weight", (4224, 1408)),
        ("visual_tokenizer", "encoder.head.weight", (1024, 1408)),
        ("visual_tokenizer", "token_predictor.in_conv.1.weight", (1408, 1408)),
        ("visual_tokenizer", "token_predictor.out_conv.4.weight", (2, 352)),
        ("visual_tokenizer", "causal_encoder.blocks.11.token_causal_attn.qkv.bias", (4224,)),
        ("visual_tokenizer", "causal_encoder.blocks.11.token_cross_attn.key.weight", (1408, 1408)),
        ("visual_tokenizer", "causal_encoder.blocks.11.mlp.fc1.weight", (6144, 1408)),
        ("visual_tokenizer", "causal_encoder.ln_vision.weight", (1408,)),
        ("visual_tokenizer", "quantize.embedding.weight", (16384, 32)),
        ("visual_tokenizer", "encode_task_layer.2.weight", (32, 1408)),
        ("visual_tokenizer", "vit_proj.weight", (4096, 1408)),
        ("motion_tokenizer", "encoder.pos_embed", (1, 720, 512)),
        ("motion_tokenizer", "encoder.temp_pos", (1, 24, 512)),
        ("motion_tokenizer", "encoder.blocks.11.spatial_attention.q_bias", (512,)),
        ("motion_tokenizer", "decoder.blocks.11.temporal_attention.qkv.weight", (1536, 512)),
        ("motion_tokenizer", "encoder.down_sample_layers.3.conv.weight", (512, 512, 3, 3, 3)),
        ("motion_tokenizer", "decoder.up_sample_layers.3.conv.bias", (512,)),
        ("motion_tokenizer", "decode_task_layer.2.weight", (2, 512)),
    ],
)
def test_a_tensor_of_the_checkpoint_has_its_place(part: str, name: str, shape: tuple[int, ...]) -> None:
    """One of each kind."""
    assert tuple(make(part).state_dict()[name].shape) == shape


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the list of the published parameters is not on this machine")
@pytest.mark.parametrize("part", ["visual_tokenizer", "motion_tokenizer"])
def test_names_and_shapes_are_exactly_the_published_ones(part: str) -> None:
    """The whole list."""
    published = json.loads(PUBLISHED.read_text())[part]["tensors"]
    assert {name: list(tensor.shape) for name, tensor in make(part).state_dict().items()} == published
