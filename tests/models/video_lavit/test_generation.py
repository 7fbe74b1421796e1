"""Batches are answered as their rows alone would be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit import generation
from lavit_eval.models.video_lavit.beam_search import beam_search
from lavit_eval.models.video_lavit.generation import generate, text_only
from lavit_eval.models.video_lavit.logits import restrict
from lavit_eval.models.video_lavit.splice import splice
from lavit_eval.models.video_lavit.stopping import StopRule
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from lavit_eval.sample import Settings
from tests.models.video_lavit.tiny_understanding import SPACE, make_batch, make_model

GREEDY = Settings(max_new_tokens=10)
SAMPLING = Settings(do_sample=True, max_new_tokens=10, temperature=0.8, top_k=40, top_p=0.95)
STOP = StopRule(eos=2)
ENDLESS = StopRule(eos=SPACE.total - 1)
"""Its end is an id that is never written."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> UnderstandingModel:
    return make_model(5)


def seeded(count: int, first: int = 100) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(first + place) for place in range(count)]


def write(
    model: UnderstandingModel,
    seed: int,
    settings: Settings,
    stop: StopRule = STOP,
    rows: tuple[int, ...] = (0, 1, 2, 3),
) -> list[list[int]]:
    """Answer some rows of the batch of a seed, each with the generator of its place."""
    prompts, visuals = make_batch(model, seed)
    chosen = [prompts[row] for row in rows]
    generators = [seeded(4)[row] for row in rows]
    return generate(model, splice(model, chosen, [visuals[row] for row in rows]), chosen, settings, stop, generators)


def cut_at(ids: list[int], end: int) -> list[int]:
    """Return the ids before the first `end`."""
    return ids[: ids.index(end)] if end in ids else ids


@pytest.mark.parametrize("settings", [GREEDY, SAMPLING, replace(GREEDY, repetition_penalty=1.3)])
@given(seed=st.integers(0, 1000), end=st.integers(0, 3), after=st.integers(0, 8))
@examples(max_examples=8, deadline=None, derandomize=True)
def test_a_mixed_batch_gives_the_answers_of_its_rows_alone(
    model: UnderstandingModel, settings: Settings, seed: int, end: int, after: int
) -> None:
    settings = replace(settings, min_new_tokens=0)
    gaps: list[float] = []

    def measure(*arguments: Any) -> torch.Tensor:
        scores = restrict(*arguments)
        best = scores.topk(2).values
        gaps.append(float((best[:, 0] - best[:, 1]).min()))
        return scores

    with patch.object(generation, "restrict", measure):
        free = write(model, seed, settings, ENDLESS)
    # Another batch size rounds differently and may decide a near tie the other way.
    assume(min(gaps) > 1e-3)
    assert all(len(row) == 10 for row in free)
    # An id that some row writes is made the end, so that rows are complete at different steps.
    stop = StopRule(eos=free[end][after])
    together = write(model, seed, settings, stop)
    assert together == [write(model, seed, settings, stop, (row,))[0] for row in range(4)]
    assert together == [cut_at(row, stop.eos) for row in free]
    assert write(model, seed, settings, stop, (3, 1, 0, 2)) == [together[row] for row in (3, 1, 0, 2)]


def test_greedy_is_that_of_transformers(model: UnderstandingModel) -> None:
    theirs = LlamaForCausalLM(model.config)
    language_model = {name: value for name, value in model.state_dict().items() if "tokenizer" not in name}
    theirs.load_state_dict(language_model)
    end = write(model, 0, GREEDY)[0][3]
    prompts, visuals = make_batch(model, 0)
    for row, (ids, visual) in enumerate(zip(prompts, visuals, strict=True)):
        alone = splice(model, [ids], [visual])
        expected = (
            theirs.eval()
            .generate(
                inputs_embeds=alone.embeds,
                attention_mask=alone.mask,
                do_sample=False,
                min_new_tokens=6,
                max_new_tokens=10,
                eos_token_id=end,
                pad_token_id=0,
                suppress_tokens=list(text_only(model)),
            )[0]
            .tolist()
        )
        found = write(model, 0, replace(GREEDY, min_new_tokens=6), StopRule(eos=end))[row]
        assert found == cut_at(expected, end)


def test_the_minimum_counts_new_ids_only(model: UnderstandingModel) -> None:
    first = write(model, 2, replace(GREEDY, min_new_tokens=0))
    stop = StopRule(eos=first[2][0])
    assert write(model, 2, replace(GREEDY, min_new_tokens=0), stop)[2] == []
    for least in (1, 4):
        assert len(write(model, 2, replace(GREEDY, min_new_tokens=least), stop)[2]) >= least


def test_only_text_is_written_unless_allowed(model: UnderstandingModel) -> None:
    text = write(model, 3, GREEDY)
    assert all(0 <= token < SPACE.text for row in text for token in row)
    # Make a motion code irresistible.
    tempting = make_model(5)
    states = tempting.hidden_states(*splice(tempting, [[1, 7]], [None]))[0, -1]
    tempting.lm_head.weight[SPACE.total - 1] = states * 100
    batch = splice(tempting, [[1, 7]], [None])
    assert generate(tempting, batch, [[1, 7]], GREEDY, STOP, suppressed=range(0))[0][0] == SPACE.total - 1
    assert SPACE.total - 1 not in generate(tempting, batch, [[1, 7]], GREEDY, STOP)[0]


def test_ids_beyond_the_id_space_are_not_suppressed() -> None:
    padded = make_model(vocab_size=SPACE.total + 8)
    assert text_only(padded) == range(SPACE.text, SPACE.total)


def keyword_at(sequence: list[int]) -> StopRule:
    return StopRule(eos=2, keyword="stop", keyword_ids=tuple(sequence), decode=lambda ids: "")


def test_each_row_stops_at_its_own_keyword(model: UnderstandingModel) -> None:
    free = write(model, 4, GREEDY)
    row = 1
    stopped = write(model, 4, GREEDY, keyword_at(free[row][2:4]))
    first = next(n for n in range(2, 11) if free[row][n - 2 : n] == free[row][2:4])
    assert stopped[row] == free[row][:first]
    assert any(len(other) == 10 for other in stopped)


def test_a_keyword_may_come_before_the_minimum(model: UnderstandingModel) -> None:
    free = write(model, 4, replace(GREEDY, min_new_tokens=8))
    assert len(write(model, 4, replace(GREEDY, min_new_tokens=8), keyword_at(free[0][:1]))[0]) == 1


def test_never_more_than_the_maximum(model: UnderstandingModel) -> None:
    for most in (1, 3):
        assert {len(row) for row in write(model, 6, Settings(max_new_tokens=most), StopRule(eos=2))} <= set(
            range(most + 1)
        )


def test_sampling_repeats_with_the_same_generators_and_differs_with_others(model: UnderstandingModel) -> None:
    prompts, visuals = make_batch(model, 7)
    batch = splice(model, prompts, visuals)

    def sample(first: int) -> list[list[int]]:
        return generate(model, batch, prompts, replace(SAMPLING, temperature=2.0), STOP, seeded(4, first))

    assert sample(1) == sample(1)
    assert sample(1) != sample(50)


def test_sampling_leaves_the_global_generator_alone(model: UnderstandingModel) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    write(model, 8, SAMPLING)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_sampling_needs_generators(model: UnderstandingModel) -> None:
    with pytest.raises(ValueError, match="generator"):
        generate(model, splice(model, [[1, 7]], [None]), [[1, 7]], SAMPLING, STOP)


def test_several_beams_are_searched_row_by_row(model: UnderstandingModel) -> None:
    prompts, visuals = make_batch(model, 9)
    beams = Settings(num_beams=3, max_new_tokens=5)
    found = write(model, 9, beams)
    for ids, visual, row in zip(prompts, visuals, found, strict=True):
        best = beam_search(model, splice(model, [ids], [visual]), ids, beams, STOP, text_only(model))[0]
        assert row == list(best.ids)


def test_sampling_with_beams_is_refused(model: UnderstandingModel) -> None:
    with pytest.raises(UsageError, match="num_beams: 1"):
        write(model, 0, replace(SAMPLING, num_beams=2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("settings", [GREEDY, SAMPLING])
def test_half_precision(dtype: torch.dtype, settings: Settings) -> None:
    model = make_model(5).to(dtype)
    found = write(model, 10, settings)
    assert found == write(model, 10, settings)
    assert all(0 < len(row) <= 10 for row in found)
    assert all(0 <= token < SPACE.text for row in found for token in row)


def test_complete_rows_leave_the_batch(model: UnderstandingModel, monkeypatch: pytest.MonkeyPatch) -> None:
    free = write(model, 11, GREEDY)
    sizes: list[int] = []
    last_logits: Callable[..., torch.Tensor] = model.last_logits

    def count(embeds: torch.Tensor, *rest: object) -> torch.Tensor:
        sizes.append(len(embeds))
        return last_logits(embeds, *rest)

    monkeypatch.setattr(model, "last_logits", count)
    write(model, 11, GREEDY, StopRule(eos=free[0][2]))
    assert sizes[0] == 4
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 4
