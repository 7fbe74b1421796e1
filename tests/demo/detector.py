"""Finds shapes in pixels by colour and form, knowing nothing of the scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lavit_eval.demo.drawing import shape_mask
from lavit_eval.demo.world import KINDS

HUES = {"red": 0, "yellow": 49, "green": 128, "blue": 224, "purple": 283}


@dataclass(frozen=True)
class Blob:
    """Pixels of one colour that hang together."""

    x: float
    y: float
    mask: NDArray[np.bool_]

    def form(self) -> str:
        """Return the kind of shape that fits the blob best, drawn in the blob's bounding box."""
        box = _cropped(self.mask)
        overlaps = {}
        for kind in KINDS:
            drawn = _cropped(shape_mask(kind, max(box.shape)))
            fitted = ndimage.zoom(drawn.astype(float), np.array(box.shape) / drawn.shape, order=1) > 0.5
            overlaps[kind] = (fitted & box).sum() / (fitted | box).sum()
        return max(overlaps, key=lambda kind: float(overlaps[kind]))


def _cropped(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the part of a mask within its bounding box; a star does not fill the square that it is drawn in."""
    rows, columns = np.nonzero(mask)
    return mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def find_shapes(pixels: NDArray[np.uint8]) -> dict[str, Blob]:
    """Return colour -> blob of saturated or very bright pixels in an RGB picture."""
    rgb = pixels.astype(np.float64)
    high, low = rgb.max(-1), rgb.min(-1)
    saturation = (high - low) / np.maximum(high, 1)
    bright = ndimage.uniform_filter(low, 3) > 165
    blobs, count = ndimage.label(ndimage.binary_opening((saturation > 0.55) | bright, iterations=1))
    found = {}
    for number in range(1, count + 1):
        rows, columns = np.nonzero(blobs == number)
        if len(rows) > 400:
            found[_color(np.median(rgb[rows, columns], axis=0))] = Blob(
                float(columns.mean()), float(rows.mean()), blobs == number
            )
    return found


def _color(rgb: NDArray[np.float64]) -> str:
    red, green, blue = rgb
    high, low = max(rgb), min(rgb)
    if high - low < 0.25 * high:
        return "white"
    if high == red:
        hue = 60 * (((green - blue) / (high - low)) % 6)
    elif high == green:
        hue = 60 * ((blue - red) / (high - low) + 2)
    else:
        hue = 60 * ((red - green) / (high - low) + 4)
    return min(HUES, key=lambda name: min(abs(HUES[name] - hue), 360 - abs(HUES[name] - hue)))


def direction(before: Blob, after: Blob) -> str | None:
    """Return where a blob went between two frames, None when it stayed within three pixels."""
    across, down = after.x - before.x, after.y - before.y
    if max(abs(across), abs(down)) < 3:
        return None
    if abs(across) > abs(down):
        return "right" if across > 0 else "left"
    return "down" if down > 0 else "up"
