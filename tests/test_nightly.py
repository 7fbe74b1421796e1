"""The nightly script with a stand-in for the command: which run it makes, what it compares, how it leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAND_IN = """#!/bin/sh
echo "$*" >>"$LOG"
case $1 in run) exit "${RUN_CODE:-0}" ;; compare) exit "${GATE_CODE:-0}" ;; esac
case "$1 $3" in "report $MISSING") exit 2 ;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script, a command that only notes what it is told, and a clock that is set by hand."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "nightly", tmp_path / ".ci" / "nightly")
    (tmp_path / "Makefile").write_text("setup:\n")
    for name, text in ((".venv/bin/lavit-eval", STAND_IN), ("clock/date", '#!/bin/sh\necho "$TODAY"\n')):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


def night(checkout: Path, *arguments: str, today: str = "20260101", **variables: str) -> tuple[int, list[str]]:
    """Run the script; return its exit code and the commands that it gave."""
    log = checkout / "log"
    log.unlink(missing_ok=True)
    path = f"{checkout / 'clock'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "LOG": str(log), "TODAY": today, "MISSING": "nothing", **variables}
    done = subprocess.run(
        [checkout / ".ci" / "nightly", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, log.read_text().splitlines() if log.exists() else []


def test_a_night_is_run_gated_and_reported_against_the_baseline(checkout: Path) -> None:
    code, said = night(checkout, "cpu", "out")
    assert code == 0
    assert said[0] == "run --suite demo --run-id nightly-cpu-20260101 --output-dir out"
    assert said[1].startswith("compare demo nightly-cpu-20260101-video-lavit --gate")
    assert said[-1] == "report nightly-cpu-20260101-video-lavit demo --output-dir out --out out/report"


@pytest.mark.parametrize(
    ("run", "gate", "code"), [("0", "1", 1), ("3", "0", 3), ("3", "4", 4), ("2", "0", 2), ("5", "1", 5)]
)
def test_it_leaves_with_the_gates_code_or_the_runs(checkout: Path, run: str, gate: str, code: int) -> None:
    assert night(checkout, "cpu", "out", RUN_CODE=run, GATE_CODE=gate)[0] == code
    assert not (checkout / "out" / "begun-cpu").exists()


def test_a_run_that_was_cut_off_goes_on_after_midnight(checkout: Path) -> None:
    assert night(checkout, "cpu", "out", RUN_CODE="143")[0] == 143
    code, said = night(checkout, "cpu", "out", today="20260102")
    assert code == 0
    assert "--run-id nightly-cpu-20260101 " in said[0]
    assert "--run-id nightly-cpu-20260103 " in night(checkout, "cpu", "out", today="20260103")[1][0]
    assert night(checkout, "cpu", "out", today="20260104", RUN_CODE="143")[0] == 143
    old = (checkout / "out" / "begun-cpu").stat().st_mtime - 24 * 3600
    os.utime(checkout / "out" / "begun-cpu", (old, old))
    assert "--run-id nightly-cpu-20260105 " in night(checkout, "cpu", "out", today="20260105")[1][0]


def test_without_a_baseline_the_run_is_reported_alone(checkout: Path) -> None:
    code, said = night(checkout, "gpu", "out", GATE_CODE="2", MISSING="nightly", LAVIT_CHECKPOINT="/c")
    assert code == 2
    assert said[-2:] == [
        "report nightly-gpu-20260101 nightly --output-dir out --out out/report",
        "report nightly-gpu-20260101 --output-dir out --out out/report",
    ]


def test_another_kind_is_bad_usage(checkout: Path) -> None:
    assert night(checkout, "tpu") == (2, [])
