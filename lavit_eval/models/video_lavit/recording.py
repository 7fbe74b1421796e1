"""A real video as the video detokenizer rebuilds it: a keyframe, the motion after it, and the frames to compare."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor

from lavit_eval.errors import MediumError
from lavit_eval.generation_settings import LATENT_FACTOR, GenerationSettings
from lavit_eval.models.video_lavit.config import MOTION_GRID
from lavit_eval.models.video_lavit.draws import Draws, SeededDraws
from lavit_eval.models.video_lavit.frames import resize_frames
from lavit_eval.sample import Medium, Request, Segment
from lavit_eval.video.clips import coded_stream
from lavit_eval.video.errand import Errand, Prepared
from lavit_eval.video.settings import CLIP_FRAMES, GROUP, VideoSettings
from lavit_eval.video.vectors import block_map, clip_motion

RECONSTRUCTION_FPS = 12
"""Frames per second of the clips that are reconstructed; those that are understood have 6."""


@dataclass(frozen=True, slots=True)
class Recording:
    """24 frames of a real video."""

    frames: Tensor
    """uint8 RGB `[24, height, width, 3]`, resized by Pillow's bicubic filter; the first is the keyframe."""
    motion: Tensor
    """float32 `[2, 24, height / 8, width / 8]`; or, on its way to tokens, `[2, 24, 20, 36]` and ten times as large."""
    start: int
    """The first frame's place in the re-encoded stream."""

    @classmethod
    def of(cls, prepared: Prepared) -> Self:
        """Return what another process brought back from the errand of `recording_of`."""
        frames, motion = map(torch.from_numpy, prepared.arrays)
        return cls(frames, motion, prepared.facts["start"])


def regular_starts(frame_types: str) -> list[int]:
    """Return the I-frames that begin a clip of two whole groups of pictures.

    That is: the next I-frame is exactly 12 later, or there is no other at all, and 24 frames remain.
    """
    intra = [index for index, kind in enumerate(frame_types) if kind == "I"]
    regular = intra if len(intra) == 1 else [here for here, after in pairwise(intra) if here + GROUP == after]
    return [start for start in regular if start + CLIP_FRAMES <= len(frame_types)]


def load_recording(
    path: Path,
    width: int,
    height: int,
    motion: Literal["raw", "tokens"],
    draws: Draws,
    encoder_threads: int = 16,
    segment: Segment | None = None,
) -> Recording:
    """Take 24 frames out of a video, re-encoded at 12 per second, with their motion.

    Args:
        path: A video file; a raw MPEG-4 Part 2 stream is taken as it is.
        width: Of the frames in pixels, a multiple of 8.
        height: Of the frames in pixels, a multiple of 8.
        motion: `raw` for the motion as the diffusion takes it, `tokens` as the motion tokenizer takes it.
        draws: Asked for `clip_start`, one uniform number, by which one of the possible clips is chosen.
        encoder_threads: Slices per picture of the encoder, which change the motion.
        segment: Only this part of the file.

    Raises:
        MediumError: The file cannot be used, or has no 24 frames that begin with an I-frame.
    """
    raw = motion == "raw"
    grid = (height // LATENT_FACTOR, width // LATENT_FACTOR) if raw else MOTION_GRID
    with coded_stream(path, VideoSettings(fps=RECONSTRUCTION_FPS, encoder_threads=encoder_threads), segment) as stream:
        starts = regular_starts(stream.frame_types)
        if not starts:
            raise MediumError(
                f"video {path} has no clip of {CLIP_FRAMES} frames in two whole groups of pictures at "
                f"{RECONSTRUCTION_FPS} per second: it is too short, or its scenes are."
            )
        start = starts[min(int(draws.uniform("clip_start") * len(starts)), len(starts) - 1)]
        window = range(start, start + CLIP_FRAMES)
        frames, maps = [], []
        for frame in stream.frames(window):
            if frame.picture is None:
                raise MediumError(f"video {path}: frame {frame.index} has no picture.")
            picture = torch.from_numpy(frame.picture.copy())[None]
            frames.append(resize_frames(picture, height, width))
            maps.append(block_map(frame.vectors, frame.height, frame.width, rescale=not raw))
    return Recording(torch.cat(frames), clip_motion(maps, *grid), start)


def recording_of(request: Request, settings: GenerationSettings, encoder_threads: int) -> Errand | None:
    """Return the errand that takes the recording of a request; None unless it shows one video."""
    if len(request.media) != 1 or request.media[0].kind != "video":
        return None
    told = {
        "width": settings.video_width,
        "height": settings.video_height,
        "motion": settings.motion,
        "seed": request.seeds.write,
        "encoder_threads": encoder_threads,
    }
    return Errand(f"{__name__}:prepare", request.media[0], told)


def prepare(
    medium: Medium, width: int, height: int, motion: Literal["raw", "tokens"], seed: int, encoder_threads: int
) -> Prepared:
    """Take a recording, its clip chosen by the first draw of a seed (raises MediumError as `load_recording`)."""
    path, draws = Path(medium.path), SeededDraws(seed)
    found = load_recording(path, width, height, motion, draws, encoder_threads, medium.segment)
    return Prepared({"start": found.start}, (found.frames.numpy(), found.motion.contiguous().numpy()))
