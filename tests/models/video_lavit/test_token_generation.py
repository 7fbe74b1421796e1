"""Codes are written as transformers' unbatched guidance writes them, in batches as alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from lavit_eval.models.video_lavit.draws import SeededDraws
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.logits import filter_for_sampling
from lavit_eval.models.video_lavit.token_generation import PAD, Marks, Written, _pick, write_tokens
from lavit_eval.sample import Settings
from tests.models.video_lavit.tiny_understanding import SPACE, llama_config

GREEDY = Settings(min_new_tokens=3, max_new_tokens=14)
SAMPLED = Settings(do_sample=True, min_new_tokens=3, max_new_tokens=14, temperature=0.9, top_k=12, top_p=0.9)
IMAGE, MOTION = Marks.image(SPACE), Marks.motion(SPACE)
PROMPTS = [[5, 9, 200, 17], [], [33, *range(302, 312), 301], [7]]
MARKS = {"image": IMAGE, "motion": MOTION}


def make_llama(seed: int = 0) -> Any:
    """Return a language model with uneven distributions, in which the end marks are not rare."""
    model = LlamaForCausalLM(llama_config()).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            scale = 1.0 if "embed_tokens" in name or "lm_head" in name else 0.3
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    for token in (PAD, IMAGE.end, MOTION.end):
        model.lm_head.weight[token] *= 1.5
    return model


@pytest.fixture(scope="module")
def model() -> Any:
    torch.set_num_threads(1)
    return make_llama()


def write(
    model: Any, prompts: list[list[int]], marks: Marks, settings: Settings = GREEDY, guidance: float = 3.0, **rest: Any
) -> list[Written]:
    draws = [SeededDraws(100 + len(prompt)) for prompt in prompts]
    found = write_tokens(model, prompts, marks, settings, guidance, draws, **rest)
    assert all(isinstance(row, Written) for row in found)
    return found  # type: ignore[return-value]


def by_transformers(model: Any, prompt: list[int], marks: Marks, guidance: float, free: list[int] | None) -> list[int]:
    """Return the new ids of greedy `generate` with its own guidance, which runs the two rows apart."""
    ids = torch.tensor([[*prompt, marks.start]])
    found = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        guidance_scale=guidance,
        negative_prompt_ids=None if free is None else torch.tensor([free]),
        do_sample=False,
        min_new_tokens=GREEDY.min_new_tokens,
        max_new_tokens=GREEDY.max_new_tokens,
        suppress_tokens=[token for ids in marks.forbidden for token in ids],
        bos_token_id=marks.start,
        eos_token_id=marks.end,
        pad_token_id=PAD,
    )
    new: list[int] = found[0, ids.shape[1] :].tolist()
    return new


@pytest.mark.parametrize("guidance", [1.0, 3.0, 7.0])
@pytest.mark.parametrize("kind", MARKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_greedy_is_that_of_transformers(kind: str, guidance: float, seed: int) -> None:
    model, marks = make_llama(seed), MARKS[kind]
    for prompt, row in zip(PROMPTS, write(model, PROMPTS, marks, guidance=guidance), strict=True):
        expected = by_transformers(model, prompt, marks, guidance, None)
        assert row.new == [token for token in expected if token != PAD]
        assert row.full == [*prompt, marks.start, *row.new]
        assert row.ended == (expected[-1] == marks.end)


def test_an_unconditional_prompt_of_ones_own(model: Any) -> None:
    free = [[4, 11, 6], [8, 9, 10], [4, 4, 2], [90, 1, 0]]
    found = write(model, PROMPTS, IMAGE, unconditional=free)
    for prompt, ids, row in zip(PROMPTS, free, found, strict=True):
        expected = by_transformers(model, prompt, IMAGE, 3.0, ids)
        assert row.new == [token for token in expected if token != PAD]
    assert found != write(model, PROMPTS, IMAGE)


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED])
@given(seed=st.integers(0, 500), order=st.permutations(range(4)))
@examples(max_examples=8, deadline=None, derandomize=True)
def test_a_batch_in_any_order_gives_what_its_rows_give_alone(settings: Settings, seed: int, order: list[int]) -> None:
    model = make_llama(seed)
    alone = [write(model, [prompt], IMAGE, settings)[0] for prompt in PROMPTS]
    assert write(model, [PROMPTS[row] for row in order], IMAGE, settings) == [alone[row] for row in order]


@pytest.mark.parametrize("kind", MARKS)
@pytest.mark.parametrize("settings", [GREEDY, SAMPLED])
def test_only_what_may_stand_between_the_marks_is_written(kind: str, settings: Settings) -> None:
    marks = MARKS[kind]
    for seed in range(6):
        for row in write(make_llama(seed), PROMPTS, marks, settings):
            assert not any(token in ids for ids in marks.forbidden for token in row.new)
            assert row.new.count(marks.end) == int(row.ended)
            assert len(row.new) <= settings.max_new_tokens
            assert PAD not in row.full


def test_the_published_ids() -> None:
    from lavit_eval.models.video_lavit.config import TokenSpace

    image, motion = Marks.image(TokenSpace()), Marks.motion(TokenSpace())
    assert (image.start, image.end, image.forbidden) == (32000, 32001, (range(3, 32000), range(48386, 49412)))
    assert (motion.start, motion.end, motion.forbidden) == (48386, 48387, (range(3, 48386),))


def test_no_end_before_the_minimum(model: Any) -> None:
    tempted = make_llama()
    tempted.lm_head.weight[IMAGE.end] *= 50
    for least in (2, 9):
        settings = Settings(min_new_tokens=least, max_new_tokens=14)
        for row in write(tempted, PROMPTS, IMAGE, settings, guidance=1.0):
            assert not row.ended or len(row.new) >= least


def test_id_2_of_a_prompt_is_seen_but_not_returned(model: Any) -> None:
    found = write(model, [[5, 2, 9]], IMAGE)[0]
    assert found.full[:3] == [5, 9, IMAGE.start]
    expected = by_transformers(model, [5, 2, 9], IMAGE, 3.0, None)
    assert found.new == [token for token in expected if token != PAD]


def test_a_row_of_no_numbers_fails_alone() -> None:
    model = make_llama()
    model.model.embed_tokens.weight[250] = float("nan")
    found = write_tokens(model, [[5, 9], [5, 250], [7]], IMAGE, GREEDY, 3.0)
    assert isinstance(found[1], GenerationError)
    assert "visual tokens" in str(found[1])
    assert [found[0], found[2]] == write(model, [[5, 9], [7]], IMAGE)


def test_sampling_takes_one_uniform_number_per_id(model: Any) -> None:
    class Counted(SeededDraws):
        taken = 0

        def uniform(self, name: str) -> float:
            self.taken += 1
            return super().uniform(name)

    draws = [Counted(seed) for seed in range(4)]
    steps = []
    for row, each in zip(write_tokens(model, PROMPTS, IMAGE, SAMPLED, 3.0, draws), draws, strict=True):
        assert isinstance(row, Written)
        steps.append((len(row.new), each.taken))
    assert all(new <= taken <= SAMPLED.max_new_tokens for new, taken in steps)
    greedy = Counted(0)
    write_tokens(model, PROMPTS[:1], IMAGE, GREEDY, 3.0, [greedy])
    assert not greedy.taken


def test_sampling_needs_draws(model: Any) -> None:
    with pytest.raises(ValueError, match="draws per row"):
        write_tokens(model, PROMPTS, IMAGE, SAMPLED, 3.0)


def test_no_prompt_no_work(model: Any) -> None:
    assert write_tokens(model, [], IMAGE, GREEDY, 3.0) == []


def test_a_number_picks_the_first_id_whose_sum_reaches_it() -> None:
    probabilities = torch.tensor([0.0, 0.25, 0.0, 0.5, 0.25, 0.0], dtype=torch.float64)
    picked = {0.0: 1, 0.2: 1, 0.25: 1, 0.2500001: 3, 0.75: 3, 0.8: 4, 1.0: 4, 1.1: 4}
    assert {number: _pick(probabilities, number) for number in picked} == picked


def test_what_is_sampled_follows_the_filtered_distribution() -> None:
    scores = torch.randn(1, 40, generator=torch.Generator().manual_seed(1)) * 2
    expected = filter_for_sampling(scores, SAMPLED).softmax(-1)[0].double()
    draws = SeededDraws(4)
    counts = torch.zeros(40, dtype=torch.float64)
    for _ in range(4000):
        counts[_pick(expected, draws.uniform("token"))] += 1
    assert not counts[expected == 0].any()
    assert float((counts / 4000 - expected).abs().max()) < 0.03


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_rules(dtype: torch.dtype) -> None:
    model = make_llama().to(dtype)
    found = write(model, PROMPTS, MOTION, SAMPLED)
    assert found == write(model, PROMPTS, MOTION, SAMPLED)
    assert not any(token in MOTION.forbidden[0] for row in found for token in row.new)
