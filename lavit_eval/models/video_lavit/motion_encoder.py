"""Motion of a clip to the states that the video UNet attends to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavit_eval.models.video_lavit.layer_norm import UpcastLayerNorm
from lavit_eval.models.video_lavit.motion_tokenizer import NORM_EPS, SpatioTemporalBlock

STATE_GRID = (16, 16)
"""Rows and columns of the states of a frame."""


@dataclass(frozen=True, slots=True)
class MotionEncoderConfig:
    """Sizes of the motion condition encoder; the defaults are the published ones."""

    dim: int = 512
    heads: int = 8
    blocks: int = 12
    out_dim: int = 1024
    """Width of a state: the cross-attention width of the video UNet."""


def resize_motion(motion: Tensor) -> Tensor:
    """Resize each frame of motion `[n, 2, frames, h, w]` to 16 x 16 (bicubic in float32, no antialiasing).

    The values are not rescaled with the size. The result has the dtype of the motion.
    """
    resized = F.interpolate(
        motion.float().flatten(1, 2), size=STATE_GRID, mode="bicubic", align_corners=False, antialias=False
    )
    return torch.unflatten(resized.to(motion.dtype), 1, tuple(motion.shape[1:3]))


class MotionEncoder(nn.Module):
    """Motion to states: one per frame and place of a 16 x 16 grid.

    Clips do not see each other. There is no table of frames, so that any number of them will do. The parameter names
    are those of the public checkpoint.

    Args:
        config: Sizes.
        attention: One of `attention.BACKENDS`.
    """

    def __init__(self, config: MotionEncoderConfig, attention: str = "sdpa") -> None:
        super().__init__()
        self.config = config
        self.pos_embed = nn.Parameter(torch.zeros(1, STATE_GRID[0] * STATE_GRID[1], config.dim))
        self.in_proj = nn.Linear(2, config.dim)
        self.blocks = nn.ModuleList(_make_block(config, attention) for _ in range(config.blocks))
        self.norm = UpcastLayerNorm(config.dim, eps=NORM_EPS)
        self.out_proj = nn.Linear(config.dim, config.out_dim)

    def forward(self, motion: Tensor) -> Tensor:
        """Map motion `[n, 2, frames, 16, 16]` to states `[n, frames, 256, out_dim]`, places row by row.

        Raises ValueError for another size.
        """
        if motion.dim() != 5 or motion.shape[1] != 2 or tuple(motion.shape[-2:]) != STATE_GRID:
            raise ValueError(f"motion of shape {tuple(motion.shape)}, expected [n, 2, frames, 16, 16]")
        x = self.in_proj(motion.to(self.in_proj.weight.dtype).flatten(3).permute(0, 2, 3, 1))
        x = x + self.pos_embed[:, None]
        for block in self.blocks:
            x = block(x)
        return cast(Tensor, self.out_proj(self.norm(x)))

    def encode_motion(self, motion: Tensor) -> Tensor:
        """Map motion `[n, 2, frames, h, w]`, without the tokenizer's factor of ten, to `[n, frames, 256, out_dim]`."""
        return cast(Tensor, self(resize_motion(motion)))


def _make_block(config: MotionEncoderConfig, attention: str) -> SpatioTemporalBlock:
    """Return a block of the motion tokenizer whose norms work in float32, as only this encoder's do."""
    block = SpatioTemporalBlock(config.dim, config.heads, attention)
    block.norm0, block.norm1, block.norm2 = (UpcastLayerNorm(config.dim, eps=NORM_EPS) for _ in range(3))
    return block
