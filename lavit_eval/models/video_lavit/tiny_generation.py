"""The generating half of a tiny checkpoint: every folder and file of the published layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderKLTemporalDecoder, UNet2DConditionModel
from torch import nn
from transformers import LlamaForCausalLM

from lavit_eval.models.video_lavit.config import TokenSpace
from lavit_eval.models.video_lavit.diffusers_files import STEM
from lavit_eval.models.video_lavit.generation_sizes import FILE, GenerationSizes
from lavit_eval.models.video_lavit.loading import llama_config
from lavit_eval.models.video_lavit.motion_encoder import MotionEncoder, MotionEncoderConfig
from lavit_eval.models.video_lavit.motion_tokenizer import MotionTokenizer
from lavit_eval.models.video_lavit.overlay import MOTION_TOKENIZER, RECONSTRUCTION
from lavit_eval.models.video_lavit.sizes import Sizes
from lavit_eval.models.video_lavit.tiny_weights import draw, json_bytes, serialise
from lavit_eval.models.video_lavit.tokenizer_decoder import DecoderConfig, TokenizerDecoder
from lavit_eval.models.video_lavit.unet3d import UNet3D
from lavit_eval.models.video_lavit.visual_tokenizer import VisualTokenizer

Weights = dict[str, torch.Tensor]
DECODER = DecoderConfig(
    tokens=64, code_dim=8, width=48, hidden=96, layers=2, heads=2, out=24, first=12, second=20, pooled=24
)
MOTION_ENCODER = MotionEncoderConfig(dim=16, heads=2, blocks=2, out_dim=16)
IMAGE_END = 1.6
"""How much longer the output row of the image's end mark is than other rows."""
IMAGE_UNET: Mapping[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [16, 32],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": [2, 4],
    "transformer_layers_per_block": 1,
    "cross_attention_dim": DECODER.first + DECODER.second,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": DECODER.pooled + 6 * 8,
    "use_linear_projection": True,
    "norm_num_groups": 8,
}
IMAGE_VAE: Mapping[str, Any] = {
    "_class_name": "AutoencoderKL",
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [16] * 4,
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "latent_channels": 4,
    "sample_size": 64,
    "scaling_factor": 0.13025,
    "force_upcast": True,
}
IMAGE_SCHEDULER: Mapping[str, Any] = {
    "_class_name": "EulerAncestralDiscreteScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
# Two channels per norm group in the second level: with one, a norm would take away all that the timestep adds.
VIDEO_UNET: Mapping[str, Any] = {
    "_class_name": "UNetSpatioTemporalConditionModel",
    "sample_size": 16,
    "in_channels": 10,
    "out_channels": 4,
    "down_block_types": ["CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"],
    "up_block_types": ["UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"],
    "block_out_channels": [32, 64],
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 24,
    "layers_per_block": 1,
    "cross_attention_dim": MOTION_ENCODER.out_dim,
    "num_attention_heads": [2, 4],
    "num_frames": 24,
}
VIDEO_VAE: Mapping[str, Any] = {
    "_class_name": "AutoencoderKLTemporalDecoder",
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "block_out_channels": [32] * 4,
    "layers_per_block": 1,
    "latent_channels": 4,
    "sample_size": 64,
    "scaling_factor": 0.18215,
    "force_upcast": True,
}
VIDEO_SCHEDULER: Mapping[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "interpolation_type": "linear",
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "steps_offset": 1,
}


def generation_sizes(sizes: Sizes) -> GenerationSizes:
    """Return the sizes of the generating half that go with those of the understanding half."""
    return GenerationSizes(sizes.visual, replace(sizes.motion, dim=16), sizes.tokens, DECODER, MOTION_ENCODER)


def generation_files(llama: Mapping[str, Any], sizes: Sizes, tokenizer: bytes, seed: int) -> dict[str, bytes]:
    """Return path -> content of all files of the generating half but the language model's weights."""
    configs = {
        "language_model/config.json": llama,
        "image_detokenizer/unet/config.json": IMAGE_UNET,
        "image_detokenizer/vae/config.json": IMAGE_VAE,
        "image_detokenizer/scheduler/scheduler_config.json": IMAGE_SCHEDULER,
        "video_detokenizer/unet/config.json": VIDEO_UNET,
        "video_detokenizer/vae/config.json": VIDEO_VAE,
        "video_detokenizer/scheduler/scheduler_config.json": VIDEO_SCHEDULER,
        FILE: generation_sizes(sizes).content(),
    }
    files = {name: json_bytes(dict(content)) for name, content in configs.items()}
    files["language_model/tokenizer.model"] = tokenizer
    for name, weights in _weights(sizes, seed).items():
        files[name] = serialise(weights, "safetensors" if name.endswith(".safetensors") else "bin")
    return files


def language_model_weights(llama: Mapping[str, Any], tokens: TokenSpace, seed: int) -> Weights:
    """Return the weights of the generating language model.

    Rows of zeros score zero, which some of the hundreds of codes always exceed: so ids that may stand among codes but
    are none are never written. A motion ends only where the task says so, and an image, by a longer row, mostly after
    some dozens of codes.
    """
    with torch.device("meta"):
        model = LlamaForCausalLM(llama_config(llama))
    weights = _drawn(model, "language_model.", seed)
    output = weights["lm_head.weight"]
    output[[0, 1, 2, tokens.image_start, tokens.motion_start, tokens.motion_end]] = 0.0
    output[tokens.image_end] *= IMAGE_END
    return _half(weights)


def _weights(sizes: Sizes, seed: int) -> dict[str, Weights]:
    """Return path -> tensors of every weight file but the language model's.

    The UNet in the diffusers folder, the one laid over it and the one for reconstruction are three different ones.
    """
    with torch.device("meta"):
        visual = VisualTokenizer(sizes.visual)
        decoder, motion = TokenizerDecoder(DECODER), MotionTokenizer(generation_sizes(sizes).motion)
        encoder, unet = MotionEncoder(MOTION_ENCODER), UNet3D.from_config(dict(VIDEO_UNET))
        image_unet = UNet2DConditionModel.from_config(dict(IMAGE_UNET))
        image_vae = AutoencoderKL.from_config(dict(IMAGE_VAE))
        video_vae = AutoencoderKLTemporalDecoder.from_config(dict(VIDEO_VAE))
    seen = _half(_drawn(visual, "visual_tokenizer.", seed))
    eva = {name.removeprefix("encoder."): value for name, value in seen.items() if name.startswith("encoder.")}
    rest = {name: value for name, value in seen.items() if not name.startswith(("encoder.", "vit_proj."))}

    def overlay(name: str) -> Weights:
        made = {f"unet.{key}": value for key, value in _drawn(unet, f"{name}.unet.", seed).items()}
        made |= {f"motion_encoder.{key}": value for key, value in _drawn(encoder, f"{name}.motion.", seed).items()}
        return _half(made)

    video = "video_detokenizer/unet"
    return {
        "visual_tokenizer/eva_vitg_psz14.bin": eva,
        "visual_tokenizer/tokenizer_encoder.bin": rest,
        "visual_tokenizer/highres_tokenizer_decoder.bin": _half(_drawn(decoder, "tokenizer_decoder.", seed)),
        MOTION_TOKENIZER: _half(_drawn(motion, "motion_tokenizer.", seed)),
        f"image_detokenizer/unet/{STEM}.bin": _half(_drawn(image_unet, "image_unet.", seed)),
        f"image_detokenizer/vae/{STEM}.safetensors": _half(_drawn(image_vae, "image_vae.", seed)),
        f"{video}/{STEM}.safetensors": _half(_drawn(unet, "video_unet.", seed)),
        f"{video}/{STEM}.bin": overlay("generation"),
        f"video_detokenizer/vae/{STEM}.safetensors": _half(_drawn(video_vae, "video_vae.", seed)),
        RECONSTRUCTION: overlay("reconstruction"),
    }


def _drawn(module: nn.Module, prefix: str, seed: int) -> Weights:
    return {name: draw(f"{prefix}{name}", tuple(value.shape), seed) for name, value in module.state_dict().items()}


def _half(weights: Weights) -> Weights:
    """Return the weights in float16, as they take half the space in the files."""
    return {name: value.half() for name, value in weights.items()}
