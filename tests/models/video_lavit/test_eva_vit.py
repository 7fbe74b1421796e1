"""The image encoder: its input, its order of tokens, and its unused parts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lavit_eval.models.video_lavit.eva_vit import EvaVit
from tests.models.video_lavit.seeded_weights import TINY_VISUAL, seeded


def test_another_image_size_is_refused() -> None:
    """Positions are never interpolated."""
    with pytest.raises(ValueError, match=r"expected \(3, 56, 56\)"):
        EvaVit(TINY_VISUAL)(torch.zeros(1, 3, 70, 70))


def test_patches_come_in_raster_order_behind_the_class_token() -> None:
    """Without blocks the output is the patches and the class token, each with its position added."""
    encoder = seeded(EvaVit(replace(TINY_VISUAL, layers=0)))
    pixels = torch.zeros(1, 3, 56, 56)
    pixels[0, :, 14:28, 42:56] = torch.randn(3, 14, 14, generator=torch.Generator().manual_seed(1))
    x = encoder(pixels) - encoder.pos_embed
    bias = encoder.patch_embed.proj.bias
    differs = (x[0] - bias).abs().amax(dim=-1) > 1e-3
    assert differs.nonzero().flatten().tolist() == [0, 1 + 4 * 1 + 3]
    torch.testing.assert_close(x[0, 0], encoder.cls_token[0, 0])


def test_norm_and_head_take_no_part() -> None:
    """The output is the last residual stream itself."""
    encoder = seeded(EvaVit(TINY_VISUAL))
    pixels = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(2))
    before = encoder(pixels)
    before.sum().backward()
    without = {name for name, parameter in encoder.named_parameters() if parameter.grad is None}
    assert without == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    with torch.no_grad():
        encoder.norm.weight.zero_()
    assert torch.equal(encoder(pixels), before)


def test_pixels_are_cast_to_the_weights() -> None:
    """A caller hands float32 pixels to a model of any dtype."""
    encoder = seeded(EvaVit(TINY_VISUAL)).to(torch.bfloat16)
    assert encoder(torch.zeros(2, 3, 56, 56)).dtype == torch.bfloat16
