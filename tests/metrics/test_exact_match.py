"""Exact match: the same small normalisation on both sides, nothing more."""

from __future__ import annotations

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.exact_match import ExactMatch, ExactMatchGqa, normalise
from lavit_eval.sample import Sample


def score(text: str, *references: str) -> float:
    measured = ExactMatch().measure([Sample("1", (), "", references)], [text])
    return float(measured.reduce(measured.rows.sum(axis=0)))


@pytest.mark.parametrize("text", ["cat", "Cat", " cat.\n", '"cat"', "(cat)!", "cat ...", "\u201cCat.\u201d"])
def test_case_spaces_and_outer_punctuation_do_not_count(text: str) -> None:
    assert score(text, "cat") == 100.0


@pytest.mark.parametrize("text", ["cats", "a cat", "the cat", "c.at", "cat dog", "cat-", "%cat"])
def test_everything_else_counts(text: str) -> None:
    assert score(text, "cat") == 0.0


def test_number_words_stay_words() -> None:
    assert score("2", "two") == 0.0


def test_any_reference_will_do() -> None:
    assert score("hound", "dog", "Hound") == 100.0


@pytest.mark.parametrize("text", ["", " ", "?!"])
def test_an_empty_answer_is_wrong_even_against_an_empty_reference(text: str) -> None:
    assert score(text, "...") == 0.0


def test_the_value_is_the_percentage_of_all_responses() -> None:
    samples = [Sample(str(number), (), "", ("cat",)) for number in range(4)]
    measured = ExactMatch().measure(samples, ["cat", "dog", "dog", "Cat."])
    assert float(measured.reduce(measured.rows.sum(axis=0))) == 50.0
    assert list(measured.per_sample)[3] == {"score": 1.0, "answer": "cat"}


def test_white_space_inside_becomes_one_space() -> None:
    assert normalise("a \t\n b") == "a b"


def test_a_sample_without_references_is_refused() -> None:
    with pytest.raises(UsageError, match="sample 1 has no references"):
        score("cat")


def test_samples_and_texts_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="1 samples but 0 texts"):
        ExactMatch().measure([Sample("1", (), "", ("a",))], [])


def test_nothing_to_score_gives_no_rows() -> None:
    assert ExactMatch().measure([], []).rows.shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "expected"), [("Vase.", 100.0), (" vase\n", 100.0), ("vase..", 100.0), ("vase!", 0.0), ("", 0.0)]
)
def test_gqa_takes_full_stops_off_the_end_only(text: str, expected: float) -> None:
    measured = ExactMatchGqa().measure([Sample("1", (), "", ("vase",))], [text])
    assert float(measured.reduce(measured.rows.sum(axis=0))) == expected


def test_gqa_compares_the_annotated_answer_as_it_stands() -> None:
    measured = ExactMatchGqa().measure([Sample("1", (), "", ("Vase",))], ["vase"])
    assert measured.rows[0, 0] == 0.0
