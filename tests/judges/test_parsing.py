"""A judge's reply is read tolerantly, and never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavit_eval.judges.parsing import read

YES = [
    '{"pred": "yes", "score": 4}',
    "{'pred': 'yes', 'score': 4}",
    '```json\n{"pred": "Yes", "score": 4}\n```',
    "Sure! Here it is: {'pred': 'yes', 'score': 4} I hope that this helps.",
    "{'Pred': 'YES.', 'Score': '4'}",
    '{"pred": true, "score": 4.0}',
    "<think>Is it {'pred': 'no', 'score': 0}? Hm.</think>{'pred': 'yes', 'score': 4}",
    "pred: yes\nscore: 4",
    "**Pred**: yes, **Score**: 4/5",
    "{''pred'': ''yes'', ''score'': 4}",
    "{'pred': 'yes', 'score': 4}\n{'pred': 'yes', 'score': 4}",
    '{"pred": "yes", "score": 4, "reason": "the ground truth says no such thing"}',
    "{“pred”: “yes”, “score”: 4}",
]


@pytest.mark.parametrize("reply", YES)
def test_every_form_of_yes_is_read(reply: str) -> None:
    verdict = read(reply, "yes_no_score")
    assert (verdict.failed, verdict.right, verdict.score, verdict.reply) == (None, True, 4.0, reply)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("", "an empty reply"),
        ("  \n", "an empty reply"),
        ("<think>yes, score 4</think>", "an empty reply"),
        ("<think>Perhaps {'pred': 'yes', 'score': 4}, or", "still thinking"),
        ('{"pred": "yes", "sco', "gives no score"),
        ("yes", "neither yes nor no"),
        ('{"pred": "maybe", "score": 3}', "neither yes nor no"),
        ('{"pred": "not sure", "score": 3}', "neither yes nor no"),
        ('{"pred": "是", "score": 4}', "neither yes nor no"),
        ('{"pred": "oui", "score": 4}', "neither yes nor no"),
        ("Die Antwort ist richtig, Note 4.", "neither yes nor no"),
        ('{"pred": "yes", "score": 4} {"pred": "no", "score": 4}', "both yes and no"),
        ('{"pred": "yes", "score": 4} or rather {"pred": "yes", "score": 2}', "several scores"),
        ('{"pred": "yes", "score": 9}', "outside 0 to 5"),
        ('{"pred": "yes", "score": -1}', "outside 0 to 5"),
        ('{"pred": "yes", "score": true}', "no score"),
        ('{"pred": "yes", "score": "high"}', "no score"),
        ("{'pred': __import__('os').getcwd() and 'yes', 'score': 4}", "neither yes nor no"),
        ("score: 4/10 pred: yes", "no score"),
        ("{" * 300 + "}" * 300, "neither yes nor no"),
        ('{"pred": "yes", "score": 4}' + " and so on" * 1000, "far too long"),
        ("<!DOCTYPE html><html><body>Bad gateway</body></html>", "neither yes nor no"),
    ],
)
def test_what_says_nothing_is_a_failed_judgement(reply: str, why: str) -> None:
    verdict = read(reply, "yes_no_score")
    assert verdict.failed is not None and why in verdict.failed
    assert verdict.right is None and verdict.score is None and verdict.reply == reply


@given(st.text(alphabet=st.sampled_from("{}'\"[]:,.-/0145yesnopredscoreAZ \n<>\\\x00\u2028é*"), max_size=120))
def test_no_reply_is_too_strange(reply: str) -> None:
    for reading in ("yes_no_score", "score", "fraction", "option"):
        verdict = read(reply, reading)  # type: ignore[arg-type]
        given = (verdict.right, verdict.score, verdict.option)
        assert (verdict.failed is None) == any(one is not None for one in given)
        assert verdict.score is None or 0 <= verdict.score <= (1 if reading == "fraction" else 5)


def test_code_in_a_reply_is_not_run(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr("builtins.print", lambda *said: ran.append(str(said)))
    assert read("{'pred': print('ran') or 'yes', 'score': 4}", "yes_no_score").failed
    assert not ran


@pytest.mark.parametrize("reply", ["{'score': 4.8}", "{''score': 4.8}", '{"score": "4.8"}', "score = 4.8"])
def test_the_malformed_example_of_the_official_prompt_is_read(reply: str) -> None:
    assert read(reply, "score").score == 4.8


@pytest.mark.parametrize(
    ("reply", "score"),
    [("0.5", 0.5), ("1.0", 1.0), (" 0.7 ", 0.7), ("0.5 since one of two parts is named", 0.5), ("| 0.3 |", 0.3),
     ("The correctness is 0.8.", 0.8), ("**0.4**", 0.4), ("1", 1.0), ("0.", 0.0), ("1.1", None), ("-0.1", None),
     ("5/10", None), ("between 0.2 and 0.4", None), ("none", None), ("", None)],
)  # fmt: skip
def test_a_fraction_is_the_first_word_or_the_only_number(reply: str, score: float | None) -> None:
    assert read(reply, "fraction").score == score


@pytest.mark.parametrize(
    ("reply", "letter"),
    [("A", "A"), ("B.", "B"), ("(C)", "C"), ("Your output: Z", "Z"), ("It is A or B", None), ("a", None), ("", None)],
)
def test_an_option_is_one_letter(reply: str, letter: str | None) -> None:
    assert read(reply, "option").option == letter
