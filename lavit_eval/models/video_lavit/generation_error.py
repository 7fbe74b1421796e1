"""Generation that came to nothing, by the name of the stage where it did."""

from __future__ import annotations

import torch
from torch import Tensor


class GenerationError(Exception):
    """Some samples of a batch cannot be generated; the others can, on their own.

    Args:
        stage: Where it happened, e.g. "image denoising, step 3 of 50".
        rows: The rows of the batch concerned, from 0.
        what: What is wrong there.
    """

    def __init__(self, stage: str, rows: tuple[int, ...], what: str = "values that are not finite") -> None:
        self.stage = stage
        self.rows = rows
        self.what = what
        super().__init__(f"Generation stopped in the stage {stage}: {what}.")


def require_finite(values: Tensor, stage: str) -> None:
    """Raise GenerationError with the rows of `values` `[rows, ...]` that hold a NaN or an infinity.

    A picture of such values would be black or noise and would pass for a result. Rows do not see each other, so the
    others of the batch are sound.
    """
    sound = torch.isfinite(values.flatten(1)).all(dim=1)
    if not bool(sound.all()):
        raise GenerationError(stage, tuple(torch.nonzero(~sound).flatten().tolist()))
