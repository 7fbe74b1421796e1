"""The keyword that ends an answer."""

from __future__ import annotations

import pytest

from lavit_eval.models.video_lavit.stopping import StopRule
from lavit_eval.models.video_lavit.tiny_tokenizer import train_tokenizer
from lavit_eval.models.video_lavit.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("pieces") / "tokenizer.model"
    path.write_bytes(train_tokenizer(400))
    return Tokenizer(path)


def first_hit(rule: StopRule, prompt: list[int], generated: list[int]) -> int | None:
    return next((n for n in range(len(generated) + 1) if rule.hit(prompt, generated[:n])), None)


@pytest.mark.parametrize("text", ["red ball \\n", "red ball\\n", "\\n"])
def test_the_keyword_ends_a_row_when_it_is_complete(tokenizer: Tokenizer, text: str) -> None:
    rule = StopRule.of(tokenizer)
    ids = tokenizer.encode(text)
    assert first_hit(rule, [1, 5, 6], [*ids, *tokenizer.encode("more")]) == len(ids)


def test_other_text_goes_on(tokenizer: Tokenizer) -> None:
    assert (
        first_hit(StopRule.of(tokenizer), [1], tokenizer.encode("a newline\nis no keyword, n is none, \\ is none"))
        is None
    )


def test_the_keyword_within_the_prompt_ends_nothing(tokenizer: Tokenizer) -> None:
    rule = StopRule.of(tokenizer)
    prompt = tokenizer.ids("what is \\n")
    assert not rule.hit(prompt, [])
    assert first_hit(rule, prompt, tokenizer.encode("red ball")) is None


def test_a_keyword_that_begins_in_the_prompt_counts(tokenizer: Tokenizer) -> None:
    rule = StopRule.of(tokenizer)
    *before, last = rule.keyword_ids
    assert rule.hit([1, *before], [last])


def test_only_as_many_ids_as_the_keyword_has_are_read_as_text(tokenizer: Tokenizer) -> None:
    rule = StopRule.of(tokenizer)
    after = tokenizer.encode("red ball red ball")
    assert len(after) >= len(rule.keyword_ids)
    assert not rule.hit([1], [*tokenizer.encode("\\n"), *after])


def test_without_a_keyword_nothing_hits() -> None:
    assert not StopRule(eos=2).hit([1], [5, 2])


def test_another_keyword(tokenizer: Tokenizer) -> None:
    rule = StopRule.of(tokenizer, "ball")
    ids = tokenizer.encode("a red ball is")
    hit = first_hit(rule, [1], ids)
    assert hit is not None
    assert tokenizer.decode(ids[:hit]) == "a red ball"
