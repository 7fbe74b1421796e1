"""Tiny checkpoints: the real folder layout and parameter names, small widths, seeded random weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lavit_eval.errors import UsageError
from lavit_eval.files import write_atomic
from lavit_eval.models.video_lavit.checkpoint import UNDERSTANDING_FOLDER
from lavit_eval.models.video_lavit.config import MotionConfig, TokenSpace, VisualConfig
from lavit_eval.models.video_lavit.loading import build_empty
from lavit_eval.models.video_lavit.sizes import Sizes, size_block
from lavit_eval.models.video_lavit.tiny_tokenizer import train_tokenizer, unwritable_pieces, word_fragments
from lavit_eval.models.video_lavit.tiny_weights import PREFIX, Format, draw, json_bytes, language_model_files

SIZES = Sizes(
    visual=VisualConfig(
        patch_size=28,
        width=48,
        head_width=24,
        layers=2,
        merger_layers=2,
        n_code=256,
        code_dim=8,
        llm_dim=64,
        head_out=16,
        mlp_ratio=2.01,
    ),
    motion=MotionConfig(dim=32, heads=2, n_code=128, code_dim=8, blocks=4),
    tokens=TokenSpace(text=640, visual=256, motion=128),
)
LANGUAGE_MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
}


def make_tiny(
    folder: Path,
    seed: int = 0,
    shards: int = 1,
    format: Format = "safetensors",
    context: int = 4096,
    generation: bool = True,
) -> Path:
    """Write a tiny checkpoint; equal arguments give equal bytes.

    Args:
        folder: The root of the layout to write.
        seed: Seed of the weights.
        shards: Number of weight files of a language model; more than one come with their index.
        format: That of the language models: `safetensors`, or `bin` for files of `torch.save`.
        context: Longest sequence of the language models, in tokens.
        generation: Write the parts that make images and videos too; without them only `language_model_sft/`.

    Returns:
        The folder.

    Raises:
        UsageError: If the folder already holds another checkpoint's weights in other files.
    """
    tokenizer = train_tokenizer(SIZES.tokens.text)
    weights = _random_weights(_config(context), seed, tokenizer)
    files = {
        f"{UNDERSTANDING_FOLDER}/config.json": json_bytes(_config(context)),
        f"{UNDERSTANDING_FOLDER}/tokenizer.model": tokenizer,
    }
    held = {UNDERSTANDING_FOLDER: language_model_files(weights, shards, format)}
    if generation:
        from lavit_eval.models.video_lavit.tiny_generation import generation_files, language_model_weights

        config = _llama_config(context)
        files |= generation_files(config, SIZES, tokenizer, seed)
        weights = language_model_weights(config, SIZES.tokens, seed)
        held["language_model"] = language_model_files(weights, min(shards, len(weights)), format)
    for target, named in held.items():
        _refuse_others(folder / target, named)
        files |= {f"{target}/{name}": content for name, content in named.items()}
    for name, content in files.items():
        write_atomic(folder / name, content)
    return folder


def _refuse_others(target: Path, files: Mapping[str, bytes]) -> None:
    foreign = sorted({path.name for suffix in PREFIX for path in target.glob(f"*.{suffix}*")} - set(files))
    if foreign:
        raise UsageError(f"{target} already holds other weights ({', '.join(foreign)}); name a new folder.")


def _config(context: int) -> dict[str, Any]:
    return {
        **_llama_config(context),
        "architectures": ["VideoLaVITLlamaForCausalLM"],
        "lavit_eval": size_block(SIZES),
    }


def _llama_config(context: int) -> dict[str, Any]:
    return {**LANGUAGE_MODEL, "vocab_size": SIZES.tokens.total, "max_position_embeddings": context}


def _random_weights(config: Mapping[str, Any], seed: int, tokenizer: bytes) -> dict[str, torch.Tensor]:
    model = build_empty(config, SIZES)
    weights = {name: draw(name, tuple(value.shape), seed) for name, value in model.state_dict().items()}
    # A row of zeros scores zero, which some other of the hundreds of pieces always exceeds: so the answers of random
    # weights have no control characters or broken UTF-8; smaller rows make whole words likelier than fragments.
    weights["lm_head.weight"][unwritable_pieces(tokenizer)] = 0.0
    weights["lm_head.weight"][word_fragments(tokenizer)] *= 0.5
    return weights
