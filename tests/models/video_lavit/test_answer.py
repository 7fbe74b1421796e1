"""From decoded text to the answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavit_eval.models.video_lavit.answer import TRUNCATE_AT, clean_answer

PIECES = st.lists(st.sampled_from(["\\n", "\n", " ", ".", "!", ",", "?", "a", "two", "\\", "n"]), max_size=12)


@pytest.mark.parametrize(
    ("decoded", "plain", "truncated"),
    [
        (" Yes, it is. \\n ", "Yes, it is.", "Yes"),
        ("two dogs \\n </s> and \\n more", "two dogs", "two dogs"),
        ("A cat!\nsecond line", "A cat!\nsecond line", "A cat"),
        ("a. b\nc", "a. b\nc", "a"),
        ("\\n", "", ""),
        ("", "", ""),
        ("3.5 meters", "3.5 meters", "3"),
        ("?why", "?why", ""),
    ],
)
def test_answers(decoded: str, plain: str, truncated: str) -> None:
    assert clean_answer(decoded) == plain
    assert clean_answer(decoded, truncate=True) == truncated


@given(pieces=PIECES)
def test_what_is_left(pieces: list[str]) -> None:
    decoded = "".join(pieces)
    plain, truncated = clean_answer(decoded), clean_answer(decoded, truncate=True)
    assert "\\n" not in plain
    assert plain == plain.strip()
    assert decoded.lstrip().startswith(plain)
    assert not any(mark in truncated for mark in TRUNCATE_AT)
    assert plain.startswith(truncated) or truncated == ""
    assert clean_answer(truncated, truncate=True) == truncated
