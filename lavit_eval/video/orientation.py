"""Pictures upright and in the colours that the MPEG-4 encoder takes, as the ffmpeg command does unasked."""

from __future__ import annotations

import math
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange

PIXELS = "yuv420p"
Step = tuple[str, str]


def turning(matrix: tuple[int, ...]) -> list[Step]:
    """Return the filters (name, arguments) that apply a display matrix.

    The matrix is libav's: nine integers, of which the first, second, fourth and fifth (16.16 fixed point) turn and
    mirror. The choice between the two quarter turns and their mirrored forms follows the ffmpeg command.
    """
    theta = _angle(matrix)
    if abs(theta - 90) < 1:
        return [("transpose", "cclock_flip" if matrix[3] > 0 else "clock")]
    if abs(theta - 180) < 1:
        mirrored: list[Step] = [("hflip", "")] if matrix[0] < 0 else []
        return mirrored + ([("vflip", "")] if matrix[4] < 0 else [])
    if abs(theta - 270) < 1:
        return [("transpose", "clock_flip" if matrix[3] < 0 else "cclock")]
    if abs(theta) > 1:
        return [("rotate", f"{theta:f}*PI/180")]
    return [("vflip", "")] if matrix[4] < 0 else []


def _angle(matrix: tuple[int, ...]) -> float:
    """Return the clockwise turn in degrees, 0 to 360."""
    scale_x = math.hypot(matrix[0], matrix[3])
    scale_y = math.hypot(matrix[1], matrix[4])
    if not scale_x or not scale_y:
        return 0.0
    turn = round(math.degrees(math.atan2(matrix[1] / scale_y, matrix[0] / scale_x)))
    return turn - 360 * math.floor(turn / 360 + 0.9 / 360)


class Uprighter:
    """Turns decoded frames upright and into limited-range yuv420p; frames that are both already pass untouched.

    A libav filter graph made from Python does neither by itself, unlike the ffmpeg command.
    """

    def __init__(self, time_base: Any) -> None:
        self._time_base = time_base
        self._built: tuple[Any, ...] | None = None
        self._graph: Any = None
        self._rotation: int | None = None
        self._steps: list[Step] = []
        self.transposed = False
        """Whether the last frame's rows became columns, which turns its pixels' aspect ratio round."""

    def __call__(self, frame: Any) -> Any:
        """Return the frame as the encoder takes it."""
        full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        steps = self._turning(frame)
        self.transposed = any(name == "transpose" for name, _ in steps)
        if frame.format.name != PIXELS or full:
            # Bicubic is what the ffmpeg command asks of every conversion it inserts.
            ranges = "in_range=full:out_range=limited" if full else "out_range=limited"
            steps += [("scale", f"flags=bicubic:{ranges}"), ("format", PIXELS)]
        if not steps:
            return frame
        wanted = (frame.width, frame.height, frame.format.name, steps)
        if self._built != wanted:
            self._graph = self._build(frame, steps)
            self._built = wanted
        self._graph.push(frame)
        return self._graph.pull()

    def _turning(self, frame: Any) -> list[Step]:
        # Looking at a frame's side data ties the frame into a reference cycle, which would keep one large picture after
        # another until the garbage collector comes by: so the matrix is read again only when the angle changes.
        if frame.rotation != self._rotation:
            self._rotation = frame.rotation
            self._steps = turning(_display_matrix(frame))
        return list(self._steps)

    def _build(self, frame: Any, steps: list[Step]) -> Any:
        graph = av.filter.Graph()
        nodes = [
            graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=self._time_base, name="in"
            )
        ]
        nodes += [graph.add(name, arguments) if arguments else graph.add(name) for name, arguments in steps]
        graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        return graph


def _display_matrix(frame: Any) -> tuple[int, ...]:
    stored = frame.side_data.get("DISPLAYMATRIX")
    if stored is None:
        return (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    return tuple(int(value) for value in np.frombuffer(bytes(stored), dtype=np.int32))
