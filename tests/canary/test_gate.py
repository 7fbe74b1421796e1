"""The gate on real runs of the canary: an early stage is worse than the final one, another seed is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.cli import main

pytestmark = pytest.mark.slow
TASKS = ("msvd_qa", "msrvtt_qa", "vqav2", "coco_karpathy_test")


def run(output: Path, name: str, stage: str, *more: str) -> None:
    """Answer the canary suite with one stage."""
    what = ["--suite", "canary", "--model", "video-lavit", "--checkpoint", f"canary/{stage}", "--run-id", name]
    assert main(["run", *what, "--output-dir", str(output), "--threads", "1", *more]) == 0


def gate(output: Path, base: str, new: str) -> int:
    return main(["compare", base, new, "--gate", "--output-dir", str(output)])


def test_the_early_stage_fails_the_gate_and_another_seed_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, stage, more in (("final", "final", ()), ("early", "early", ()), ("seed", "final", ("--seed", "43"))):
        run(tmp_path, name, stage, *more)
    capsys.readouterr()
    assert gate(tmp_path, "final", "early") == 1
    said = capsys.readouterr().out
    assert all(f"{task} is worse" in said or "regression" in said.split(task, 1)[1].split("\n")[0] for task in TASKS)
    assert gate(tmp_path, "final", "seed") == 0
    assert "minimum detectable effect" in capsys.readouterr().out


def test_runs_under_another_protocol_are_refused_with_the_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "whole", "final", "--limit", "8")
    run(tmp_path, "part", "final", "--limit", "6")
    capsys.readouterr()
    assert gate(tmp_path, "whole", "part") == 4
    assert "limit" in capsys.readouterr().out
