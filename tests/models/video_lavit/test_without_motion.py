"""The ablation without motion leaves the motion blocks out, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lavit_eval.errors import UsageError
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.adapter import VideoLavit
from lavit_eval.sample import Medium, Request, Seeds, Settings
from tests.models.video_lavit.media import write_video


def load(root: Path, motion: str) -> VideoLavit:
    return VideoLavit.load(ModelOptions(checkpoint=str(root), arguments={"motion_tokens": motion}))


def test_a_video_is_its_keyframes_alone(tiny_root: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "run.mp4", 0, seconds=16)
    seeds = Seeds(42, 0, 7, None)
    request = Request("one", 0, "answer", (Medium("video", str(path), path.name),), "What?", Settings(), seeds)
    whole, still = load(tiny_root, "on"), load(tiny_root, "off")
    with_motion, without = whole.respond([request])[0], still.respond([request])[0]
    clips = with_motion.counts["clips_used"]
    assert clips > 1
    assert without.counts["clips_used"] == clips
    assert without.counts["motion_tokens"] == 0
    assert without.counts["prompt_tokens"] == with_motion.counts["prompt_tokens"] - 137 * clips
    assert without.digests == with_motion.digests
    seen = [
        model.respondent.sight.see(model.respondent.sight.load(request.media[0]), seeds) for model in (whole, still)
    ]
    for full, bare in zip(seen[0].blocks, seen[1].blocks, strict=True):
        assert torch.equal(full[:-137], bare)


def test_an_unknown_value_is_refused(tiny_root: Path) -> None:
    with pytest.raises(UsageError, match="motion_tokens is on or off"):
        load(tiny_root, "none")
