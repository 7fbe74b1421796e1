"""The table over runs counts what was seen, what was not made, and whether the FVD falls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lavit_eval.demo.events import draw_film
from lavit_eval.demo.language import captions
from lavit_eval.files import canonical_json, write_json
from lavit_eval.journal import JournalWriter
from lavit_eval.runs import SCHEMA
from lavit_eval.sample import Response
from lavit_eval.video.lossless import write_lossless
from tests.training.test_detector import clip_of
from training.judge_generation import TASK, main


def write_run(folder: Path, fvd: float, backwards: bool = False) -> Path:
    """Write a run of two videos and a failure, as far as the judge reads it."""
    asked = {"tasks": {}, "seed": 0, "repeats": 1, "limit": None, "batch_size": 2, "visual_noise": "per-medium"}
    kept: dict[str, Any] = {name: {} for name in ("plan", "counts", "tasks")}
    kept |= {"identity": {"model": {"name": "m"}, "demo": True, **asked}, "identity_digest": "", "data_root": ""}
    created = "2026-01-01T00:00:00+00:00"
    model = {"name": "m", "digest": "d", "label": folder.name}
    write_json(folder / "manifest.json", {"schema": SCHEMA, "created": created, "model": model, **kept})
    value = {"value": fvd, "interval": None, "n": 2, "coverage": 0.5, "higher_is_better": False, "unit": "distance"}
    score = value | {"skipped": None, "categories": {}, "repeats": [], "details": {}}
    counts = {"n": 3, "answered": 2, "failed": 1, "skipped": 0, "failures": [], "labels": []}
    task = {"protocol": "p", "data": "d", "primary": "fvd", "metrics": {"fvd": score}, **counts}
    scores = {"schema": SCHEMA, "demo": True, "seed": 0, "model": model, "tasks": {TASK: task}}
    write_json(folder / "scores.json", scores)
    made = [Response("lost", 0, "failed", error="no")]
    for index in (0, 2):
        scene = draw_film(5, "judged", index, ("straight",))
        frames, place = clip_of(scene), f"tasks/{TASK}/media/{index}.mkv"
        write_lossless(folder / place, np.ascontiguousarray(frames[::-1] if backwards else frames), 6)
        text = canonical_json({"prompt": captions(scene)[0], "seed": 0})
        made.append(Response(f"{index}", 0, "answered", text=text, medium=place, medium_digest="0" * 64))
    with JournalWriter(folder / "tasks" / TASK / "journal.jsonl") as journal:
        journal.append(0, 0, made)
    return folder


def test_runs_are_ranked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    early, final = write_run(tmp_path / "early", 3.0, backwards=True), write_run(tmp_path / "final", 1.0)
    assert main(["runs", str(early), str(final)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:4] == ["| early | 3 | 1 | 67 | 0 | 3 |", "| final | 3 | 1 | 67 | 67 | 1 |"]
    assert lines[-1] == "FVD early > final: yes"
    assert main(["runs", str(final), str(early)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "FVD final > early: no"


def test_a_lost_video_is_no_stack_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", 1.0)
    (run / "tasks" / TASK / "media" / "2.mkv").unlink()
    assert main(["runs", str(run)]) == 2
    assert "2.mkv" in capsys.readouterr().err
    assert main(["runs", str(tmp_path / "nowhere")]) == 2


def test_the_data_are_what_the_task_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lavit_eval.registry import Catalogue, find
    from training.detector import read_caption

    assert main(["data", "--out", str(tmp_path), "--videos", "2"]) == 0
    task = Catalogue([Path(__file__).resolve().parents[2] / "training" / "tasks"]).task(TASK)
    samples = find("benchmark", task.benchmark)().read(tmp_path, task.split, **task.options).samples
    assert [read_caption(sample.question) is not None for sample in samples] == [True, True]
    assert all(Path(sample.targets[0].path).is_file() for sample in samples)
    assert main(["data", "--out", str(tmp_path)]) == 2
    assert "holds films already" in capsys.readouterr().err
