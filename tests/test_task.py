"""Task files: strict, with file and line in every complaint; the fingerprint sees all that changes a score."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.registry import Catalogue
from lavit_eval.sample import Sample
from lavit_eval.task import Task, load_task

GOOD = """task: made
description: anything
benchmark: msvd_qa
split: test
samples: 12
request: answer
prompt: "{question}"
generation:
  max_new_tokens: 16
metrics: [exact_match]
primary: exact_match
"""
VERSIONS = {"benchmark:msvd_qa": 1, "metric:exact_match": 1, "metric:vqa_accuracy": 1}


def _load(tmp_path: Path, text: str) -> Task:
    path = tmp_path / "made.yaml"
    path.write_text(text)
    return load_task(path, {})


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("prompt:", "promt:", 7, r"unknown key 'promt'\. Did you mean prompt"),
        ("max_new_tokens: 16", "max_new_token: 16", 9, r"unknown key 'generation\.max_new_token'.*max_new_tokens"),
        ("max_new_tokens: 16", "max_new_tokens: many", 9, "generation.max_new_tokens"),
        ("samples: 12", "samples: -1", 5, "samples"),
        ("request: answer", "request: sing", 6, "request"),
        ("primary: exact_match", "primary: bleu", 1, "primary 'bleu' is not one of metrics"),
        ('"{question}"', '"Say it."', 1, "must contain {question}"),
        ("task: made", "task: made\ntask: made", 2, "the key 'task' stands twice"),
        ("metrics: [exact_match]", "metrics: [exact_match", 11, "not valid YAML"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    with pytest.raises(UsageError, match=rf"made\.yaml:{line}: .*{said}"):
        _load(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps: 50", "stepz: 50", "no generation setting 'stepz'.*Did you mean steps"),
        ("steps: 50, ", "", "must also state in generation: steps"),
        ("width: 1024", "width: 1023", "multiple of 8"),
        ("init_sigma: fresh", "init_sigma: stale", "fresh or carried"),
    ],
)
def test_a_generation_task_states_every_setting(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = Catalogue().task_files["msrvtt_t2v"].read_text().replace("task: msrvtt_t2v", "task: made")
    with pytest.raises(UsageError, match=rf"(?s)made\.yaml:\d+: .*{said}"):
        _load(tmp_path, text.replace(old, new))


def test_descriptions_and_comments_do_not_change_the_fingerprint(tmp_path: Path) -> None:
    one = _load(tmp_path, GOOD)
    other = _load(
        tmp_path, "# a comment\n" + GOOD.replace("anything", "something else").replace("samples: 12", "samples: 13")
    )
    assert one.protocol(VERSIONS) == other.protocol(VERSIONS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("split: test", "split: val"),
        ('"{question}"', '"{question}?"'),
        ("max_new_tokens: 16", "max_new_tokens: 17"),
        ("max_new_tokens: 16", "max_new_tokens: 16\n  num_beams: 2"),
        ("metrics: [exact_match]", "metrics: [exact_match, vqa_accuracy]"),
        ("primary:", "failed_samples: empty answer\nprimary:"),
    ],
)
def test_every_field_that_can_change_a_score_changes_the_fingerprint(tmp_path: Path, old: str, new: str) -> None:
    assert _load(tmp_path, GOOD).protocol(VERSIONS) != _load(tmp_path, GOOD.replace(old, new)).protocol(VERSIONS)


@pytest.mark.parametrize("piece", ["benchmark:msvd_qa", "metric:exact_match"])
def test_a_new_version_of_a_piece_changes_the_fingerprint(tmp_path: Path, piece: str) -> None:
    task = _load(tmp_path, GOOD)
    assert task.protocol(VERSIONS) != task.protocol({**VERSIONS, piece: 2})


def test_the_question_is_put_in_as_it_is(tmp_path: Path) -> None:
    sample = Sample(id="1", media=(), question="{answer} %s {0}", references=("x",))
    assert _load(tmp_path, GOOD.replace('"{question}"', '"Q: {question}"')).text(sample) == "Q: {answer} %s {0}"


def test_a_variant_takes_the_fields_of_its_parent() -> None:
    catalogue = Catalogue()
    task, variant = catalogue.task("msvd_qa"), catalogue.task("msvd_qa_reference")
    assert (variant.generation.min_new_tokens, variant.generation.max_new_tokens) == (8, 512)
    assert variant.published_task == "msvd_qa"
    assert variant.prompt == task.prompt
    assert variant.samples == task.samples == 13157


@pytest.mark.parametrize(("name", "most"), [("msvd_qa", 128), ("msrvtt_qa", 128), ("vqav2", 16)])
def test_questions_are_answered_greedily_from_one_token_on(name: str, most: int) -> None:
    settings = Catalogue().task(name).generation.settings()
    assert (settings.do_sample, settings.num_beams, settings.min_new_tokens, settings.max_new_tokens) == (
        False,
        1,
        1,
        most,
    )


def test_an_unknown_parent_is_named(tmp_path: Path) -> None:
    path = tmp_path / "made.yaml"
    path.write_text("task: made\nextends: msvd_qq\n")
    with pytest.raises(UsageError, match=r"made\.yaml:2: extends unknown task 'msvd_qq'\. Did you mean msvd_qa"):
        load_task(path, Catalogue().task_files)


CHOOSE = GOOD.replace("request: answer", "request: choose")
ASKED = Sample("1", (), "Which?\nA. x\nB. y", ("A",), extra={"choices": ["x", "y"]}, stem="Which?")


def test_what_is_ranked_is_shown_or_is_not(tmp_path: Path) -> None:
    texts = _load(tmp_path, CHOOSE)
    assert (texts.text(ASKED), texts.candidates(ASKED)) == ("Which?", ("x", "y"))
    letters = _load(tmp_path, CHOOSE + "ranked: letters\n")
    assert (letters.text(ASKED), letters.candidates(ASKED)) == (ASKED.question, ("A", "B"))
    assert texts.protocol(VERSIONS) != letters.protocol(VERSIONS)
    answer = _load(tmp_path, GOOD)
    assert (answer.text(ASKED), answer.candidates(ASKED)) == (ASKED.question, ())
    assert "ranked" not in answer.asking(VERSIONS), "the fingerprints of other tasks stay what they were"


def test_only_multiple_choice_is_ranked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ranked is for tasks of request choose only"):
        _load(tmp_path, GOOD + "ranked: letters\n")
    with pytest.raises(UsageError, match=r"request choose must contain \{question\}"):
        _load(tmp_path, CHOOSE.replace('"{question}"', '"Say it."'))
    with pytest.raises(UsageError, match="the sample 2 has no options: the reader msvd_qa is not of multiple choice"):
        _load(tmp_path, CHOOSE).candidates(Sample("2", (), "?", ("A",)))
