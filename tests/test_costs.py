"""What a run cost is found again from the times of its batches, whoever answered them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lavit_eval.cli import main
from lavit_eval.costs import costs
from lavit_eval.engines.gauges import NO_CARD, Gauge, merged_use, process_peak
from lavit_eval.evaluate import evaluate
from lavit_eval.runs import Run
from lavit_eval.sample import JSON
from tests.engines.moody import moody_options


def test_the_cost_of_a_task_is_the_sum_over_its_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = evaluate(moody_options(monkeypatch, tmp_path, seconds="0.02")).run
    lines = [json.loads(line) for line in (run.task_folder("made_qa") / "times.jsonl").open()]
    cost = costs(run)["made_qa"]
    assert cost["responses"] == len(run.entries("made_qa")) == sum(line["requests"] for line in lines)
    assert cost["device_seconds"] == pytest.approx(sum(line["seconds"] for line in lines), abs=1e-3)
    # Each batch slept so long.
    assert cost["device_seconds"] >= 0.02 * len(lines)
    assert cost["samples_per_second"] == pytest.approx(cost["responses"] / cost["device_seconds"], rel=1e-2)
    assert cost["peak_memory_of"] == "process"
    assert 10e6 < cost["peak_memory_bytes"] < 100e9
    assert (cost["joules"], cost["energy_unknown"]) == (None, NO_CARD)
    assert json.loads((run.folder / "costs.json").read_text())["tasks"] == costs(run)
    assert main(["runs", "cost", str(run.folder)]) == 0
    said = capsys.readouterr().out
    assert f"{cost['responses']:,}" in said
    assert f"Energy is not known: {NO_CARD}." in said


def test_times_that_a_kill_tore_or_that_are_not_there_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = evaluate(moody_options(monkeypatch, tmp_path)).run
    times = run.task_folder("made_qa") / "times.jsonl"
    whole = costs(run)
    with open(times, "a") as stream:
        stream.write('{"attempt": 1, "bat')
    assert costs(run) == whole
    # A run that goes on writes behind what was torn.
    with open(times, "a") as stream:
        stream.write('{"attempt": 1, "batch": 7}\n')
    assert costs(run) == whole
    times.unlink()
    assert costs(Run(run.folder)) == {}
    assert main(["runs", "--output-dir", str(run.folder.parents[1]), "cost", run.id]) == 0
    assert "made_qa: no times were kept" in capsys.readouterr().out


def test_energy_is_the_difference_of_the_cards_counter() -> None:
    counter = iter([100.0, 130.5])
    gauge = Gauge("cpu", energy=lambda: next(counter))
    gauge.begin()
    assert gauge.read()["joules"] == 30.5


def test_memory_is_what_this_process_held() -> None:
    before = process_peak()
    held = b"x" * (before + (64 << 20))
    assert process_peak() >= before + (32 << 20)
    del held


def test_one_lease_without_energy_leaves_the_sum_unknown() -> None:
    known: dict[str, JSON] = {"memory_bytes": 5, "memory_of": "cuda", "joules": 1.5}
    other: dict[str, JSON] = {"memory_bytes": 9, "memory_of": "cuda", "joules": 2.0}
    assert merged_use([known, other]) == {"memory_bytes": 9, "memory_of": "cuda", "joules": 3.5}
    lacking: dict[str, JSON] = {"memory_bytes": 1, "memory_of": "cuda", "no_energy": "why"}
    assert merged_use([known, lacking]) == {"memory_bytes": 5, "memory_of": "cuda", "no_energy": "why"}
