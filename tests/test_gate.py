"""The gate: thresholds, exit codes, what is missing, and JUnit XML."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lavit_eval.compare import _corrected
from lavit_eval.errors import UsageError
from lavit_eval.gate import failures
from lavit_eval.thresholds import Threshold, Thresholds
from tests.compare_world import QUESTIONS, VIDEOS, code, compared, edited, made_run, one_wrong


def test_a_threshold_lets_small_drops_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong)
    limits = tmp_path / "limits.yaml"
    limits.write_text("tasks:\n  made_qa: {absolute: 30}\n")
    assert code(tmp_path, "--gate", "--thresholds", str(limits)) == 0
    assert "below threshold" in capsys.readouterr().out
    limits.write_text("tasks:\n  made_qa: {absolute: 25.0}\n")
    assert code(tmp_path, "--gate", "--thresholds", str(limits)) == 1
    limits.write_text("default: {relative: 0.26}\n")
    assert code(tmp_path, "--gate", "--thresholds", str(limits)) == 0
    limits.write_text("default: {significance: 0.0001}\n")
    assert code(tmp_path, "--gate", "--thresholds", str(limits)) == 3, "a gate that could never fail does not pass"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("default: {absolut: 1}\n", r"limits.yaml:1: unknown key 'default.absolut'. Did you mean absolute"),
        ("tasks:\n  made_qq: {absolute: 1}\n", r"unknown task 'made_qq'. Did you mean made_qa"),
        ("default: {significance: 2}\n", r"limits.yaml:1: default.significance"),
        ("- 1\n", r"expected a mapping"),
    ],
)
def test_a_bad_file_of_thresholds_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    made_run(tmp_path, "base")
    (tmp_path / "limits.yaml").write_text(text)
    assert code(tmp_path, "--thresholds", str(tmp_path / "limits.yaml"), new="base") == 2
    assert re.search(said, capsys.readouterr().err)


def test_a_task_that_new_lacks_is_incomplete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new")
    scores = tmp_path / "out" / "runs" / "base" / "scores.json"
    document = json.loads(scores.read_text())
    document["tasks"]["other_qa"] = document["tasks"]["made_qa"]
    scores.write_text(json.dumps(document))
    edited(
        tmp_path / "out" / "runs" / "base",
        "manifest.json",
        '"tasks": {\n  "made_qa"',
        '"tasks": {\n  "other_qa": {},\n  "made_qa"',
    )
    assert code(tmp_path, "--gate", "--junit", str(tmp_path / "j.xml")) == 3
    assert "other_qa is missing from NEW" in capsys.readouterr().out
    suite = ElementTree.parse(tmp_path / "j.xml").getroot()
    assert {(case.get("name"), len(case.findall("error"))) for case in suite} == {("made_qa", 0), ("other_qa", 1)}
    assert code(tmp_path, "--gate", "--waive", "tasks") == 0
    assert code(tmp_path, "--gate", "--tasks", "made_qa") == 0
    assert code(tmp_path, "--gate", "--tasks", "made_qu") == 2


def test_junit_has_a_failure_per_regression(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong)
    code(tmp_path, "--gate", "--junit", str(tmp_path / "j.xml"))
    suite = ElementTree.parse(tmp_path / "j.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "1", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "a drop of 25.00 points" in str(failure.get("message"))


def test_thresholds_take_the_default_field_by_field() -> None:
    limits = Thresholds.model_validate({"default": {"relative": 0.02}, "tasks": {"a": {"absolute": 1.5}}})
    assert limits.of("a").size(50.0) == 1.5
    assert limits.of("a").size(-100.0) == 2.0
    assert limits.of("b").size(50.0) == 1.0


def test_junit_names_what_was_waived(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new")
    plain, waived = tmp_path / "plain.xml", tmp_path / "waived.xml"
    assert code(tmp_path, "--junit", str(plain)) == 0
    assert code(tmp_path, "--junit", str(waived), "--waive", "data") == 0
    assert ElementTree.parse(plain).find("properties") is None
    found = ElementTree.parse(waived).find("properties/property")
    assert found is not None
    assert (found.get("name"), found.get("value")) == ("waived", "data")


def test_not_comparable_goes_before_incomplete(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", skip="101", prompt="Tell me, {question}")
    assert code(tmp_path, "--gate") == 4


def test_a_missing_answer_is_incomplete_and_what_is_left_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong, skip="101")
    found = compared(tmp_path)
    # A regression as well, but what is missing may matter: 3 before 1.
    assert {failure.kind for failure in failures(found)} == {"incomplete", "regression"}
    assert found.tasks[0].n == VIDEOS * QUESTIONS - 1
    assert code(tmp_path, "--gate") == 3
    assert "coverage: 48 of 48 -> 47 of 48" in capsys.readouterr().out
    assert code(tmp_path, "--gate", "--waive", "coverage") == 1


def four_videos(root: Path) -> None:
    """Make two runs of four videos: NEW answers everything wrongly."""
    made_run(root, "base", limit=4 * QUESTIONS)
    made_run(root, "new", lambda *_: True, limit=4 * QUESTIONS)


def test_four_clusters_cannot_tell_and_that_is_said_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    four_videos(tmp_path)
    files = [str(tmp_path / name) for name in ("j.xml", "s.md", "c.json")]
    assert code(tmp_path, "--gate", "--junit", files[0], "--summary", files[1], "--json", files[2]) == 3
    said = capsys.readouterr().out
    assert "Gate: failed, exit code 3; 0 of 1 tasks tested; cannot tell: made_qa" in said
    assert "INCOMPLETE: no task could be tested, so a drop of any size would pass" in said
    why = "cannot tell: had all 4 clusters fallen, p would be 0.062, and 0.05 is asked for"
    assert f"made_qa: {why}; a drop can be told from 5 clusters on" in said
    assert "no regression" not in said
    skipped = ElementTree.parse(files[0]).find("testcase/skipped")
    assert skipped is not None
    assert str(skipped.get("message")).startswith(why)
    summary = Path(files[1]).read_text()
    assert "0 of 1 tasks tested; cannot tell: made_qa." in summary
    assert "**incomplete**: no task could be tested" in summary
    assert "No regression" not in summary
    document = json.loads(Path(files[2]).read_text())
    assert (document["exit_code"], [one["task"] for one in document["failures"]]) == (3, [None])
    stored = document["tasks"][0]
    assert (stored["cannot_tell"] is not None, stored["adjusted"], stored["test"]["drop"]) == (True, None, 100.0)


def test_nothing_tested_is_said_without_a_gate_and_only_where_nothing_else_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    four_videos(tmp_path)
    assert code(tmp_path) == 0
    assert "INCOMPLETE: no task could be tested" in capsys.readouterr().out
    made_run(tmp_path, "other", prompt="Tell me, {question}", limit=4 * QUESTIONS)
    assert code(tmp_path, "--gate", new="other") == 4
    assert "no task could be tested" not in capsys.readouterr().out


def test_one_task_that_tells_is_enough_for_a_gate(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new")
    found = compared(tmp_path)
    blind = replace(found.tasks[0], task="few", adjusted=None, cannot_tell="made")
    without = replace(blind, task="none", cannot_tell=None, untested="no value of exact_match (no Java)")
    assert failures(replace(found, tasks=(found.tasks[0], blind, without))) == []
    assert [one.kind for one in failures(replace(found, tasks=(blind, without)))] == ["incomplete"]


def test_a_laxer_significance_lets_four_clusters_tell(tmp_path: Path) -> None:
    four_videos(tmp_path)
    (tmp_path / "limits.yaml").write_text("default: {significance: 0.1}\n")
    assert code(tmp_path, "--gate", "--thresholds", str(tmp_path / "limits.yaml")) == 1


def test_a_task_that_cannot_tell_makes_the_others_no_harder(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong)
    found = compared(tmp_path).tasks[0]
    assert found.test is not None
    blank = replace(found, task="few", adjusted=None, detectable=None)
    few = replace(blank, test=replace(found.test, clusters=4, smallest=1 / 16, p=1 / 16))
    both = {one.task: one for one in _corrected([found, few])}
    assert (both["made_qa"].adjusted, both["made_qa"].detectable) == (found.adjusted, found.detectable)
    assert (both["few"].adjusted, both["few"].is_regression) == (None, False)
    assert "after Holm's correction over 2 tasks" in str(both["few"].cannot_tell)


def test_a_significance_that_no_number_of_flips_reaches_is_refused(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong)
    found = compared(tmp_path).tasks[0]
    assert found.test is not None
    strict = Threshold(significance=0.00005)
    drawn = replace(found, test=replace(found.test, smallest=1 / 10_001, drawn=True), threshold=strict)
    with pytest.raises(UsageError, match="5e-05, can never be reached: 10,000 resamples"):
        _corrected([drawn])
    assert _corrected([replace(drawn, threshold=Threshold())])[0].adjusted is not None


def test_a_gate_names_what_it_did_not_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", prompt="Tell me, {question}")
    assert code(tmp_path, "--gate") == 4
    assert "Gate: failed, exit code 4; 0 of 1 tasks tested; not tested: made_qa" in capsys.readouterr().out
