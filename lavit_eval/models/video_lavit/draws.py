"""Where every random number of a request comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor


class Draws(Protocol):
    """The random numbers of one request, in the order in which they are asked for.

    Names say what a draw is for; recorded draws are found and checked by them. The generation path asks, clip by clip,
    for `token_select` (once, before everything, if images are tokenised), `token` (one per sampled id), `image_init`
    or, from the second clip on, `regenerate_noise`, `ancestral_step` (one per step of an ancestral scheduler),
    `video_image_aug` and `video_latents`.
    """

    def normal(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return float32 numbers of N(0, 1) on the CPU; of one request, so a leading dimension is 1 where it exists."""
        ...

    def uniform(self, name: str) -> float:
        """Return a number from 0 (included) to 1 (excluded)."""
        ...


class SeededDraws:
    """Draws from a generator of the request's own, so that they depend on nothing but its seed and their order.

    Args:
        seed: Any integer; only its lowest 64 bits count.
    """

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator("cpu")
        self.generator.manual_seed(seed % 2**64)

    def normal(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return float32 numbers of N(0, 1) on the CPU."""
        return torch.randn(shape, generator=self.generator, dtype=torch.float32)

    def state(self) -> Tensor:
        """Return where the draws stand, uint8."""
        return self.generator.get_state()

    def restore(self, state: Tensor) -> None:
        """Go on from where draws stood."""
        self.generator.set_state(state)

    def uniform(self, name: str) -> float:
        """Return a float32 number from 0 (included) to 1 (excluded)."""
        return float(torch.rand((), generator=self.generator, dtype=torch.float32))


def stack_normal(draws: Sequence[Draws], name: str, shape: tuple[int, ...]) -> Tensor:
    """Return one draw of `shape` per request, stacked to float32 `[requests, *shape]` on the CPU."""
    return torch.cat([each.normal(name, (1, *shape)) for each in draws])


class Rewindable:
    """Draws that can be drawn once more: a stage that fails for one request of a batch is run again for the others.

    Args:
        source: Where new numbers come from.
    """

    def __init__(self, source: Draws) -> None:
        self._source = source
        self._drawn: list[Tensor | float] = []
        self._next = 0

    def mark(self) -> None:
        """Let a rewind come back to here; what was drawn before is forgotten."""
        del self._drawn[: self._next]
        self._next = 0

    def rewind(self) -> None:
        """Give out once more what was drawn since the mark."""
        self._next = 0

    def state(self) -> Tensor:
        """Return where the source stands, uint8; what was drawn before is forgotten.

        Raises ValueError for a source that cannot say.
        """
        self.mark()
        if not isinstance(self._source, SeededDraws):
            raise ValueError("only seeded draws can be kept")
        return self._source.state()

    def restore(self, state: Tensor) -> None:
        """Go on from where the source stood (raises ValueError as `state`)."""
        self._drawn, self._next = [], 0
        if not isinstance(self._source, SeededDraws):
            raise ValueError("only seeded draws can be kept")
        self._source.restore(state)

    def normal(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return float32 numbers of N(0, 1) on the CPU."""
        if self._next == len(self._drawn):
            self._drawn.append(self._source.normal(name, shape))
        return cast(Tensor, self._again())

    def uniform(self, name: str) -> float:
        """Return a number from 0 (included) to 1 (excluded)."""
        if self._next == len(self._drawn):
            self._drawn.append(self._source.uniform(name))
        return cast(float, self._again())

    def _again(self) -> Tensor | float:
        self._next += 1
        return self._drawn[self._next - 1]
