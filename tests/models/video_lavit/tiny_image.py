"""A tiny image detokenizer, its schedules, and settings for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lavit_eval.models.video_lavit.image_detokenizer import (
    Conditions,
    ImageDetokenizer,
    ImageSettings,
    build_image_detokenizer,
)
from tests.models.video_lavit.seeded_weights import seeded

UNET = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": [2, 4],
    "transformer_layers_per_block": 1,
    "cross_attention_dim": 12,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 30,
    "use_linear_projection": True,
    "norm_num_groups": 4,
}
VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [8] * 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "latent_channels": 4,
    "sample_size": 64,
    "scaling_factor": 0.13025,
    "force_upcast": True,
}
_SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
ANCESTRAL: dict[str, Any] = {"_class_name": "EulerAncestralDiscreteScheduler", **_SCHEDULE}
DDIM: dict[str, Any] = {"_class_name": "DDIMScheduler", "clip_sample": False, "set_alpha_to_one": False, **_SCHEDULE}
SETTINGS = ImageSettings(height=32, width=48, steps=3, guidance=3.0)
RESTART = replace(SETTINGS, height=32, width=32, steps=5, noise_level=3)


def make_detokenizer(scheduler: dict[str, Any] = ANCESTRAL) -> ImageDetokenizer:
    """A detokenizer of random weights."""
    return seeded(build_image_detokenizer(UNET, VAE, scheduler, "a folder", "fetch it"))


def conditions(rows: int) -> Conditions:
    """Seeded conditions."""
    generator = torch.Generator().manual_seed(5)
    return torch.randn(rows, 7, 12, generator=generator), torch.randn(rows, 6, generator=generator)


def rows_of(pair: Conditions, rows: slice) -> Conditions:
    """Some rows of conditions."""
    return pair[0][rows], pair[1][rows]


def pictures(rows: int) -> Tensor:
    """Seeded 8-bit noise, 40 x 24."""
    return torch.randint(0, 256, (rows, 40, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(6))
