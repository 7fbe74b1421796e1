"""Pictures between 8 bits and the tensors of the diffusion models."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def resize_frames(frames: Tensor, height: int, width: int) -> Tensor:
    """Resize uint8 RGB `[n, h, w, 3]` to `[n, height, width, 3]` by Pillow's bicubic filter, on 8-bit values.

    Frames that have the size come back as they are. The aspect ratio is not kept.
    """
    if tuple(frames.shape[1:3]) == (height, width):
        return frames
    pictures = [Image.fromarray(frame) for frame in frames.cpu().numpy()]
    resized = [np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC)) for picture in pictures]
    return torch.from_numpy(np.stack(resized))


def frames_to_pixels(frames: Tensor) -> Tensor:
    """Turn uint8 RGB `[n, h, w, 3]` into float32 `[n, 3, h, w]` from -1 to 1."""
    return 2 * (frames.permute(0, 3, 1, 2).float() / 255) - 1


def pixels_to_frames(pixels: Tensor) -> Tensor:
    """Turn float `[n, 3, h, w]`, nominally from -1 to 1, into uint8 RGB `[n, h, w, 3]` on the CPU.

    Values outside are clamped, those between two levels go to the nearer one.
    """
    unit = (pixels.float() / 2 + 0.5).clamp(0, 1)
    return (unit * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu()
