"""Spawned workers: one that dies, hangs or runs short costs its batch only, and no score depends on their number."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.costs import costs
from lavit_eval.engines import checks
from lavit_eval.engines.options import EngineOptions, Shard
from lavit_eval.engines.pool import WorkerError
from lavit_eval.errors import UsageError
from lavit_eval.evaluate import Outcome, answer_run, evaluate, score_run
from lavit_eval.prospect import foresee
from lavit_eval.runs import Run
from tests.engines.moody import TARGET, moody_options, told_ahead

PROJECT = Path(__file__).resolve().parents[2]
TWO = EngineOptions(workers=2)


def _task(outcome: Outcome) -> dict[str, Any]:
    task: dict[str, Any] = outcome.scores["tasks"]["made_qa"]
    return task


def _scores(run: Run) -> bytes:
    return run.scores_path.read_bytes()


def test_no_byte_of_the_scores_depends_on_who_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = evaluate(moody_options(monkeypatch, tmp_path / "alone")).run
    two = evaluate(moody_options(monkeypatch, tmp_path / "two", TWO, seconds="0.05"))
    assert _scores(two.run) == _scores(alone)
    cost = costs(two.run)["made_qa"]
    assert (cost["workers"] in (1, 2), cost["responses"]) == (True, len(two.run.entries("made_qa")))
    assert set(cost["waited_seconds"]) == {"work"}
    assert cost["peak_memory_bytes"] > 10e6
    assert "2 workers on cpu, 1 threads each" in (two.run.folder / "run.log").read_text()
    for index in (1, 2):
        shard = EngineOptions(shard=Shard(index, 2))
        sharded = foresee(moody_options(monkeypatch, tmp_path / "shards", shard))
        found = answer_run(sharded)
        assert not found.run.scores_path.exists()
    score_run(sharded.prepared, found.run)
    assert _scores(found.run) == _scores(alone)


@pytest.mark.parametrize("engine", [EngineOptions(), EngineOptions(workers=1)], ids=["here", "spawned"])
def test_a_model_is_told_of_media_long_before_it_is_asked_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: EngineOptions
) -> None:
    outcome = evaluate(moody_options(monkeypatch, tmp_path, engine, foresees=str(tmp_path / "told")))
    assert outcome.complete
    first, *others = told_ahead(tmp_path / "told")
    assert len(others) == 7
    (process, told) = first
    assert (process == os.getpid()) == engine.in_process
    videos = [f"video/vid{video}.avi" for video in range(1, 7)]
    assert [medium.removeprefix("MSVD-QA/") for medium, _ in told[3:]] == videos
    assert all(text for _, text in told[:3]), "a lease is told as it is"
    assert not any(text for _, text in told[3:]), "of what may come only the media are told"
    for _, later in others:
        assert len(later) == 3, "nothing is told twice but by its lease"


def test_what_is_told_ahead_changes_no_byte_whoever_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = evaluate(moody_options(monkeypatch, tmp_path / "alone")).run
    once = {"kills_once": "302", "once": str(tmp_path / "once"), "seconds": "0.05"}
    told = {"foresees": str(tmp_path / "told")}
    outcome = evaluate(moody_options(monkeypatch, tmp_path / "storm", TWO, **once, **told))
    assert (outcome.complete, _scores(outcome.run) == _scores(alone)) == (True, True)
    assert "killed by SIGKILL" in (outcome.run.folder / "run.log").read_text()
    assert len({process for process, _ in told_ahead(tmp_path / "told")}) > 1
    for name, engine in (("blind", TWO), ("blind here", EngineOptions())):
        blind = evaluate(moody_options(monkeypatch, tmp_path / name, engine, foresees="x", fails_to_foresee="yes"))
        assert _scores(blind.run) == _scores(alone), "a model that cannot look ahead answers all the same"


def test_a_killed_worker_costs_its_batch_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = evaluate(moody_options(monkeypatch, tmp_path / "alone")).run
    log = tmp_path / "log"
    once = {"kills_once": "302", "once": str(tmp_path / "once"), "log": str(log)}
    outcome = evaluate(moody_options(monkeypatch, tmp_path / "storm", TWO, **once))
    assert (outcome.complete, _scores(outcome.run) == _scores(alone)) == (True, True)
    asked = [line.split()[0] for line in log.read_text().splitlines()]
    assert len(asked) == 24 + 3, "the batch of the kill is asked again and nothing else"
    assert "killed by SIGKILL" in (outcome.run.folder / "run.log").read_text()


def test_a_sample_that_kills_is_found_and_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    outcome = evaluate(moody_options(monkeypatch, tmp_path, TWO, kills="101", memory="400", log=str(log)))
    task = _task(outcome)
    reasons = {failure["sample_id"]: failure["reason"] for failure in task["failures"]}
    assert reasons == {
        "101": "It ended its worker even when it was asked alone: killed by SIGKILL.",
        "400": "Memory did not suffice even when it was asked alone.",
    }
    assert task["answered"] == 22
    asked = [line.split()[0] for line in log.read_text().splitlines()]
    assert (asked.count("101"), asked.count("100"), asked.count("303")) == (4, 4, 1)
    alone = {key[0] for key, entry in outcome.run.entries("made_qa").items() if "asked_alone" in entry.response.counts}
    assert {"100", "102"} <= alone
    assert "303" not in alone


def test_a_worker_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = EngineOptions(workers=2, timeout=0.5)
    outcome = evaluate(moody_options(monkeypatch, tmp_path, engine, hangs="603"))
    (failure,) = _task(outcome)["failures"]
    assert failure["reason"] == "It ended its worker even when it was asked alone: no answer in 0.5 s."
    assert _task(outcome)["answered"] == 23


def test_memory_that_does_not_suffice_fails_the_sample_in_this_process_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = evaluate(moody_options(monkeypatch, tmp_path, memory="101"))
    assert [failure["sample_id"] for failure in _task(outcome)["failures"]] == ["101"]


def test_what_nobody_foresaw_ends_the_run_and_keeps_what_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WorkerError, match="made to raise"):
        evaluate(moody_options(monkeypatch, tmp_path, EngineOptions(workers=1), raises="500"))
    kept = Run(tmp_path / "out" / "runs" / "r").entries("made_qa")
    assert 0 < len(kept) < 24
    outcome = evaluate(moody_options(monkeypatch, tmp_path))
    assert (outcome.state, outcome.complete) == ("continued", True)


def test_a_worker_that_cannot_load_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"ended 3 times before its model was loaded \(ended with exit code 7\)"):
        evaluate(moody_options(monkeypatch, tmp_path, EngineOptions(workers=1), dies_loading="yes"))


def test_workers_with_other_versions_or_another_model_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = moody_options(monkeypatch, tmp_path, EngineOptions(workers=1))
    with monkeypatch.context() as changed:
        changed.setattr("lavit_eval.engines.greeting.versions_here", lambda: {**checks.versions_here(), "torch": "0.1"})
        with pytest.raises(UsageError, match=r"Worker 1 on .* runs other versions .*torch \(\S+ there, 0\.1 here\)"):
            evaluate(options)
    prospect = dataclasses.replace(foresee(options), model_identity={"class": "Moody", "checkpoint": "another"})
    with pytest.raises(UsageError, match="would answer with another model: it differs in checkpoint; give all"):
        evaluate(options, prospect=prospect)
    with monkeypatch.context() as changed:
        changed.setattr(checks.Probe, "message", {"path": "/nowhere/shared", "nonce": "x"})
        with pytest.raises(UsageError, match=r"do not share /nowhere; give an --output-dir"):
            evaluate(options)
    assert evaluate(options).complete


def test_a_worker_that_does_not_see_the_media_is_refused(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(b"made")
    checks.check_witnesses([[str(tmp_path / "film"), 4]], "Worker 1")
    for witness in ([str(tmp_path / "film"), 5], [str(tmp_path / "gone"), 4]):
        with pytest.raises(UsageError, match=r"does not see .* give a --data-root that lies at the same path"):
            checks.check_witnesses([witness], "Worker 1")


def test_a_folder_that_only_looks_shared_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PATIENCE", 0.0)
    probe = checks.Probe(tmp_path)
    with pytest.raises(UsageError, match="do not share"):
        probe.check("1", "Worker 1 on a")
    checks.answer_probe(probe.message, "1", "Worker 1 on a")
    probe.check("1", "Worker 1 on a")
    checks.answer_probe(probe.message, "2", "Worker 2 on b")
    probe.close()
    assert not list(tmp_path.iterdir())


def test_a_model_that_counts_references_knows_them_in_every_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dataclasses.replace(moody_options(monkeypatch, tmp_path, TWO), model="most-common-answer")
    assert _task(evaluate(options))["metrics"]["exact_match"]["value"] == 50.0


DRIVER = f"""
import sys
from lavit_eval import registry
from lavit_eval.cli import main

registry.BUILT_IN["model"]["moody"] = "{TARGET}"
sys.exit(main(sys.argv[1:]))
"""


def _start(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    arguments = ["run", "--model", "moody", "--tasks", "made_qa", "--task-dir", str(folder / "tasks"), "--run-id", "r"]
    arguments += ["--data-root", str(folder / "data"), "--output-dir", str(folder / "out"), "--threads", "1", *more]
    with open(folder / "said", "ab") as said:
        return subprocess.Popen([sys.executable, "-c", DRIVER, *arguments], stdout=said, stderr=said, cwd=PROJECT)


def _wait_until(folder: Path, process: subprocess.Popen[bytes], lines: int) -> set[int]:
    """Wait until so many responses are journalled; return the workers' process ids."""
    journal, deadline = folder / "out" / "runs" / "r" / "tasks" / "made_qa" / "journal.jsonl", time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
            log = (folder / "out" / "runs" / "r" / "run.log").read_text()
            return {int(pid) for pid in re.findall(r"is ready \(.*pid (\d+)", log)}
        time.sleep(0.01)
    raise AssertionError((folder / "said").read_text())


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see which processes live")
@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGKILL, -9), (signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_workers_end_with_their_driver_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: signal.Signals, code: int
) -> None:
    alone = evaluate(moody_options(monkeypatch, tmp_path / "alone")).run
    moody_options(monkeypatch, tmp_path)
    process = _start(tmp_path, "--workers", "2", "--model-args", "seconds=0.2")
    workers = _wait_until(tmp_path, process, 6)
    assert workers
    process.send_signal(sent)
    assert process.wait(120) == code
    deadline = time.monotonic() + 60
    while any(map(_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if _alive(pid)]
    kept = (tmp_path / "out" / "runs" / "r" / "tasks" / "made_qa" / "journal.jsonl").read_bytes()
    outcome = evaluate(moody_options(monkeypatch, tmp_path))
    assert outcome.state == "continued"
    journal = (outcome.run.task_folder("made_qa") / "journal.jsonl").read_bytes()
    whole = kept[: kept.rfind(b"\n") + 1].splitlines(keepends=True)
    assert journal.startswith(b"".join(whole[: len(whole) // 3 * 3]))
    assert _scores(outcome.run) == _scores(alone)
    if sent != signal.SIGKILL:
        assert "repeat the command" in (tmp_path / "said").read_text()
    assert "Traceback" not in (tmp_path / "said").read_text()


def test_a_worker_heeds_its_driver_only_and_ends_with_its_pipe() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "lavit_eval.engines.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT
    )
    assert worker.stdin is not None
    worker.stdin.write(b'{"do": "respond", "number": 0, "task": "t", "requests": {"shared": [], "rows": []}}\n')
    worker.stdin.flush()
    assert worker.stdout is not None
    assert json.loads(worker.stdout.readline())["say"] == "error", "no model is loaded"
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.poll() is None, "a worker heeds its driver only"
    worker.stdin.close()
    assert worker.wait(60) == 0
    worker.stdout.close()
