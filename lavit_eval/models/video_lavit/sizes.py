"""The sizes of a checkpoint: stated in its config.json, read off its tensors, or the published ones."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, cast

from lavit_eval.errors import UsageError, nearest
from lavit_eval.models.video_lavit.config import MotionConfig, TokenSpace, VisualConfig

BLOCK = "lavit_eval"
"""The key of config.json that states sizes other than the published ones, e.g. of a tiny checkpoint."""
VISUAL = "model.visual_tokenizer."
MOTION = "model.motion_tokenizer."
Shapes = Mapping[str, tuple[int, ...]]
_Config = TypeVar("_Config")


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of all parts of an understanding checkpoint but the language model, whose config.json states them."""

    visual: VisualConfig
    motion: MotionConfig
    tokens: TokenSpace


def read_sizes(config: Mapping[str, Any], shapes: Shapes, source: Path) -> Sizes:
    """Return the sizes of a checkpoint.

    Widths are what most of the tensors concerned say. Numbers of layers, heads and ids are those of the `lavit_eval`
    block of config.json, else the published ones, and are never counted from the tensors: a checkpoint that lacks
    its last layer is broken, not smaller.

    Args:
        config: The content of config.json.
        shapes: Tensor name -> shape, of the whole checkpoint.
        source: The config.json, for error messages.

    Raises:
        UsageError: For an unusable `lavit_eval` block or a vocabulary smaller than the id space.
    """
    block = config.get(BLOCK, {})
    if not isinstance(block, dict):
        raise UsageError(f'{source}: "{BLOCK}" must be an object with visual, motion and tokens.')
    refuse_unknown(block, ("visual", "motion", "tokens"), source, BLOCK)
    tokens = stated(TokenSpace, {}, block.get("tokens", {}), source, "tokens")
    vocabulary = config.get("vocab_size")
    if not isinstance(vocabulary, int) or vocabulary < tokens.total:
        raise UsageError(
            f"{source}: vocab_size is {vocabulary}, but text, visual and motion ids need {tokens.total}; "
            "this is no understanding checkpoint of Video-LaVIT (give its language_model_sft folder)."
        )
    visual = {**_visual_widths(shapes), "n_code": tokens.visual, "llm_dim": config.get("hidden_size", 4096)}
    motion = {**_motion_widths(shapes), "n_code": tokens.motion}
    return Sizes(
        stated(VisualConfig, visual, block.get("visual", {}), source, "visual"),
        stated(MotionConfig, motion, block.get("motion", {}), source, "motion"),
        tokens,
    )


def size_block(sizes: Sizes) -> dict[str, dict[str, int]]:
    """Return the `lavit_eval` block that states what cannot be read off tensors."""
    visual, motion, tokens = sizes.visual, sizes.motion, sizes.tokens
    return {
        "visual": {
            "head_width": visual.head_width,
            "layers": visual.layers,
            "merger_layers": visual.merger_layers,
        },
        "motion": {"heads": motion.heads, "blocks": motion.blocks},
        "tokens": {"text": tokens.text, "visual": tokens.visual, "motion": tokens.motion},
    }


def stated(
    kind: type[_Config], found: Mapping[str, Any], block: object, source: Path, name: str, where: str = BLOCK
) -> _Config:
    """Return the sizes of one part: those of a block, else those found, else the published ones.

    Raises UsageError for a key that the part does not have, or for what is no positive number.
    """
    where = f"{where}.{name}"
    if not isinstance(block, dict):
        raise UsageError(f'{source}: "{where}" must be an object.')
    refuse_unknown(block, tuple(item.name for item in fields(cast(Any, kind))), source, where)
    for key, value in block.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise UsageError(f'{source}: "{where}.{key}" must be a positive number, not {value!r}.')
    return kind(**{**found, **block})


def refuse_unknown(block: Mapping[str, object], known: tuple[str, ...], source: Path, where: str) -> None:
    """Raise UsageError for a key that is not known, with the nearest one that is."""
    for key in block:
        if key not in known:
            raise UsageError(
                f'{source}: "{where}.{key}" is not known (known: {", ".join(known)}).{nearest(key, known)}'
            )


def _visual_widths(shapes: Shapes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    width = _most_common(
        shapes,
        (f"{VISUAL}encoder.cls_token", 2),
        (f"{VISUAL}encoder.pos_embed", 2),
        (f"{VISUAL}encoder.patch_embed.proj.bias", 0),
        (f"{VISUAL}encoder.norm.weight", 0),
        (f"{VISUAL}causal_encoder.ln_vision.weight", 0),
    )
    hidden = _most_common(
        shapes,
        (f"{VISUAL}encoder.blocks.0.mlp.fc1.bias", 0),
        (f"{VISUAL}encoder.blocks.0.mlp.fc2.weight", 1),
        (f"{VISUAL}causal_encoder.blocks.0.mlp.fc1.bias", 0),
    )
    patch = _most_common(shapes, *((f"{VISUAL}encoder.patch_embed.proj.weight", axis) for axis in (2, 3)))
    positions = _most_common(shapes, (f"{VISUAL}encoder.pos_embed", 1))
    if width is not None:
        found["width"] = width
        if hidden is not None:
            # The half keeps int(ratio * width) from rounding down to hidden - 1.
            found["mlp_ratio"] = (hidden + 0.5) / width
    if patch is not None:
        found["patch_size"] = patch
        side = math.isqrt(max(positions - 1, 0)) if positions is not None else None
        if side:
            found["image_size"] = side * patch
    found |= _present(
        code_dim=_most_common(
            shapes, (f"{VISUAL}quantize.embedding.weight", 1), (f"{VISUAL}encode_task_layer.2.bias", 0)
        ),
        head_out=_most_common(shapes, (f"{VISUAL}encoder.head.bias", 0), (f"{VISUAL}encoder.head.weight", 0)),
    )
    return found


def _motion_widths(shapes: Shapes) -> dict[str, Any]:
    return _present(
        dim=_most_common(
            shapes,
            (f"{MOTION}encoder.pos_embed", 2),
            (f"{MOTION}encoder.temp_pos", 2),
            (f"{MOTION}encoder.norm.weight", 0),
            (f"{MOTION}decoder.norm.weight", 0),
        ),
        code_dim=_most_common(
            shapes, (f"{MOTION}quantize.embedding.weight", 1), (f"{MOTION}encode_task_layer.2.bias", 0)
        ),
    )


def _most_common(shapes: Shapes, *places: tuple[str, int]) -> int | None:
    """Return what most of the named axes say, so that one wrong tensor is reported instead of all the others."""
    votes = Counter(shapes[name][axis] for name, axis in places if axis < len(shapes.get(name, ())))
    return votes.most_common(1)[0][0] if votes else None


def _present(**values: int | None) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
