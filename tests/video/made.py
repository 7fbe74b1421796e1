"""Videos made by the tests: moving texture, coded by PyAV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 160, 112


def texture(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> np.ndarray:
    """A smooth random picture, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 12 + 2, width // 12 + 2, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def moving(count: int, height: int = HEIGHT, width: int = WIDTH, step: tuple[int, int] = (1, -1)) -> list[np.ndarray]:
    """`count` pictures of a texture that moves by `step` (x, y) pixels per picture, wrapping round."""
    still = texture(height, width)
    return [np.roll(still, (step[1] * index, step[0] * index), axis=(0, 1)) for index in range(count)]


def write_video(
    path: Path,
    pictures: Sequence[np.ndarray],
    rate: int = 30,
    times: Iterable[int] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    full_range: bool = False,
    rotation: int | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    container_format: str | None = None,
) -> Path:
    """Write pictures as a video file; `times` are in units of 1/rate and may have gaps."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w", container_format, options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.time_base = Fraction(1, rate)
        stream.codec_context.thread_count = 1
        if full_range:
            stream.codec_context.color_range = 2
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for place, picture in zip(times or range(len(pictures)), pictures, strict=True):
            frame: Any = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if full_range:
                frame = frame.reformat(format=pix_fmt, dst_color_range="JPEG")
            frame.pts, frame.time_base = place, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def coded_bytes(stream: Any) -> bytes:
    """The bytes of a re-encoded stream."""
    import io

    target = io.BytesIO()
    stream.write(target)
    return target.getvalue()
