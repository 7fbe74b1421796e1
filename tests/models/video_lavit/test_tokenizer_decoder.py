"""The tokenizer decoder: its parameters, rows that do not see each other, no codes and too many."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lavit_eval.models.video_lavit.config import TokenSpace
from lavit_eval.models.video_lavit.layer_norm import UpcastLayerNorm
from lavit_eval.models.video_lavit.tokenizer_decoder import DecoderConfig, TokenizerDecoder, visual_codes
from tests.conftest import GOLDEN
from tests.models.video_lavit.seeded_weights import seeded

TINY = DecoderConfig(tokens=9, code_dim=4, width=16, hidden=24, layers=2, heads=4, out=12, first=5, second=7, pooled=6)
PUBLISHED = GOLDEN / "generation" / "full_size_parameters.json"


@pytest.fixture(scope="module")
def decoder() -> TokenizerDecoder:
    """Random weights."""
    return seeded(TokenizerDecoder(TINY))


def vectors(*counts: int) -> Tensor:
    """Seeded code vectors."""
    return torch.randn(sum(counts), TINY.code_dim, generator=torch.Generator().manual_seed(3))


def full_size() -> dict[str, Tensor]:
    """Parameters without storage."""
    with torch.device("meta"):
        return TokenizerDecoder(DecoderConfig()).state_dict()


def test_at_full_size_it_has_the_tensors_and_parameters_of_the_checkpoint() -> None:
    state = full_size()
    assert len(state) == 287
    assert sum(tensor.numel() for tensor in state.values()) == 414_002_304
    assert tuple(state["unet_attnpool.c_proj.weight"].shape) == (1280, 1408)
    assert tuple(state["blocks.11.cross_attn.query.weight"].shape) == (1408, 1408)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the list of the published parameters is not on this machine")
def test_names_and_shapes_are_exactly_the_published_ones() -> None:
    published = json.loads(PUBLISHED.read_text())["tokenizer_decoder"]["tensors"]
    assert {name: list(tensor.shape) for name, tensor in full_size().items()} == published


def test_sizes_are_read_off_the_shapes_but_for_layers_and_heads(decoder: TokenizerDecoder) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in decoder.state_dict().items()}
    assert DecoderConfig.from_shapes(shapes, layers=2, heads=4) == TINY
    assert DecoderConfig.from_shapes({}) == DecoderConfig()


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="5 heads"):
        TokenizerDecoder(replace(TINY, heads=5))


@torch.no_grad()
def test_images_of_a_batch_decode_as_they_do_alone(decoder: TokenizerDecoder) -> None:
    counts = (3, 9, 0, 1)
    together = decoder(vectors(*counts), counts)
    parts = torch.split(vectors(*counts), counts)
    alone = [decoder(part, [count]) for part, count in zip(parts, counts, strict=True)]
    assert [tuple(part.shape) for part in together] == [(4, 9, 12), (4, 6)]
    for index in (0, 1):
        torch.testing.assert_close(together[index], torch.cat([each[index] for each in alone]), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_every_code_and_its_place_matter(decoder: TokenizerDecoder) -> None:
    codes = vectors(4)
    base = decoder(codes, [4])[0]
    for index in range(4):
        changed = codes.clone()
        changed[index] += 1
        assert float((decoder(changed, [4])[0] - base).abs().max()) > 1e-3
    assert float((decoder(codes.flip(0), [4])[0] - base).abs().max()) > 1e-3


@torch.no_grad()
def test_without_codes_cross_attention_gives_its_bias_alone(decoder: TokenizerDecoder) -> None:
    attention = decoder.blocks[0].get_submodule("cross_attn")
    queries = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(1))
    filled = torch.tensor([[False, False, False], [True, False, True]])
    found = attention(queries, torch.full((2, 3, 16), 7.0), filled)
    assert torch.equal(found[0], attention.get_submodule("proj").bias.expand(9, 16))
    assert float((found[1] - found[0]).abs().max()) > 1e-3


@torch.no_grad()
def test_a_batch_of_images_without_codes_is_finite(decoder: TokenizerDecoder) -> None:
    conditions, pooled = decoder(vectors(), [0, 0])
    assert bool(torch.isfinite(conditions).all()) and bool(torch.isfinite(pooled).all())
    assert torch.equal(conditions[0], conditions[1])


@torch.no_grad()
def test_of_too_many_codes_the_first_ones_count(decoder: TokenizerDecoder) -> None:
    codes = vectors(12, 2)
    found = decoder(codes, [12, 2])
    expected = decoder(torch.cat((codes[:9], codes[12:])), [9, 2])
    for index in (0, 1):
        assert torch.equal(found[index], expected[index])


def test_counts_that_do_not_add_up_are_refused(decoder: TokenizerDecoder) -> None:
    with pytest.raises(ValueError, match="5 code vectors, but counts of 4"):
        decoder(vectors(5), [3, 1])


@torch.no_grad()
def test_ids_that_are_no_visual_codes_are_skipped(decoder: TokenizerDecoder) -> None:
    space = TokenSpace(text=10, visual=20, motion=5)
    ids = [[3, space.image_start, 12, 31, space.image_end, 2], torch.tensor([15])]
    assert [visual_codes(each, space).tolist() for each in ids] == [[0, 19], [3]]
    codebook = torch.randn(20, TINY.code_dim, generator=torch.Generator().manual_seed(2))
    found = decoder.image_embeds(ids, codebook, space)
    expected = decoder(codebook[[0, 19, 3]], [2, 1])
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


def test_a_motion_id_is_refused() -> None:
    with pytest.raises(ValueError, match="id 48386"):
        visual_codes([48386], TokenSpace())


def test_the_norm_is_computed_in_float32_and_cast_back() -> None:
    """Values of 300 have squares beyond the range of float16."""
    norm = UpcastLayerNorm(4).half()
    x = torch.tensor([[300.0, -300.0, 600.0, 0.0]], dtype=torch.float16)
    found = norm(x)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), UpcastLayerNorm(4)(x.float()), atol=2e-3, rtol=0)


@torch.no_grad()
def test_halved_matrices_beside_float32_tables_work_under_autocast() -> None:
    """As the published recipe has it: the residual stream stays float32."""
    decoder = seeded(TokenizerDecoder(TINY))
    expected = decoder(vectors(3, 5), [3, 5])
    for module in decoder.modules():
        if isinstance(module, torch.nn.Linear):
            module.to(torch.bfloat16)
    streams: list[torch.dtype] = []
    decoder.blocks[-1].register_forward_hook(lambda module, arguments, output: streams.append(output.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        found = decoder(vectors(3, 5).bfloat16(), [3, 5])
    assert streams == [torch.float32]
    torch.testing.assert_close(found[0].float(), expected[0], atol=0.1, rtol=0.1)
