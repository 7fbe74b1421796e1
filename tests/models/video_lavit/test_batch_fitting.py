"""Batch sizes that fit, on a card of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from lavit_eval.models.protocol import Demand
from lavit_eval.models.video_lavit.batch_fitting import MOST, fit, largest, positions, round_down, row_bytes
from lavit_eval.sample import Settings
from tests.models.video_lavit.tiny_understanding import VISUAL, llama_config, make_model

ASKED = Demand("answer", "video", 100, 0, Settings(max_new_tokens=20))


class Made:
    """A card on which a row takes so many bytes besides what every batch takes, and which says what was tried."""

    def __init__(self, memory: int, row: int, always: int = 0, raises: bool = True) -> None:
        self.memory, self.row, self.always, self.raises = memory, row, always, raises
        self.tried: list[int] = []

    def trial(self, size: int) -> int:
        self.tried.append(size)
        used = self.always + size * self.row
        if used > self.memory and self.raises:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return used


@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize(
    ("memory", "always", "estimate", "size"),
    [
        (1000, 0, 10, 8),
        (1000, 300, 10, 6),
        (1000, 0, 200, 8),
        (1299, 0, 1, 12),
        (3300, 100, 20, 32),
        (100, 0, 4, 1),
        (90, 0, 4, 1),
        (10**9, 0, 50, MOST),
    ],
)
def test_the_largest_that_fits_is_found(memory: int, always: int, estimate: int, size: int, raises: bool) -> None:
    card = Made(memory, 100, always, raises)
    assert largest(card.trial, memory, estimate) == size
    assert len(card.tried) <= 11
    assert len(set(card.tried)) == len(card.tried), "nothing is tried twice"


def test_another_error_is_raised() -> None:
    def broken(size: int) -> int:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        largest(broken, 100, 4)


def test_sizes_are_round() -> None:
    assert [round_down(size) for size in (1, 2, 3, 4, 5, 6, 7, 11, 12, 47, 100, 256)] == [
        1, 2, 3, 4, 4, 6, 6, 8, 12, 32, 96, 256,
    ]  # fmt: skip


def test_positions_are_those_of_the_largest_request() -> None:
    config = llama_config(max_position_embeddings=4096)
    picture = VISUAL.patches + 2

    def longest(**changes: object) -> int:
        return positions(config, VISUAL, replace(ASKED, **changes), max_clips=4)  # type: ignore[arg-type]

    assert longest() == 4 * (picture + 137) + 50 + 64 + 20
    assert longest(medium="image") == picture + 50 + 64 + 20
    assert longest(medium=None, kind="choose", option_characters=300) == 200 + 64
    assert longest(characters=100_000) == 4096, "never more than the context"


def test_a_model_is_tried_on_a_card() -> None:
    """The card counts the rows that the model is given, so that the answer is known."""
    model = make_model(1)
    rows: list[int] = []
    hidden_states = model.hidden_states

    class Counting:
        def free(self) -> int:
            return 8 * 1000

        def peak_of(self, work: Callable[[], object]) -> int:
            rows.clear()
            work()
            assert len(rows) == 2, "prompts are read and one id is written"
            return rows[0] * 1000

    def count(embeds: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        rows.append(len(embeds))
        return hidden_states(embeds, *others)

    model.hidden_states = count  # type: ignore[method-assign, assignment]
    assert fit(model, ASKED, 2, Counting()) == 6, "an eighth stays free"
    assert fit(model, replace(ASKED, settings=Settings(num_beams=3)), 2, Counting()) == 2


def test_bytes_of_a_published_row() -> None:
    config = llama_config(
        hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, intermediate_size=11008, vocab_size=49412
    )
    kept = 2 * 32 * 4096 * 2 * 1000
    assert kept < row_bytes(config, 1000, 2) < 1.5 * kept
