"""How large, how long and on what: every number of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lavit_eval.models.video_lavit.config import MotionConfig, TokenSpace, VisualConfig
from lavit_eval.models.video_lavit.sizes import Sizes, size_block

SIZES = Sizes(
    visual=VisualConfig(
        patch_size=16,
        width=64,
        head_width=32,
        layers=3,
        merger_layers=2,
        n_code=256,
        code_dim=8,
        llm_dim=96,
        head_out=16,
        mlp_ratio=2.01,
    ),
    motion=MotionConfig(dim=16, heads=1, n_code=128, code_dim=8, blocks=4),
    tokens=TokenSpace(text=640, visual=256, motion=128),
)
CONTEXT = 2048


def language_config() -> dict[str, Any]:
    """Return the content of `language_model_sft/config.json`."""
    return {
        "architectures": ["VideoLaVITLlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": SIZES.visual.llm_dim,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1000000.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "vocab_size": SIZES.tokens.total,
        "max_position_embeddings": CONTEXT,
        "lavit_eval": size_block(SIZES),
    }


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of training."""

    steps: int
    batch: int
    rate: float
    """The highest learning rate, reached after a tenth of the steps; a cosine brings it down to a twentieth."""
    save_every: int = 50


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole training."""

    seed: int = 0
    films: int = 640
    """Videos of the training split, read the real way."""
    pictures: int = 900
    """Images in the style of VQAv2 and COCO captions."""
    stills: int = 1500
    """First pictures of further films, for the visual tokenizer alone."""
    encoder: Stage = Stage(steps=500, batch=32, rate=2e-3)
    merger: Stage = Stage(steps=200, batch=32, rate=2e-3)
    motion: Stage = Stage(steps=400, batch=8, rate=4e-3)
    decoder: Stage = Stage(steps=20, batch=4, rate=4e-3)
    language: Stage = Stage(steps=1400, batch=12, rate=3e-3)
    questions: int = 10
    """Questions on one medium, answered in one forward."""
    draws: int = 2
    """Patch selections of each picture that are kept for the language model; every other one is mirrored."""
    early: float = 0.06
    """Share of the language model's steps after which the early checkpoint is taken."""
    middle: float = 0.2


FULL = Recipe()
BRIEF = Recipe(
    films=6,
    pictures=6,
    stills=6,
    encoder=Stage(4, 4, 2e-3, 2),
    merger=Stage(4, 4, 2e-3, 2),
    motion=Stage(2, 2, 4e-3, 1),
    decoder=Stage(2, 2, 4e-3, 1),
    language=Stage(4, 2, 3e-3, 2),
    questions=3,
    early=0.25,
    middle=0.5,
)
"""A few steps of everything, for the test."""
