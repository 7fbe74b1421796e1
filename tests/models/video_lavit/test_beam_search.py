"""Beam search against exhaustive search and its own rule."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from lavit_eval.models.video_lavit.beam_search import Hypothesis, beam_search
from lavit_eval.models.video_lavit.generation import generate, text_only
from lavit_eval.models.video_lavit.splice import Spliced, splice
from lavit_eval.models.video_lavit.stopping import StopRule
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from lavit_eval.sample import Settings
from tests.models.video_lavit.tiny_understanding import SPACE, make_batch, make_model

STOP = StopRule(eos=2)
FEW = 6
"""Ids that the exhaustive search may write: 0 ... 5."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> UnderstandingModel:
    return make_model(5)


def one(model: UnderstandingModel, row: int = 0) -> tuple[Spliced, list[int]]:
    prompts, visuals = make_batch(model, 0)
    return splice(model, [prompts[row]], [visuals[row]]), prompts[row]


def total(model: UnderstandingModel, row: Spliced, ids: tuple[int, ...]) -> float:
    """Return the sum of log-probabilities of ids after a prompt, computed without a cache."""
    embeds = torch.cat([row.embeds, model.embed(torch.tensor([ids]))], 1)
    positions = torch.arange(embeds.shape[1])[None]
    states = model.hidden_states(embeds, torch.ones_like(positions, dtype=torch.bool), positions)
    scores = model.lm_head(states)[0].float().log_softmax(-1)[row.embeds.shape[1] - 1 : -1]
    return float(scores[range(len(ids)), list(ids)].sum())


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_beams_enough_for_every_prefix_find_the_best_sequences(
    model: UnderstandingModel, length_penalty: float
) -> None:
    row, prompt = one(model)
    settings = Settings(num_beams=FEW, min_new_tokens=2, max_new_tokens=2, length_penalty=length_penalty)
    found = beam_search(model, row, prompt, settings, STOP, range(FEW, SPACE.total))
    allowed = [token for token in range(FEW) if token != STOP.eos]
    sums = {ids: total(model, row, ids) for ids in itertools.product(allowed, repeat=2)}
    best = sorted(sums, key=lambda ids: sums[ids], reverse=True)[:FEW]
    assert [hypothesis.ids for hypothesis in found] == best
    expected = [sums[ids] / (len(prompt) + 2) ** length_penalty for ids in best]
    assert [hypothesis.score for hypothesis in found] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("row", [0, 1, 2, 3])
def test_scores_are_sums_over_the_length_with_the_prompt(model: UnderstandingModel, row: int) -> None:
    spliced, prompt = one(model, row)
    found = beam_search(model, spliced, prompt, Settings(num_beams=4, max_new_tokens=6), STOP, text_only(model))
    assert [hypothesis.score for hypothesis in found] == sorted((h.score for h in found), reverse=True)
    assert len({hypothesis.ids for hypothesis in found}) == 4
    for hypothesis in found:
        ended = len(hypothesis.ids) < 6
        ids = (*hypothesis.ids, STOP.eos) if ended else hypothesis.ids
        assert hypothesis.score == pytest.approx(
            total(model, spliced, ids) / (len(prompt) + len(hypothesis.ids)), rel=1e-4
        )


def test_an_end_among_the_best_is_a_hypothesis(model: UnderstandingModel) -> None:
    spliced, prompt = one(model)
    settings = Settings(num_beams=3, min_new_tokens=0, max_new_tokens=6)
    first = generate(model, spliced, [prompt], replace(settings, num_beams=1), STOP)[0][0]
    found = beam_search(model, spliced, prompt, settings, StopRule(eos=first), text_only(model))
    alone = next(hypothesis for hypothesis in found if hypothesis.ids == ())
    assert alone.score == pytest.approx(total(model, spliced, (first,)) / len(prompt), rel=1e-4)


def test_one_beam_that_never_ends_is_greedy(model: UnderstandingModel) -> None:
    spliced, prompt = one(model, 1)
    settings = Settings(min_new_tokens=8, max_new_tokens=8)
    (found,) = beam_search(model, spliced, prompt, settings, STOP, text_only(model))
    assert [list(found.ids)] == generate(model, spliced, [prompt], settings, STOP)


def test_the_keyword_ends_the_search_when_every_beam_has_written_it(model: UnderstandingModel) -> None:
    spliced, prompt = one(model)
    settings = Settings(num_beams=3, min_new_tokens=4, max_new_tokens=4)
    everywhere = StopRule(2, "stop", (-1,), lambda ids: "stop")
    assert {len(h.ids) for h in beam_search(model, spliced, prompt, settings, everywhere, text_only(model))} == {1}
    best = beam_search(model, spliced, prompt, settings, STOP, text_only(model))[0].ids[0]
    one_only = StopRule(2, "stop", (best,), lambda ids: "")
    assert {len(h.ids) for h in beam_search(model, spliced, prompt, settings, one_only, text_only(model))} == {4}


def test_the_prompt_is_read_once(model: UnderstandingModel, monkeypatch: pytest.MonkeyPatch) -> None:
    spliced, prompt = one(model, 1)
    shapes: list[tuple[int, ...]] = []
    last_logits = model.last_logits

    def record(embeds: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(embeds.shape[:2]))
        return last_logits(embeds, *rest)

    monkeypatch.setattr(model, "last_logits", record)
    found: list[Hypothesis] = beam_search(
        model, spliced, prompt, Settings(num_beams=5, min_new_tokens=3, max_new_tokens=3), STOP, text_only(model)
    )
    assert len(found) == 5
    assert shapes == [(1, spliced.mask.shape[1]), (5, 1), (5, 1)]


class Script:
    """Stands in for `last_logits`: at step s every beam has the same probabilities, given per id."""

    def __init__(self, *steps: dict[int, float]) -> None:
        self.steps = steps
        self.called = 0

    def __call__(self, embeds: torch.Tensor, *rest: object) -> torch.Tensor:
        """Return the next step's log-probabilities, `[beams, vocabulary]`; ids that are not named have none."""
        row = torch.full((SPACE.total,), float("-inf"))
        for token, share in self.steps[self.called].items():
            row[token] = math.log(share)
        self.called += 1
        return row.expand(len(embeds), -1)


def scripted(
    model: UnderstandingModel, monkeypatch: pytest.MonkeyPatch, script: Script, beams: int, length_penalty: float
) -> list[Hypothesis]:
    """Search after a prompt of one id."""
    monkeypatch.setattr(model, "last_logits", script)
    settings = Settings(
        num_beams=beams, min_new_tokens=0, max_new_tokens=len(script.steps), length_penalty=length_penalty
    )
    return beam_search(model, splice(model, [[7]], [None]), [7], settings, STOP, range(0))


def test_an_end_that_is_not_among_the_best_is_dropped(
    model: UnderstandingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Second step, best first: end after 3 (0.48), 3 5 (0.32), end after 4 (0.12, third of two), 4 5 (0.08).
    script = Script({3: 0.8, 4: 0.2}, {2: 0.6, 5: 0.4}, dict.fromkeys(range(10, 20), 0.1))
    found = scripted(model, monkeypatch, script, beams=2, length_penalty=0.0)
    assert found[0].ids == (3,)
    assert found[1].ids[:2] == (3, 5)
    assert [hypothesis.score for hypothesis in found] == pytest.approx([math.log(0.48), math.log(0.032)])


def test_a_worse_sequence_drives_no_better_one_out(model: UnderstandingModel, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script({2: 0.52, 3: 0.48}, dict.fromkeys(range(100, 200), 0.01))
    (found,) = scripted(model, monkeypatch, script, beams=1, length_penalty=1.0)
    assert (found.ids, script.called) == ((), 2)
    assert found.score == pytest.approx(math.log(0.52))


def test_the_search_ends_when_nothing_better_can_come(
    model: UnderstandingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script({2: 0.6, 3: 0.3, 4: 0.1}, {2: 0.9, 5: 0.05, 6: 0.05}, {5: 0.5, 6: 0.5})
    found = scripted(model, monkeypatch, script, beams=2, length_penalty=0.0)
    assert script.called == 2
    assert [hypothesis.ids for hypothesis in found] == [(), (3,)]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([math.log(0.6), math.log(0.3 * 0.9)])


def test_longer_sequences_may_still_come_in_when_length_is_rewarded(
    model: UnderstandingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script({2: 0.6, 3: 0.4}, {5: 0.98, 6: 0.02}, {5: 0.98, 6: 0.02})
    (found,) = scripted(model, monkeypatch, script, beams=1, length_penalty=1.0)
    assert found.ids == (3, 5, 5)
    assert found.score == pytest.approx(math.log(0.4 * 0.98**2) / 4)


def test_padding_and_batches_are_refused(model: UnderstandingModel) -> None:
    prompts, visuals = make_batch(model)
    batch = splice(model, prompts, visuals)
    padded = Spliced(*(part[:1] for part in batch))
    for wrong in (batch, padded):
        with pytest.raises(ValueError, match="one row"):
            beam_search(model, wrong, prompts[0], Settings(num_beams=2), STOP, text_only(model))
