"""Requests on their way through the stages of a batch, some of which may not arrive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor

from lavit_eval.models.video_lavit.draws import Rewindable
from lavit_eval.models.video_lavit.footage import MENDED
from lavit_eval.models.video_lavit.generation_error import GenerationError

Made = TypeVar("Made")


@dataclass(slots=True, eq=False)
class Take:
    """One request on its way."""

    draws: Rewindable
    ids: list[int]
    """All that was read and written so far."""
    reference: Tensor | None = None
    """The first keyframe if it is given, uint8 `[1, h, w, 3]`."""
    image_ids: list[int] = field(default_factory=list)
    """What was last written between image marks."""
    codes: Tensor | None = None
    """Motion codes of the clip at hand, int64 `[135]`."""
    keyframes: list[Tensor] = field(default_factory=list)
    clips: list[Tensor] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(MENDED, 0)))
    error: GenerationError | None = None


def alive(takes: Sequence[Take]) -> list[Take]:
    """Return those that nothing has gone wrong with."""
    return [take for take in takes if take.error is None]


def outlast(takes: Sequence[Take], work: Callable[[Sequence[Take]], Sequence[Made]]) -> dict[Take, Made]:
    """Do the work for all that are alive, and once more without those for which it fails.

    Args:
        takes: Those for which it fails get its error.
        work: Returns one value per request; raises GenerationError with the places of those that it fails for. What it
            has drawn for the others by then is given out again.

    Returns:
        The values of those that are left.
    """
    live = alive(takes)
    for take in live:
        take.draws.mark()
    while live:
        try:
            return dict(zip(live, work(live), strict=True))
        except GenerationError as error:
            failed = set(error.rows or range(len(live)))
            for place in failed:
                live[place].error = error
            live = [take for place, take in enumerate(live) if place not in failed]
            for take in live:
                take.draws.rewind()
    return {}
