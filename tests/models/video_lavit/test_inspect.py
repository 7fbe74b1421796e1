from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from lavit_eval.digests import digest_file
from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.checkpoint import checkpoint_digest
from lavit_eval.models.video_lavit.generation_loading import READERS
from lavit_eval.models.video_lavit.inspect import inspect_checkpoint, render
from lavit_eval.models.video_lavit.tiny import make_tiny


def test_checkpoint_without_generation_is_usable(tmp_path: Path) -> None:
    root = make_tiny(tmp_path, generation=False)
    report = inspect_checkpoint(root)
    text = render(report)
    weights = root / "language_model_sft" / "model.safetensors"
    stored = safetensors.torch.load_file(weights)
    parameters = sum(value.numel() for value in stored.values())
    assert report.usable
    assert report.digest == checkpoint_digest(weights.parent)
    assert f"{len(stored)} tensors  {parameters:,} parameters  float32  sha256 {digest_file(weights)}" in text
    assert "2 layers, width 64, 4 heads, vocabulary 1028, context 4096" in text
    assert "640 text, 256 visual, 128 motion" in text
    assert f"all {len(stored)} tensors are as expected" in text
    assert {file.purpose for file in report.missing} == {"generation", "reconstruction"}
    assert "visual_tokenizer/eva_vitg_psz14.bin" in text
    assert not report.parts
    assert not report.generates


def test_whole_checkpoint_is_described(tiny_root: Path) -> None:
    report = inspect_checkpoint(tiny_root)
    text = render(report)
    assert report.usable
    assert report.generates
    assert not report.missing
    present = {path.relative_to(tiny_root).as_posix() for path in tiny_root.rglob("*") if path.is_file()}
    assert {file.name for file in report.files} == present
    assert {file.digest for file in report.files} == {digest_file(tiny_root / name) for name in present}
    assert [part.name for part in report.parts] == list(READERS)
    assert "each from one of motion_tokenizer.bin, video_3d_unet.bin, video_detokenizer/vae/" in text


def test_gaps_of_the_generating_model_are_named(tmp_path: Path, tiny_root: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(tiny_root, root)
    shutil.rmtree(root / "image_detokenizer" / "vae")
    path = root / "visual_tokenizer" / "tokenizer_encoder.bin"
    weights = torch.load(path, weights_only=True)
    weights["teacher.head"] = weights.pop("quantize.embedding.weight")
    torch.save(weights, path)
    report = inspect_checkpoint(root)
    text = render(report)
    assert report.usable
    assert not report.generates
    assert f"The checkpoint has no folder {root / 'image_detokenizer' / 'vae'}; fetch it" in text
    assert "visual_tokenizer cannot be loaded:\n    1 missing: quantize.embedding.weight" in text
    assert "not used: teacher.head in visual_tokenizer/tokenizer_encoder.bin" in text
    assert {file.name for file in report.missing} == {
        "image_detokenizer/vae/config.json",
        "image_detokenizer/vae/diffusion_pytorch_model.bin",
    }


def test_understanding_folder_alone(tiny_root: Path) -> None:
    report = inspect_checkpoint(tiny_root / "language_model_sft")
    assert report.usable
    assert [file.name for file in report.files] == ["config.json", "tokenizer.model", "model.safetensors"]
    assert report.digest == inspect_checkpoint(tiny_root).digest


@pytest.mark.parametrize("format", ["safetensors", "bin"])
def test_shards_are_listed_and_a_missing_one_is_said(tmp_path: Path, format: str) -> None:
    root = make_tiny(tmp_path, shards=2, format=format)
    assert inspect_checkpoint(root).usable
    shard = next((root / "language_model_sft").glob("*00002-of-00002*"))
    shard.unlink()
    report = inspect_checkpoint(root)
    assert not report.usable
    assert f"language_model_sft/{shard.name}" in [file.name for file in report.missing]
    assert "lacks 1 of 2 weight shards" in render(report)


def test_files_of_the_generation_part_are_described(tmp_path: Path, tiny_root: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(tiny_root, root)
    half = {"a": torch.zeros(3, 4, dtype=torch.float16), "b": torch.zeros(2)}
    torch.save(half, root / "visual_tokenizer" / "tokenizer_encoder.bin")
    (root / "motion_tokenizer.bin").write_bytes(b"no weights")
    report = inspect_checkpoint(root)
    found = {file.name: file for file in report.files}
    encoder = found["visual_tokenizer/tokenizer_encoder.bin"]
    assert (encoder.tensors, encoder.parameters, encoder.dtypes) == (2, 14, {"float16": 1, "float32": 1})
    assert "2 tensors  14 parameters  float16 (1), float32 (1)" in render(report)
    assert "cannot be read as a torch file" in str(found["motion_tokenizer.bin"].problem)
    assert report.usable, "what only generation needs does not matter here"


def test_unexpected_and_missing_keys_are_named(tmp_path: Path, tiny_root: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(tiny_root, root)
    path = root / "language_model_sft" / "model.safetensors"
    weights = {name: value.clone() for name, value in safetensors.torch.load_file(path).items()}
    weights["model.extra"] = weights.pop("model.norm.weight")
    path.unlink()
    safetensors.torch.save_file(weights, path)
    report = inspect_checkpoint(root)
    assert not report.usable
    assert "1 missing: model.norm.weight" in render(report)
    assert "1 unexpected: model.extra" in render(report)


def test_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="hf download"):
        inspect_checkpoint(tmp_path / "nowhere")
    report = inspect_checkpoint(tmp_path)
    assert not report.usable
    assert len(report.missing) == len(report.files)
