"""Inception Score from class probabilities (Salimans et al. 2016; for videos Saito et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax, xlogy

from lavit_eval.errors import UsageError
from lavit_eval.metrics.moments import Floats, checked

STYLEGAN_V_SEED = 42
"""The order in which StyleGAN-V's `isv2048_ucf` shuffles before splitting."""
TORCH_FIDELITY_SEED = 2020


@dataclass(frozen=True, slots=True)
class InceptionScore:
    """The score of each split and what is reported of them."""

    splits: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over splits: the figure that papers print."""
        return float(np.mean(self.splits))

    @property
    def deviation(self) -> float:
        """The standard deviation over splits (divided by their number); no interval for the mean."""
        return float(np.std(self.splits))


def inception_score(
    probabilities: npt.ArrayLike, splits: int = 10, shuffle_seed: int | None = STYLEGAN_V_SEED
) -> InceptionScore:
    """Return exp(mean KL(p(class|sample) || p(class))) of each split of the samples.

    The score rises with the number of samples per split: 2,048 in one split and in ten are two different quantities.
    A probability of 0 adds 0 (the limit of p log p), where code that takes its logarithm gives NaN.

    Args:
        probabilities: `[N, classes]`, each row summing to 1.
        splits: Consecutive parts i N // splits to (i + 1) N // splits; TGANv2 takes 1, StyleGAN-V 10.
        shuffle_seed: The order of samples before splitting, as NumPy's legacy generator with this seed permutes them
            (42 StyleGAN-V, 2020 torch-fidelity); None keeps the order.

    Raises:
        UsageError: For values that are no probabilities, or more splits than samples.
    """
    rows = checked(probabilities)
    if rows.size and ((rows < 0).any() or not np.allclose(rows.sum(axis=1), 1.0, atol=1e-3)):
        raise UsageError("These are no class probabilities: rows must be non-negative and sum to 1; apply a softmax.")
    return _score(rows, xlogy(rows, rows), splits, shuffle_seed)


def inception_score_of_logits(
    logits: npt.ArrayLike, splits: int = 10, shuffle_seed: int | None = TORCH_FIDELITY_SEED
) -> InceptionScore:
    """Return the same from logits `[N, classes]`, with the log-softmax in float64 as torch-fidelity takes it."""
    logarithms = log_softmax(checked(logits), axis=1)
    rows = np.exp(logarithms)
    return _score(rows, rows * logarithms, splits, shuffle_seed)


def _score(rows: Floats, weighted: Floats, splits: int, shuffle_seed: int | None) -> InceptionScore:
    """Score `rows` with `weighted` = p log p, both `[N, classes]`."""
    count = len(rows)
    if not 1 <= splits <= count:
        raise UsageError(f"{count} samples cannot be divided into {splits} splits; generate more or name fewer splits.")
    if shuffle_seed is not None:
        order = np.random.RandomState(shuffle_seed).permutation(count)
        rows, weighted = rows[order], weighted[order]
    scores = []
    for split in range(splits):
        part = slice(split * count // splits, (split + 1) * count // splits)
        marginal = rows[part].mean(axis=0)
        scores.append(float(np.exp(weighted[part].sum(axis=1).mean() - xlogy(marginal, marginal).sum())))
    return InceptionScore(tuple(scores))
