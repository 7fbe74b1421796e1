from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.checkpoint import checkpoint_digest, find_checkpoint
from lavit_eval.models.video_lavit.tiny import make_tiny


def test_root_and_its_understanding_folder_name_the_same(tiny_root: Path) -> None:
    folder = tiny_root / "language_model_sft"
    assert find_checkpoint(str(tiny_root)) == find_checkpoint(str(folder)) == folder


@pytest.mark.parametrize("name", ["nowhere", "a/b/c", "./missing/folder", "rain1011/Not-Downloaded"])
def test_missing_checkpoint_says_how_to_get_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(UsageError, match="hf download"):
        find_checkpoint(name)


def test_hub_id_is_found_in_the_local_cache(tmp_path: Path, tiny_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "hub" / "models--some--model"
    (store / "refs").mkdir(parents=True)
    (store / "refs" / "main").write_text("0" * 40)
    shutil.copytree(tiny_root, store / "snapshots" / ("0" * 40))
    import huggingface_hub

    original = huggingface_hub.snapshot_download

    def from_here(name: str, **options: object) -> str:
        assert options == {"local_files_only": True}
        return original(name, cache_dir=tmp_path / "hub", **options)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", from_here)
    assert find_checkpoint("some/model").name == "language_model_sft"


def test_file_and_foreign_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(UsageError, match="is a file"):
        find_checkpoint(str(tmp_path / "weights.bin"))
    with pytest.raises(UsageError, match="holds no understanding checkpoint"):
        find_checkpoint(str(tmp_path))


def test_digest_is_of_the_content_and_not_of_the_path(tmp_path: Path, tiny_root: Path) -> None:
    copy = tmp_path / "moved"
    shutil.copytree(tiny_root, copy)
    before = checkpoint_digest(find_checkpoint(str(copy)))
    assert before == checkpoint_digest(tiny_root / "language_model_sft")
    (copy / "language_model_sft" / "README.md").write_text("does not matter")
    assert checkpoint_digest(find_checkpoint(str(copy))) == before
    config = copy / "language_model_sft" / "config.json"
    config.write_text(config.read_text().replace("4096", "2048"))
    assert checkpoint_digest(find_checkpoint(str(copy))) != before


def test_every_shard_counts_in_the_digest(tmp_path: Path) -> None:
    folder = find_checkpoint(str(make_tiny(tmp_path, shards=3)))
    before = checkpoint_digest(folder)
    shard = folder / "model-00002-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-4] + b"\0\0\0\1")
    assert checkpoint_digest(folder) != before


def test_digest_of_an_incomplete_folder_names_what_is_missing(tmp_path: Path) -> None:
    folder = find_checkpoint(str(make_tiny(tmp_path)))
    (folder / "tokenizer.model").unlink()
    with pytest.raises(UsageError, match=r"lacks tokenizer\.model"):
        checkpoint_digest(folder)
