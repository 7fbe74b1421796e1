"""Restrictions, filters and draws, against those of transformers."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lavit_eval.models.video_lavit.logits import draw, filter_for_sampling, restrict
from lavit_eval.sample import Settings


def random_scores(rows: int = 3, vocabulary: int = 40, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed)) * 3


def test_restrictions_are_those_of_transformers() -> None:
    scores, seen = random_scores(), torch.tensor([[1, 5, 5, 9], [1, 2, 3, 4], [8, 8, 8, 8]])
    settings = Settings(min_new_tokens=0, repetition_penalty=1.7)
    theirs = LogitsProcessorList(
        [RepetitionPenaltyLogitsProcessor(1.7), SuppressTokensLogitsProcessor(list(range(30, 36)))]
    )
    found = restrict(scores, seen.tolist(), 0, settings, eos=2, suppressed=range(30, 36))
    assert torch.equal(found, theirs(seen, scores))


def test_restricting_changes_nothing_in_place() -> None:
    scores = random_scores()
    before = scores.clone()
    restrict(scores, [[1], [1], [1]], 0, Settings(repetition_penalty=2.0), 2, range(30, 40))
    assert torch.equal(scores, before)


def test_placeholders_do_not_count_for_the_repetition_penalty() -> None:
    scores, settings = random_scores(), Settings(repetition_penalty=1.5)
    without = restrict(scores, [[1, 5]] * 3, 1, settings, 2, range(0))
    assert torch.equal(restrict(scores, [[1, -200, 5], [-201, 5, 1], [1, 5]], 1, settings, 2, range(0)), without)


def test_the_end_is_forbidden_until_enough_is_written() -> None:
    scores, settings = random_scores(), Settings(min_new_tokens=3)
    forbidden = [bool(restrict(scores, [[1]] * 3, n, settings, 2, range(0))[:, 2].isinf().all()) for n in range(5)]
    assert forbidden == [True, True, True, False, False]


@pytest.mark.parametrize("temperature", [1.0, 0.3, 2.0])
@pytest.mark.parametrize("top_k", [0, 1, 7, 400])
@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.3, 1e-6])
def test_filters_are_those_of_transformers(temperature: float, top_k: int, top_p: float) -> None:
    scores = random_scores(5)
    theirs = LogitsProcessorList()
    if temperature != 1.0:
        theirs.append(TemperatureLogitsWarper(temperature))
    if top_k:
        theirs.append(TopKLogitsWarper(top_k))
    if top_p < 1.0:
        theirs.append(TopPLogitsWarper(top_p))
    settings = Settings(do_sample=True, temperature=temperature, top_k=top_k, top_p=top_p)
    assert torch.equal(filter_for_sampling(scores, settings), theirs(torch.zeros(5, 1, dtype=torch.long), scores))


def test_draws_follow_the_distribution_and_avoid_what_is_forbidden() -> None:
    probabilities = torch.tensor([[0.0, 0.5, 0.0, 0.2, 0.3, 0.0]])
    generator = torch.Generator().manual_seed(11)
    found = torch.tensor([draw(probabilities.log(), [generator])[0] for _ in range(4000)])
    shares = torch.bincount(found, minlength=6) / len(found)
    assert shares[[0, 2, 5]].sum() == 0
    # Five standard deviations of a share of 4000 draws.
    assert float((shares - probabilities[0]).abs().max()) < 5 * 0.5 / 4000**0.5


def test_a_rows_draws_do_not_depend_on_the_other_rows() -> None:
    scores = random_scores(4)
    together = [torch.Generator().manual_seed(seed) for seed in range(4)]
    alone = [torch.Generator().manual_seed(seed) for seed in range(4)]
    for _ in range(20):
        assert draw(scores, together) == [draw(scores[row : row + 1], [alone[row]])[0] for row in range(4)]


def test_a_row_without_generator_is_refused() -> None:
    with pytest.raises(ValueError, match="generator"):
        draw(random_scores(1), [None])
