"""The loop: what is answered is kept, nothing is asked twice, nothing disappears."""

from __future__ import annotations

import dataclasses
import errno
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lavit_eval.claiming import choose_run
from lavit_eval.errors import PreflightError, UsageError
from lavit_eval.evaluate import evaluate
from lavit_eval.journal import JournalWriter, read_journal
from lavit_eval.prospect import RunOptions, foresee
from lavit_eval.runs import Run, open_run
from lavit_eval.sample import Request, Response
from tests.tiny_world import Echo, msvd_task, options_for, write_msvd


@pytest.fixture
def options(tmp_path: Path, echo: type[Echo]) -> RunOptions:
    count = write_msvd(tmp_path / "data")
    return options_for(msvd_task(count, tmp_path / "tasks"), tmp_path / "data", tmp_path / "results", run_id="r")


def _scores(options: RunOptions) -> bytes:
    return (options.output / "runs" / str(options.run_id) / "scores.json").read_bytes()


def _journal(options: RunOptions) -> Path:
    return options.output / "runs" / str(options.run_id) / "tasks" / "made_qa" / "journal.jsonl"


def test_a_run_answers_everything_and_scores_it(options: RunOptions) -> None:
    outcome = evaluate(options)
    task = outcome.scores["tasks"]["made_qa"]
    assert (outcome.state, outcome.complete) == ("new", True)
    assert (task["n"], task["answered"], task["failed"], task["coverage"]) == (24, 24, 0, 1.0)
    metric = task["metrics"]["exact_match"]
    assert (metric["value"], metric["n"], metric["clusters"], metric["coverage"]) == (50.0, 24, 6, 1.0)
    low, high = metric["interval"]
    assert low <= 50.0 <= high
    assert low < high
    assert len(Echo.asked) == 24


def test_the_manifest_says_what_made_the_numbers(options: RunOptions) -> None:
    manifest = evaluate(options).run.manifest
    assert manifest["identity"]["seed"] == 42
    assert set(manifest["identity"]["tasks"]["made_qa"]) == {"protocol", "data"}
    assert set(manifest["code"]) == {"revision", "dirty"}
    assert manifest["packages"]["torch"]
    assert manifest["hardware"]["threads"] == 1
    assert manifest["plan"]["made_qa"]["requests"] == 24


@pytest.mark.parametrize("dies_at", ["100", "201", "302", "603"])
def test_a_run_that_died_goes_on_and_asks_nothing_twice(options: RunOptions, dies_at: str) -> None:
    calm = dataclasses.replace(options, run_id="calm")
    evaluate(calm)
    Echo.reset()
    Echo.dies_at = dies_at
    with pytest.raises(RuntimeError, match="made to die"):
        evaluate(options)
    kept = read_journal(_journal(options)).entries
    before = _journal(options).read_bytes()
    asked = list(Echo.asked)
    Echo.reset()
    outcome = evaluate(options)
    assert outcome.state == "continued"
    assert not {entry.key for entry in kept} & set(Echo.asked)
    assert len(kept) + len(Echo.asked) == 24
    assert len(asked) - len(kept) < Echo.default_batch_size
    assert _journal(options).read_bytes().startswith(before)
    assert _scores(options) == _scores(calm)


def test_a_finished_run_is_not_answered_again(options: RunOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate(options)
    before = _scores(options)

    def refuse(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(Echo, "load", refuse)
    assert evaluate(options).state == "finished before"
    assert _scores(options) == before


def test_without_a_run_id_the_equal_run_is_continued(options: RunOptions) -> None:
    unnamed = dataclasses.replace(options, run_id=None)
    Echo.dies_at = "302"
    with pytest.raises(RuntimeError):
        evaluate(unnamed)
    Echo.dies_at = None
    first = evaluate(unnamed)
    assert first.state == "continued"
    assert evaluate(unnamed).run.folder == first.run.folder
    another = evaluate(dataclasses.replace(unnamed, seed=1))
    assert another.state == "new"
    fresh = evaluate(dataclasses.replace(unnamed, fresh=True))
    assert fresh.run.folder not in {first.run.folder, another.run.folder}


def test_another_seed_protocol_or_data_under_the_id_is_refused(options: RunOptions, tmp_path: Path) -> None:
    evaluate(options)
    with pytest.raises(UsageError, match=r"differs in seed; choose another --run-id"):
        evaluate(dataclasses.replace(options, seed=1))
    other = msvd_task(24, tmp_path / "tasks2", prompt="Say: {question}")
    with pytest.raises(UsageError, match=r"differs in tasks\.made_qa\.protocol"):
        evaluate(dataclasses.replace(options, tasks=(other,)))
    (options.data_root / "MSVD-QA" / "video" / "vid1.avi").write_bytes(b"longer than before")
    with pytest.raises(UsageError, match=r"differs in tasks\.made_qa\.data"):
        evaluate(options)


def test_fresh_keeps_the_former_run_under_another_name(options: RunOptions) -> None:
    evaluate(options)
    evaluate(dataclasses.replace(options, fresh=True))
    assert len(Echo.asked) == 48
    former = [path.name for path in (options.output / "runs").iterdir() if path.is_dir() and path.name != "r"]
    assert len(former) == 1
    assert former[0].startswith("before-")


def test_failures_are_listed_and_can_be_asked_again(options: RunOptions) -> None:
    Echo.fails = {"101", "303"}
    outcome = evaluate(options)
    task = outcome.scores["tasks"]["made_qa"]
    assert not outcome.complete
    assert (task["answered"], task["failed"], task["labels"]) == (22, 2, ["partial"])
    assert [failure["sample_id"] for failure in task["failures"]] == ["101", "303"]
    assert task["metrics"]["exact_match"]["n"] == 22
    assert evaluate(options).state == "finished before"
    Echo.reset()
    Echo.fails = {"303"}
    again = evaluate(dataclasses.replace(options, retry_failed=True))
    assert Echo.asked == [("101", 0), ("303", 0)]
    assert again.scores["tasks"]["made_qa"]["answered"] == 23
    Echo.reset()
    third = evaluate(dataclasses.replace(options, retry_failed=True))
    assert Echo.asked == [("303", 0)]
    assert third.scores["tasks"]["made_qa"]["answered"] == 24
    attempts = {entry.key: entry.attempt for entry in read_journal(_journal(options)).entries if entry.key[0] == "303"}
    assert attempts == {("303", 0): 3}


def test_a_missing_video_stops_the_run_or_fails_its_samples(options: RunOptions) -> None:
    (options.data_root / "MSVD-QA" / "video" / "vid2.avi").unlink()
    with pytest.raises(PreflightError, match=r"made_qa: 1 of 6 media are missing or empty .*vid2.*--allow-missing"):
        evaluate(options)
    assert not Echo.asked
    task = evaluate(dataclasses.replace(options, allow_missing=True)).scores["tasks"]["made_qa"]
    assert (task["n"], task["answered"], task["failed"]) == (24, 20, 4)
    assert "is missing or empty" in task["failures"][0]["reason"]


def test_failed_samples_count_as_empty_answers_only_where_the_task_says_so(options: RunOptions, tmp_path: Path) -> None:
    Echo.fails = {"101"}
    task = msvd_task(24, tmp_path / "strict", failed_samples="empty answer")
    scores = evaluate(dataclasses.replace(options, tasks=(task,))).scores["tasks"]["made_qa"]
    assert scores["metrics"]["exact_match"]["n"] == 24
    assert scores["coverage"] < 1


def test_a_wrong_count_stops_the_run(options: RunOptions, tmp_path: Path) -> None:
    task = msvd_task(25, tmp_path / "wrong")
    with pytest.raises(PreflightError, match="holds 24 samples, the official test split has 25"):
        evaluate(dataclasses.replace(options, tasks=(task,)))


def test_all_problems_are_said_at_once(options: RunOptions, tmp_path: Path) -> None:
    (options.data_root / "MSVD-QA" / "video" / "vid2.avi").write_bytes(b"")
    task = msvd_task(25, tmp_path / "wrong")
    with pytest.raises(PreflightError) as caught:
        evaluate(dataclasses.replace(options, tasks=(task,)))
    assert len(caught.value.problems) == 2


def test_limit_takes_the_first_in_official_order_and_says_so(options: RunOptions) -> None:
    scores = evaluate(dataclasses.replace(options, limit=5)).scores["tasks"]["made_qa"]
    assert scores["n"] == 5
    assert scores["labels"] == ["limited to 5"]
    assert [key[0] for key in Echo.asked] == ["100", "101", "102", "103", "200"]


def test_repeats_are_reported_one_by_one(options: RunOptions) -> None:
    scores = evaluate(dataclasses.replace(options, repeats=3)).scores["tasks"]["made_qa"]
    assert scores["n"] == 72
    assert scores["metrics"]["exact_match"]["repeats"] == (50.0, 50.0, 50.0)
    assert scores["metrics"]["exact_match"]["clusters"] == 6


def test_scores_hold_no_time_path_or_run_id(options: RunOptions, tmp_path: Path) -> None:
    evaluate(options)
    text = _scores(options).decode()
    assert str(tmp_path) not in text
    assert "made_qa" in text
    renamed = dataclasses.replace(options, run_id="another", output=tmp_path / "elsewhere")
    evaluate(renamed)
    assert _scores(renamed) == _scores(options)
    assert "responses" in json.loads(text)["tasks"]["made_qa"]


def test_per_sample_scores_stand_beside_the_journal(options: RunOptions) -> None:
    run = evaluate(options).run
    records = [json.loads(line) for line in (run.task_folder("made_qa") / "samples.jsonl").read_text().splitlines()]
    assert len(records) == 24
    assert {record["sample_id"]: record["exact_match"]["score"] for record in records}["101"] == 1.0


def test_a_run_in_use_is_refused(options: RunOptions) -> None:
    Echo.dies_at = "302"
    with pytest.raises(RuntimeError):
        evaluate(options)
    with JournalWriter(_journal(options)), pytest.raises(UsageError, match="Another process is writing"):
        evaluate(options)


def test_a_folder_without_a_run_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"manifest\.json does not exist"):
        open_run(tmp_path)


def test_an_unfinished_run_is_not_scored(options: RunOptions) -> None:
    from lavit_eval.evaluate import score_run
    from lavit_eval.prospect import foresee

    Echo.dies_at = "302"
    with pytest.raises(RuntimeError):
        evaluate(options)
    with pytest.raises(UsageError, match=r"has no response to 15 requests of made_qa"):
        score_run(foresee(options).prepared, Run(options.output / "runs" / "r"))


def test_a_model_that_answers_too_little_is_our_mistake(options: RunOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Echo, "respond", lambda self, requests: [])
    with pytest.raises(RuntimeError, match="answered 0 of 3"):
        evaluate(options)


def test_a_run_id_cannot_leave_the_runs_folder(options: RunOptions) -> None:
    for name in ("../../out", "..", ".", "a/b", ""):
        with pytest.raises(UsageError, match="cannot name a folder"):
            evaluate(dataclasses.replace(options, run_id=name))
    assert not Echo.asked


def test_choosing_changes_nothing(options: RunOptions) -> None:
    run = evaluate(options).run
    choice = choose_run(foresee(dataclasses.replace(options, fresh=True)))
    assert (choice.exists, choice.set_aside, choice.run.folder) == (False, True, run.folder)
    assert run.scores_path.is_file()


def test_fresh_does_not_pull_the_folder_from_under_a_writer(options: RunOptions) -> None:
    evaluate(options)
    with JournalWriter(_journal(options)), pytest.raises(UsageError, match="Another process is writing"):
        evaluate(dataclasses.replace(options, fresh=True))
    assert _journal(options).is_file()


def test_an_output_that_cannot_be_written_is_said_at_once(options: RunOptions, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(PreflightError, match="is not a folder that can be written to; choose another --output-dir"):
        evaluate(dataclasses.replace(options, output=tmp_path / "file"))


def test_a_full_disk_outside_the_journal_is_one_sentence(options: RunOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lavit_eval.files.os.fsync", full)
    with pytest.raises(UsageError, match=r"manifest\.json cannot be written \(No space left"):
        evaluate(options)


def test_reasons_name_media_and_not_where_they_lie(options: RunOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Echo, requests: Sequence[Request]) -> list[Response]:
        return [Response(r.sample_id, r.repeat, "failed", error=f"{r.media[0].path} is cut off.") for r in requests]

    monkeypatch.setattr(Echo, "respond", fail)
    reason = evaluate(options).scores["tasks"]["made_qa"]["failures"][0]["reason"]
    assert reason == "video/vid1.avi is cut off."


def test_a_killed_run_is_finished_and_its_failures_asked_again_by_one_command(options: RunOptions) -> None:
    Echo.fails, Echo.dies_at = {"101"}, "302"
    with pytest.raises(RuntimeError):
        evaluate(options)
    Echo.reset()
    outcome = evaluate(dataclasses.replace(options, retry_failed=True))
    assert outcome.complete
    assert Echo.asked[-1] == ("101", 0)


def test_a_kill_in_a_retry_leaves_no_stale_scores(options: RunOptions) -> None:
    Echo.fails = {"101"}
    run = evaluate(options).run
    Echo.reset()
    Echo.dies_at = "101"
    with pytest.raises(RuntimeError):
        evaluate(dataclasses.replace(options, retry_failed=True))
    assert not run.scores_path.exists()
    Echo.reset()
    outcome = evaluate(options)
    assert (outcome.state, outcome.scores["tasks"]["made_qa"]["failed"]) == ("continued", 1)


def test_going_on_with_another_stack_is_said(options: RunOptions) -> None:
    Echo.dies_at = "302"
    with pytest.raises(RuntimeError):
        evaluate(options)
    path = options.output / "runs" / "r" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["packages"]["torch"] = "0.1"
    path.write_text(json.dumps(manifest))
    Echo.dies_at = None
    outcome = evaluate(options)
    assert [notice for notice in outcome.notices if "another torch: 0.1 before" in notice]
    assert "another torch" in (outcome.run.folder / "run.log").read_text()


def test_a_manifest_of_something_else_hides_no_run(options: RunOptions) -> None:
    strange = options.output / "runs" / "strange"
    strange.mkdir(parents=True)
    (strange / "manifest.json").write_text('{"schema": 1}')
    unnamed = dataclasses.replace(options, run_id=None)
    assert evaluate(unnamed).state == "new"
    assert evaluate(unnamed).state == "finished before"
