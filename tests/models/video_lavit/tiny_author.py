"""All parts of the generation model at tiny sizes, and settings that run them in a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler
from PIL import Image
from torch import Tensor
from transformers import LlamaForCausalLM

from lavit_eval.generation_settings import GenerationSettings
from lavit_eval.models.video_lavit.authoring import Author
from lavit_eval.models.video_lavit.config import MotionConfig, VisualConfig
from lavit_eval.models.video_lavit.draws import SeededDraws
from lavit_eval.models.video_lavit.footage import Drawing, Footage
from lavit_eval.models.video_lavit.motion_encoder import MotionEncoder, MotionEncoderConfig
from lavit_eval.models.video_lavit.motion_tokenizer import MotionTokenizer
from lavit_eval.models.video_lavit.prompts import Picture, Prompt
from lavit_eval.models.video_lavit.recording import Recording
from lavit_eval.models.video_lavit.tokenizer_decoder import DecoderConfig, TokenizerDecoder
from lavit_eval.models.video_lavit.unet3d import UNet3D
from lavit_eval.models.video_lavit.video_detokenizer import VideoDetokenizer
from lavit_eval.models.video_lavit.visual_tokenizer import VisualTokenizer
from tests.models.video_lavit.seeded_weights import seeded
from tests.models.video_lavit.tiny_image import ANCESTRAL, make_detokenizer
from tests.models.video_lavit.tiny_understanding import MOTION, SPACE, VISUAL, llama_config

KINDS = ("text", "both", "image", "text")
"""Of the four prompts that `film` knows."""
DECODER = DecoderConfig(
    tokens=12, code_dim=VISUAL.code_dim, width=16, hidden=32, layers=1, heads=2, out=16, first=5, second=7, pooled=6
)
VIDEO_UNET: dict[str, Any] = {
    "sample_size": 16,
    "in_channels": 10,
    "out_channels": 4,
    "down_block_types": ["CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"],
    "up_block_types": ["UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"],
    "block_out_channels": [32, 32],
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 12,
    "layers_per_block": 1,
    "cross_attention_dim": 8,
    "num_attention_heads": [2, 2],
    "num_frames": 24,
}
VIDEO_VAE: dict[str, Any] = {
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "block_out_channels": [32] * 4,
    "layers_per_block": 1,
    "latent_channels": 4,
    "sample_size": 32,
    "scaling_factor": 0.18215,
    "force_upcast": True,
}
# As published but for the greatest deviation, 700: latents of that size are rounded too coarsely for random weights.
VIDEO_SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 20.0,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "steps_offset": 1,
    "interpolation_type": "linear",
}
_CLIP: dict[str, Any] = {
    "video_width": 32,
    "video_height": 16,
    "video_steps": 2,
    "min_video_guidance": 1.0,
    "max_video_guidance": 3.0,
    "linear_guidance": True,
    "noise_aug_strength": 0.02,
    "cond_on_ref_frame": True,
    "fps_id": 6,
    "motion_bucket_id": 127,
    "vae_chunk": 8,
}
VIDEO = GenerationSettings.parse(
    "generate_video",
    {
        **_CLIP,
        "do_sample": True,
        "top_k": 20,
        "top_p": 0.95,
        "temperature": 1.0,
        "min_new_tokens": 4,
        "max_new_tokens": 16,
        "guidance_llm": 2.0,
        "guidance_motion": 3.0,
        "guidance_decoder": 2.0,
        "width": 32,
        "height": 32,
        "steps": 3,
        "init_sigma": "fresh",
        "clips": 2,
        "inverse_rate": 0.4,
        "restart_noise_scaling": True,
    },
)
ONE_CLIP = replace(VIDEO, clips=1)
RECONSTRUCTION = GenerationSettings.parse("reconstruct_video", {**_CLIP, "motion": "raw"})


def make_llama(seed: int = 0) -> Any:
    """A language model with uneven distributions, in which ends are not rare."""
    model = LlamaForCausalLM(llama_config()).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            scale = 1.0 if "embed_tokens" in name or "lm_head" in name else 0.3
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    for token in (2, SPACE.image_end, SPACE.motion_end):
        model.lm_head.weight[token] *= 1.5
    return model


def make_video_detokenizer() -> VideoDetokenizer:
    """A video detokenizer of random weights, with little contrast: random weights make much of rounding."""
    detokenizer = seeded(
        VideoDetokenizer(
            MotionTokenizer(MotionConfig(dim=8, heads=2, n_code=MOTION.n_code, code_dim=4, blocks=4)),
            MotionEncoder(MotionEncoderConfig(dim=8, heads=2, blocks=1, out_dim=8)),
            AutoencoderKLTemporalDecoder.from_config(VIDEO_VAE),
            UNet3D.from_config(VIDEO_UNET),
            EulerDiscreteScheduler.from_config(VIDEO_SCHEDULE),
        )
    )
    with torch.no_grad():
        detokenizer.vae.decoder.conv_out.weight.mul_(0.2)
    return detokenizer


def make_visual_tokenizer() -> VisualTokenizer:
    """A visual tokenizer of random weights."""
    return seeded(VisualTokenizer(VisualConfig(**{name: getattr(VISUAL, name) for name in VISUAL.__slots__})))


def make_author(scheduler: dict[str, Any] = ANCESTRAL) -> Author:
    """All parts together."""
    codebook = torch.randn(SPACE.visual, VISUAL.code_dim, generator=torch.Generator().manual_seed(3))
    parts = (make_llama(), SPACE, None, codebook, seeded(TokenizerDecoder(DECODER)), make_detokenizer(scheduler))
    return Author(*parts, make_video_detokenizer())


def picture(seed: int, width: int = 40, height: int = 28) -> Picture:
    """A picture of noise with its codes."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=generator)
    codes = torch.randint(0, SPACE.visual, (3 + seed % 4,), generator=generator)
    return Picture(Image.fromarray(pixels.numpy()), tuple(codes.tolist()))


def prompt(seed: int, kind: str = "text") -> Prompt:
    """A prompt of `text`, of an `image`, or of text and image: `both`."""
    ids = tuple(torch.randint(3, SPACE.text, (2 + seed % 5,), generator=torch.Generator().manual_seed(seed)).tolist())
    parts = {"text": (ids,), "image": (picture(seed),), "both": (ids, picture(seed, 30, 50))}[kind]
    return Prompt(parts, SeededDraws(1000 + seed))


def recording(seed: int, motion: str = "raw") -> Recording:
    """A recording of noise, of the settings' size."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (24, 16, 32, 3), dtype=torch.uint8, generator=generator)
    grid = (2, 4) if motion == "raw" else (20, 36)
    scale = 1.0 if motion == "raw" else 10.0
    vectors: Tensor = torch.randn(2, 24, *grid, generator=generator) * scale
    return Recording(frames, vectors, 0)


def film(author: Author, places: Sequence[int], settings: GenerationSettings = VIDEO) -> list[Footage]:
    """Make the videos of some of four prompts of all kinds."""
    found = author.generate_videos([prompt(place, KINDS[place]) for place in places], settings)
    assert all(isinstance(footage, Footage) for footage in found), found
    return found  # type: ignore[return-value]


def assert_near(found: Tensor, expected: Tensor) -> None:
    """8-bit values differ by one at most."""
    assert found.dtype == expected.dtype == torch.uint8
    assert found.shape == expected.shape
    assert int((found.int() - expected.int()).abs().max()) <= 1


def assert_same(found: Footage | Drawing, expected: Footage | Drawing) -> None:
    """Ids and counts are equal, 8-bit values differ by one at most."""
    assert found.ids == expected.ids
    assert found.counts == expected.counts
    if isinstance(found, Drawing) and isinstance(expected, Drawing):
        assert_near(found.frame, expected.frame)
    if isinstance(found, Footage) and isinstance(expected, Footage):
        assert_near(found.keyframes, expected.keyframes)
        assert_near(found.clips, expected.clips)
