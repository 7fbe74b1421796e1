"""A video detokenizer of a few channels, and material for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lavit_eval.models.video_lavit.config import MotionConfig
from lavit_eval.models.video_lavit.draws import SeededDraws
from lavit_eval.models.video_lavit.motion_encoder import MotionEncoderConfig
from lavit_eval.models.video_lavit.video_detokenizer import ClipSettings, VideoDetokenizer, build_video_detokenizer
from tests.models.video_lavit.seeded_weights import seeded

UNET: dict[str, Any] = {
    "_class_name": "UNetSpatioTemporalConditionModel",
    "sample_size": 16,
    "in_channels": 10,
    "down_block_types": ["CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"],
    "up_block_types": ["UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"],
    # Two channels per norm group: with one, the norm takes away what time and added ids put into it.
    "block_out_channels": [64, 64],
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 24,
    "layers_per_block": 1,
    "cross_attention_dim": 16,
    "num_attention_heads": [2, 4],
    "num_frames": 24,
}
VAE: dict[str, Any] = {
    "_class_name": "AutoencoderKLTemporalDecoder",
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "block_out_channels": [32] * 4,
    "layers_per_block": 1,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
    "force_upcast": True,
}
SCHEDULER: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "steps_offset": 1,
}
MOTION = MotionConfig(dim=16, heads=2, n_code=64, code_dim=4, blocks=4)
MOTION_ENCODER = MotionEncoderConfig(dim=16, heads=2, blocks=1, out_dim=16)
SETTINGS = ClipSettings(
    steps=2,
    min_guidance=1.0,
    max_guidance=4.0,
    linear_guidance=True,
    noise_aug_strength=0.02,
    fps=6,
    motion_bucket_id=127,
    cond_on_ref_frame=True,
)
HEIGHT, WIDTH, FRAMES = 32, 48, 3


def build(**changed: dict[str, Any]) -> VideoDetokenizer:
    """Build it from the configurations above, with entries changed per file."""
    configs = {"unet": UNET, "vae": VAE, "scheduler": SCHEDULER}
    given = {name: {**config, **changed.get(name, {})} for name, config in configs.items()}
    return build_video_detokenizer(
        **given, motion_tokenizer=MOTION, motion_encoder=MOTION_ENCODER, source="folder", mend="`fetch`"
    )


def tiny_video_detokenizer(seed: int = 0) -> VideoDetokenizer:
    """Build it with seeded weights."""
    return seeded(build(), seed)


def material(rows: int, seed: int = 0) -> tuple[Tensor, Tensor, list[SeededDraws]]:
    """Return keyframes, motion vectors over the frame, and draws."""
    generator = torch.Generator().manual_seed(seed)
    images = 2 * torch.rand((rows, 3, HEIGHT, WIDTH), generator=generator) - 1
    motion = torch.randn((rows, 2, FRAMES, HEIGHT // 8, WIDTH // 8), generator=generator)
    return images, motion, [SeededDraws(100 + row) for row in range(rows)]
