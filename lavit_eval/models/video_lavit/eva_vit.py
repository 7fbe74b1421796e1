"""The image encoder: EVA-CLIP's ViT-g with patches of 14 pixels."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from lavit_eval.models.video_lavit.attention import KeyBiasFreeAttention
from lavit_eval.models.video_lavit.config import VisualConfig
from lavit_eval.models.video_lavit.feed_forward import FeedForward

NORM_EPS = 1e-6


class PatchEmbedding(nn.Module):
    """One linear map per square patch, patches in raster order."""

    def __init__(self, config: VisualConfig) -> None:
        super().__init__()
        self.image_size = config.image_size
        self.proj = nn.Conv2d(3, config.width, config.patch_size, stride=config.patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map `[n, 3, S, S]` to `[n, patches, width]`; ValueError for any other S than the configured one."""
        size = (3, self.image_size, self.image_size)
        if tuple(pixels.shape[1:]) != size:
            # The table of positions has one row per patch of this very size and is never interpolated.
            raise ValueError(f"images of shape {tuple(pixels.shape[1:])}, expected {size}")
        return cast(Tensor, self.proj(pixels.to(self.proj.weight.dtype))).flatten(2).transpose(1, 2)


class EvaBlock(nn.Module):
    """A pre-norm transformer block without layer scale."""

    def __init__(self, config: VisualConfig, attention: str) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.attn = KeyBiasFreeAttention(config.width, config.heads, attention)
        self.norm2 = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.mlp = FeedForward(config.width, config.mlp_width)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[n, 1 + patches, width]` to the same shape."""
        x = x + self.attn(self.norm1(x))
        return cast(Tensor, x + self.mlp(self.norm2(x)))


class EvaVit(nn.Module):
    """The encoder; its output is the residual stream of the last block.

    `norm` and `head` belong to the checkpoint (the encoder was trained with them) and take no part in `forward`.

    Args:
        config: Sizes.
        attention: One of `attention.BACKENDS`.
    """

    def __init__(self, config: VisualConfig, attention: str = "sdpa") -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.patches, config.width))
        self.patch_embed = PatchEmbedding(config)
        self.blocks = nn.ModuleList(EvaBlock(config, attention) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.head = nn.Linear(config.width, config.head_out)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode images.

        Args:
            pixels: `[n, 3, S, S]`, normalised with CLIP's mean and deviation; cast to the dtype of the weights.

        Returns:
            `[n, 1 + patches, width]`, the class token first, not normalised.

        Raises:
            ValueError: If the images do not have the configured size.
        """
        patches = self.patch_embed(pixels)
        x = torch.cat((self.cls_token.expand(len(patches), -1, -1), patches), dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return x
