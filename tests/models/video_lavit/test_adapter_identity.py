"""What is said of a checkpoint before anything is asked of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.adapter import VideoLavit
from lavit_eval.models.video_lavit.tiny import make_tiny
from tests.models.video_lavit.asking import load


def identify(root: Path, device: str = "cpu", dtype: str = "float32", **arguments: str) -> object:
    return VideoLavit.identify(ModelOptions(str(root), device, dtype, arguments))


def test_identity_is_what_can_change_an_answer(tiny_root: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(tiny_root, moved)
    expected = identify(tiny_root)
    json.dumps(expected)
    assert identify(moved) == expected
    assert identify(tiny_root / "language_model_sft", device="cuda:1", video_cache="off") == expected
    others: Sequence[object] = [
        identify(make_tiny(tmp_path / "other", seed=5)),
        identify(tiny_root, dtype="bfloat16"),
        identify(tiny_root, attention="xformers"),
        identify(tiny_root, token_select="argmax"),
        identify(tiny_root, long_prompt="reference"),
        identify(tiny_root, motion_tokens="off"),
        identify(tiny_root, max_clips="8"),
        identify(tiny_root, encoder_threads="4"),
    ]
    texts = {json.dumps(identity, sort_keys=True) for identity in (expected, *others)}
    assert len(texts) == 9


def test_preflight_finds_everything_at_once(tiny_root: Path) -> None:
    assert VideoLavit.preflight(ModelOptions(str(tiny_root))) == []
    problems = VideoLavit.preflight(ModelOptions("nowhere/at/all", "cuda:77", "int4", {"max_clips": "0"}))
    assert len(problems) == 4
    for problem, part in zip(problems, ("int4", "max_clips", "cuda:77", "nowhere/at/all"), strict=True):
        assert part in problem
    assert "--checkpoint" in VideoLavit.preflight(ModelOptions())[0]


def test_preflight_reads_headers_and_the_tokenizer(tmp_path: Path) -> None:
    root = make_tiny(tmp_path, shards=2)
    folder = root / "language_model_sft"
    shard = folder / "model-00001-of-00002.safetensors"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    assert "cut short or damaged" in VideoLavit.preflight(ModelOptions(str(root)))[0]
    shard.write_bytes(content)
    (folder / "tokenizer.model").unlink()
    assert "tokenizer.model" in VideoLavit.preflight(ModelOptions(str(root)))[0]


def test_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    from lavit_eval.models.video_lavit.tiny_tokenizer import train_tokenizer

    root = make_tiny(tmp_path)
    (root / "language_model_sft" / "tokenizer.model").write_bytes(train_tokenizer(650))
    with pytest.raises(UsageError, match=r"650 pieces, but config\.json has 640"):
        load(root)


def test_importing_the_adapter_is_light() -> None:
    script = "import sys, lavit_eval.models.video_lavit.adapter; print({'torch', 'av', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
