"""What `--model-args` may say about Video-LaVIT."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lavit_eval.errors import UsageError, nearest

if TYPE_CHECKING:
    from lavit_eval.video.settings import VideoSettings

CHOICES: Mapping[str, tuple[str, ...]] = {
    "attention": ("sdpa", "xformers"),
    "token_select": ("gumbel", "argmax"),
    "motion_tokens": ("on", "off"),
    "long_prompt": ("fewer_clips", "reference"),
    "backend": ("pyav", "mvextractor"),
    "video_cache": ("on", "off"),
    "shared_prefix": ("on", "off"),
    "low_memory": ("off", "on"),
    "offload": ("auto", "on", "off"),
}
RANGES: Mapping[str, tuple[int, int]] = {
    "max_clips": (1, 1000),
    "encoder_threads": (1, 16),
    "decoders": (0, 64),
    "llm_batch": (1, 1000),
    "image_batch": (1, 1000),
    "video_batch": (1, 1000),
}
STAGE_BATCHES: Mapping[str, int] = {"llm_batch": 32, "image_batch": 8, "video_batch": 2}
"""Stage of making -> how many requests go through it together where neither user nor device decides."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of `--model-args`, checked; the defaults are the published ones but for `long_prompt`."""

    attention: str = "sdpa"
    """Kernel of the visual encoder."""
    token_select: str = "gumbel"
    """Whether a patch is kept by a draw, as published, or whenever that is at least as probable as not."""
    motion_tokens: str = "on"
    """Whether the language model reads the motion of videos; without it, each clip is its keyframe alone (ablation)."""
    max_clips: int = 16
    """At most this many clips are taken from a video."""
    encoder_threads: int = 16
    """Slices per picture when a video is re-encoded; they change its motion vectors."""
    long_prompt: str = "fewer_clips"
    """What gives way when a prompt exceeds the context: clips, or, as in the reference, the prompt's end."""
    backend: str = "pyav"
    """Who reads the motion vectors."""
    video_cache: str = "on"
    """Whether preprocessed videos are kept on disk; changes no answer."""
    decoders: int | None = None
    """Processes that preprocess media ahead of the model, 0 for none (default: by the device); changes no answer."""
    shared_prefix: str = "on"
    """Whether what questions on one medium begin with is read once for all of a batch; the same but for rounding."""
    low_memory: str = "off"
    """Whether the halves of the guidance of diffusion run one after the other; the same but for rounding."""
    offload: str = "auto"
    """Whether idle parts of the generating model wait in the CPU's memory; changes no result."""
    llm_batch: int | None = None
    """Of a planned batch of images or videos, how many the language model writes together (default: by the device)."""
    image_batch: int | None = None
    """How many of their images and keyframes are denoised together (default: by the device)."""
    video_batch: int | None = None
    """How many of their clips are denoised together (default: by the device)."""
    keyframe_pipeline: str = ""
    """Folder of another text-to-image model, a pipeline of diffusers, which makes the first keyframe of videos."""
    keyframe_guidance: float = 3.0
    """Scale of that model's guidance; the default is that of the published notebook."""

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> Self:
        """Return the arguments in `key -> text`; raises UsageError for an unknown key or value."""
        known = tuple(item.name for item in fields(cls))
        values: dict[str, Any] = {}
        for key, text in given.items():
            if key not in known:
                raise UsageError(
                    f"video-lavit has no model argument {key!r}; --model-args knows {', '.join(known)}."
                    f"{nearest(key, known)}"
                )
            values[key] = _value(key, text)
        return cls(**values)

    def stage_batches(self) -> dict[str, int]:
        """Return how many requests go through each stage of making together where the device is not asked."""
        return {name: self.given_batch(name) or size for name, size in STAGE_BATCHES.items()}

    def given_batch(self, name: str) -> int | None:
        """Return what was said of a stage ("llm_batch"); None where nothing was."""
        given: int | None = getattr(self, name)
        return given

    def video(self, size: int | None = None) -> VideoSettings:
        """Return how a video file becomes clips, with keyframes of `size` pixels a side (default: as published)."""
        from lavit_eval.video.settings import VideoSettings

        fixed: dict[str, Any] = {"backend": self.backend}
        if size is not None:
            fixed["size"] = size
        return VideoSettings(max_clips=self.max_clips, encoder_threads=self.encoder_threads, **fixed)


def _value(key: str, text: str) -> Any:
    if key in RANGES:
        return _whole_number(key, text)
    if key == "keyframe_guidance":
        return _guidance(key, text)
    if key == "keyframe_pipeline":
        if not Path(text).expanduser().is_dir():
            raise UsageError(f"--model-args {key}={text}: there is no such folder; fetch a pipeline into it first.")
        return str(Path(text).expanduser())
    return _choice(key, text)


def _guidance(key: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 <= number <= 1000.0:
        raise UsageError(f"--model-args {key}={text}: {key} is a number from 0 to 1000.")
    return number


def _choice(key: str, text: str) -> str:
    choices = CHOICES[key]
    if text not in choices:
        raise UsageError(f"--model-args {key}={text}: {key} is {' or '.join(choices)}.{nearest(text, choices)}")
    return text


def _whole_number(key: str, text: str) -> int:
    low, high = RANGES[key]
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise UsageError(f"--model-args {key}={text}: {key} is a whole number from {low} to {high}.")
    return int(text)
