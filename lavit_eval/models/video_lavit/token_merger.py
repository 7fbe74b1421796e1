"""Moves what the dropped patches hold into the kept ones, before the dropped ones go."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from lavit_eval.models.video_lavit.config import VisualConfig
from lavit_eval.models.video_lavit.feed_forward import FeedForward

NORM_EPS = 1e-5
LEAK = 1e-6


def leaky_masked_softmax(scores: Tensor, policy: Tensor) -> Tensor:
    """Return attention weights in which excluded keys keep a trace.

    With m the largest score of a row over all its keys (excluded ones too) and A = exp(score - m) * policy in float32,
    a weight is (A + 1e-6 / keys) / (sum of A + 1e-6). So a row without admitted keys weighs all keys alike, and so
    nearly does a row whose excluded keys have much the largest scores: this is not masking with minus infinity.

    Args:
        scores: `[..., queries, keys]`, any float dtype.
        policy: Zeros and ones of a shape that broadcasts to the scores; may carry gradients.

    Returns:
        Weights in the shape and dtype of the scores.
    """
    above = (scores - scores.amax(dim=-1, keepdim=True)).float().exp() * policy
    weights = (above + LEAK / scores.shape[-1]) / (above.sum(dim=-1, keepdim=True) + LEAK)
    return weights.to(scores.dtype)


def causal_policy(keep: Tensor) -> Tensor:
    """Return `[n, 1, N, N]` float32: a query sees itself and the kept keys before it (`keep` is `[n, N]`)."""
    keys = keep.float()[:, None, :]
    own = torch.eye(keep.shape[-1], device=keep.device)
    return torch.maximum(keys, own).tril()[:, None]


def dropped_policy(keep: Tensor) -> Tensor:
    """Return `[n, 1, 1, N]` float32: every query sees the dropped keys alone (`keep` is `[n, N]`)."""
    return (1 - keep.float())[:, None, None, :]


def _attend(q: Tensor, k: Tensor, v: Tensor, policy: Tensor) -> Tensor:
    """Attend with `[n, N, heads, head_width]` under a policy; return `[n, N, width]`."""
    # Scaled after the product, unlike in the encoder: in half precision the two round differently.
    scores = (q.transpose(1, 2) @ k.permute(0, 2, 3, 1)) * q.shape[-1] ** -0.5
    return (leaky_masked_softmax(scores, policy) @ v.transpose(1, 2)).transpose(1, 2).flatten(2)


class TokenCausalAttention(nn.Module):
    """Self-attention to the kept patches at or before the query."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, policy: Tensor) -> Tensor:
        """Map `[n, N, width]` to the same shape; `policy` is that of `causal_policy`."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        return cast(Tensor, self.proj(_attend(q, k, v, policy)))


class TokenCrossAttention(nn.Module):
    """Attention of all patches to the encoder's features of the dropped ones."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, source: Tensor, policy: Tensor) -> Tensor:
        """Map `[n, N, width]` to the same shape, looking at `source`; `policy` is that of `dropped_policy`."""
        q, k, v = (
            projection(tokens).unflatten(-1, (self.heads, -1))
            for projection, tokens in ((self.query, x), (self.key, source), (self.value, source))
        )
        return cast(Tensor, self.proj(_attend(q, k, v, policy)))


class MergerBlock(nn.Module):
    """Causal attention, cross attention and perceptron, each pre-norm and residual."""

    def __init__(self, config: VisualConfig) -> None:
        super().__init__()
        self.norm0 = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.token_causal_attn = TokenCausalAttention(config.width, config.heads)
        self.norm1 = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.token_cross_attn = TokenCrossAttention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.mlp = FeedForward(config.width, config.mlp_width)

    def forward(self, x: Tensor, source: Tensor, causal: Tensor, dropped: Tensor) -> Tensor:
        """Map `[n, N, width]` to the same shape."""
        x = x + self.token_causal_attn(self.norm0(x), causal)
        x = x + self.token_cross_attn(self.norm1(x), source, dropped)
        return cast(Tensor, x + self.mlp(self.norm2(x)))


class TokenMerger(nn.Module):
    """The merger: all patches pass through it, the dropped ones too; the caller picks the kept ones afterwards."""

    def __init__(self, config: VisualConfig) -> None:
        super().__init__()
        self.ln_vision = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.blocks = nn.ModuleList(MergerBlock(config) for _ in range(config.merger_layers))
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)

    def forward(self, features: Tensor, keep: Tensor) -> Tensor:
        """Merge.

        Args:
            features: The encoder's `[n, N, width]`. The stream starts from them as they are; only what the cross
                attention looks at is normalised first.
            keep: `[n, N]`, booleans, or zeros and ones that may carry gradients.

        Returns:
            `[n, N, width]`.
        """
        source, causal, dropped = self.ln_vision(features), causal_policy(keep), dropped_policy(keep)
        x = features
        for block in self.blocks:
            x = block(x, source, causal, dropped)
        return cast(Tensor, self.norm(x))
