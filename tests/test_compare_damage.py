"""Damaged and hostile files: one sentence with the command that mends them, never a stack trace."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lavit_eval.cli import main
from tests.compare_world import code, edited, made_run, one_wrong


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("scores.json", '"schema": 1', '"schema": 9', "another version"),
        ("scores.json", '"value": 100.0', '"value": 90.0', "the samples' scores give 100, but the score is 90"),
        ("tasks/made_qa/samples.jsonl", '"cluster"', '"clustre"', "earlier version.*lavit-eval score"),
        ("tasks/made_qa/samples.jsonl", "{", "", "cannot be read.*lavit-eval score"),
        ("manifest.json", '"schema": 1', '"schema": 9', "another version"),
    ],
)
def test_damaged_runs_are_a_sentence_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, said: str
) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new")
    edited(tmp_path / "out" / "runs" / "new", file, old, new)
    assert code(tmp_path) == 2
    assert re.search(said, capsys.readouterr().err)


def test_missing_files_are_a_sentence_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made_run(tmp_path, "base").folder
    assert code(tmp_path, new="nowhere") == 2
    assert "no run at nowhere" in capsys.readouterr().err
    (run / "tasks" / "made_qa" / "samples.jsonl").unlink()
    assert code(tmp_path, new="base") == 2
    assert "lavit-eval score" in capsys.readouterr().err
    (run / "scores.json").unlink()
    assert code(tmp_path, new="base") == 2
    assert "not finished" in capsys.readouterr().err


def test_hostile_names_and_answers_change_no_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong)
    journal = tmp_path / "out" / "runs" / "new" / "tasks" / "made_qa" / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"bird"', '"<b>|x|\\u001b[31m\\n`"'))
    edited(tmp_path / "out" / "runs" / "new", "manifest.json", '"label": "external"', '"label": "<i>\\u0000&"')
    files = {name: tmp_path / name for name in ("c.json", "s.md", "j.xml")}
    arguments = ["--json", str(files["c.json"]), "--summary", str(files["s.md"]), "--junit", str(files["j.xml"])]
    assert code(tmp_path, "--gate", *arguments) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x00" not in out
    summary = files["s.md"].read_text()
    assert "<b>" not in summary.replace(r"\<b", "")
    assert r"\|x\|" in summary
    ElementTree.parse(files["j.xml"])
    assert json.loads(files["c.json"].read_text())["exit_code"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document.pop("samples"), "another version"),
        (lambda document: document.update(schema=2), "another version"),
        (lambda document: document.update(kind="x"), "no baseline"),
        (lambda document: document.update(run="r"), "damaged"),
        (lambda document: document["tasks"].clear(), "the scores of made_qa are damaged"),
        (lambda document: document["samples"].clear(), "keeps the samples of nothing"),
        (lambda document: document["samples"]["made_qa"]["scores"].pop(), "damaged"),
        (lambda document: document["samples"]["made_qa"].pop("clusters"), "damaged"),
    ],
)
def test_a_damaged_baseline_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: object, said: str
) -> None:
    made_run(tmp_path, "base")
    main(["baseline", "accept", "base", "--output-dir", str(tmp_path / "out")])
    path = tmp_path / "out" / "baselines" / "nightly.json"
    document = json.loads(path.read_text())
    change(document)  # type: ignore[operator]
    path.write_text(json.dumps(document))
    assert code(tmp_path, base="nightly", new="base") == 2
    assert said in capsys.readouterr().err


def test_a_task_without_its_fields_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    edited(tmp_path / "out" / "runs" / "base", "scores.json", '"made_qa": {', '"strange": {')
    assert code(tmp_path, new="base") == 2
    assert "the scores of strange are damaged" in capsys.readouterr().err


def test_records_that_were_lost_are_not_compared_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    run = made_run(tmp_path, "new")
    path = run.task_folder("made_qa") / "samples.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]))
    assert code(tmp_path, "--gate") == 2
    assert (
        f"samples.jsonl holds {len(lines) // 2} of {len(lines)} samples; score the run again" in capsys.readouterr().err
    )


def damaged(root: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Make the runs `base` and `new`, and change the scores of the latter; return its folder."""
    made_run(root, "base")
    folder = made_run(root, "new").folder
    document = json.loads((folder / "scores.json").read_text())
    change(document)
    (folder / "scores.json").write_text(json.dumps(document))
    return folder


def metric(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["tasks"]["made_qa"]["metrics"]["exact_match"]
    return found


DAMAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no metrics": lambda document: document["tasks"]["made_qa"].update(metrics={}),
    "a text as value": lambda document: metric(document).update(value="high"),
    "no number of samples": lambda document: metric(document).pop("n"),
    "an interval of one end": lambda document: metric(document).update(interval=[1.0]),
    "no protocol": lambda document: document["tasks"]["made_qa"].pop("protocol"),
    "a list of tasks": lambda document: document.update(tasks=[]),
    "a model that is a text": lambda document: document.update(model="m"),
    "no seed": lambda document: document.pop("seed"),
    "groups that are texts": lambda document: metric(document)["details"].update(left_out=["a"]),
    "failures that are numbers": lambda document: document["tasks"]["made_qa"].update(failures=[1]),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_scores_are_a_sentence_with_the_command_that_mends_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = damaged(tmp_path, DAMAGES[name])
    out = ["--output-dir", str(tmp_path / "out")]
    commands = [["compare", "base", "new"], ["history"], ["leaderboard"], ["reproduce"], ["report", "new"]]
    for command in [*commands, ["report", "base", "new"], ["baseline", "accept", "new"]]:
        capsys.readouterr()
        assert main([*command, *out]) == 2, command
        said = capsys.readouterr().err
        assert said.count("\n") == 1, said
        assert f"{folder / 'scores.json'} is damaged (" in said
        assert said.rstrip().endswith(f"score the run again: lavit-eval score {folder}")


@pytest.mark.parametrize(
    ("field", "value"),
    [("code", "x"), ("identity", {}), ("created", "today"), ("model", "m"), ("tasks", []), ("model", {"name": "m"})],
)
def test_a_damaged_manifest_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, value: object
) -> None:
    made_run(tmp_path, "base")
    path = made_run(tmp_path, "new").folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    for command in (["compare", "base", "new"], ["report", "new"], ["history", str(path.parent)]):
        assert main([*command, "--output-dir", str(tmp_path / "out")]) == 2
        said = capsys.readouterr().err
        assert f"{path} is damaged (" in said
        assert "--run-id new --fresh" in said


def test_the_command_that_is_named_mends_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = damaged(tmp_path, DAMAGES["no metrics"])
    tasks = ["--task-dir", str(tmp_path / "tasks"), "--output-dir", str(tmp_path / "out")]
    assert main(["score", str(folder), *tasks]) == 0
    assert code(tmp_path, "--gate") == 0


def test_a_damaged_run_beside_a_new_one_costs_the_leaderboard_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = damaged(tmp_path, DAMAGES["no seed"])
    capsys.readouterr()
    tasks = ["--task-dir", str(tmp_path / "tasks"), "--output-dir", str(tmp_path / "out")]
    assert main(["score", str(tmp_path / "out" / "runs" / "base"), *tasks]) == 0
    assert f"The leaderboard is not written: {folder / 'scores.json'} is damaged" in capsys.readouterr().err
