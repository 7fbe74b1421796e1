"""Full softmax attention, and the ViT attention layer whose keys have no bias."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavit_eval.errors import UsageError, nearest

BACKENDS = ("sdpa", "xformers")
"""Kernels that compute the same attention; they differ by rounding."""

Kernel = Callable[..., Tensor]


@cache
def _xformers_kernel() -> Kernel:
    try:
        from xformers.ops import memory_efficient_attention
    except ImportError as error:
        raise UsageError(
            "--attention xformers needs the package xformers, which cannot be imported here: "
            "`pip install 'lavit-eval[xformers]'`, or choose `--attention sdpa`."
        ) from error
    return cast(Kernel, memory_efficient_attention)


def check_backend(backend: str, device: torch.device | str | None = None) -> None:
    """Raise UsageError if `backend` is unknown, or if it cannot work here on `device` (None: do not look)."""
    if backend not in BACKENDS:
        raise UsageError(
            f"unknown attention {backend!r}: choose `--attention sdpa` or `--attention xformers`."
            + nearest(backend, BACKENDS)
        )
    if device is None or backend != "xformers":
        return
    if torch.device(device).type != "cuda":
        raise UsageError(
            "--attention xformers runs only on a CUDA device: choose `--attention sdpa`, or `--device cuda:0`."
        )
    _xformers_kernel()


def attend(q: Tensor, k: Tensor, v: Tensor, scale: float, backend: str = "sdpa") -> Tensor:
    """Return softmax(scale * q k^T) v, unmasked.

    Args:
        q: Queries `[n, queries, heads, head_width]`.
        k: Keys `[n, keys, heads, head_width]`.
        v: Values, shaped as the keys.
        scale: Factor of the scores; the kernels apply it in their own (float32) arithmetic.
        backend: One of `BACKENDS`.

    Returns:
        `[n, queries, heads, head_width]` in the dtype of `q`.

    Raises:
        UsageError: If `backend` is unknown, or is xformers without the package or off CUDA.
    """
    if backend == "sdpa":
        mixed = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), scale=scale)
        return mixed.transpose(1, 2)
    check_backend(backend, q.device)
    return _xformers_kernel()(q, k, v, scale=scale)


class KeyBiasFreeAttention(nn.Module):
    """Full self-attention with one projection for queries, keys and values, of which the keys have no bias.

    Args:
        width: Channels of input and output.
        heads: Heads; they divide `width`.
        backend: One of `BACKENDS`.
    """

    def __init__(self, width: int, heads: int, backend: str = "sdpa") -> None:
        super().__init__()
        check_backend(backend)
        if width % heads:
            raise ValueError(f"{heads} heads do not divide {width} channels")
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.backend = backend
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[n, tokens, width]` to the same shape."""
        bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        q, k, v = torch.unflatten(F.linear(x, self.qkv.weight, bias), -1, (3, self.heads, -1)).unbind(2)
        return cast(Tensor, self.proj(attend(q, k, v, self.scale, self.backend).flatten(2)))
