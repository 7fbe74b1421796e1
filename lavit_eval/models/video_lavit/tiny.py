"""Tiny checkpoints: the real folder layout and parameter names, small widths, seeded random weights."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch

from lavit_eval.errors import UsageError
from lavit_eval.files import write_atomic, write_json
from lavit_eval.models.video_lavit.checkpoint import UNDERSTANDING_FOLDER
from lavit_eval.models.video_lavit.config import MotionConfig, TokenSpace, VisualConfig
from lavit_eval.models.video_lavit.loading import build_empty
from lavit_eval.models.video_lavit.sizes import Sizes, size_block
from lavit_eval.models.video_lavit.tiny_tokenizer import train_tokenizer, unwritable_pieces, word_fragments
from lavit_eval.sample import derive_seed

Format = Literal["safetensors", "bin"]
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
_LANGUAGE_MODEL = {
    "architectures": ["VideoLaVITLlamaForCausalLM"],
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
_PREFIX: Mapping[Format, str] = {"safetensors": "model", "bin": "pytorch_model"}


def make_tiny(
    folder: Path, seed: int = 0, shards: int = 1, format: Format = "safetensors", context: int = 4096
) -> Path:
    """Write a tiny checkpoint; equal arguments give equal bytes.

    Args:
        folder: The root of the layout to write; `language_model_sft/` comes to lie in it.
        seed: Seed of the weights.
        shards: Number of weight files; more than one come with their index.
        format: `safetensors`, or `bin` for files of `torch.save`.
        context: Longest sequence of the language model, in tokens.

    Returns:
        The folder.

    Raises:
        UsageError: If the folder already holds another understanding checkpoint's weights in other files.
    """
    target = folder / UNDERSTANDING_FOLDER
    model_bytes = train_tokenizer(SIZES.tokens.text)
    weights = _random_weights(_config(context), seed, model_bytes)
    files = _file_contents(weights, shards, format)
    foreign = sorted({path.name for suffix in _PREFIX for path in target.glob(f"*.{suffix}*")} - set(files))
    if foreign:
        raise UsageError(f"{target} already holds other weights ({', '.join(foreign)}); name a new folder.")
    write_json(target / "config.json", _config(context))
    write_atomic(target / "tokenizer.model", model_bytes)
    for name, content in files.items():
        write_atomic(target / name, content)
    return folder


def _config(context: int) -> dict[str, Any]:
    return {
        **_LANGUAGE_MODEL,
        "vocab_size": SIZES.tokens.total,
        "max_position_embeddings": context,
        "lavit_eval": size_block(SIZES),
    }


def _random_weights(config: Mapping[str, Any], seed: int, tokenizer: bytes) -> dict[str, torch.Tensor]:
    model = build_empty(config, SIZES)
    weights = {name: _draw(name, tuple(value.shape), seed) for name, value in model.state_dict().items()}
    # A row of zeros scores zero, which some other of the hundreds of pieces always exceeds: so the answers of random
    # weights have no control characters or broken UTF-8; smaller rows make whole words likelier than fragments.
    weights["lm_head.weight"][unwritable_pieces(tokenizer)] = 0.0
    weights["lm_head.weight"][word_fragments(tokenizer)] *= 0.5
    return weights


def _draw(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Draw one tensor from a generator of its own, at a scale that keeps activations near one.

    NumPy's generator gives the same numbers on every processor, which torch's does not promise.
    """
    generator = np.random.Generator(np.random.PCG64(derive_seed("tiny", str(seed), name)))
    drawn = torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
    last = name.rsplit(".", 1)[-1]
    if last == "weight" and len(shape) == 1:
        return 1.0 + 0.1 * drawn
    if last.endswith("bias"):
        return 0.05 * drawn
    if last in ("cls_token", "pos_embed", "temp_pos"):
        return 0.3 * drawn
    if name.endswith(("embed_tokens.weight", "quantize.embedding.weight")):
        return drawn / math.sqrt(shape[1]) if "quantize" in name else drawn
    # Attention of random weights is nearly uniform; sharper queries and keys make answers depend on what is seen.
    gain = 3.0 if name.endswith(("q_proj.weight", "k_proj.weight", "qkv.weight", "lm_head.weight")) else 1.0
    return drawn * (gain / math.sqrt(math.prod(shape[1:])))


def _file_contents(weights: Mapping[str, torch.Tensor], shards: int, format: Format) -> dict[str, bytes]:
    names = sorted(weights)
    if format not in _PREFIX or not 1 <= shards <= len(names):
        raise UsageError(f"A checkpoint has 1 to {len(names)} shards in the format {' or '.join(_PREFIX)}.")
    prefix = _PREFIX[format]
    if shards == 1:
        return {f"{prefix}.{format}": _serialise(weights, format)}
    size = math.ceil(len(names) / shards)
    files: dict[str, bytes] = {}
    listed: dict[str, str] = {}
    for number in range(shards):
        part = names[number * size : (number + 1) * size]
        shard = f"{prefix}-{number + 1:05d}-of-{shards:05d}.{format}"
        files[shard] = _serialise({name: weights[name] for name in part}, format)
        listed |= dict.fromkeys(part, shard)
    total = sum(value.numel() * value.element_size() for value in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": listed}
    files[f"{prefix}.{format}.index.json"] = (json.dumps(index, indent=1, sort_keys=True) + "\n").encode()
    return files


def _serialise(tensors: Mapping[str, torch.Tensor], format: Format) -> bytes:
    if format == "safetensors":
        return safetensors.torch.save(dict(tensors), metadata={"format": "pt"})
    stream = io.BytesIO()
    torch.save(dict(tensors), stream)
    return stream.getvalue()
