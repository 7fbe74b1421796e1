"""Says of a clip whether a shape in the asked colour goes where it was asked to, by pixels alone.

It works on frames of any size; places are measured in pixels of the world, so that one rule serves all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lavit_eval.demo.world import COLORS, DIRECTIONS, HEIGHT, KINDS, WIDTH

Frames = NDArray[np.uint8]
Bools = NDArray[np.bool_]

HUES = {"red": 2.0, "yellow": 50.0, "green": 128.0, "blue": 224.0, "purple": 283.0}
"""Degrees; white is what has none and is bright."""
SATURATION = 0.42
"""From which on a pixel is coloured; the ground's colours stay below 0.33."""
PALE, BRIGHT = 0.17, 165
"""White is less saturated than the one and in every channel above the other; the ground, at small sizes, is darker."""
AREA = (0.0012, 0.09)
"""Least and greatest share of the frame that a shape takes."""
FILLED = 0.2
"""How much of its bounding box a shape fills at least; a cross and a star fill about a half."""
SHOWN = 0.75
"""In what share of the frames a shape must be seen."""
WAY = 12.0
"""Pixels of the world that a shape must go at least; the slowest goes 23 until it turns."""
AHEAD = 1.5
"""How much further it must go that way than aside."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caption of the made world asks to be seen."""

    colors: tuple[str, ...]
    """Of the shapes that move: the first that is named, or all if the camera turns."""
    ways: tuple[str, ...]
    """Where they are seen to go, one after the other."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was seen."""

    shape: bool
    """Shapes of the asked colours are there, throughout the clip."""
    way: bool
    """And they go where they were asked to."""


def read_caption(text: str) -> Asked | None:
    """Return what a caption of a film asks for; None for a text that names no coloured shape or no direction."""
    named = re.findall(rf"\b({'|'.join(COLORS)}) (?:{'|'.join(KINDS)})\b", text)
    ways = [way.removesuffix("wards") for way in re.findall(r"\b(left|right|up|down|upwards|downwards)\b", text)]
    if not named or not ways:
        return None
    if re.search(r"\bcamera\b", text):
        return Asked(tuple(named), tuple(_opposite(way) for way in ways))
    return Asked((named[0],), tuple(ways))


def judge(frames: Frames, asked: Asked) -> Verdict:
    """Judge a clip, uint8 RGB `[n, h, w, 3]` with n at least 8; h and w may squash the world's aspect."""
    verdicts = [_judge_one(frames, color, asked.ways) for color in asked.colors]
    return Verdict(all(seen.shape for seen in verdicts), all(seen.way for seen in verdicts))


def _judge_one(frames: Frames, color: str, ways: tuple[str, ...]) -> Verdict:
    track = np.array([place if place else (np.nan, np.nan) for place in map(_place, frames, [color] * len(frames))])
    seen = ~np.isnan(track[:, 0])
    if seen.mean() < SHOWN:
        return Verdict(False, False)
    legs = np.array_split(np.arange(len(frames)), len(ways))
    return Verdict(True, all(_goes(track[leg], way) for leg, way in zip(legs, ways, strict=True)))


def _place(frame: Frames, color: str) -> tuple[float, float] | None:
    """Return the centre (x, y), in pixels of the world, of the largest shape of a colour; None if there is none."""
    height, width = frame.shape[:2]
    parts, _ = ndimage.label(color_mask(frame, color))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    for number in np.argsort(-sizes, kind="stable"):
        if not AREA[0] <= sizes[number] / parts.size <= AREA[1]:
            continue
        rows, columns = np.nonzero(parts == number)
        box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        if sizes[number] / box >= FILLED:
            return (columns.mean() + 0.5) * WIDTH / width, (rows.mean() + 0.5) * HEIGHT / height
    return None


def color_mask(frame: Frames, color: str) -> Bools:
    """Return where a frame, uint8 RGB `[h, w, 3]`, has a colour of the world."""
    rgb = frame.astype(np.float64)
    high, low = rgb.max(-1), rgb.min(-1)
    spread = high - low
    saturation = spread / np.maximum(high, 1)
    white: Bools = (saturation < PALE) & (low > BRIGHT)
    if color == "white":
        return white
    red, green, blue = np.moveaxis(rgb, -1, 0)
    scale = np.maximum(spread, 1)
    hue = np.select(
        [high == red, high == green], [60 * ((green - blue) / scale % 6), 60 * ((blue - red) / scale + 2)],
        60 * ((red - green) / scale + 4),
    )  # fmt: skip
    names = list(HUES)
    apart = np.abs(hue[..., None] - np.array([HUES[name] for name in names]))
    nearest = np.minimum(apart, 360 - apart).argmin(-1)
    mask: Bools = (saturation > SATURATION) & (high > 50) & (nearest == names.index(color))
    return mask


def _goes(track: NDArray[np.float64], way: str) -> bool:
    """Say whether places (x, y), in order and with gaps of NaN, go one way."""
    track = track[~np.isnan(track[:, 0])]
    if len(track) < 4:
        return False
    third = max(1, len(track) // 4)
    moved = track[-third:].mean(0) - track[:third].mean(0)
    step = np.array(DIRECTIONS[way])
    along, aside = float(moved @ step), float(np.abs(moved @ (1 - np.abs(step))))
    return along >= WAY * (1 - third / len(track)) and along >= AHEAD * aside


def _opposite(way: str) -> str:
    step = DIRECTIONS[way]
    return next(name for name, other in DIRECTIONS.items() if other == (-step[0], -step[1]))
