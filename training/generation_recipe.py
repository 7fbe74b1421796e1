"""How large the generating half is, and how long and on what it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lavit_eval.errors import UsageError, nearest
from lavit_eval.models.video_lavit.motion_encoder import MotionEncoderConfig
from lavit_eval.models.video_lavit.tiny_generation import (
    IMAGE_SCHEDULER,
    IMAGE_UNET,
    IMAGE_VAE,
    VIDEO_SCHEDULER,
    VIDEO_UNET,
    VIDEO_VAE,
)
from lavit_eval.models.video_lavit.tokenizer_decoder import DecoderConfig
from training.recipe import BRIEF, FULL, Recipe, Stage

SIDE = 64
"""Pixels of a side of what is made."""
SIGMAS = (0.002, 80.0)
"""Least and greatest noise of the video diffusion; clips of 64 pixels need less than the published 700."""


@dataclass(frozen=True, slots=True)
class Networks:
    """Sizes and configurations of the parts that only generation has."""

    decoder: DecoderConfig
    motion_encoder: MotionEncoderConfig
    image_unet: Mapping[str, Any]
    image_vae: Mapping[str, Any]
    video_unet: Mapping[str, Any]
    video_vae: Mapping[str, Any]
    image_scheduler: Mapping[str, Any]
    video_scheduler: Mapping[str, Any]


def _networks() -> Networks:
    decoder = DecoderConfig(
        tokens=64, code_dim=8, width=64, hidden=128, layers=2, heads=2, out=32, first=24, second=40, pooled=32
    )
    encoder = MotionEncoderConfig(dim=32, heads=2, blocks=2, out_dim=32)
    return Networks(
        decoder,
        encoder,
        {
            **IMAGE_UNET,
            "block_out_channels": [32, 64],
            "cross_attention_dim": decoder.first + decoder.second,
            "projection_class_embeddings_input_dim": decoder.pooled + 6 * IMAGE_UNET["addition_time_embed_dim"],
        },
        {**IMAGE_VAE, "block_out_channels": [16, 32, 32, 32]},
        {**VIDEO_UNET, "cross_attention_dim": encoder.out_dim},
        dict(VIDEO_VAE),
        dict(IMAGE_SCHEDULER),
        {**VIDEO_SCHEDULER, "sigma_min": SIGMAS[0], "sigma_max": SIGMAS[1]},
    )


NETWORKS = _networks()


@dataclass(frozen=True, slots=True)
class GenerationRecipe:
    """A whole training of the generating half; a stage of no steps is left out, and its parts stay as they were."""

    data: Recipe
    """What is shown, and the seed of everything."""
    codes: Stage
    motion: Stage
    image_vae: Stage
    video_vae: Stage
    keyframe: Stage
    film: Stage
    writer: Stage
    draws: int = 4
    """Patch selections of each picture that are kept; every other one is of the mirrored picture."""
    early: float = 0.02
    """Share of the steps of keyframe, film and writer after which the early checkpoint is taken."""
    middle: float = 0.15

    @property
    def seed(self) -> int:
        """That of all draws."""
        return self.data.seed

    def stage(self, name: str) -> Stage:
        """Return a stage by its name."""
        found: Stage = getattr(self, name)
        return found

    def points(self, name: str) -> dict[str, int]:
        """Return the checkpoints that are taken of a stage, each with the number of steps done by then."""
        steps = self.stage(name).steps
        shares = {"early": self.early, "middle": self.middle, "final": 1.0}
        return {point: max(1, round(share * steps)) for point, share in shares.items()}

    def with_steps(self, text: str) -> GenerationRecipe:
        """Return the recipe with other numbers of steps, e.g. "film=2000,codes=0" (raises UsageError)."""
        changed: dict[str, Stage] = {}
        for part in filter(None, text.split(",")):
            name, _, number = part.partition("=")
            if name not in STAGES or not number.isdigit():
                raise UsageError(
                    f"--steps takes STAGE=NUMBER,... with the stages {', '.join(STAGES)}, not {part!r}."
                    f"{nearest(name, STAGES)}"
                )
            changed[name] = replace(self.stage(name), steps=int(number))
        return replace(self, **changed)  # type: ignore[arg-type]


STAGES = ("codes", "motion", "image_vae", "video_vae", "keyframe", "film", "writer")
"""In the order in which they are trained."""
FULL_GENERATION = GenerationRecipe(
    data=replace(FULL, films=960),
    codes=Stage(steps=2000, batch=32, rate=1e-3, save_every=500),
    motion=Stage(steps=1500, batch=32, rate=2e-3, save_every=500),
    image_vae=Stage(steps=4000, batch=32, rate=1e-3, save_every=500),
    video_vae=Stage(steps=3000, batch=8, rate=1e-3, save_every=500),
    keyframe=Stage(steps=8000, batch=64, rate=1e-3, save_every=500),
    film=Stage(steps=8000, batch=16, rate=1e-3, save_every=500),
    writer=Stage(steps=4000, batch=32, rate=2e-3, save_every=500),
)
"""Not tried on a GPU yet: the numbers of steps are estimates."""
BRIEF_GENERATION = GenerationRecipe(
    data=BRIEF,
    codes=Stage(4, 4, 1e-3, 2),
    motion=Stage(2, 2, 2e-3, 1),
    image_vae=Stage(4, 4, 2e-3, 2),
    video_vae=Stage(2, 1, 2e-3, 1),
    keyframe=Stage(4, 4, 1e-3, 2),
    film=Stage(4, 2, 1e-3, 2),
    writer=Stage(4, 2, 2e-3, 2),
    draws=2,
    early=0.25,
    middle=0.5,
)
"""A few steps of everything, for the test."""
