"""A request's random numbers are its own."""

from __future__ import annotations

import pytest
import torch

from lavit_eval.models.video_lavit.draws import Rewindable, SeededDraws, stack_normal


def test_a_seed_gives_the_same_numbers_again() -> None:
    first, second = SeededDraws(7), SeededDraws(7)
    for _ in range(3):
        assert torch.equal(first.normal("a", (2, 3)), second.normal("a", (2, 3)))
        assert first.uniform("b") == second.uniform("b")
    assert not torch.equal(SeededDraws(7).normal("a", (5,)), SeededDraws(8).normal("a", (5,)))


def test_names_only_document() -> None:
    assert torch.equal(SeededDraws(1).normal("a", (4,)), SeededDraws(1).normal("b", (4,)))


def test_each_draw_is_new() -> None:
    draws = SeededDraws(3)
    assert not torch.equal(draws.normal("a", (4,)), draws.normal("a", (4,)))
    assert len({draws.uniform("b") for _ in range(50)}) == 50


@pytest.mark.parametrize("seed", [0, 1, -1, 2**63 - 1, 2**64 + 5])
def test_kind_of_numbers(seed: int) -> None:
    draws = SeededDraws(seed)
    normal = draws.normal("a", (1, 20000))
    assert normal.dtype == torch.float32
    assert normal.device.type == "cpu"
    assert abs(float(normal.mean())) < 0.05
    assert abs(float(normal.std()) - 1) < 0.05
    assert all(0 <= draws.uniform("b") < 1 for _ in range(1000))


def test_the_global_generator_is_neither_used_nor_moved() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = SeededDraws(5).normal("a", (3,))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(SeededDraws(5).normal("a", (3,)), first)


def test_a_stack_holds_each_request_as_it_draws_alone() -> None:
    stacked = stack_normal([SeededDraws(1), SeededDraws(2)], "a", (2, 3))
    assert stacked.shape == (2, 2, 3)
    for row, seed in enumerate((1, 2)):
        assert torch.equal(stacked[row], SeededDraws(seed).normal("a", (1, 2, 3))[0])


def test_what_was_drawn_since_the_mark_can_be_drawn_again() -> None:
    draws, plain = Rewindable(SeededDraws(9)), SeededDraws(9)
    first = draws.normal("a", (2,))
    assert torch.equal(first, plain.normal("a", (2,)))
    draws.mark()
    drawn = [draws.uniform("b"), draws.normal("c", (3,))]
    draws.rewind()
    assert draws.uniform("b") == drawn[0]
    draws.rewind()
    assert [draws.uniform("b"), draws.normal("c", (3,)).tolist()] == [drawn[0], torch.as_tensor(drawn[1]).tolist()]
    # After what was drawn before come new numbers, as if nothing had been rewound.
    following = draws.normal("d", (4,))
    assert [plain.uniform("b"), plain.normal("c", (3,)).tolist()] == [drawn[0], torch.as_tensor(drawn[1]).tolist()]
    assert torch.equal(following, plain.normal("d", (4,)))


def test_a_mark_in_the_middle_of_drawing_again() -> None:
    draws = Rewindable(SeededDraws(9))
    drawn = [draws.uniform("a") for _ in range(4)]
    draws.rewind()
    assert [draws.uniform("a"), draws.uniform("a")] == drawn[:2]
    draws.mark()
    draws.rewind()
    assert [draws.uniform("a"), draws.uniform("a")] == drawn[2:]
