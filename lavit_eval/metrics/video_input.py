"""How a video becomes the input of a feature network: which frames, which size, which scale; pure functions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from lavit_eval.errors import MediumError

Part = Literal["first", "central", "last", "random"]
Resize = Literal["squash", "squash_tf1", "short_side_crop", "none"]
BeforeResize = Literal["short_side_crop", "squash", "none"]
FirstResize = Literal["short_side_crop", "squash", "bicubic_squash", "none"]
Frames = npt.NDArray[np.uint8]


def choose_frames(
    count: int,
    wanted: int,
    part: Part,
    stride: int = 1,
    fps: Fraction | None = None,
    rate: Fraction | None = None,
    seed: int | None = None,
) -> list[int]:
    """Return the indices of the frames that a clip is made of.

    The clip's frames lie `stride` frames apart, or, with `rate`, are those on the screen at times k / rate after the
    first one.

    Args:
        count: Frames of the video.
        wanted: Frames of the clip.
        part: Where the clip begins: such that it is the first, the central (the odd frame behind) or the last part of
            the video, or at random.
        stride: Frames from one to the next; 1 takes consecutive ones.
        fps: Frames per second of the video; needed with `rate`.
        rate: Frames per second of the clip instead of a stride.
        seed: For "random", in [0, 2^63): every possible start is equally likely (NumPy's PCG64).

    Raises:
        MediumError: The video is shorter than the clip.
        ValueError: For arguments that contradict each other.
    """
    if rate is not None and (fps is None or stride != 1):
        raise ValueError("a rate needs the video's fps, and no stride")
    step = Fraction(stride) if rate is None or fps is None else Fraction(fps) / Fraction(rate)
    offsets = [math.floor(place * step) for place in range(wanted)]
    spare = count - 1 - offsets[-1]
    if spare < 0:
        every = f"every {stride}" if rate is None else f"at {float(rate):g} a second"
        raise MediumError(f"{count} frames are too few for a clip of {wanted} ({every}), which needs {offsets[-1] + 1}")
    return [_start(spare, part, seed) + offset for offset in offsets]


def _start(spare: int, part: Part, seed: int | None) -> int:
    if part == "random":
        if seed is None:
            raise ValueError("a random part needs a seed")
        return int(np.random.Generator(np.random.PCG64(seed)).integers(spare + 1))
    return {"first": 0, "central": spare // 2, "last": spare}[part]


def prepare_clip(
    frames: Tensor, side: int, resize: Resize, before: BeforeResize = "none", before_side: int = 0
) -> Tensor:
    """Return a clip as a feature network takes it, `[3, T, side, side]` float32 in [-1, 1].

    Args:
        frames: `[T, H, W, 3]` uint8 RGB.
        side: The network's input size.
        resize: "squash" (bilinear as in TATS), "squash_tf1" (as in the original FVD code), "short_side_crop" (as in
            VideoGPT), or "none" where the frames have that size.
        before: A resize to `before_side` that comes first, antialiased and rounded to bytes: the resolution at which a
            protocol compares videos, e.g. 256 x 256.
        before_side: Its size.
    """
    if before != "none":
        frames = to_bytes(smaller(planes(frames), before_side, before)).permute(0, 2, 3, 1)
    values = planes(frames)
    if resize == "squash":
        values = squash(values, side)
    elif resize == "squash_tf1":
        values = squash_tf1(values, side)
    elif resize == "short_side_crop":
        values = short_side_crop(values, side)
    return to_unit(values).permute(1, 0, 2, 3).contiguous()


def first_resized(frames: Frames, fit: FirstResize, side: int) -> Frames:
    """Return uint8 `[T, H, W, 3]` at the resolution at which a protocol compares videos, rounded to bytes.

    Args:
        frames: uint8 RGB.
        fit: "short_side_crop" and "squash" bilinearly with antialias, "bicubic_squash" by Pillow, "none" as they are.
        side: Height and width.
    """
    if fit == "none":
        return frames
    if fit == "bicubic_squash":
        pictures = [Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC) for frame in frames]
        return np.stack([np.asarray(picture) for picture in pictures])
    resized = to_bytes(smaller(planes(torch.from_numpy(frames)), side, fit))
    return np.ascontiguousarray(resized.permute(0, 2, 3, 1).numpy())


def planes(frames: Tensor) -> Tensor:
    """Return uint8 `[T, H, W, 3]` as float32 `[T, 3, H, W]` in 0..255."""
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(f"expected uint8 frames [T, H, W, 3], got {frames.dtype} {list(frames.shape)}")
    return frames.permute(0, 3, 1, 2).float()


def to_unit(values: Tensor) -> Tensor:
    """Map 0..255 to [-1, 1]: 2 x / 255 - 1."""
    return values * (2.0 / 255.0) - 1.0


def to_bytes(values: Tensor) -> Tensor:
    """Round 0..255 to uint8, values outside clipped."""
    return values.round().clamp(0, 255).to(torch.uint8)


def squash(values: Tensor, side: int) -> Tensor:
    """Resize `[T, C, H, W]` to side x side bilinearly, pixel centres aligned at half pixels, no antialias, no crop."""
    return functional.interpolate(values, size=(side, side), mode="bilinear", align_corners=False)


def squash_tf1(values: Tensor, side: int) -> Tensor:
    """Resize `[T, C, H, W]` to side x side as TensorFlow 1's `resize_bilinear` does by default.

    Output pixel i reads at i x size / side (corners not aligned, no half-pixel centres), clipped at the last pixel: the
    picture shifts towards its upper left corner by up to half a pixel.
    """
    return _along(_along(values, side, dim=2), side, dim=3)


def _along(values: Tensor, side: int, dim: int) -> Tensor:
    size = values.shape[dim]
    places = torch.arange(side, dtype=torch.float32, device=values.device) * (size / side)
    lower = places.floor().long()
    upper = (lower + 1).clamp(max=size - 1)
    weight = (places - lower).view([-1 if axis == dim else 1 for axis in range(values.ndim)])
    below, above = values.index_select(dim, lower), values.index_select(dim, upper)
    return below + (above - below) * weight


def short_side_crop(values: Tensor, side: int, antialias: bool = False) -> Tensor:
    """Resize `[T, C, H, W]` bilinearly, the short side to `side`, the long one rounded up; return the centre."""
    height, width = values.shape[2:]
    scale = side / min(height, width)
    size = (side, math.ceil(width * scale)) if height < width else (math.ceil(height * scale), side)
    resized = functional.interpolate(values, size=size, mode="bilinear", align_corners=False, antialias=antialias)
    top, left = ((length - side) // 2 for length in size)
    return resized[:, :, top : top + side, left : left + side]


def smaller(values: Tensor, side: int, fit: BeforeResize) -> Tensor:
    """Resize `[T, C, H, W]` to side x side with antialias: "short_side_crop" or "squash"."""
    if fit == "short_side_crop":
        return short_side_crop(values, side, antialias=True)
    return functional.interpolate(values, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
