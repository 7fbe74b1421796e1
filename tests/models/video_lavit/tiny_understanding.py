"""A small understanding model with seeded random weights, and prompts for it."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LlamaConfig

from lavit_eval.models.video_lavit.config import (
    IMAGE_PLACEHOLDER,
    MOTION_TOKENS,
    VIDEO_PLACEHOLDER,
    MotionConfig,
    TokenSpace,
    VisualConfig,
)
from lavit_eval.models.video_lavit.splice import clip_blocks, image_block
from lavit_eval.models.video_lavit.understanding import UnderstandingModel

SPACE = TokenSpace(text=300, visual=16, motion=32)
VISUAL = VisualConfig(
    image_size=56, width=16, head_width=8, layers=1, merger_layers=1, n_code=16, code_dim=4, llm_dim=32, head_out=8
)
MOTION = MotionConfig(dim=8, heads=2, n_code=32, code_dim=4, blocks=4)


def llama_config(**changes: int) -> LlamaConfig:
    """Return the configuration of a LLaMA of two layers."""
    sizes = {
        "vocab_size": SPACE.total,
        "hidden_size": VISUAL.llm_dim,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 2048,
    }
    return LlamaConfig(**{**sizes, **changes})


def make_model(seed: int = 0, **changes: int) -> UnderstandingModel:
    """Return a model in float32 whose next-id distributions are uneven, so that near ties are rare."""
    model = UnderstandingModel(llama_config(**changes), VISUAL, MOTION, SPACE)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            scale = 1.0 if "embed_tokens" in name or "lm_head" in name else 0.3
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return model


def make_batch(model: UnderstandingModel, seed: int = 0) -> tuple[list[list[int]], list[Tensor | None]]:
    """Return prompts of unequal lengths and their media: image, video of two clips, text, image without kept tokens."""
    generator = torch.Generator().manual_seed(seed)

    def text(length: int) -> list[int]:
        return torch.randint(3, SPACE.text, (length,), generator=generator).tolist()

    def kept(count: int) -> Tensor:
        return torch.randn(count, VISUAL.llm_dim, generator=generator)

    codes = torch.randint(0, SPACE.motion, (2, MOTION_TOKENS), generator=generator)
    prompts = [
        [1, *text(4), IMAGE_PLACEHOLDER, *text(9)],
        [1, *text(4), VIDEO_PLACEHOLDER, *text(3)],
        [1, *text(12)],
        [1, *text(2), IMAGE_PLACEHOLDER, *text(2)],
    ]
    visuals = [
        image_block(model, kept(7)),
        torch.cat(clip_blocks(model, [kept(5), kept(0)], codes)),
        None,
        image_block(model, kept(0)),
    ]
    return prompts, visuals
