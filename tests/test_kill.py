"""A real process is killed again and again; what it had journalled stands, and the scores are those of a calm run."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny_world import msvd_task, write_msvd

PROJECT = Path(__file__).resolve().parents[1]
SLOW_ECHO = """
import sys, time
from lavit_eval import registry
from lavit_eval.cli import main
from tests.tiny_world import Echo

registry.BUILT_IN["model"]["echo"] = "tests.tiny_world:Echo"
answer = Echo.respond
def slowly(self, requests):
    with open(sys.argv[1], "a") as log:
        log.write("".join(f"{request.sample_id}\\n" for request in requests))
    time.sleep(0.01)
    return answer(self, requests)
Echo.respond = slowly
sys.exit(main(sys.argv[2:]))
"""


def _start(tmp_path: Path, run_id: str) -> subprocess.Popen[bytes]:
    arguments = [
        "run",
        "--model",
        "echo",
        "--tasks",
        "made_qa",
        "--task-dir",
        str(tmp_path / "tasks"),
        "--run-id",
        run_id,
    ]
    arguments += ["--data-root", str(tmp_path / "data"), "--output-dir", str(tmp_path / "out")]
    command = [sys.executable, "-c", SLOW_ECHO, str(tmp_path / f"asked-{run_id}"), *arguments]
    with open(tmp_path / f"{run_id}.log", "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=PROJECT, start_new_session=True)


def _journal(tmp_path: Path, run_id: str) -> list[str]:
    path = tmp_path / "out" / "runs" / run_id / "tasks" / "made_qa" / "journal.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def _wait_for_lines(tmp_path: Path, process: subprocess.Popen[bytes], more_than: int) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and len(_journal(tmp_path, "stormy")) <= more_than and time.monotonic() < deadline:
        time.sleep(0.005)


def test_kills_change_no_byte_and_cost_the_torn_batch_only(tmp_path: Path) -> None:
    msvd_task(write_msvd(tmp_path / "data", videos=40, questions=5), tmp_path / "tasks")
    assert _start(tmp_path, "calm").wait(60) == 0
    chance = random.Random(7)
    kept: list[str] = []
    for _ in range(4):
        process = _start(tmp_path, "stormy")
        _wait_for_lines(tmp_path, process, len(kept))
        time.sleep(chance.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        lines = _journal(tmp_path, "stormy")
        whole = len(lines) // 3 * 3
        assert lines[: len(kept)] == kept
        kept = lines[:whole]
    assert 0 < len(kept) < 200
    assert _start(tmp_path, "stormy").wait(60) == 0
    final = _journal(tmp_path, "stormy")
    assert final[: len(kept)] == kept
    assert [json.loads(line)["sample_id"] for line in final] == [
        json.loads(line)["sample_id"] for line in _journal(tmp_path, "calm")
    ]
    runs = tmp_path / "out" / "runs"
    assert (runs / "calm" / "scores.json").read_bytes() == (runs / "stormy" / "scores.json").read_bytes()
    asked = (tmp_path / "asked-stormy").read_text().split()
    assert len(asked) - 200 <= 4 * 3, "each kill may cost one batch, not more"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_polite_end_says_how_to_go_on(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    msvd_task(write_msvd(tmp_path / "data", videos=60, questions=5), tmp_path / "tasks")
    process = _start(tmp_path, "stormy")
    _wait_for_lines(tmp_path, process, 0)
    process.send_signal(sent)
    assert process.wait(60) == code
    assert "repeat the command to go on" in (tmp_path / "stormy.log").read_text()
    assert "Traceback" not in (tmp_path / "stormy.log").read_text()
    assert len(_journal(tmp_path, "stormy")) % 3 == 0
    assert _start(tmp_path, "stormy").wait(60) == 0
