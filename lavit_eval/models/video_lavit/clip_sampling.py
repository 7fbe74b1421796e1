"""Clips of keyframes and motion, and videos rebuilt from recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from lavit_eval.generation_settings import GenerationSettings
from lavit_eval.models.video_lavit.draws import Draws, Rewindable
from lavit_eval.models.video_lavit.footage import MENDED, Footage
from lavit_eval.models.video_lavit.frames import frames_to_pixels
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.recording import Recording
from lavit_eval.models.video_lavit.stages import Stages
from lavit_eval.models.video_lavit.take import Take, outlast
from lavit_eval.models.video_lavit.video_detokenizer import ClipSettings, VideoDetokenizer


def clip_settings(settings: GenerationSettings, low_memory: bool = False) -> ClipSettings:
    """Return how clips are sampled."""
    return ClipSettings(
        steps=settings.video_steps,
        min_guidance=settings.min_video_guidance,
        max_guidance=settings.max_video_guidance,
        linear_guidance=settings.linear_guidance,
        noise_aug_strength=settings.noise_aug_strength,
        fps=settings.fps_id,
        motion_bucket_id=settings.motion_bucket_id,
        cond_on_ref_frame=settings.cond_on_ref_frame,
        quantize_motion=settings.motion == "tokens",
        chunk=settings.vae_chunk,
        low_memory=low_memory,
    )


def sample_clips(
    detokenizer: VideoDetokenizer,
    keyframes: Tensor,
    motion: Tensor,
    draws: Sequence[Draws],
    settings: GenerationSettings,
    low_memory: bool = False,
) -> Tensor:
    """Make clips, uint8 RGB `[n, 24, h, w, 3]` on the CPU.

    Args:
        detokenizer: The model.
        keyframes: uint8 RGB `[n, h, w, 3]`, of the size of the clips.
        motion: Codes or vectors, as `VideoDetokenizer.condition` takes them.
        draws: One per row.
        settings: How to sample.
        low_memory: Run the halves of the guidance one after the other.

    Raises:
        GenerationError: If values of a row are not finite.
        UsageError: For a size that cannot be generated.
    """
    images = frames_to_pixels(keyframes).to(next(detokenizer.vae.parameters()).device)
    return detokenizer.sample(images, motion, draws, clip_settings(settings, low_memory))


def reconstruct_videos(
    detokenizer: VideoDetokenizer,
    recordings: Sequence[Recording],
    draws: Sequence[Draws],
    settings: GenerationSettings,
    low_memory: bool = False,
    stages: Stages | None = None,
) -> list[Footage | GenerationError]:
    """Rebuild clips of real videos from their first frames and their motion; no language model takes part.

    A batch gives what its recordings give alone, but for rounding; what goes wrong for one ends that one.

    Args:
        detokenizer: The model.
        recordings: Of the size that the settings ask for, their motion in the form that `settings.motion` names.
        draws: One per recording.
        settings: How to sample.
        low_memory: Run the halves of the guidance one after the other.
        stages: Runs the sampling; by default all recordings together, and nothing is kept.

    Raises:
        UsageError: For a size that cannot be generated.
    """
    takes = [
        Take(Rewindable(source), [], recording.frames[:1], counts=Counter(dict.fromkeys(MENDED, 0)))
        for source, recording in zip(draws, recordings, strict=True)
    ]
    given = dict(zip(takes, recordings, strict=True))

    def work(live: Sequence[Take]) -> list[Tensor]:
        keyframes = torch.cat([given[take].frames[:1] for take in live])
        motion = torch.stack([given[take].motion for take in live])
        return list(sample_clips(detokenizer, keyframes, motion, [take.draws for take in live], settings, low_memory))

    def film(some: Sequence[Take]) -> None:
        for take, clip in outlast(some, work).items():
            take.clips.append(clip)

    stages = stages or Stages()
    stages.number(takes)
    stages.run("video", "video", takes, film)
    return [take.error or Footage(take.clips[0][None], given[take].frames[:1], (), dict(take.counts)) for take in takes]
