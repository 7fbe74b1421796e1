"""How images and videos are made: every number stands in the task, none of them in the code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args, get_type_hints

from lavit_eval.errors import UsageError, nearest
from lavit_eval.sample import JSON, RequestKind, Settings

_TEXT = ("do_sample", "top_k", "top_p", "temperature", "min_new_tokens", "max_new_tokens", "guidance_llm")
_IMAGE = ("width", "height", "steps", "guidance_decoder", "init_sigma")
_CLIP = (
    "video_width",
    "video_height",
    "video_steps",
    "min_video_guidance",
    "max_video_guidance",
    "linear_guidance",
    "noise_aug_strength",
    "cond_on_ref_frame",
    "fps_id",
    "motion_bucket_id",
    "vae_chunk",
)
_TURNS = ("guidance_motion", "clips", "inverse_rate", "restart_noise_scaling")
FIELDS: Mapping[str, tuple[str, ...]] = {
    "generate_image": (*_TEXT, *_IMAGE),
    "generate_video": (*_TEXT, *_IMAGE, *_TURNS, *_CLIP),
    "reconstruct_video": (*_CLIP, "motion"),
}
"""What a task must say, by the kind of its requests; anything else is refused, since it would have no effect."""
RANGES: Mapping[str, tuple[float, float]] = {
    "width": (8, 8192),
    "height": (8, 8192),
    "video_width": (8, 8192),
    "video_height": (8, 8192),
    "steps": (1, 1000),
    "video_steps": (1, 1000),
    "clips": (1, 100),
    "top_k": (0, 1_000_000),
    "top_p": (1e-6, 1),
    "temperature": (1e-6, 1e6),
    "min_new_tokens": (0, 10_000),
    "max_new_tokens": (1, 10_000),
    "inverse_rate": (0, 1),
    "vae_chunk": (1, 24),
    "noise_aug_strength": (0, 10),
    "fps_id": (0, 1000),
    "motion_bucket_id": (0, 1000),
}
GUIDANCE_RANGE = (0.0, 1000.0)
"""Of every field whose name speaks of guidance and that is a number."""
PIXELS = ("width", "height", "video_width", "video_height")
LATENT_FACTOR = 8
"""Pixels of a latent, along each side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings:
    """How one image or video is made, filled from a task's `generation` block.

    The numbers in brackets are those of the published notebooks, which the shipped tasks carry.
    """

    do_sample: bool
    """Whether visual ids are drawn; motion ids never are. [true]"""
    top_k: int
    """Of how many likeliest ids an id is drawn; 0 turns it off. [50]"""
    top_p: float
    """An id is drawn of the fewest whose probabilities reach this. [1.0]"""
    temperature: float
    """Divides the scores before an id is drawn. [1.0]"""
    min_new_tokens: int
    """Ids before the end mark may come, of images and motions alike. [20]"""
    max_new_tokens: int
    """Ids after which writing ends without the mark. [200 for images, 500 for videos]"""
    guidance_llm: float
    """Guidance of visual ids. [4.0; 5.0 with images in the prompt of an image]"""
    width: int
    """Of an image or keyframe, in pixels. [1024]"""
    height: int
    """Of an image or keyframe, in pixels. [1024; 576 for videos]"""
    steps: int
    """Denoising steps of an image or keyframe. [50]"""
    guidance_decoder: float
    """Guidance of the image diffusion. [7.0]"""
    init_sigma: Literal["fresh", "carried"]
    """Scale of the noise that an image begins with: of a scheduler that was never used, which differs from what the
    number of steps asks for, or carried over from an image made before. Without effect on DDIM. [fresh at the first
    image of a process, carried at all others; a run must not depend on that, so the tasks say fresh]"""
    guidance_motion: float
    """Guidance of motion ids. [7.0]"""
    clips: int
    """Clips of 24 frames, one continuing the other. [1; 2 for long video]"""
    inverse_rate: float
    """Share of the denoising steps that keyframes after the first leave out. [0.85; 0.9 for long video]"""
    restart_noise_scaling: bool
    """Whether the noised last frame, from which such a keyframe starts, is multiplied by the scheduler's initial scale
    once more, as published. Without effect on DDIM. [true]"""
    video_width: int
    """In pixels. [896, or 768 for square keyframes; 576 for long video and reconstruction]"""
    video_height: int
    """In pixels. [512, or 768 for square keyframes; 320 for long video and reconstruction]"""
    video_steps: int
    """Denoising steps of a clip. [25]"""
    min_video_guidance: float
    """Guidance of a clip's first frame. [1.0]"""
    max_video_guidance: float
    """Guidance of a clip's last frame. [4.0; 3.0 for reconstruction]"""
    linear_guidance: bool
    """Whether guidance rises from frame to frame; else every frame has the greatest. [true]"""
    noise_aug_strength: float
    """Scale of the noise added to the keyframe. [0.02]"""
    cond_on_ref_frame: bool
    """Whether only the guided half of the video diffusion sees the keyframe. [true]"""
    fps_id: int
    """What the video diffusion is told about the speed; also 6 for motion of 12 frames per second. [6]"""
    motion_bucket_id: int
    """What the video diffusion is told about the amount of motion. [127]"""
    vae_chunk: int
    """Frames decoded together; the borders between chunks change pixels. [8]"""
    motion: Literal["raw", "tokens"]
    """Whether a video is reconstructed from its motion vectors or from their 135 tokens. [raw]"""

    @classmethod
    def parse(cls, kind: RequestKind, given: Mapping[str, JSON]) -> Self:
        """Return the settings of a task whose requests are of this kind.

        Raises:
            UsageError: A field is missing, unknown, without effect on this kind, of another type or out of range.
        """
        wanted = FIELDS[kind]
        for name in given:
            if name not in wanted:
                raise UsageError(
                    f"A task of the kind {kind} has no generation setting {name!r}; remove it.{nearest(name, wanted)}"
                )
        if missing := [name for name in wanted if name not in given]:
            raise UsageError(f"A task of the kind {kind} must also state in generation: {', '.join(missing)}.")
        types = get_type_hints(cls)
        values = {name: _checked(name, given[name], types[name]) for name in wanted}
        if values.get("min_new_tokens", 0) > values.get("max_new_tokens", 1):
            raise UsageError("generation: min_new_tokens exceeds max_new_tokens; lower it.")
        return cls(**{name: values.get(name, _WITHOUT_EFFECT.get(types[name], 1)) for name in types})

    @property
    def skipped_steps(self) -> int:
        """How many denoising steps a keyframe after the first leaves out."""
        return min(int(self.inverse_rate * self.steps), self.steps - 1)

    @property
    def visual(self) -> Settings:
        """How visual ids are written."""
        return Settings(
            do_sample=self.do_sample,
            min_new_tokens=self.min_new_tokens,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
        )

    @property
    def motion_writing(self) -> Settings:
        """How motion ids are written: always the likeliest, as published."""
        return Settings(min_new_tokens=self.min_new_tokens, max_new_tokens=self.max_new_tokens)


_WITHOUT_EFFECT: Mapping[Any, Any] = {
    bool: False,
    Literal["fresh", "carried"]: "fresh",
    Literal["raw", "tokens"]: "raw",
}
"""What fields hold that the kind of request never reads, by their types; numbers hold 1."""


def _checked(name: str, value: JSON, wanted: Any) -> Any:
    if choices := get_args(wanted):
        if value not in choices:
            raise UsageError(f"generation: {name} is {' or '.join(choices)}, not {value!r}.")
        return value
    if wanted is bool:
        if not isinstance(value, bool):
            raise UsageError(f"generation: {name} is true or false, not {value!r}.")
        return value
    numbers = (int, float) if wanted is float else (int,)
    if isinstance(value, bool) or not isinstance(value, numbers):
        raise UsageError(f"generation: {name} is a {'whole ' if wanted is int else ''}number, not {value!r}.")
    low, high = RANGES.get(name, GUIDANCE_RANGE)
    if not low <= value <= high:
        raise UsageError(f"generation: {name} lies from {low:g} to {high:g}, not at {value!r}.")
    if name in PIXELS and value % LATENT_FACTOR:
        raise UsageError(f"generation: {name} is a multiple of {LATENT_FACTOR}, not {value!r}.")
    if name == "inverse_rate" and value == 1:
        raise UsageError("generation: inverse_rate lies below 1, since a keyframe needs a denoising step.")
    return wanted(value)
