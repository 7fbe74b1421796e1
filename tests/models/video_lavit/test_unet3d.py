from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import UNetSpatioTemporalConditionModel
from torch import Tensor

from lavit_eval.models.video_lavit import unet3d
from lavit_eval.models.video_lavit.unet3d import MotionTransformer, UNet3D, states_along_time
from tests.conftest import GOLDEN
from tests.models.video_lavit.seeded_weights import seeded
from tests.models.video_lavit.tiny_video import UNET

PUBLISHED = GOLDEN / "generation" / "full_size_parameters.json"
ROWS, FRAMES, HEIGHT, WIDTH = 2, 3, 8, 12


def full_size() -> UNet3D:
    with torch.device("meta"):
        return UNet3D(num_attention_heads=(5, 10, 20, 20))


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def inputs() -> dict[str, Tensor]:
    return {
        "sample": drawn(ROWS, FRAMES, 10, HEIGHT, WIDTH),
        "timestep": torch.tensor(1.6378),
        "encoder_hidden_states": drawn(ROWS, FRAMES, 256, 16, seed=1),
        "added_time_ids": torch.tensor([[6.0, 127.0, 0.02]]).repeat(ROWS, 1),
    }


@torch.no_grad()
def run(unet: UNet3D, given: dict[str, Tensor]) -> Tensor:
    found: Tensor = unet(**given).sample
    return found


def test_the_number_of_tensors_and_parameters_is_that_of_the_checkpoint() -> None:
    unet = full_size()
    state = unet.state_dict()
    assert len(state) == 1428
    assert sum(tensor.numel() for tensor in state.values()) == 1_524_628_842
    assert sum(isinstance(module, MotionTransformer) for module in unet.modules()) == 16


def test_names_and_shapes_are_those_of_the_library_with_ten_channels() -> None:
    with torch.device("meta"):
        stock = UNetSpatioTemporalConditionModel(in_channels=10).state_dict()
    ours = full_size().state_dict()
    assert list(ours) == list(stock)
    assert all(ours[name].shape == stock[name].shape for name in stock)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the list of the published parameters is not on this machine")
def test_names_and_shapes_are_exactly_the_published_ones() -> None:
    published = json.loads(PUBLISHED.read_text())["video_decoder.unet (class defaults)"]["tensors"]
    assert {name: list(tensor.shape) for name, tensor in full_size().state_dict().items()} == published


@torch.no_grad()
def test_it_is_the_librarys_unet_where_both_attend_to_the_same() -> None:
    """States that are equal at all frames and places are what the library's single state is."""
    ours = seeded(UNet3D.from_config(UNET))
    stock = UNetSpatioTemporalConditionModel.from_config(UNET)
    stock.load_state_dict(ours.state_dict(), strict=True)
    given = inputs()
    single = drawn(ROWS, 1, 16, seed=2)
    found = run(ours, {**given, "encoder_hidden_states": single[:, None].expand(-1, FRAMES, 256, -1)})
    expected = stock.eval()(**{**given, "encoder_hidden_states": single}).sample
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["sample", "timestep", "encoder_hidden_states", "added_time_ids"])
def test_every_input_is_seen(name: str) -> None:
    unet, given = seeded(UNet3D.from_config(UNET)), inputs()
    plain = run(unet, given)
    changed = run(unet, {**given, name: given[name] + 1})
    assert float((changed - plain).abs().mean()) > 1e-3 * float(plain.abs().mean())


def test_every_frame_attends_to_states_of_its_own() -> None:
    unet, given = seeded(UNet3D.from_config(UNET)), inputs()
    plain = run(unet, given)
    turned = run(unet, {**given, "encoder_hidden_states": given["encoder_hidden_states"].flip(1)})
    assert float((turned - plain).abs().mean()) > 1e-3 * float(plain.abs().mean())


def test_a_batch_gives_what_its_rows_give_alone() -> None:
    unet, given = seeded(UNet3D.from_config(UNET)), inputs()
    alone = [
        run(unet, {name: value if value.dim() == 0 else value[row : row + 1] for name, value in given.items()})
        for row in range(ROWS)
    ]
    torch.testing.assert_close(run(unet, given), torch.cat(alone), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("most", [1, 96, 191, 192])
def test_a_batch_beyond_what_the_kernels_take_is_worked_off_in_parts(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    unet, given = seeded(UNet3D.from_config(UNET)), inputs()
    whole = run(unet, given)
    monkeypatch.setattr(unet3d, "SEQUENCES_AT_ONCE", most)
    torch.testing.assert_close(run(unet, given), whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(16, 16), (5, 9), (8, 8), (20, 36), (64, 112), (96, 96), (1, 2), (72, 40)])
def test_a_pixel_attends_along_time_to_the_states_at_its_place(size: tuple[int, int]) -> None:
    """The rule of the published code: resize the maps of states themselves, to the nearest."""
    height, width = size
    states = drawn(2, 3, 256, 4)
    maps = states.reshape(6, 16, 16, 4).permute(0, 3, 1, 2)
    resized = F.interpolate(maps, scale_factor=(height / 16, width / 16), mode="nearest")
    expected = resized.reshape(2, 3, 4, height * width).permute(0, 3, 1, 2).reshape(-1, 3, 4)
    assert torch.equal(states_along_time(states, height, width), expected)


def test_heads_come_from_the_configuration_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        unet = UNet3D.from_config({**UNET, "num_attention_heads": [1, 8]})
    assert [unet.mid_block.attentions[0].num_attention_heads, heads_of(unet, 0)] == [8, 1]
    assert caplog.text == ""


@pytest.mark.parametrize("defaults", [{}, {"num_attention_heads": (5, 10, 20, 20)}])
def test_heads_that_the_configuration_omits_are_the_published_default_and_named(
    caplog: pytest.LogCaptureFixture, defaults: dict[str, Any]
) -> None:
    """Also where the library filled in its own default and says so."""
    config = {"_use_default_values": list(defaults), **defaults}
    with caplog.at_level(logging.WARNING), torch.device("meta"):
        unet = UNet3D.from_config(config)
    assert [heads_of(unet, level) for level in range(3)] == [5, 10, 10]
    assert unet.mid_block.attentions[0].num_attention_heads == 20
    assert unet.config.in_channels == 10
    assert "(5, 10, 10, 20)" in caplog.text


def heads_of(unet: UNet3D, level: int) -> int:
    return int(unet.down_blocks[level].attentions[0].num_attention_heads)


def test_the_configuration_makes_the_same_unet_again() -> None:
    unet = UNet3D.from_config(UNET)
    again = UNet3D.from_config(unet.config)
    for key, value in UNET.items():
        if not key.startswith("_"):
            assert again.config[key] == unet.config[key] == value


@pytest.mark.parametrize("shape", [(ROWS, FRAMES + 1, 256, 16), (ROWS, FRAMES, 255, 16), (ROWS, 1, 16)])
def test_states_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="motion states"):
        run(UNet3D.from_config(UNET), {**inputs(), "encoder_hidden_states": torch.zeros(shape)})


def test_it_runs_in_bfloat16() -> None:
    unet, given = seeded(UNet3D.from_config(UNET)), inputs()
    exact = run(unet, given)
    half = run(unet.bfloat16(), {name: value.bfloat16() for name, value in given.items()})
    assert half.dtype == torch.bfloat16
    assert float((half.float() - exact).abs().mean()) < 0.1 * float(exact.abs().mean())
