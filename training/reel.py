"""What the generating half is shown: pictures and clips of 64 pixels, and what the frozen tokenizers make of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from lavit_eval.demo.drawing import draw_frames
from lavit_eval.demo.world import Scene
from lavit_eval.files import write_atomic
from lavit_eval.models.video_lavit.frames import resize_frames
from lavit_eval.models.video_lavit.motion_tokenizer import MOTION_SCALE, MotionTokenizer
from lavit_eval.models.video_lavit.token_selector import gumbel_noise
from lavit_eval.models.video_lavit.visual_tokenizer import VisualTokenizer
from training.footage import Footage
from training.generation_recipe import SIDE
from training.motion import turned
from training.visual import Drawn, Pictures

EVERY = 4
"""A clip's frames are every fourth of a film's: 24 of 96, six per second, as the motion tokens have them."""
LATENTS = SIDE // 8
TOGETHER = 64
"""Pictures that are encoded at once."""


@dataclass(frozen=True, slots=True)
class Reel:
    """Pictures and clips; a picture's row is that in `training.visual.Pictures`: films first, then all others."""

    footage: Footage
    pictures: Tensor
    """uint8 `[films + pictures, 3, 64, 64]`."""
    clips: Tensor
    """uint8 `[films, 24, 3, 64, 64]`; the first frame is the keyframe."""

    @property
    def scenes(self) -> list[Scene]:
        """What is seen on each picture."""
        return [*self.footage.films, *self.footage.pictures]

    def draw_pictures(self, count: int, generator: torch.Generator) -> Tensor:
        """Return pixels float32 `[count, 3, 64, 64]` from -1 to 1 of pictures and of clips' frames, in equal parts."""
        own = torch.randint(len(self.pictures), (count,), generator=generator)
        film = torch.randint(len(self.clips), (count,), generator=generator)
        frame = torch.randint(self.clips.shape[1], (count,), generator=generator)
        still = (torch.arange(count) % 2 == 0)[:, None, None, None].to(self.pictures.device)
        pixels = torch.where(still, self.pictures[own], self.clips[film, frame])
        return mirror(to_pixels(pixels), torch.rand(count, generator=generator) < 0.5)


def to_pixels(frames: Tensor) -> Tensor:
    """Return uint8 pictures `[..., 3, h, w]` as float32 from -1 to 1."""
    return frames.float() / 127.5 - 1


def mirror(values: Tensor, turn: Tensor) -> Tensor:
    """Turn those rows left to right that a vector of booleans names."""
    return torch.where(turn.to(values.device).view(-1, *[1] * (values.dim() - 1)), values.flip(-1), values)


def shoot(footage: Footage, kept: Path, device: torch.device) -> Reel:
    """Return the reel of a footage, on a device; its clips are drawn once and kept in a file."""
    if not kept.is_file():
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            clips = list(pool.map(_clip, footage.films))
        stills = resize_frames(footage.picture_frames, SIDE, SIDE)
        held = {"clips": torch.stack(clips), "pictures": stills.permute(0, 3, 1, 2).contiguous()}
        write_atomic(kept, safetensors.torch.save(held))
    stored = safetensors.torch.load_file(kept)
    pictures = torch.cat((stored["clips"][:, 0], stored["pictures"]))
    return Reel(footage, pictures.to(device), stored["clips"].to(device))


def _clip(film: Scene) -> Tensor:
    frames = torch.from_numpy(np.stack(list(islice(draw_frames(film), 0, None, EVERY))))
    return resize_frames(frames, SIDE, SIDE).permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the tokenizers make of a reel: by draw (odd ones are of mirrored pictures), then by picture or film."""

    visual: Sequence[Sequence[Tensor]]
    """Codes int64 `[kept]` of every picture."""
    motion: Sequence[Tensor]
    """Codes int64 `[films, 135]`; only two turns: as it is, and mirrored."""
    vectors: Sequence[Tensor]
    """Motion read off those codes, float32 `[films, 2, 24, 8, 8]`, without the tokenizer's factor of ten."""
    raw: Sequence[Tensor]
    """The motion itself in the same form."""


@torch.no_grad()
def tokenize(
    reel: Reel, visual: VisualTokenizer, motion: MotionTokenizer, draws: int, seed: int, device: torch.device
) -> Tokens:
    """Tokenise every picture and every film's motion; patches are selected anew in each draw."""
    pictures, codes = Pictures(reel.footage), list[list[Tensor]]()
    for draw in range(draws):
        noise, found = torch.Generator().manual_seed(seed * 1000 + draw), list[Tensor]()
        for start in range(0, len(pictures.frames), TOGETHER):
            rows = torch.arange(start, min(start + TOGETHER, len(pictures.frames)))
            pixels = pictures.pixels(Drawn(rows, torch.tensor([draw % 2 == 1]))).to(device)
            chances = gumbel_noise((len(rows), visual.config.patches, 2), noise).to(device)
            found += [row.cpu() for row in visual.tokenize(pixels, chances)]
        codes.append(found)
    motions = [turned(reel.footage.motions, across, False) for across in (False, True)]
    written = [motion.encode(each.to(device)) for each in motions]
    vectors = [motion.reconstruct_from_codes(each, LATENTS, LATENTS) for each in written]
    return Tokens(codes, [each.cpu() for each in written], vectors, [_small(each).to(device) for each in motions])


def _small(motion: Tensor) -> Tensor:
    """Return motion `[n, 2, 24, 20, 36]` as the diffusion takes it, `[n, 2, 24, 8, 8]`."""
    frames = F.interpolate(motion.flatten(1, 2), size=(LATENTS, LATENTS), mode="bicubic", align_corners=False)
    return torch.unflatten(frames / MOTION_SCALE, 1, tuple(motion.shape[1:3]))
