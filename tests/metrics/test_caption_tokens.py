"""The PTB tokenizer: no caption may slip to another image."""

from __future__ import annotations

import pytest

from lavit_eval.metrics import caption_tokens
from lavit_eval.metrics.caption_tokens import tokenise, tokenise_lines
from lavit_eval.sample import Sample
from tests.metrics.captions import TEXTS, needs_java, samples

pytestmark = needs_java

LINE_ENDS = ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]


def test_line_ends_inside_captions_shift_nothing() -> None:
    captions = [f"a{end}dog" for end in LINE_ENDS] + ["\n", "cat one\r", "bird two"]
    assert tokenise_lines(captions) == ["a dog"] * len(LINE_ENDS) + ["", "cat one", "bird two"]


def test_what_stays_and_what_goes() -> None:
    captions = [
        "The horse (outdoors), it's 5 o'clock!!!",
        "\U0001f642 a cat \U0001f642",
        "...",
        "",
        "a *NL* b \x00 -- 100% $5; [x]",
        "in the U.S.",
        "\ud83d half",
    ]
    assert tokenise_lines(captions) == [
        "the horse -lrb- outdoors -rrb- it 's 5 o'clock !!!",
        "a cat",
        "",
        "",
        "a * nl * b 100 % $ 5 -lsb- x -rsb-",
        "in the u.s.",
        "half",
    ]


def test_responses_of_one_image_share_its_references() -> None:
    images = samples()
    tokens = tokenise([images[1], images[0], images[1]], ["x", "y", "z"])
    assert tokens.images == (0, 1, 0)
    assert tokens.hypotheses == ("x", "y", "z")
    assert tokens.references[0] == ("two cats sit on a sofa", "cats on a couch")
    assert len(tokens.references) == 2


def test_one_set_of_captions_is_tokenised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    run_lines = caption_tokens.run_lines

    def counting(program: str, arguments: list[str], lines: list[str]) -> list[str]:
        calls.append(len(lines))
        return run_lines(program, arguments, lines)

    monkeypatch.setattr(caption_tokens, "run_lines", counting)
    texts = [text + " once" for text in TEXTS]
    first = tokenise(samples(), texts)
    assert tokenise(samples(), list(texts)) is first
    assert calls == [12, 5]
    tokenise([Sample("other", (), "", ("a",))], ["a"])
    assert calls == [12, 5, 1, 1]
