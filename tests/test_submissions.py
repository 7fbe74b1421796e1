"""Splits without public answers give a file for the server, whole or not at all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.evaluate import evaluate
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue
from lavit_eval.running import conclude
from lavit_eval.sample import Sample
from lavit_eval.submissions import FORMS, Written
from tests.benchmarks.choice_layouts import write_egoschema
from tests.benchmarks.image_layouts import mmbench_rows, write_vizwiz
from tests.benchmarks.layouts import VQA_QUESTIONS, write_vqav2_testdev
from tests.task_fixtures import write_mmbench_test
from tests.test_spreadsheet import cells
from tests.tiny_world import Echo, options_for

VIZWIZ = [{"image": f"VizWiz_test_0000900{n}.jpg", "question": "What is this?"} for n in range(3)]


def made(name: str, folder: Path) -> RunOptions:
    if name == "vizwiz_vqa_test":
        write_vizwiz(folder / "data" / "vizwiz", VIZWIZ, split="test")
    else:
        write_vqav2_testdev(folder / "data" / "vqav2")
    for path in (folder / "data").rglob("*.jpg"):
        path.write_bytes(b"made")
    task = Catalogue().task(name)
    return options_for(task, folder / "data", folder / "results", counts={name: 3}, run_id="r", repeats=2)


def submission(options: RunOptions) -> tuple[dict[str, Any], Path]:
    outcome = evaluate(options)
    (scores,) = outcome.scores["tasks"].values()
    return scores["submission"], outcome.run.folder


def test_vizwiz(tmp_path: Path, echo: type[Echo], capsys: pytest.CaptureFixture[str]) -> None:
    options = made("vizwiz_vqa_test", tmp_path)
    outcome = evaluate(options)
    scores = outcome.scores["tasks"]["vizwiz_vqa_test"]
    assert scores["submission"] == {"file": "tasks/vizwiz_vqa_test/submission.json"}
    path = outcome.run.folder / "tasks" / "vizwiz_vqa_test" / "submission.json"
    assert json.loads(path.read_text()) == [{"answer": "cat", "image": row["image"]} for row in VIZWIZ]
    assert scores["metrics"]["vqa_accuracy"]["skipped"] == "the split has no public answers"
    conclude([outcome], options.output)
    assert f"Submission of vizwiz_vqa_test: {path}" in capsys.readouterr().err


def test_vqa_has_numbers_as_ids(tmp_path: Path, echo: type[Echo]) -> None:
    said, folder = submission(made("vqav2_testdev", tmp_path))
    rows = json.loads((folder / said["file"]).read_text())
    assert rows == [{"answer": "cat", "question_id": row["question_id"]} for row in VQA_QUESTIONS]


def test_without_an_answer_none_is_written(tmp_path: Path, echo: type[Echo]) -> None:
    Echo.fails = {VIZWIZ[1]["image"]}
    options = made("vizwiz_vqa_test", tmp_path)
    outcome = evaluate(options)
    said = outcome.scores["tasks"]["vizwiz_vqa_test"]["submission"]
    assert said == {"file": None, "reason": "1 of 3 questions have no answer"}
    assert not list(outcome.run.folder.rglob("submission.json"))


def test_a_limited_run_writes_none(tmp_path: Path, echo: type[Echo], capsys: pytest.CaptureFixture[str]) -> None:
    options = dataclasses.replace(made("vizwiz_vqa_test", tmp_path), limit=2)
    outcome = evaluate(options)
    assert outcome.scores["tasks"]["vizwiz_vqa_test"]["submission"]["file"] is None
    conclude([outcome], options.output)
    assert "none is written, 1 of 3 questions have no answer" in capsys.readouterr().err


def test_answers_are_processed_for_the_server() -> None:
    found = FORMS["vqa"]([(Sample("7", (), "", ()), "The two dogs.")])
    assert found.content == [{"question_id": 7, "answer": "2 dogs"}]


def asked(identity: str, *choices: str) -> Sample:
    return Sample(identity, (), "?", (), extra={"choices": list(choices)})


def test_egoschema_wants_numbers_and_an_answer_without_one_counts_as_wrong() -> None:
    pairs = [(asked("0000-a", "runs", "eats"), "B. eats"), (asked("0000-b", "runs", "eats"), "It is hard to say.")]
    assert FORMS["egoschema"](pairs) == Written({"0000-a": 1, "0000-b": -1}, undecided=1)


def test_perception_test_wants_the_questions_of_each_video_together() -> None:
    pairs = [
        (asked("video_9_0", "yes", "no"), "A"),
        (asked("video_8_0", "yes", "no"), "no"),
        (asked("video_9_12", "yes", "no"), ""),
    ]
    assert FORMS["perception_test"](pairs) == Written(
        {
            "video_9": [{"id": 0, "answer_id": 0, "answer": "yes"}, {"id": 12, "answer_id": -1, "answer": ""}],
            "video_8": [{"id": 0, "answer_id": 1, "answer": "no"}],
        },
        undecided=1,
    )


def test_nocaps_has_an_image_0() -> None:
    found = FORMS["nocaps"]([(Sample("0", (), "", ()), "An owl.")])
    assert found.content == [{"image_id": 0, "caption": "An owl."}]


def test_a_submission_of_choices_needs_choices() -> None:
    with pytest.raises(UsageError, match="sample 7 has no choices"):
        FORMS["egoschema"]([(Sample("7", (), "?", ()), "A")])


def test_undecided_answers_are_said(tmp_path: Path, echo: type[Echo], capsys: pytest.CaptureFixture[str]) -> None:
    write_egoschema(tmp_path / "data" / "egoschema")
    task = Catalogue().task("egoschema_full")
    options = options_for(task, tmp_path / "data", tmp_path / "results", counts={task.task: 3}, run_id="r")
    outcome = evaluate(options)
    said = outcome.scores["tasks"][task.task]["submission"]
    assert said == {"file": "tasks/egoschema_full/submission.json", "undecided": 3}
    assert json.loads((outcome.run.folder / said["file"]).read_text()) == dict.fromkeys(
        ("0000-a", "0000-b", "0000-c"), -1
    )
    conclude([outcome], options.output)
    assert "3 answers name no option and stand there as -1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("parent", "form"),
    [("coco_karpathy_test", "vqa"), ("msvd_qa", "nocaps"), ("msrvtt_t2v", "vqa")],
)
def test_a_form_is_for_its_kind_of_task(tmp_path: Path, parent: str, form: str) -> None:
    (tmp_path / "mine.yaml").write_text(json.dumps({"task": "mine", "extends": parent, "submission": form}))
    with pytest.raises(UsageError, match=r"submission .*(is not for tasks that|is for answers and captions)"):
        Catalogue([tmp_path]).task("mine")


def test_mmbench_wants_a_workbook_of_every_rotation(tmp_path: Path, echo: type[Echo]) -> None:
    write_mmbench_test(tmp_path / "data")
    task = Catalogue().task("mmbench_test")
    options = options_for(task, tmp_path / "data", tmp_path / "results", counts={task.task: 5}, run_id="r")
    outcome = evaluate(options)
    said = outcome.scores["tasks"][task.task]["submission"]
    assert said == {"file": "tasks/mmbench_test/submission.xlsx"}
    head, *rows = cells((outcome.run.folder / said["file"]).read_bytes())
    assert head[:7] == ["index", "question", "A", "B", "C", "D", "prediction"]
    asked = mmbench_rows()
    assert [row[0] for row in rows] == [row["index"] for row in asked]
    assert [row[2:6] for row in rows] == [[row[letter] for letter in "ABCD"] for row in asked]
    # The hint stands above the question, as the model was asked.
    assert [row[1] for row in rows[-2:]] == ['A play\tin two acts.\nWho says "yes"?'] * 2
    assert {row[6] for row in rows} == {"cat"}
