"""Text <-> ids and the prompt."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.tiny_tokenizer import train_tokenizer
from lavit_eval.models.video_lavit.tokenizer import SYSTEM, Tokenizer, build_prompt

# SentencePiece writes spaces as U+2581 and ends a text at NUL.
TEXT = st.text(st.characters(exclude_characters="\u2581\0", exclude_categories=["Cs"]), max_size=40)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("pieces") / "tokenizer.model"
    path.write_bytes(train_tokenizer(400))
    return Tokenizer(path)


def test_prompts_have_the_trained_form() -> None:
    assert build_prompt("Why?", "text") == f"{SYSTEM} USER: Why? ASSISTANT:"
    assert build_prompt("Why?", "image") == f"{SYSTEM} USER: <image>\nWhy? ASSISTANT:"
    assert build_prompt("Why?", "video") == f"{SYSTEM} USER: <video>\nWhy? ASSISTANT:"


@pytest.mark.parametrize(("kind", "placeholder"), [("image", -200), ("video", -201)])
def test_chunks_around_a_placeholder_are_tokenised_apart(tokenizer: Tokenizer, kind: str, placeholder: int) -> None:
    ids = tokenizer.prompt_ids("What color is the ball?", kind)  # type: ignore[arg-type]
    place = ids.index(placeholder)
    assert ids[0] == tokenizer.bos
    assert ids.count(tokenizer.bos) == 1
    assert ids[1:place] == tokenizer.encode(f"{SYSTEM} USER: ")
    assert ids[place + 1 :] == tokenizer.encode("\nWhat color is the ball? ASSISTANT:")


def test_a_space_piece_stands_on_both_sides_of_a_placeholder(tokenizer: Tokenizer) -> None:
    ids = tokenizer.prompt_ids("red", "image")
    place = ids.index(-200)
    space, newline = tokenizer.encode("\n")
    assert ids[place - 1] == space
    assert ids[place + 1 : place + 3] == [space, newline]
    assert tokenizer.decode([space, newline]) == "\n"


@pytest.mark.parametrize("kind", ["image", "video", "text"])
def test_a_question_injects_no_placeholder(tokenizer: Tokenizer, kind: str) -> None:
    question = "Is <image> beside <video>?"
    ids = tokenizer.prompt_ids(question, kind)  # type: ignore[arg-type]
    assert sum(token < 0 for token in ids) == (kind != "text")
    assert question in tokenizer.decode(ids)


def test_every_placeholder_counts_as_in_the_reference_when_asked_for(tokenizer: Tokenizer) -> None:
    assert tokenizer.prompt_ids("one <image> two", "image", every_placeholder=True).count(-200) == 2
    assert tokenizer.prompt_ids("one <image> two", "text", every_placeholder=True).count(-200) == 1
    assert tokenizer.prompt_ids("one <image> two", "video", every_placeholder=True).count(-201) == 1
    plain = tokenizer.prompt_ids("plain", "video")
    assert tokenizer.prompt_ids("plain", "video", every_placeholder=True) == plain


def test_texts_of_special_ids_are_text(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("red </s> <s> <unk>")
    assert not {tokenizer.bos, tokenizer.eos, tokenizer.pad} & set(ids)
    assert tokenizer.decode(ids) == "red </s> <s> <unk>"


def test_decoding_drops_special_ids_and_ids_beyond_the_pieces(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("red ball")
    spoiled = [tokenizer.bos, ids[0], tokenizer.pad, *ids[1:], tokenizer.size, 10**6, -200, tokenizer.eos]
    assert tokenizer.decode(spoiled) == "red ball"


@given(text=TEXT)
@settings(max_examples=100, deadline=None)
def test_decoding_undoes_encoding(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_ids_start_with_bos(tokenizer: Tokenizer) -> None:
    assert tokenizer.ids("red") == [1, *tokenizer.encode("red")]
    assert (tokenizer.bos, tokenizer.eos, tokenizer.pad) == (1, 2, 0)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tokenizer\.model is missing"):
        Tokenizer(tmp_path / "tokenizer.model")


def test_a_broken_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(b"no pieces here")
    with pytest.raises(UsageError, match=r"tokenizer\.model is no SentencePiece model"):
        Tokenizer(path)
