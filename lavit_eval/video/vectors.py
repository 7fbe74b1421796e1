"""Motion vectors, from what the decoder exports to the maps that the motion tokenizer takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lavit_eval.video.settings import CLIP_FRAMES, GROUP, MOTION_HEIGHT, MOTION_WIDTH

COLUMNS = ("source", "w", "h", "src_x", "src_y", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale")
"""Columns of a vector table, in the order of motion-vector-extractor."""
BLOCK = 16
EMPTY = -10000.0
"""Stands where no vector is."""
STD = (0.0993703, 0.1130276)
"""Spread of the displacements as shares of width and height; the mean is zero."""
RESCALE = 10.0
"""The motion tokenizer was trained on motions ten times as large."""

Vectors = NDArray[np.int32]
Maps = NDArray[np.float32]


def no_vectors() -> Vectors:
    """Return the table of an intra frame, int32 [0, 10]."""
    return np.empty((0, len(COLUMNS)), dtype=np.int32)


def vector_table(fields: NDArray[np.void]) -> Vectors:
    """Return libav's structured vectors as int32 [n, 10]; picked by name, as a `flags` field stands between them."""
    table = np.empty((len(fields), len(COLUMNS)), dtype=np.int32)
    for place, name in enumerate(COLUMNS):
        table[:, place] = fields[name]
    return table


def displacements(vectors: Vectors, height: int, width: int, rescale: bool) -> NDArray[np.float64]:
    """Return each vector's normalised displacement, float64 [n, 2] (x, y).

    A vector is `source * motion / scale` pixels (scale 2 means half pixels), as a share of the frame, over `STD`.
    """
    source, scale = vectors[:, 0:1], vectors[:, 9:10]
    pixels = source * vectors[:, 7:9] / scale
    spread = np.array(STD) / RESCALE if rescale else np.array(STD)
    return np.asarray(pixels / np.array([width, height]) / spread, dtype=np.float64)


def block_map(vectors: Vectors, height: int, width: int, rescale: bool = True) -> Maps:
    """Reduce one frame's vectors to its 16x16 blocks, float32 [2, ceil(height/16), ceil(width/16)], 0 where none is.

    Bit-equal to the reference's way: writing every vector at the pixel of its block's centre (clipped to the frame; the
    last one wins) into a map of the whole frame, then taking the maximum of each 16x16 tile per channel, so that x and
    y of a block that holds several vectors may come from different ones. Rounding to float32 keeps the order, so the
    maximum may be taken after it.

    Args:
        vectors: int32 [n, 10], columns as in `COLUMNS`.
        height: Of the frame in pixels.
        width: Of the frame in pixels.
        rescale: Ten times as large, as the motion tokenizer takes them.
    """
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    maps: Maps = np.full((2, rows * columns), EMPTY, dtype=np.float32)
    if len(vectors):
        values = displacements(vectors, height, width, rescale).astype(np.float32).T
        x = np.clip(vectors[:, 5], 0, width - 1)
        y = np.clip(vectors[:, 6], 0, height - 1)
        block = (y // BLOCK) * columns + x // BLOCK
        if np.bincount(block).max() == 1:
            maps[:, block] = values
        else:
            pixel = y.astype(np.int64) * width + x
            last = len(pixel) - 1 - np.unique(pixel[::-1], return_index=True)[1]
            for channel in (0, 1):
                np.maximum.at(maps[channel], block[last], values[channel, last])
    maps[maps < -1000] = 0
    return maps.reshape(2, rows, columns)


def clip_motion(maps: Sequence[Maps], out_height: int = MOTION_HEIGHT, out_width: int = MOTION_WIDTH) -> torch.Tensor:
    """Make one clip's motion of its frames' block maps, float32 [2, 24, out_height, out_width].

    A short clip is filled up with empty maps. Frame 12, the second group's I-frame in a regular clip, is always
    replaced by the mean of its neighbours, be it an I-frame or not; frame 0 stays empty. The resize is bicubic without
    antialiasing, which is what torchvision did for tensors at the time of the reference (its default changed since and
    alters the values by as much as their own size), and is left out where the sizes agree.

    Args:
        maps: float32 [2, rows, columns] each, 1 to 24 of them.
        out_height: Rows of the result.
        out_width: Columns of the result.
    """
    motion = torch.zeros((CLIP_FRAMES, *maps[0].shape), dtype=torch.float32)
    motion[: len(maps)] = torch.from_numpy(np.stack(maps))
    motion[GROUP] = 0.5 * motion[GROUP - 1] + 0.5 * motion[GROUP + 1]
    if motion.shape[-2:] != (out_height, out_width):
        motion = torch.nn.functional.interpolate(
            motion, size=(out_height, out_width), mode="bicubic", align_corners=False, antialias=False
        )
    return motion.permute(1, 0, 2, 3).contiguous()
