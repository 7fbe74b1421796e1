from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.loading import load_understanding, parse_device, parse_dtype, read_blueprint
from lavit_eval.models.video_lavit.tiny import make_tiny
from lavit_eval.models.video_lavit.understanding import UnderstandingModel

CPU = torch.device("cpu")
Weights = dict[str, torch.Tensor]


def load(folder: Path, dtype: torch.dtype = torch.float32) -> UnderstandingModel:
    return load_understanding(read_blueprint(folder), CPU, dtype)


def changed(tmp_path: Path, tiny_root: Path, change: Callable[[Weights], object]) -> Path:
    """Return a copy of the tiny understanding folder with other weights."""
    folder = tmp_path / "language_model_sft"
    shutil.copytree(tiny_root / "language_model_sft", folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    change(weights)
    # A new file instead of new content: the mapping of the old one may still be open.
    (folder / "model.safetensors").unlink()
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    return folder


def test_weights_are_those_of_the_file(tiny_root: Path) -> None:
    folder = tiny_root / "language_model_sft"
    stored = safetensors.torch.load_file(folder / "model.safetensors")
    loaded = load(folder).state_dict()
    assert set(loaded) == set(stored)
    assert all(torch.equal(loaded[name], value) for name, value in stored.items())


@pytest.mark.parametrize(("shards", "format"), [(1, "bin"), (3, "bin"), (4, "safetensors")])
def test_every_form_holds_the_same_model(tmp_path: Path, tiny_root: Path, shards: int, format: str) -> None:
    other = load(make_tiny(tmp_path, shards=shards, format=format) / "language_model_sft").state_dict()
    expected = load(tiny_root / "language_model_sft").state_dict()
    assert all(torch.equal(other[name], value) for name, value in expected.items())


def test_old_torch_files_without_zip_are_read(tmp_path: Path, tiny_root: Path) -> None:
    folder = tmp_path / "language_model_sft"
    shutil.copytree(tiny_root / "language_model_sft", folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / "model.safetensors").unlink()
    loaded = load(folder).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_every_parameter_has_the_dtype_asked_for(tiny_root: Path, name: str) -> None:
    model = load(tiny_root / "language_model_sft", parse_dtype(name))
    assert {value.dtype for value in model.state_dict().values()} == {getattr(torch, name)}
    assert not any(value.requires_grad or value.is_meta for value in model.parameters())
    assert not any(value.is_meta for value in model.buffers())
    assert not model.training


def test_loaded_weights_do_not_follow_the_file(tmp_path: Path, tiny_root: Path) -> None:
    folder = changed(tmp_path, tiny_root, lambda weights: None)
    model = load(folder)
    before = model.lm_head.weight.clone()
    path = folder / "model.safetensors"
    with open(path, "r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        stream.write(b"\xff" * (path.stat().st_size // 2))
    assert torch.equal(model.lm_head.weight, before)
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_missing_key_is_named(tmp_path: Path, tiny_root: Path) -> None:
    name = "model.visual_tokenizer.vit_proj.bias"
    folder = changed(tmp_path, tiny_root, lambda weights: weights.pop(name))
    with pytest.raises(UsageError, match=rf"1 missing: {name}\)"):
        load(folder)


def test_lost_last_layer_is_missing_and_not_a_smaller_model(tmp_path: Path, tiny_root: Path) -> None:
    def drop(weights: Weights) -> None:
        for name in [name for name in weights if name.startswith("model.visual_tokenizer.encoder.blocks.1.")]:
            del weights[name]

    with pytest.raises(UsageError, match=r"1\d missing: .*encoder\.blocks\.1\..*\.\.\. \(1\d in all\)"):
        load(changed(tmp_path, tiny_root, drop))


def test_unexpected_key_is_named(tmp_path: Path, tiny_root: Path) -> None:
    folder = changed(tmp_path, tiny_root, lambda weights: weights.update({"model.lora.a": torch.zeros(2)}))
    with pytest.raises(UsageError, match=r"1 unexpected: model\.lora\.a"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("model.layers.1.mlp.up_proj.weight", (3, 5)),
        ("model.visual_tokenizer.encoder.cls_token", (1, 1, 7)),
        ("model.motion_tokenizer.quantize.embedding.weight", (64, 8)),
        ("model.visual_tokenizer.vit_proj.weight", (32, 48)),
    ],
)
def test_key_of_another_shape_is_named_and_no_other(
    tmp_path: Path, tiny_root: Path, name: str, shape: tuple[int, ...]
) -> None:
    folder = changed(tmp_path, tiny_root, lambda weights: weights.update({name: torch.zeros(shape)}))
    with pytest.raises(UsageError, match=rf"1 of another shape: {name} is \[") as caught:
        load(folder)
    assert str(list(shape)) in str(caught.value)
    assert "missing" not in str(caught.value)


def test_integers_are_no_weights(tmp_path: Path, tiny_root: Path) -> None:
    def quantise(weights: Weights) -> None:
        weights["lm_head.weight"] = weights["lm_head.weight"].to(torch.int8)

    with pytest.raises(UsageError, match=r"1 not of floating point: lm_head\.weight is int8"):
        load(changed(tmp_path, tiny_root, quantise))


def test_old_rotary_buffers_are_ignored(tmp_path: Path, tiny_root: Path) -> None:
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    folder = changed(tmp_path, tiny_root, lambda weights: weights.update({name: torch.zeros(8)}))
    assert name not in load(folder).state_dict()


def test_missing_shard_is_named(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path, shards=3) / "language_model_sft"
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(UsageError, match=r"lacks 1 of 3 weight shards \(model-00002-of-0.*hf download"):
        read_blueprint(folder)


@pytest.mark.parametrize("format", ["safetensors", "bin"])
def test_shards_without_index_and_unusable_index(tmp_path: Path, format: str) -> None:
    folder = make_tiny(tmp_path, shards=2, format=format) / "language_model_sft"
    index = next(folder.glob("*.index.json"))
    index.write_text("{}")
    with pytest.raises(UsageError, match="not a usable shard index"):
        read_blueprint(folder)
    index.write_text(json.dumps({"weight_map": {"lm_head.weight": "../elsewhere." + format}}))
    with pytest.raises(UsageError, match="not a plain file name"):
        read_blueprint(folder)
    index.unlink()
    with pytest.raises(UsageError, match=r"2 weight files .* but not their index"):
        read_blueprint(folder)


@pytest.mark.parametrize("format", ["safetensors", "bin"])
@pytest.mark.parametrize("length", [0, 6, 3000])
def test_file_that_is_cut_short_is_named(tmp_path: Path, format: str, length: int) -> None:
    folder = make_tiny(tmp_path, format=format) / "language_model_sft"
    path = next(folder.glob(f"*.{format}"))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UsageError, match=rf"{path.name} cannot be read as a (safetensors|torch) file"):
        read_blueprint(folder)


def test_program_in_a_bin_file_is_not_run(tmp_path: Path, tiny_root: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    folder = make_tiny(tmp_path, format="bin") / "language_model_sft"
    torch.save({"lm_head.weight": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="cannot be read"):
        read_blueprint(folder)
    assert not (tmp_path / "sprung").exists()


def test_folder_without_weights(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path) / "language_model_sft"
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="holds no weights"):
        read_blueprint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": 1000}, "vocab_size is 1000, but text, visual and motion ids need 1028"),
        ({"lavit_eval": {"visul": {}}}, "Did you mean visual"),
        ({"lavit_eval": {"motion": {"heads": 0}}}, "must be a positive number"),
        ({"num_attention_heads": 0}, "describes no understanding model"),
        ({"hidden_act": "nonsense"}, "describes no understanding model"),
    ],
)
def test_unusable_configuration_is_one_sentence(
    tmp_path: Path, tiny_root: Path, change: dict[str, object], message: str
) -> None:
    folder = tmp_path / "language_model_sft"
    shutil.copytree(tiny_root / "language_model_sft", folder)
    config = json.loads((folder / "config.json").read_text())
    block = change.get("lavit_eval")
    merged = {**config, **change} if block is None else {**config, "lavit_eval": {**config["lavit_eval"], **block}}
    (folder / "config.json").write_text(json.dumps(merged))
    with pytest.raises(UsageError, match=message):
        load(folder)


def test_config_that_is_no_json(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path) / "language_model_sft"
    (folder / "config.json").write_text("{")
    with pytest.raises(UsageError, match=r"config\.json cannot be read as JSON"):
        read_blueprint(folder)


def test_unknown_dtype_and_device_are_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean bfloat16"):
        parse_dtype("bfloat")
    with pytest.raises(UsageError, match="no device 'gpu'"):
        parse_device("gpu")
    with pytest.raises(UsageError, match="CUDA device"):
        parse_device("cuda:99")
    assert parse_device("cpu") == CPU
