from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.checkpoint import checkpoint_digest, find_checkpoint
from lavit_eval.models.video_lavit.loading import load_understanding, read_blueprint
from lavit_eval.models.video_lavit.tiny import SIZES, make_tiny
from lavit_eval.models.video_lavit.tiny_tokenizer import train_tokenizer, unwritable_pieces
from lavit_eval.models.video_lavit.tokenizer import Tokenizer


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("format", ["safetensors", "bin"])
def test_two_makes_give_equal_bytes_and_another_seed_others(tmp_path: Path, format: str) -> None:
    first = contents(make_tiny(tmp_path / "a", seed=3, shards=2, format=format))
    again = contents(make_tiny(tmp_path / "elsewhere" / "b", seed=3, shards=2, format=format))
    other = contents(make_tiny(tmp_path / "c", seed=4, shards=2, format=format))
    assert first == again
    assert set(first) == set(other)
    assert {name for name in first if first[name] != other[name]} == {name for name in first if name.endswith(format)}


def test_layout_is_the_published_one_and_small(tiny_root: Path) -> None:
    files = contents(tiny_root)
    names = ("config.json", "tokenizer.model", "model.safetensors")
    assert set(files) == {f"language_model_sft/{name}" for name in names}
    assert sum(map(len, files.values())) < 8_000_000


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
