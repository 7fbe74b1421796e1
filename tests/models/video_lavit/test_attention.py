"""Attention: the formula, the missing key bias, and what is said when a kernel cannot be had."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit import attention
from lavit_eval.models.video_lavit.attention import KeyBiasFreeAttention, attend, check_backend
from tests.models.video_lavit.seeded_weights import seeded


def by_formula(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """Attention of `[n, tokens, heads, head_width]`, head by head."""
    weights = torch.softmax(torch.einsum("nqhd,nkhd->nhqk", q * scale, k), dim=-1)
    return torch.einsum("nhqk,nkhd->nqhd", weights, v)


def draw(*shape: int) -> torch.Tensor:
    """Seeded normal values."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def test_attend_is_the_softmax_of_scaled_products() -> None:
    """Queries and keys may differ in number."""
    q, k, v = draw(2, 5, 3, 4), draw(2, 7, 3, 4), draw(2, 7, 3, 4) + 1
    torch.testing.assert_close(attend(q, k, v, 0.7), by_formula(q, k, v, 0.7), atol=1e-5, rtol=1e-5)


def test_queries_and_values_have_biases_and_keys_have_none() -> None:
    """The layer equals three separate projections."""
    layer, x = seeded(KeyBiasFreeAttention(12, 3)), draw(2, 6, 12)
    to_q, to_k, to_v = layer.qkv.weight.chunk(3)
    q, k, v = (
        projected.unflatten(-1, (3, 4))
        for projected in (x @ to_q.T + layer.q_bias, x @ to_k.T, x @ to_v.T + layer.v_bias)
    )
    expected = layer.proj(by_formula(q, k, v, 4**-0.5).flatten(2))
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)
    assert "qkv.bias" not in layer.state_dict()


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    """Said when the layer is made."""
    with pytest.raises(ValueError, match="5 heads"):
        KeyBiasFreeAttention(12, 5)


def test_an_unknown_kernel_is_a_usage_error_with_the_nearest_name() -> None:
    """Said when the layer is made, not at its first use."""
    with pytest.raises(UsageError, match="Did you mean xformers"):
        KeyBiasFreeAttention(12, 3, "xformer")


def test_xformers_off_cuda_is_a_usage_error_that_names_the_option() -> None:
    """The kernel has no CPU form."""
    x = draw(1, 2, 1, 8)
    with pytest.raises(UsageError, match="--attention sdpa"):
        attend(x, x, x, 1.0, "xformers")


def test_a_missing_xformers_is_a_usage_error_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found before any model is on the device."""
    attention._xformers_kernel.cache_clear()
    monkeypatch.setitem(sys.modules, "xformers", None)
    monkeypatch.setitem(sys.modules, "xformers.ops", None)
    with pytest.raises(UsageError, match=r"pip install 'lavit-eval\[xformers\]'"):
        check_backend("xformers", "cuda:0")


def test_xformers_gets_the_layout_and_the_scale_that_it_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its operands are `[n, tokens, heads, head_width]`, scaled by an argument named scale."""
    kernel = SimpleNamespace(memory_efficient_attention=lambda q, k, v, *, scale: by_formula(q, k, v, scale))
    attention._xformers_kernel.cache_clear()
    monkeypatch.setitem(sys.modules, "xformers", SimpleNamespace(ops=kernel))
    monkeypatch.setitem(sys.modules, "xformers.ops", kernel)
    monkeypatch.setattr(attention, "check_backend", lambda *arguments: None)
    q, k, v = draw(2, 5, 3, 4), draw(2, 5, 3, 4).flip(1), draw(2, 5, 3, 4) + 1
    try:
        torch.testing.assert_close(attend(q, k, v, 0.5, "xformers"), attend(q, k, v, 0.5), atol=1e-5, rtol=1e-5)
    finally:
        attention._xformers_kernel.cache_clear()
