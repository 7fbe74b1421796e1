"""CLIPSIM: how well a video agrees with its caption, and its frames with each other, by CLIP embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lavit_eval.errors import UsageError
from lavit_eval.metrics.moments import Floats, checked
from lavit_eval.metrics.protocol import Measured, mean_of


def frame_cosines(frames: npt.ArrayLike, text: npt.ArrayLike) -> Floats:
    """Return the cosine of each frame's embedding with the caption's, in [-1, 1].

    Args:
        frames: `[F, D]` embeddings, not necessarily of length 1.
        text: `[D]`.

    Raises:
        UsageError: For a non-finite or zero embedding.
    """
    return np.asarray(_of_length_one(frames) @ _of_length_one(np.asarray(text)[None])[0], dtype=np.float64)


def clipsim(cosines: Sequence[npt.ArrayLike]) -> Measured:
    """Return CLIPSIM (Wu et al. 2021, "GODIVA"): the mean over a video's frames, then over videos.

    The raw cosine, about 0.3 for real videos: neither times 100 (torchmetrics' CLIPScore), nor clipped at 0 and times
    2.5 (Hessel et al.'s CLIPScore). Videos of different length weigh the same.

    Args:
        cosines: For each video `[frames]`; at least one frame each.
    """
    return mean_of([_mean(video) for video in cosines])


def frame_consistency(frames: npt.ArrayLike) -> float:
    """Return the mean cosine of consecutive frames' embeddings `[F, D]`, F >= 2: smoothness, whatever the text."""
    rows = _of_length_one(frames)
    if len(rows) < 2:
        raise UsageError("Consistency between frames needs two frames or more.")
    return float((rows[:-1] * rows[1:]).sum(axis=1).mean())


def best_candidate(images: npt.ArrayLike, text: npt.ArrayLike) -> int:
    """Return which of `[K, D]` image embeddings agrees best with the caption's `[D]`; the first of equal ones."""
    return int(np.argmax(frame_cosines(images, text)))


def _of_length_one(embeddings: npt.ArrayLike) -> Floats:
    rows = checked(embeddings)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise UsageError("An embedding is zero; look at the weight file, then extract the features again.")
    return np.asarray(rows / lengths, dtype=np.float64)


def _mean(cosines: npt.ArrayLike) -> float:
    values = np.asarray(cosines, dtype=np.float64)
    if not values.size:
        raise UsageError("A video without frames has no CLIPSIM.")
    return float(values.mean())
