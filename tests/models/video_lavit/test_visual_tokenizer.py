"""The visual tokenizer: images alone and in batches, edges, half precision, gradients."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lavit_eval.models.video_lavit.token_selector import gumbel_noise
from lavit_eval.models.video_lavit.visual_tokenizer import VisualTokenizer
from tests.models.video_lavit.seeded_weights import TINY_VISUAL, seeded


def draw_images(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Seeded pixels and noise for the tiny tokenizer."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, 56, 56, generator=generator), gumbel_noise((n, 16, 2), generator)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(n=st.integers(1, 5), seed=st.integers(0, 10_000))
def test_an_image_gets_in_a_batch_what_it_gets_alone(n: int, seed: int) -> None:
    """Features within rounding, codes and counts exactly."""
    tokenizer = seeded(VisualTokenizer(TINY_VISUAL))
    pixels, noise = draw_images(n, seed)
    with torch.no_grad():
        features, codes = tokenizer.encode_features(pixels, noise), tokenizer.tokenize(pixels, noise)
        for i in range(n):
            (alone,) = tokenizer.encode_features(pixels[i : i + 1], noise[i : i + 1])
            torch.testing.assert_close(features[i], alone, atol=1e-5, rtol=1e-5)
            assert torch.equal(codes[i], tokenizer.tokenize(pixels[i : i + 1], noise[i : i + 1])[0])


@torch.no_grad()
def test_features_are_the_projected_rows_of_kept_patches_in_raster_order() -> None:
    """One list entry per image."""
    tokenizer = seeded(VisualTokenizer(TINY_VISUAL))
    pixels, noise = draw_images(2, 0)
    encoded = tokenizer.encode(pixels, noise)
    assert torch.equal(tokenizer.select(encoded.features, noise), encoded.keep)
    for image, features in enumerate(tokenizer.encode_features(pixels, noise)):
        kept = [patch for patch in range(16) if encoded.keep[image, patch]]
        assert 0 < len(kept) < 16
        expected = torch.stack([tokenizer.vit_proj(encoded.merged[image, patch]) for patch in kept])
        torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_an_image_may_keep_everything_or_nothing() -> None:
    """Then it has 16 tokens, or none, with the right width."""
    tokenizer = seeded(VisualTokenizer(TINY_VISUAL))
    pixels, noise = draw_images(3, 1)
    noise[0, :, 0] += 100
    noise[1, :, 1] += 100
    features, codes = tokenizer.encode_features(pixels, noise), tokenizer.tokenize(pixels, noise)
    assert [tuple(each.shape) for each in features[:2]] == [(16, 20), (0, 20)]
    assert [len(each) for each in codes] == [len(each) for each in features]
    assert all(torch.isfinite(each).all() for each in features)


@torch.no_grad()
def test_nothing_kept_in_the_whole_batch_and_no_image_at_all() -> None:
    """Empty tensors, not errors."""
    tokenizer = seeded(VisualTokenizer(TINY_VISUAL))
    pixels, noise = draw_images(2, 1)
    noise[..., 1] += 100
    assert [tuple(each.shape) for each in tokenizer.encode_features(pixels, noise)] == [(0, 20), (0, 20)]
    assert [tuple(each.shape) for each in tokenizer.tokenize(pixels, noise)] == [(0,), (0,)]
    assert tokenizer.encode_features(pixels[:0], noise[:0]) == []
    assert tokenizer.tokenize(pixels[:0], noise[:0]) == []


@torch.no_grad()
def test_the_deterministic_variant_needs_no_noise() -> None:
    """It keeps what is at least as probable as not."""
    tokenizer = seeded(VisualTokenizer(TINY_VISUAL))
    pixels, _ = draw_images(3, 2)
    encoded = tokenizer.encode(pixels, None)
    assert torch.equal(encoded.keep, encoded.scores[..., 0].exp() >= 0.5)


@torch.no_grad()
def test_a_halved_module_runs_throughout_and_stays_near() -> None:
    """Both ways out; decisions forced, so that one rounded score cannot change everything."""
    pixels, noise = draw_images(2, 3)
    noise[:, ::2, 0] += 100
    noise[:, 1::2, 1] += 100
    exact = VisualTokenizer(TINY_VISUAL)
    expected = torch.cat(seeded(exact).encode_features(pixels, noise))
    for dtype, allowed in ((torch.bfloat16, 0.05), (torch.float16, 0.01)):
        halved = seeded(VisualTokenizer(TINY_VISUAL)).to(dtype)
        found = torch.cat(halved.encode_features(pixels, noise))
        assert found.dtype == dtype
        assert float((found.float() - expected).abs().max()) < allowed * float(expected.abs().max())
        assert [len(each) for each in halved.tokenize(pixels, noise)] == [8, 8]


@torch.no_grad()
def test_the_generation_way_scores_in_the_dtype_of_the_selectors_norm() -> None:
    """Codes are drawn with float32 scores where norms are kept in float32."""
    tokenizer = seeded(VisualTokenizer(TINY_VISUAL))
    tokenizer.encoder.to(torch.bfloat16)
    tokenizer.causal_encoder.to(torch.bfloat16)
    pixels, noise = draw_images(1, 3)
    encoded = tokenizer.encode(pixels, noise, exact_scores=True)
    assert encoded.features.dtype == encoded.merged.dtype == torch.bfloat16
    assert encoded.scores.dtype == torch.float32


def test_gradients_of_the_features_reach_all_that_made_them() -> None:
    """The selector's hard decision and the way to codes pass none."""
    tokenizer = seeded(VisualTokenizer(TINY_VISUAL))
    torch.cat(tokenizer.encode_features(*draw_images(2, 4))).pow(2).sum().backward()
    without = {name.split(".")[0] for name, parameter in tokenizer.named_parameters() if parameter.grad is None}
    assert without == {"encoder", "token_predictor", "quantize", "encode_task_layer"}
    unused = {name for name, parameter in tokenizer.encoder.named_parameters() if parameter.grad is None}
    assert unused == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
