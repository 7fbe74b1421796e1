"""Killing a real process that judges: what was said is kept, and only the rest is asked again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.evaluate import evaluate
from lavit_eval.judges.log import read_judgements
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.runs import Run
from tests.judges.judged_world import YES
from tests.judges.stub import Answer, reply, serving
from tests.tiny_world import msvd_task, options_for, write_msvd

QUESTIONS = 60


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_judging_goes_on_where_it_stood(number: signal.Signals, tmp_path: Path) -> None:
    count = write_msvd(tmp_path / "data", videos=1, questions=QUESTIONS)
    task = msvd_task(count, tmp_path / "tasks")
    model = ModelOptions(arguments={"answer": "cat"})
    options = options_for(
        task, tmp_path / "data", tmp_path / "results", run_id="r", model="constant", model_options=model
    )
    run = Run(evaluate(options).run.folder)
    before = run.scores_path.read_bytes()

    def slow(request: dict[str, Any], _: int) -> Answer:
        return reply(YES, delay=0.1)

    with serving(slow) as stub:
        command = [
            *(sys.executable, "-m", "lavit_eval.cli", "judge", str(run.folder), "--task-dir", str(tmp_path / "tasks")),
            *("--judge-model", "stub", "--judge-url", stub.url, "--judge-concurrency", "2"),
        ]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(stub.requests) < 10 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == (143 if number == signal.SIGTERM else -9)
        (path,) = run.task_folder("made_qa").glob("judgements-*.jsonl")
        kept = read_judgements(path)
        # At most the two requests in flight are lost, and none when the process could finish them.
        assert len(stub.requests) - len(kept) <= (0 if number == signal.SIGTERM else 2)
        assert 8 <= len(kept) < QUESTIONS and run.scores_path.read_bytes() == before
        if number == signal.SIGTERM:
            assert b"interrupted; repeat the command to go on" in said
        asked, stub.script = len(stub.requests), lambda request, _: reply(YES)
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert len(stub.requests) - asked == QUESTIONS - len(kept)
    scores = Run(run.folder).scores()
    assert scores is not None and scores["tasks"]["made_qa"]["metrics"]["judge_accuracy"]["n"] == QUESTIONS
