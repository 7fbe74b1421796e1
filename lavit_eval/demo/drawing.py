"""Draws scenes as pixels.

Shapes carry an aperiodic texture: a flat one would give motion vectors only at its edges, a periodic one vectors that
are a period off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from lavit_eval.demo.world import COLORS, HEIGHT, TONES, WIDTH, Ground, Scene, Shape

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Pixels = NDArray[np.uint8]

EDGE = 2
"""Width of a shape's dark outline, pixels."""
INNER_TIP = 0.48
"""Distance of a star's inner corners from its centre, the outer ones being at 1."""


def draw_frame(scene: Scene, frame: int = 0) -> Pixels:
    """Return one frame, uint8 RGB [HEIGHT, WIDTH, 3]; raises IndexError outside 0 <= frame < scene.frames."""
    if not 0 <= frame < scene.frames:
        raise IndexError(f"frame {frame} of {scene.frames}")
    if scene.pan:
        return _seen(_whole(scene), scene, frame)
    picture = _draw_ground(scene.ground)
    for shape in scene.shapes:
        _paste(picture, *_draw_shape(shape), shape.corner(frame))
    return picture


def draw_frames(scene: Scene) -> Iterator[Pixels]:
    """Yield every frame in order, uint8 RGB [HEIGHT, WIDTH, 3]; each is a new array."""
    if scene.pan:
        whole = _whole(scene)
        yield from (_seen(whole, scene, frame) for frame in range(scene.frames))
        return
    still = _draw_ground(scene.ground)
    for shape in scene.shapes:
        if shape.direction is None:
            _paste(still, *_draw_shape(shape), shape.corner(0))
    moving = [(shape, *_draw_shape(shape)) for shape in scene.shapes if shape.direction is not None]
    for frame in range(scene.frames):
        picture = still.copy()
        for shape, pixels, mask in moving:
            _paste(picture, pixels, mask, shape.corner(frame))
        yield picture


def _reach(scene: Scene) -> int:
    """Return how far the camera turns over the clip, pixels."""
    return max(map(abs, scene.view(scene.frames - 1)))


def _whole(scene: Scene) -> Pixels:
    """Return all that a turning camera passes, uint8 RGB; nothing moves in it."""
    reach = _reach(scene)
    picture = _draw_ground(scene.ground, HEIGHT + 2 * reach, WIDTH + 2 * reach)
    for shape in scene.shapes:
        x, y = shape.corner(0)
        _paste(picture, *_draw_shape(shape), (x + reach, y + reach))
    return picture


def _seen(whole: Pixels, scene: Scene, frame: int) -> Pixels:
    """Return what the camera sees of it at a frame."""
    reach = _reach(scene)
    x, y = (reach + way for way in scene.view(frame))
    return whole[y : y + HEIGHT, x : x + WIDTH].copy()


def _paste(picture: Pixels, pixels: Pixels, mask: Bools, corner: tuple[int, int]) -> None:
    x, y = corner
    np.copyto(picture[y : y + mask.shape[0], x : x + mask.shape[1]], pixels, where=mask[..., None])


def _draw_shape(shape: Shape) -> tuple[Pixels, Bools]:
    """Return a shape's pixels, uint8 RGB [size, size, 3], and where it is, bool [size, size]."""
    rng = np.random.default_rng(shape.texture)
    mask = shape_mask(shape.kind, shape.size)
    light = 0.64 + 0.18 * _noise(rng, shape.size, shape.size, 12) + 0.26 * _noise(rng, shape.size, shape.size, 5)
    light = np.where(_inside(mask, EDGE), light, 0.42)
    return _shade(COLORS[shape.color], light), mask


def _draw_ground(ground: Ground, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    rng = np.random.default_rng(ground.texture)
    # The fine part is strong enough for an encoder to see that nothing moved: on a plain ground it invents vectors.
    light = 0.72 + 0.16 * _noise(rng, height, width, 48) + 0.34 * _noise(rng, height, width, 4)
    rows, columns = np.mgrid[:height, :width]
    period = int(rng.integers(36, 60))
    if ground.pattern == "tiled":
        light = light + 0.10 * ((rows // period + columns // period) % 2)
    elif ground.pattern == "striped":
        light = light + 0.10 * (((rows + 2 * columns) // (2 * period)) % 2)
    elif ground.pattern == "spotted":
        distance = np.hypot(rows % period - period / 2, columns % period - period / 2)
        light = light + 0.12 * (distance < period / 4)
    return _shade(TONES[ground.tone], light)


def _shade(color: tuple[int, int, int], light: Floats) -> Pixels:
    """Return a colour under light [H, W] as uint8 RGB [H, W, 3]."""
    shaded: Pixels = np.clip(np.rint(light[..., None] * np.array(color, dtype=np.float64)), 0, 255).astype(np.uint8)
    return shaded


def _noise(rng: np.random.Generator, height: int, width: int, cell: int) -> Floats:
    """Return smooth noise in [0, 1], [height, width]: random values every `cell` pixels, interpolated linearly."""
    values = rng.random((height // cell + 2, width // cell + 2))
    return _interpolation(height, cell) @ values @ _interpolation(width, cell).T


def _interpolation(length: int, cell: int) -> Floats:
    """Return the matrix [length, length // cell + 2] that interpolates linearly between values `cell` apart."""
    place = np.arange(length) / cell
    left = place.astype(np.int64)
    matrix = np.zeros((length, length // cell + 2))
    matrix[np.arange(length), left] = 1 - (place - left)
    matrix[np.arange(length), left + 1] = place - left
    return matrix


def shape_mask(kind: str, size: int) -> Bools:
    """Return where a shape is within its bounding box, bool [size, size]; raises KeyError on an unknown kind."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    across, down = np.meshgrid(axis, axis)
    return MASKS[kind](across, down)


def _star(across: Floats, down: Floats) -> Bools:
    """Fold the plane into half a point of the star, whose edge is then one straight line."""
    radius = np.hypot(across, down)
    angle = np.abs((np.arctan2(across, -down) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    inner_x, inner_y = INNER_TIP * np.cos(np.pi / 5), INNER_TIP * np.sin(np.pi / 5)
    along, aside = radius * np.cos(angle), radius * np.sin(angle)
    inside: Bools = (inner_x - 1) * aside - inner_y * (along - 1) >= 0
    return inside


MASKS: dict[str, Callable[[Floats, Floats], Bools]] = {
    "square": lambda across, down: np.ones(across.shape, dtype=np.bool_),
    "circle": lambda across, down: np.hypot(across, down) <= 1,
    "triangle": lambda across, down: np.abs(across) <= (down + 1) / 2,
    "diamond": lambda across, down: np.abs(across) + np.abs(down) <= 1,
    "cross": lambda across, down: (np.abs(across) <= 0.34) | (np.abs(down) <= 0.34),
    "star": _star,
}
"""Kind -> test of points in [-1, 1] x [-1, 1] (x to the right, y down)."""


def _inside(mask: Bools, edge: int) -> Bools:
    """Return the mask without the pixels that are nearer than `edge` to its outside along a row or column."""
    height, width = mask.shape
    padded = np.pad(mask, edge)
    kept = mask.copy()
    for down, across in ((0, edge), (2 * edge, edge), (edge, 0), (edge, 2 * edge)):
        kept &= padded[down : down + height, across : across + width]
    return kept
