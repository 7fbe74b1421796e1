"""Motion of a clip to 135 codes and back."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavit_eval.models.video_lavit.attention import KeyBiasFreeAttention
from lavit_eval.models.video_lavit.config import MOTION_FRAMES, MOTION_GRID, MotionConfig
from lavit_eval.models.video_lavit.feed_forward import FeedForward
from lavit_eval.models.video_lavit.quantiser import VectorQuantiser

NORM_EPS = 1e-5
CODE_GRID = (3, 5, 9)
"""Frames, rows and columns of the codes of a clip."""
MOTION_SCALE = 10.0
"""The tokenizer works on motion ten times as large as what the video decoder expects."""
CLIPS_AT_ONCE = 32
"""Bounds memory, and keeps clips x places under the 65535 sequences that fused attention kernels take at once."""

Sizes = tuple[int, int, int]

DOWN: tuple[tuple[Sizes, tuple[int, ...]], ...] = (
    ((1, 2, 2), (0, 1, 0, 1, 1, 1)),
    ((2, 1, 1), (1, 1, 1, 1, 0, 1)),
    ((2, 1, 1), (1, 1, 1, 1, 0, 1)),
    ((2, 2, 2), (0, 1, 0, 1, 0, 1)),
)
"""Per encoder stage: stride in (time, rows, columns); zeros put (left, right, above, below, before, after)."""
UP: tuple[Sizes, ...] = ((2, 2, 2), (2, 1, 1), (2, 1, 1), (1, 2, 2))
"""Per decoder stage: how often each (frame, row, column) is repeated."""


class SpatioTemporalBlock(nn.Module):
    """Attention within each frame, attention along each place, perceptron; each pre-norm and residual."""

    def __init__(self, dim: int, heads: int, attention: str = "sdpa") -> None:
        super().__init__()
        self.norm0 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.spatial_attention = KeyBiasFreeAttention(dim, heads, attention)
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.temporal_attention = KeyBiasFreeAttention(dim, heads, attention)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = FeedForward(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[n, frames, places, dim]` to the same shape."""
        n, frames, places, _ = x.shape
        x = x + self.spatial_attention(self.norm0(x).flatten(0, 1)).unflatten(0, (n, frames))
        along = self.temporal_attention(self.norm1(x).transpose(1, 2).flatten(0, 1))
        x = x + along.unflatten(0, (n, places)).transpose(1, 2)
        return cast(Tensor, x + self.mlp(self.norm2(x)))


def _convolve(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """Apply a convolution to `[n, channels, t, h, w]` and return it channels last."""
    return cast(Tensor, conv(x)).permute(0, 2, 3, 4, 1)


class DownSample(nn.Module):
    """A strided 3 x 3 x 3 convolution whose zero padding differs from side to side; channels last."""

    def __init__(self, dim: int, stride: Sizes, padding: tuple[int, ...]) -> None:
        super().__init__()
        self.padding = padding
        self.conv = nn.Conv3d(dim, dim, 3, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[n, t, h, w, dim]` to `[n, t / a, h / b, w / c, dim]` with the stride (a, b, c)."""
        return _convolve(self.conv, F.pad(x.permute(0, 4, 1, 2, 3), self.padding))


class UpSample(nn.Module):
    """Repetition, then a 3 x 3 x 3 convolution that keeps the size; channels last."""

    def __init__(self, dim: int, factors: Sizes) -> None:
        super().__init__()
        self.factors = tuple(float(factor) for factor in factors)
        self.conv = nn.Conv3d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[n, t, h, w, dim]` to `[n, a t, b h, c w, dim]` with the factors (a, b, c)."""
        # Repetition moves values and computes none: float32, in which the published model does it, changes nothing.
        repeated = F.interpolate(x.permute(0, 4, 1, 2, 3), scale_factor=self.factors, mode="nearest")
        return _convolve(self.conv, repeated)


def _make_blocks(config: MotionConfig, attention: str) -> nn.ModuleList:
    if config.blocks % len(DOWN):
        raise ValueError(f"{config.blocks} blocks do not make {len(DOWN)} equal stages")
    return nn.ModuleList(SpatioTemporalBlock(config.dim, config.heads, attention) for _ in range(config.blocks))


def _run_stage(blocks: nn.ModuleList, stage: int, x: Tensor) -> Tensor:
    """Pass `[n, t, h, w, dim]` through the quarter of the blocks that belongs to a stage."""
    grid, quarter = x.shape[2:4], len(blocks) // len(DOWN)
    x = x.flatten(2, 3)
    for block in blocks[stage * quarter : (stage + 1) * quarter]:
        x = block(x)
    return torch.unflatten(x, 2, tuple(grid))


class MotionEncoder(nn.Module):
    """Four stages of blocks, each followed by a down-sampling."""

    def __init__(self, config: MotionConfig, attention: str) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, MOTION_GRID[0] * MOTION_GRID[1], config.dim))
        self.temp_pos = nn.Parameter(torch.zeros(1, MOTION_FRAMES, config.dim))
        self.in_proj = nn.Linear(2, config.dim)
        self.blocks = _make_blocks(config, attention)
        self.down_sample_layers = nn.ModuleList(DownSample(config.dim, stride, padding) for stride, padding in DOWN)
        self.norm = nn.LayerNorm(config.dim, eps=NORM_EPS)

    def forward(self, motion: Tensor) -> Tensor:
        """Map `[n, 2, 24, 20, 36]` to `[n, 3, 5, 9, dim]`; ValueError for any other size."""
        size = (2, MOTION_FRAMES, *MOTION_GRID)
        if tuple(motion.shape[1:]) != size:
            raise ValueError(f"motion of shape {tuple(motion.shape[1:])}, expected {size}")
        x = self.in_proj(motion.to(self.in_proj.weight.dtype).permute(0, 2, 3, 4, 1))
        # Two sums, in this order: in half precision each one rounds.
        x = x + torch.unflatten(self.pos_embed, 1, MOTION_GRID)[:, None]
        x = x + self.temp_pos[:, :, None, None]
        for stage, down in enumerate(self.down_sample_layers):
            x = down(_run_stage(self.blocks, stage, x))
        return cast(Tensor, self.norm(x))


class MotionDecoder(nn.Module):
    """Four stages, each an up-sampling followed by blocks; it has no table of positions."""

    def __init__(self, config: MotionConfig, attention: str) -> None:
        super().__init__()
        self.in_proj = nn.Linear(config.code_dim, config.dim)
        self.blocks = _make_blocks(config, attention)
        self.up_sample_layers = nn.ModuleList(UpSample(config.dim, factors) for factors in UP)
        self.norm = nn.LayerNorm(config.dim, eps=NORM_EPS)

    def forward(self, vectors: Tensor) -> Tensor:
        """Map `[n, 3, 5, 9, code_dim]` to `[n, 24, 20, 36, dim]`."""
        x = self.in_proj(vectors)
        for stage, up in enumerate(self.up_sample_layers):
            x = _run_stage(self.blocks, stage, up(x))
        return cast(Tensor, self.norm(x))


class MotionTokenizer(nn.Module):
    """Encoder, quantiser and decoder of motion.

    Motion is `[n, 2, 24, 20, 36]`: channels x and y, frames, rows, columns. Clips do not see each other: a batch gives
    what its clips give alone, but for rounding. The parameter names are those of the public checkpoint.

    Args:
        config: Sizes.
        attention: One of `attention.BACKENDS`.
    """

    def __init__(self, config: MotionConfig, attention: str = "sdpa") -> None:
        super().__init__()
        self.config = config
        self.encoder = MotionEncoder(config, attention)
        self.decoder = MotionDecoder(config, attention)
        self.encode_task_layer = nn.Sequential(
            nn.Linear(config.dim, config.dim), nn.Tanh(), nn.Linear(config.dim, config.code_dim)
        )
        self.decode_task_layer = nn.Sequential(nn.Linear(config.dim, config.dim), nn.Tanh(), nn.Linear(config.dim, 2))
        self.quantize = VectorQuantiser(config.n_code, config.code_dim)

    def encode(self, motion: Tensor) -> Tensor:
        """Return the codes, int64 `[n, 135]`, of motion; ordered by frame, row and column, without their ids' offset.

        Raises:
            ValueError: If the motion is not of the size above.
        """
        parts = [self._encode_clips(clips) for clips in torch.split(motion, CLIPS_AT_ONCE)]
        return torch.cat(parts).flatten(1)

    def _encode_clips(self, clips: Tensor) -> Tensor:
        return cast(Tensor, self.quantize(self.encode_task_layer(self.encoder(clips))))

    def decode(self, codes: Tensor) -> Tensor:
        """Return the motion, `[n, 2, 24, 20, 36]`, of codes `[n, 135]`."""
        return torch.cat([self._decode_clips(clips) for clips in torch.split(codes, CLIPS_AT_ONCE)])

    def _decode_clips(self, codes: Tensor) -> Tensor:
        vectors = self.quantize.lookup(torch.unflatten(codes, 1, CODE_GRID))
        return cast(Tensor, self.decode_task_layer(self.decoder(vectors))).permute(0, 4, 1, 2, 3)

    def reconstruct_from_codes(self, codes: Tensor, height: int, width: int) -> Tensor:
        """Return the motion of codes `[n, 135]` as the video decoder expects it: `[n, 2, 24, height, width]`.

        Each frame is resized (bicubic, no antialiasing) and divided by ten, in float32; the result has the dtype of
        `decode`'s.
        """
        motion = self.decode(codes)
        frames = F.interpolate(
            motion.float().flatten(1, 2), size=(height, width), mode="bicubic", align_corners=False, antialias=False
        )
        return torch.unflatten((frames / MOTION_SCALE).to(motion.dtype), 1, (2, MOTION_FRAMES))

    def reconstruct(self, motion: Tensor, height: int, width: int) -> Tensor:
        """Return motion after its way through the codes, in the form of `reconstruct_from_codes`."""
        return self.reconstruct_from_codes(self.encode(motion), height, width)
