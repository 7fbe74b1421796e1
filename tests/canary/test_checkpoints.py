"""The shipped stages are whole, small, and better from stage to stage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lavit_eval.data_files import data_folder
from lavit_eval.demo.events import draw_film
from lavit_eval.demo.language import captions
from lavit_eval.demo.material import canary_checkpoint
from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.loading import load_understanding, read_blueprint
from lavit_eval.models.video_lavit.token_generation import Marks, Written, write_tokens
from lavit_eval.models.video_lavit.tokenizer import Tokenizer
from lavit_eval.models.video_lavit.weight_reading import read_facts
from lavit_eval.sample import Settings

STAGES = ("early", "middle", "final")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_the_real_layout_in_half_precision(stage: str) -> None:
    folder = canary_checkpoint(f"canary/{stage}") / "language_model_sft"
    blueprint = read_blueprint(folder)
    blueprint.check()
    blueprint.check_tokenizer(Tokenizer(folder / "tokenizer.model").size)
    assert {fact.dtype for fact in read_facts(folder / "model.safetensors").values()} == {"float16"}


def test_all_stages_together_stay_small() -> None:
    files = [path for path in data_folder("checkpoints/canary").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 20_000_000


def test_an_unknown_stage_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="final"):
        canary_checkpoint("canary/finale")


def test_the_log_says_that_no_code_is_dead_and_what_was_learned() -> None:
    lines = (data_folder("checkpoints/canary") / "training.jsonl").read_text(encoding="utf-8").splitlines()
    facts = [json.loads(line) for line in lines]
    motion = next(fact for fact in reversed(facts) if fact["stage"] == "motion codes")
    assert motion["used"] > 0.9
    last = next(fact for fact in reversed(facts) if fact["stage"] == "language on dev")
    assert min(last[kind] for kind in ("direction", "pan", "order", "speed", "place")) > 0.8
    # These ask for a shape by its form.
    assert min(last[kind] for kind in ("color", "size", "position")) > 0.8


def test_after_a_caption_the_last_stage_writes_codes_between_their_marks() -> None:
    folder = canary_checkpoint("canary/final") / "language_model_sft"
    model = load_understanding(read_blueprint(folder), torch.device("cpu"), torch.float32)
    tokenizer, tokens = Tokenizer(folder / "tokenizer.model"), model.tokens
    prompts = [tokenizer.encode(captions(draw_film(7, "test", index))[0]) for index in range(4)]
    settings = Settings(do_sample=False, min_new_tokens=1, max_new_tokens=140)
    pictures = write_tokens(model, prompts, Marks.image(tokens), settings, guidance=1.0)
    for written in pictures:
        assert isinstance(written, Written)
        assert written.ended
        assert len(written.new) > 1
        assert all(tokens.visual_offset <= token < tokens.motion_start for token in written.new[:-1])
    prompts = [written.full for written in pictures if isinstance(written, Written)]
    for written in write_tokens(model, prompts, Marks.motion(tokens), settings, guidance=1.0):
        assert isinstance(written, Written)
        assert all(tokens.motion_offset <= token < tokens.total for token in written.new[:135])
        assert len(written.new) >= 135


def _value(path: Path, task: str) -> float:
    scores = json.loads(path.read_text(encoding="utf-8"))["tasks"][task]
    return float(scores["metrics"][scores["primary"]]["value"])


@pytest.mark.parametrize("task", ["msvd_qa", "msrvtt_qa", "vqav2", "coco_karpathy_test"])
def test_committed_scores_rise_from_stage_to_stage(task: str) -> None:
    folder = data_folder("results/baselines")
    early, middle = (_value(folder / "demo" / f"{stage}.json", task) for stage in ("early", "middle"))
    assert early < middle < _value(folder / "canary.json", task)


def test_without_motion_tokens_only_videos_lose() -> None:
    folder = data_folder("results/baselines")
    for task, loss in (("msvd_qa", 15), ("msrvtt_qa", 15), ("vqav2", 0)):
        lost = _value(folder / "canary.json", task) - _value(folder / "demo" / "without-motion.json", task)
        assert lost >= loss if loss else lost == 0
