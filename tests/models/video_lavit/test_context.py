"""Fitting a prompt into the context."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavit_eval.errors import MediumError
from lavit_eval.models.video_lavit.context import context_length, fit_clips, published_cut
from tests.models.video_lavit.tiny_understanding import llama_config


def test_the_stated_length_is_the_context_else_the_rotary_limit() -> None:
    plain, stated = llama_config(max_position_embeddings=512), llama_config(tokenizer_model_max_length=77)
    assert (context_length(plain), published_cut(plain)) == (512, None)
    assert (context_length(stated), published_cut(stated)) == (77, 77)


@pytest.mark.parametrize(
    ("context", "expected"),
    [(900, tuple(range(8))), (899, (0, 1, 2, 3, 4, 5, 7)), (600, (0, 1, 3, 5, 7)), (300, (0, 7)), (200, (0,))],
)
def test_clips_stay_evenly_spread(context: int, expected: tuple[int, ...]) -> None:
    assert fit_clips([100] * 8, text=84, max_new_tokens=16, context=context) == expected


def test_an_unequal_clip_counts_with_its_own_length() -> None:
    assert fit_clips([100, 900, 100], text=10, max_new_tokens=10, context=300) == (0, 2)


def test_a_text_alone_needs_no_clip() -> None:
    assert fit_clips([], text=10, max_new_tokens=10, context=20) == ()
    with pytest.raises(MediumError, match="no medium"):
        fit_clips([], text=10, max_new_tokens=11, context=20)


def test_one_clip_too_many_is_said_with_its_figures() -> None:
    with pytest.raises(MediumError, match="takes 399 positions, but the model has 200") as raised:
        fit_clips([250, 250], text=21, max_new_tokens=128, context=200)
    assert "\n" not in str(raised.value)


@given(
    clips=st.lists(st.integers(1, 50), min_size=1, max_size=20),
    text=st.integers(1, 40),
    new=st.integers(1, 40),
    context=st.integers(1, 700),
)
def test_as_few_as_possible_are_dropped(clips: list[int], text: int, new: int, context: int) -> None:
    def fits(count: int) -> bool:
        places = np.linspace(0, len(clips) - 1, count, dtype=int)
        return text + sum(clips[place] for place in places) + new <= context

    possible = [count for count in range(1, len(clips) + 1) if fits(count)]
    if not possible:
        with pytest.raises(MediumError):
            fit_clips(clips, text, new, context)
        return
    kept = fit_clips(clips, text, new, context)
    assert len(kept) == max(possible)
    assert kept[0] == 0
    assert kept == tuple(sorted(set(kept)))
    assert len(kept) == 1 or kept[-1] == len(clips) - 1
