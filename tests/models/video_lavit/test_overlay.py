from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.generation_loading import Part, read_part

Weights = dict[str, torch.Tensor]
UNET = "video_detokenizer/unet"
BIN, SAFE = f"{UNET}/diffusion_pytorch_model.bin", f"{UNET}/diffusion_pytorch_model.safetensors"
OTHER = "video_3d_unet.bin"
BIAS = "unet.conv_in.bias"


@pytest.fixture
def root(tmp_path: Path, tiny_root: Path) -> Path:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_root, folder)
    return folder


def change(path: Path, work: Callable[[Weights], object]) -> None:
    weights: Weights = torch.load(path, weights_only=True)
    work(weights)
    path.unlink()
    torch.save(weights, path)


def load(root: Path, name: str = "video_detokenizer") -> torch.nn.Module:
    return read_part(name, root).load(torch.float32)


def bias(module: torch.nn.Module) -> torch.Tensor:
    return module.state_dict()[BIAS]


def stored(path: Path, name: str) -> torch.Tensor:
    weights = (
        safetensors.torch.load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    )
    return weights[name].float()


def bare(weights: Weights) -> None:
    """Give the UNet the names that diffusers gives it."""
    for name in [name for name in weights if name.startswith("unet.")]:
        weights[name.removeprefix("unet.")] = weights.pop(name)


def sources(part: Part, child: str) -> set[str]:
    origins = {name: origin for name, origin in part.plan.origins.items() if name.startswith(child)}
    return {origin.path.relative_to(part.plan.root).as_posix() for origin in origins.values()}


def test_each_purpose_has_its_overlay(root: Path) -> None:
    assert torch.equal(bias(load(root)), stored(root / BIN, BIAS))
    assert torch.equal(bias(load(root, "video_reconstructor")), stored(root / OTHER, BIAS))
    assert not torch.equal(stored(root / BIN, BIAS), stored(root / OTHER, BIAS))
    assert not torch.equal(stored(root / BIN, BIAS), stored(root / SAFE, "conv_in.bias"))


def test_overlay_wins_over_every_child(root: Path) -> None:
    marks = {
        "vae.quant_conv.bias": torch.full((8,), 5.0),
        "motion_tokenizer.encoder.norm.bias": torch.full((16,), 6.0),
    }
    change(root / BIN, lambda weights: weights.update(marks))
    loaded = load(root).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in marks.items())
    assert not torch.equal(load(root, "video_reconstructor").state_dict()["vae.quant_conv.bias"], torch.full((8,), 5.0))


def test_bare_names_beside_safetensors_are_left_alone(root: Path) -> None:
    change(root / BIN, bare)
    assert torch.equal(bias(load(root)), stored(root / SAFE, "conv_in.bias"))


def test_bare_names_count_where_there_is_no_other_file(root: Path) -> None:
    change(root / BIN, bare)
    (root / SAFE).unlink()
    assert torch.equal(bias(load(root)), stored(root / BIN, "conv_in.bias"))


def test_bare_names_fill_gaps(root: Path) -> None:
    mark = torch.full((32,), 7.0)
    weights = safetensors.torch.load_file(root / SAFE)
    weights.pop("conv_in.bias")
    (root / SAFE).unlink()
    safetensors.torch.save_file(weights, root / SAFE)
    change(root / BIN, bare)
    change(root / BIN, lambda weights: weights.update({"conv_in.bias": mark}))
    loaded = load(root).state_dict()
    assert torch.equal(loaded[BIAS], mark)
    assert torch.equal(loaded["unet.conv_in.weight"], stored(root / SAFE, "conv_in.weight"))


def test_prefixed_names_alone_suffice(root: Path) -> None:
    (root / SAFE).unlink()
    assert torch.equal(bias(load(root)), stored(root / BIN, BIAS))
    (root / BIN).unlink()
    assert torch.equal(bias(load(root, "video_reconstructor")), stored(root / OTHER, BIAS))


def test_both_forms_in_one_file(root: Path) -> None:
    (root / SAFE).unlink()
    mark = torch.full((32,), 7.0)
    change(root / BIN, lambda weights: weights.update({"conv_in.bias": mark}))
    assert torch.equal(bias(load(root)), stored(root / BIN, BIAS)), "what has a prefix is laid over what has none"
    change(root / BIN, lambda weights: weights.pop(BIAS))
    assert torch.equal(bias(load(root)), mark)


def test_motion_encoder_comes_from_the_other_file_if_need_be(root: Path) -> None:
    def drop(weights: Weights) -> None:
        for name in [name for name in weights if name.startswith("motion_encoder.")]:
            del weights[name]

    change(root / BIN, drop)
    part = read_part("video_detokenizer", root)
    assert sources(part, "motion_encoder.") == {OTHER}
    assert sources(part, "unet.") == {BIN}
    (root / OTHER).unlink()
    with pytest.raises(UsageError, match=rf"holds no motion_encoder.*{OTHER}.*missing; fetch it: .hf download"):
        read_part("video_detokenizer", root)


def test_half_a_motion_encoder_is_not_completed(root: Path) -> None:
    change(root / BIN, lambda weights: weights.pop("motion_encoder.out_proj.bias"))
    with pytest.raises(UsageError, match=r"1 missing: motion_encoder\.out_proj\.bias"):
        load(root)


def test_reconstruction_does_not_borrow_a_motion_encoder(root: Path) -> None:
    change(root / OTHER, lambda weights: weights.pop("motion_encoder.out_proj.bias"))
    with pytest.raises(UsageError, match=r"for reconstruction.*1 missing: motion_encoder\.out_proj\.bias"):
        load(root, "video_reconstructor")
    load(root)


@pytest.mark.parametrize("name", ["unet.conv_extra.bias", "motion_encoder.blocks.9.norm0.bias"])
def test_name_that_no_parameter_has_is_refused(root: Path, name: str) -> None:
    change(root / BIN, lambda weights: weights.update({name: torch.zeros(3)}))
    with pytest.raises(UsageError, match=rf"1 unexpected: {name} in {BIN}"):
        load(root)


def test_foreign_names_of_an_overlay_are_noted(root: Path) -> None:
    change(root / BIN, lambda weights: weights.update({"optimizer.step": torch.zeros(1)}))
    part = read_part("video_detokenizer", root)
    part.plan.check()
    assert part.plan.ignored == [f"optimizer.step in {BIN}"]


def test_shape_counts_where_the_value_is_taken_from(root: Path) -> None:
    weights = {**safetensors.torch.load_file(root / SAFE), "conv_in.bias": torch.zeros(5)}
    (root / SAFE).unlink()
    safetensors.torch.save_file(weights, root / SAFE)
    load(root)
    change(root / BIN, lambda weights: weights.update({BIAS: torch.zeros(5)}))
    with pytest.raises(UsageError, match=rf"unusable: {BIAS} is \[5\], not \[32\] \({BIAS} in {BIN}\)"):
        load(root)


@pytest.mark.parametrize(
    ("gone", "part"),
    [
        (BIN, "video_detokenizer"),
        ("motion_tokenizer.bin", "video_detokenizer"),
        (OTHER, "video_reconstructor"),
        ("motion_tokenizer.bin", "video_reconstructor"),
    ],
)
def test_missing_file_is_named(root: Path, gone: str, part: str) -> None:
    (root / gone).unlink()
    with pytest.raises(UsageError, match=rf"{gone} is missing; fetch it: .hf download"):
        read_part(part, root)
