"""The sample browser's data: nobody is dropped, and the numbers are those of the run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lavit_eval.report.folder import ReportOptions, write_report
from lavit_eval.report.media import Shown
from lavit_eval.report.reading import read_task
from lavit_eval.report.samples import LONGEST, TaskPages, _facts, _media, index_of, media_files, write_task
from lavit_eval.rescoring import Again
from lavit_eval.runs import Run
from lavit_eval.sample import Likelihoods, Medium, Segment
from tests.report.made_runs import (
    HOSTILE,
    again,
    answer_questions,
    film_run,
    question_runs,
    registered,
    write_questions,
)


def pages_of(run: Run, base: Run | None, lookup: Again) -> TaskPages:
    """Return a run's only task beside BASE's."""
    scores = run.scores()
    assert scores is not None
    ((name, part),) = scores["tasks"].items()
    others = None
    if base is not None:
        theirs = read_task(base, name, part, lookup, with_samples=False)
        others = {item.key: item for item in theirs.items}
    return TaskPages(0, read_task(run, name, part, lookup), others)


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run, Path]:
    """A run, its BASE, and the folder of both."""
    folder = tmp_path_factory.mktemp("questions")
    return *question_runs(folder), folder


def test_the_index_holds_every_response_and_the_runs_numbers(questions: tuple[Run, Run, Path]) -> None:
    run, base, folder = questions
    index = index_of(pages_of(run, base, again(folder)))
    scores, theirs = run.scores(), base.scores()
    assert scores is not None and theirs is not None
    part = scores["tasks"]["made_qa"]
    assert index["n"] == len(index["ids"]) == len(set(index["ids"])) == part["n"] == 24
    assert index["outcomes"].count("a") == part["answered"] == 23
    assert index["outcomes"].count("f") == part["failed"] == 1
    assert index["ids"][index["outcomes"].index("f")] == part["failures"][0]["sample_id"]
    having = [score for score in index["scores"] if score is not None]
    assert sum(having) / len(having) == pytest.approx(part["metrics"]["exact_match"]["value"])
    assert len(having) == part["metrics"]["exact_match"]["n"]
    against = [score for score in index["base"] if score is not None]
    value = theirs["tasks"]["made_qa"]["metrics"]["exact_match"]["value"]
    assert sum(against) / len(against) == pytest.approx(value)
    assert index["metric"] == "exact_match" and index["higher"] is True
    (axis,) = index["axes"]
    found = [axis["names"][code] for code in axis["codes"]]
    for category, score in part["metrics"]["exact_match"]["categories"][axis["axis"]].items():
        scored = [one for one, other in zip(index["scores"], found, strict=True) if other == category]
        assert sum(one is not None for one in scored) == score["n"]


def test_chunks_hold_the_details_in_the_order_of_the_index(questions: tuple[Run, Run, Path], tmp_path: Path) -> None:
    run, base, folder = questions
    pages = pages_of(run, base, again(folder))
    write_task(pages, tmp_path, {}, run, base, chunk=10)
    index = registered(tmp_path / "data" / "0" / "index.js")
    assert index["chunk"] == 10
    chunks = [registered(tmp_path / "data" / "0" / f"{number}.js") for number in range(3)]
    assert [len(chunk) for chunk in chunks] == [10, 10, 4]
    assert not (tmp_path / "data" / "0" / "3.js").exists()
    details = [one for chunk in chunks for one in chunk]
    for place, (item, said) in enumerate(zip(pages.reading.items, details, strict=True)):
        assert item.sample is not None
        assert index["ids"][place] == item.sample.id
        assert [text for text, _ in said["references"]] == list(item.sample.references)
        assert said["media"][0][3] == item.sample.media[0].name
        assert said["base"]["answer"] == "cat"
    assert details[5]["error"] == "run.jsonl has no answer to it."
    assert index["answers"][2] == f"I see {HOSTILE}"
    assert details[1]["references"] == [[HOSTILE, 1]]


def test_a_long_answer_is_cut_in_the_index_and_whole_in_the_details(tmp_path: Path) -> None:
    ids = write_questions(tmp_path / "data")
    long = "cat " * LONGEST
    run = answer_questions(tmp_path, "run", dict.fromkeys(ids, long))
    pages = pages_of(run, None, again(tmp_path))
    write_task(pages, tmp_path, {}, run, None)
    index = registered(tmp_path / "data" / "0" / "index.js")
    assert {len(answer) for answer in index["answers"]} == {LONGEST}
    assert index["base"] is None
    assert registered(tmp_path / "data" / "0" / "0.js")[0]["answer"] == long


def test_a_judges_reply_and_what_counted_are_told(questions: tuple[Run, Run, Path], tmp_path: Path) -> None:
    run, _, folder = questions
    path = run.task_folder("made_qa") / "samples.jsonl"
    before = path.read_text()
    records = [json.loads(line) for line in before.splitlines()]
    records[0]["exact_match"] |= {"judge_reply": f"yes {HOSTILE}", "answer": "tidied"}
    records[1]["exact_match"]["score"] = float("inf")
    try:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        pages = pages_of(run, None, again(folder))
    finally:
        path.write_text(before)
    write_task(pages, tmp_path, {}, run, None)
    details = registered(tmp_path / "data" / "0" / "0.js")
    metric, score, _, notes, unit = details[0]["metrics"][0]
    assert (metric, score, unit) == ("exact_match", 100 * records[0]["exact_match"]["score"], "%")
    assert notes == [["counted as", "tidied"], ["judge_reply", f"yes {HOSTILE}"]]
    assert details[1]["metrics"][0][1] is None


def test_without_annotations_the_answers_are_still_shown(tmp_path: Path) -> None:
    ids = write_questions(tmp_path / "data")
    run = answer_questions(tmp_path, "run", dict.fromkeys(ids, "cat"))
    (tmp_path / "data" / "MSVD-QA" / "test_qa.json").unlink()
    written = write_report(run, None, tmp_path / "page", ReportOptions(again(tmp_path), "none"))
    assert "made_qa: without questions and references" in written.notices[0]
    index = registered(tmp_path / "page" / "data" / "0" / "index.js")
    assert sorted(index["ids"]) == sorted(ids)
    assert index["answers"] == ["cat"] * len(ids)
    assert set(index["questions"]) == {""}
    assert "without questions and references" in written.page.read_text()


def test_generated_and_real_films_stand_together(tmp_path: Path) -> None:
    run = film_run(tmp_path)
    pages = pages_of(run, run, again(tmp_path))
    files = media_files(pages, run, run)
    media = {path: Shown(f"media/{number}.mp4") for number, path in enumerate(files)}
    write_task(pages, tmp_path, media, run, run)
    first = registered(tmp_path / "data" / "0" / "0.js")[0]
    assert [role for role, *_ in first["media"]] == ["generated", "real", "generated by BASE"]
    assert all(source.startswith("media/") for _, _, source, _, _ in first["media"])
    assert first["references"] == [[f"a {HOSTILE}", 1]]
    assert index_of(pages)["answers"] == [""] * 3


def test_a_film_that_was_shown_and_is_the_target_stands_once(tmp_path: Path) -> None:
    run = film_run(tmp_path, count=1)
    pages = pages_of(run, None, again(tmp_path))
    (item,) = pages.reading.items
    assert item.sample is not None
    rebuilt = replace(item, sample=replace(item.sample, media=item.sample.targets))
    pages = replace(pages, reading=replace(pages.reading, items=[rebuilt]))
    write_task(pages, tmp_path, {}, run, None)
    (said,) = registered(tmp_path / "data" / "0" / "0.js")
    assert [role for role, *_ in said["media"]] == ["shown to the model", "generated"]


def test_what_was_ranked_and_which_segment_was_shown_is_said(questions: tuple[Run, Run, Path]) -> None:
    run, _, folder = questions
    pages = pages_of(run, None, again(folder))
    item = next(item for item in pages.reading.items if item.sample is not None and item.response.outcome == "answered")
    assert item.sample is not None
    film = Medium("video", "/data/v.mp4", "v.mp4", Segment.seconds(1.2, 9))
    response = replace(item.response, likelihoods=Likelihoods.of([-3.0, -4.5], [1, 3]))
    ranked = replace(item, response=response, sample=replace(item.sample, media=(film,)))
    assert ["log-likelihood of B", "-4.500, per token -1.500"] in _facts(ranked, pages)
    ((_, _, _, name),) = [one for one in _media(ranked, None, pages, run, None) if one[0] == "shown to the model"]
    assert name == "v.mp4 (shown: 1.2-9 s)"
    assert not [name for name, _ in _facts(item, pages) if "likelihood" in str(name)]
