"""Writes the generating half in the layout of the published checkpoint, in half precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lavit_eval.files import write_atomic
from lavit_eval.models.video_lavit.checkpoint import UNDERSTANDING_FOLDER
from lavit_eval.models.video_lavit.diffusers_files import STEM
from lavit_eval.models.video_lavit.generation_sizes import FILE, GenerationSizes
from lavit_eval.models.video_lavit.overlay import MOTION_TOKENIZER, RECONSTRUCTION
from lavit_eval.models.video_lavit.sizes import Sizes
from lavit_eval.models.video_lavit.tiny_weights import json_bytes, language_model_files, serialise
from training.generation_recipe import NETWORKS

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Trained:
    """Name -> tensor of every part of a checkpoint."""

    language_model: Weights
    visual_tokenizer: Weights
    decoder: Weights
    motion_tokenizer: Weights
    motion_encoder: Weights
    image_unet: Weights
    image_vae: Weights
    video_unet: Weights
    video_vae: Weights
    image_scale: float
    """Scaling factors of both autoencoders' latents."""
    video_scale: float


def write_generation(trained: Trained, understanding: Path, sizes: Sizes, llama: Mapping[str, Any], root: Path) -> None:
    """Write a whole checkpoint: the generating half, and beside it the understanding half that it began from.

    The video UNet lies where diffusers has it; both files that are laid over it hold the motion encoder alone, since
    clips are generated and reconstructed by one UNet here.

    Args:
        trained: All tensors of the generating half.
        understanding: The folder `language_model_sft` of the other half; tokenizer and answers are its.
        sizes: Those of the understanding half.
        llama: The language model's configuration.
        root: The folder to write.
    """
    tokenizer = (understanding / "tokenizer.model").read_bytes()
    files = _configs(trained, sizes, llama) | _weights(trained)
    files["language_model/tokenizer.model"] = tokenizer
    for name, content in language_model_files(_half(trained.language_model), 1, "safetensors").items():
        files[f"language_model/{name}"] = content
    for path in sorted(understanding.iterdir()):
        files[f"{UNDERSTANDING_FOLDER}/{path.name}"] = path.read_bytes()
    for name, content in files.items():
        write_atomic(root / name, content)


def _configs(trained: Trained, sizes: Sizes, llama: Mapping[str, Any]) -> dict[str, bytes]:
    networks = NETWORKS
    stated = GenerationSizes(sizes.visual, sizes.motion, sizes.tokens, networks.decoder, networks.motion_encoder)
    configs = {
        "language_model/config.json": llama,
        "image_detokenizer/unet/config.json": networks.image_unet,
        "image_detokenizer/vae/config.json": {**networks.image_vae, "scaling_factor": trained.image_scale},
        "image_detokenizer/scheduler/scheduler_config.json": networks.image_scheduler,
        "video_detokenizer/unet/config.json": networks.video_unet,
        "video_detokenizer/vae/config.json": {**networks.video_vae, "scaling_factor": trained.video_scale},
        "video_detokenizer/scheduler/scheduler_config.json": networks.video_scheduler,
        FILE: stated.content(),
    }
    return {name: json_bytes(dict(content)) for name, content in configs.items()}


def _weights(trained: Trained) -> dict[str, bytes]:
    seen = trained.visual_tokenizer
    overlay = {f"motion_encoder.{name}": value for name, value in trained.motion_encoder.items()}
    held = {
        "visual_tokenizer/eva_vitg_psz14.bin": _within(seen, "encoder."),
        "visual_tokenizer/tokenizer_encoder.bin": {
            name: value for name, value in seen.items() if not name.startswith(("encoder.", "vit_proj."))
        },
        "visual_tokenizer/highres_tokenizer_decoder.bin": trained.decoder,
        MOTION_TOKENIZER: trained.motion_tokenizer,
        f"image_detokenizer/unet/{STEM}.bin": trained.image_unet,
        f"image_detokenizer/vae/{STEM}.safetensors": trained.image_vae,
        f"video_detokenizer/unet/{STEM}.safetensors": trained.video_unet,
        f"video_detokenizer/unet/{STEM}.bin": overlay,
        f"video_detokenizer/vae/{STEM}.safetensors": trained.video_vae,
        RECONSTRUCTION: overlay,
    }
    return {
        name: serialise(_half(weights), "safetensors" if name.endswith(".safetensors") else "bin")
        for name, weights in held.items()
    }


def _within(weights: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def _half(weights: Weights) -> Weights:
    return {name: value.detach().cpu().half().contiguous() for name, value in weights.items()}
