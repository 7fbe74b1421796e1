from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.checkpoint import checkpoint_digest, find_checkpoint
from lavit_eval.models.video_lavit.draws import SeededDraws
from lavit_eval.models.video_lavit.generation_loading import read_part
from lavit_eval.models.video_lavit.loading import load_understanding, read_blueprint
from lavit_eval.models.video_lavit.tiny import SIZES, make_tiny
from lavit_eval.models.video_lavit.tiny_tokenizer import train_tokenizer, unwritable_pieces
from lavit_eval.models.video_lavit.token_generation import Marks, Written, write_tokens
from lavit_eval.models.video_lavit.tokenizer import Tokenizer
from lavit_eval.sample import Settings


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("format", ["safetensors", "bin"])
def test_two_makes_give_equal_bytes_and_another_seed_others(tmp_path: Path, format: str) -> None:
    first = contents(make_tiny(tmp_path / "a", seed=3, shards=2, format=format))
    again = contents(make_tiny(tmp_path / "elsewhere" / "b", seed=3, shards=2, format=format))
    other = contents(make_tiny(tmp_path / "c", seed=4, shards=2, format=format))
    assert first == again
    assert set(first) == set(other)
    weights = {name for name in first if name.endswith((".bin", ".safetensors"))}
    assert {name for name in first if first[name] != other[name]} == weights
    assert len([name for name in weights if name.startswith("language_model") and name.endswith(format)]) == 4


def test_layout_is_the_published_one_and_small(tiny_root: Path) -> None:
    files = contents(tiny_root)
    model = ("config.json", "tokenizer.model", "model.safetensors")
    diffusion, scheduler = "diffusion_pytorch_model", "scheduler/scheduler_config.json"
    assert set(files) == {
        *(f"language_model_sft/{name}" for name in model),
        *(f"language_model/{name}" for name in model),
        "visual_tokenizer/eva_vitg_psz14.bin",
        "visual_tokenizer/tokenizer_encoder.bin",
        "visual_tokenizer/highres_tokenizer_decoder.bin",
        *(f"{kind}_detokenizer/{part}/config.json" for kind in ("image", "video") for part in ("unet", "vae")),
        f"image_detokenizer/{scheduler}",
        f"video_detokenizer/{scheduler}",
        f"image_detokenizer/unet/{diffusion}.bin",
        f"image_detokenizer/vae/{diffusion}.safetensors",
        f"video_detokenizer/unet/{diffusion}.bin",
        f"video_detokenizer/unet/{diffusion}.safetensors",
        f"video_detokenizer/vae/{diffusion}.safetensors",
        "motion_tokenizer.bin",
        "video_3d_unet.bin",
        "lavit_eval.json",
    }
    assert sum(map(len, files.values())) < 15_000_000
    assert sum(len(content) for name, content in files.items() if name.startswith("language_model_sft")) < 4_000_000


def test_the_understanding_half_alone(tmp_path: Path, tiny_root: Path) -> None:
    alone = contents(make_tiny(tmp_path / "tiny", generation=False))
    whole = contents(tiny_root)
    assert alone == {name: content for name, content in whole.items() if name.startswith("language_model_sft/")}


def test_overlays_have_the_published_form_and_differ(tiny_root: Path) -> None:
    folder = tiny_root / "video_detokenizer" / "unet"
    bare = safetensors.torch.load_file(folder / "diffusion_pytorch_model.safetensors")
    laid = torch.load(folder / "diffusion_pytorch_model.bin", weights_only=True)
    other = torch.load(tiny_root / "video_3d_unet.bin", weights_only=True)
    assert {name.split(".")[0] for name in laid} == {"unet", "motion_encoder"}
    assert set(laid) == set(other)
    assert {f"unet.{name}" for name in bare} == {name for name in laid if name.startswith("unet.")}
    for weights in (laid, other):
        assert not torch.equal(weights["unet.conv_in.weight"], bare["conv_in.weight"])
    assert not torch.equal(laid["unet.conv_in.weight"], other["unet.conv_in.weight"])


def test_language_model_writes_plausible_numbers_of_codes(tiny_root: Path) -> None:
    model = read_part("language_model", tiny_root).load(torch.float32)
    prompts = [[100 + row, 200 + 7 * row, 300 + row] for row in range(12)]
    sampled = Settings(do_sample=True, min_new_tokens=10, max_new_tokens=64)
    draws = [SeededDraws(row) for row in range(12)]
    images = write_tokens(model, prompts, Marks.image(SIZES.tokens), sampled, 4.0, draws)
    counts = [len(written.new) for written in images if isinstance(written, Written)]
    assert len(counts) == 12
    assert sum(11 < count < 64 for count in counts) >= 6
    long = Settings(min_new_tokens=10, max_new_tokens=135)
    motions = write_tokens(model, [prompts[0]], Marks.motion(SIZES.tokens), long, 7.0)
    assert isinstance(motions[0], Written)
    assert len([token for token in motions[0].new if token >= SIZES.tokens.motion_offset]) == 135
    assert len(set(motions[0].new)) > 20


def test_config_states_the_id_space(tiny_root: Path) -> None:
    config = json.loads((tiny_root / "language_model_sft" / "config.json").read_text())
    assert config["vocab_size"] == SIZES.tokens.total == 640 + 2 + 256 + 2 + 128
    assert config["lavit_eval"]["tokens"] == {"text": 640, "visual": 256, "motion": 128}
    assert read_blueprint(find_checkpoint(str(tiny_root))).sizes.tokens == SIZES.tokens


def test_tokenizer_has_the_options_of_llama(tiny_root: Path) -> None:
    tokenizer = Tokenizer(tiny_root / "language_model_sft" / "tokenizer.model")
    assert (tokenizer.size, tokenizer.bos, tokenizer.eos, tokenizer.pad) == (640, 1, 2, 0)
    text = "Is  the é red?\n\t漢"
    ids = tokenizer.encode(text)
    assert 0 not in ids
    assert tokenizer.decode(ids) == text
    # A prefix is put in front even of a text that starts with a space.
    assert len(tokenizer.encode("red")) == 1
    assert tokenizer.encode(" red")[-1:] == tokenizer.encode("red")
    assert len(tokenizer.encode(" red")) == 2


def test_no_piece_without_text_can_win(tiny_root: Path) -> None:
    blueprint = read_blueprint(find_checkpoint(str(tiny_root)))
    model = load_understanding(blueprint, torch.device("cpu"), torch.float32)
    silent = unwritable_pieces(train_tokenizer(640))
    assert len(silent) == 258
    assert not model.lm_head.weight[silent].any()
    states = torch.randn(200, 64, generator=torch.Generator().manual_seed(0))
    assert not set(model.lm_head(states)[:, :640].argmax(-1).tolist()) & set(silent)


def test_weights_in_other_files_are_not_left_beside_new_ones(tmp_path: Path) -> None:
    make_tiny(tmp_path, shards=3)
    with pytest.raises(UsageError, match=r"model-00001-of-00003\.safetensors"):
        make_tiny(tmp_path)
    make_tiny(tmp_path, shards=3)


@pytest.mark.parametrize("wrong", [{"shards": 0}, {"shards": 100_000}, {"format": "pickle"}])
def test_unusable_form_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="shards"):
        make_tiny(tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


def test_seed_decides_the_digest(tmp_path: Path, tiny_root: Path) -> None:
    other = make_tiny(tmp_path / "other", seed=1)
    assert checkpoint_digest(find_checkpoint(str(other))) != checkpoint_digest(find_checkpoint(str(tiny_root)))
