"""Seeded weights of tiny checkpoints, and the files that hold them."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import safetensors.torch
import torch

from lavit_eval.errors import UsageError
from lavit_eval.sample import derive_seed

Format = Literal["safetensors", "bin"]
PREFIX: Mapping[Format, str] = {"safetensors": "model", "bin": "pytorch_model"}
"""How transformers names the files of a language model."""
TABLES = ("cls_token", "pos_embed", "temp_pos", "query_embed", "positional_embedding")


def draw(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Draw one tensor from a generator of its own, at a scale that keeps activations near one.

    NumPy's generator gives the same numbers on every processor, which torch's does not promise.
    """
    generator = np.random.Generator(np.random.PCG64(derive_seed("tiny", str(seed), name)))
    drawn = torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
    last = name.rsplit(".", 1)[-1]
    if last == "mix_factor":
        return 0.5 * drawn
    if last == "weight" and len(shape) == 1:
        return 1.0 + 0.1 * drawn
    if last.endswith("bias"):
        return 0.05 * drawn
    if last in TABLES:
        return 0.3 * drawn
    if name.endswith(("embed_tokens.weight", "quantize.embedding.weight")):
        return drawn / math.sqrt(shape[1]) if "quantize" in name else drawn
    # Attention of random weights is nearly uniform; sharper queries and keys make answers depend on what is seen.
    gain = 3.0 if name.endswith(("q_proj.weight", "k_proj.weight", "qkv.weight", "lm_head.weight")) else 1.0
    return drawn * (gain / math.sqrt(math.prod(shape[1:])))


def language_model_files(weights: Mapping[str, torch.Tensor], shards: int, format: Format) -> dict[str, bytes]:
    """Return file name -> content of a language model's weights, with an index if there are several shards.

    Raises UsageError for a number of shards or a format that cannot be.
    """
    names = sorted(weights)
    if format not in PREFIX or not 1 <= shards <= len(names):
        raise UsageError(f"A checkpoint has 1 to {len(names)} shards in the format {' or '.join(PREFIX)}.")
    prefix = PREFIX[format]
    if shards == 1:
        return {f"{prefix}.{format}": serialise(weights, format)}
    size = math.ceil(len(names) / shards)
    files: dict[str, bytes] = {}
    listed: dict[str, str] = {}
    for number in range(shards):
        part = names[number * size : (number + 1) * size]
        shard = f"{prefix}-{number + 1:05d}-of-{shards:05d}.{format}"
        files[shard] = serialise({name: weights[name] for name in part}, format)
        listed |= dict.fromkeys(part, shard)
    total = sum(value.numel() * value.element_size() for value in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": listed}
    files[f"{prefix}.{format}.index.json"] = json_bytes(index)
    return files


def json_bytes(value: object) -> bytes:
    """Return readable JSON with sorted keys, as `files.write_json` writes it."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def serialise(tensors: Mapping[str, torch.Tensor], format: Format) -> bytes:
    """Return the content of a weight file; equal tensors give equal bytes."""
    if format == "safetensors":
        return safetensors.torch.save(dict(tensors), metadata={"format": "pt"})
    stream = io.BytesIO()
    torch.save(dict(tensors), stream)
    return stream.getvalue()
