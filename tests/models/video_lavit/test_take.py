"""A stage that fails for some requests is run again for the others, with the same numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lavit_eval.models.video_lavit.draws import Rewindable, SeededDraws
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.take import Take, alive, outlast


def make(count: int) -> list[Take]:
    return [Take(Rewindable(SeededDraws(seed)), [seed]) for seed in range(count)]


def expected(seed: int, before: int = 0) -> float:
    draws = SeededDraws(seed)
    return [draws.uniform("x") for _ in range(before + 1)][-1]


@pytest.mark.parametrize("broken", [(), (0,), (1, 3), (2,), (0, 1, 2, 3)])
def test_what_is_sound_gets_the_numbers_it_gets_alone(broken: tuple[int, ...]) -> None:
    takes = make(4)
    for take in takes:
        take.draws.uniform("before")

    def work(live: Sequence[Take]) -> list[float]:
        drawn = [take.draws.uniform("x") for take in live]
        if rows := tuple(place for place, take in enumerate(live) if take.ids[0] in broken):
            raise GenerationError("stage", rows)
        return drawn

    found = outlast(takes, work)
    assert {take.ids[0]: value for take, value in found.items()} == {
        seed: expected(seed, before=1) for seed in range(4) if seed not in broken
    }
    assert [take.ids[0] for take in alive(takes)] == [seed for seed in range(4) if seed not in broken]
    assert all("stage" in str(takes[seed].error) for seed in broken)
    if alive(takes):
        # The next stage goes on where this one ended.
        after = outlast(takes, lambda live: [take.draws.uniform("y") for take in live])
        assert {take.ids[0]: value for take, value in after.items()} == {
            take.ids[0]: expected(take.ids[0], before=2) for take in alive(takes)
        }


def test_failures_one_after_the_other() -> None:
    takes = make(3)

    def work(live: Sequence[Take]) -> list[int]:
        if len(live) > 1:
            raise GenerationError(f"stage of {len(live)}", (len(live) - 1,))
        return [take.ids[0] for take in live]

    assert list(outlast(takes, work).values()) == [0]
    assert [str(take.error) for take in takes[1:]] == [str(GenerationError(f"stage of {n}", ())) for n in (2, 3)]


def test_an_error_that_names_no_row_ends_all() -> None:
    takes = make(2)

    def work(live: Sequence[Take]) -> list[int]:
        raise GenerationError("stage", ())

    assert outlast(takes, work) == {}
    assert not alive(takes)


def test_the_dead_are_not_worked_on() -> None:
    takes = make(2)
    takes[0].error = GenerationError("before", (0,))
    assert list(outlast(takes, lambda live: [take.ids[0] for take in live])) == [takes[1]]
