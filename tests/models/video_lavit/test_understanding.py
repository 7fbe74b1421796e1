"""The whole model: names, loading, precision."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import LlamaConfig

from lavit_eval.models.video_lavit.config import MotionConfig, TokenSpace, VisualConfig
from lavit_eval.models.video_lavit.splice import splice
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from tests.models.video_lavit.tiny_understanding import MOTION, SPACE, VISUAL, llama_config, make_batch, make_model


def full_size() -> UnderstandingModel:
    with torch.device("meta"):
        return UnderstandingModel(LlamaConfig(vocab_size=49412), VisualConfig(), MotionConfig(), TokenSpace())


def test_the_full_model_is_made_without_memory() -> None:
    model = full_size()
    assert all(parameter.is_meta for parameter in model.parameters())
    assert not any(buffer.is_meta for buffer in model.buffers())
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes["model.embed_tokens.weight"] == shapes["lm_head.weight"] == (49412, 4096)
    assert shapes["model.layers.31.mlp.down_proj.weight"] == (4096, 11008)
    assert shapes["model.norm.weight"] == (4096,)
    assert sum(name.startswith("model.visual_tokenizer.") for name in shapes) == 813
    assert sum(name.startswith("model.motion_tokenizer.") for name in shapes) == 515
    assert len(shapes) == 813 + 515 + 32 * 9 + 3


def test_assigned_weights_give_the_same_logits() -> None:
    model = make_model(1)
    with torch.device("meta"):
        other = UnderstandingModel(llama_config(), VISUAL, MOTION, SPACE)
    other.load_state_dict(model.state_dict(), assign=True)
    batch = splice(model, *make_batch(model))
    torch.testing.assert_close(other.last_logits(*batch), model.last_logits(*batch), rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in other.parameters())


def test_a_cast_leaves_the_rotary_frequencies_exact() -> None:
    model = make_model()
    expected = model.model.rotary_emb.inv_freq.clone()
    model.to(torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32
    assert torch.equal(model.model.rotary_emb.inv_freq, expected)


def test_logits_are_those_of_the_last_position_in_float32() -> None:
    model = make_model()
    batch = splice(model, *make_batch(model))
    states = model.hidden_states(*batch)
    assert states.shape == batch.embeds.shape
    torch.testing.assert_close(model.last_logits(*batch), model.lm_head(states)[:, -1])
    assert model.to(torch.bfloat16).last_logits(*splice(model, *make_batch(model))).dtype == torch.float32


def test_padding_gives_no_nan() -> None:
    model = make_model()
    assert bool(model.hidden_states(*splice(model, *make_batch(model))).isfinite().all())


def test_seen_images_and_read_motion_have_the_language_models_width_and_count() -> None:
    model = make_model()
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randn(2, 3, VISUAL.image_size, VISUAL.image_size, generator=generator)
    keep_all, keep_none = torch.zeros(2, VISUAL.patches, 2), torch.zeros(2, VISUAL.patches, 2)
    keep_all[..., 0] = keep_none[..., 1] = 1e4
    assert [tuple(kept.shape) for kept in model.see(pixels, keep_all)] == [(VISUAL.patches, 32)] * 2
    assert [tuple(kept.shape) for kept in model.see(pixels, keep_none)] == [(0, 32)] * 2
    codes = model.read_motion(torch.randn(2, 2, 24, 20, 36, generator=generator))
    assert tuple(codes.shape) == (2, 135)
    assert int(codes.min()) >= 0
    assert int(codes.max()) < SPACE.motion


def test_the_given_configuration_is_not_changed() -> None:
    config = llama_config()
    before = copy.deepcopy(config)
    UnderstandingModel(config, VISUAL, MOTION, SPACE)
    assert config.to_dict() == before.to_dict()
    assert config._attn_implementation == before._attn_implementation


def test_contradicting_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="hidden_size is 64"):
        UnderstandingModel(llama_config(hidden_size=64), VISUAL, MOTION, SPACE)
    with pytest.raises(ValueError, match="vocab_size is 10"):
        UnderstandingModel(llama_config(vocab_size=10), VISUAL, MOTION, SPACE)
