"""Small pictures and videos, made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from PIL import Image

from lavit_eval.sample import Medium


def write_picture(path: Path, seed: int) -> Path:
    """Write a PNG of coloured blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((140, 100), Image.Resampling.NEAREST).save(path)
    return path


def write_video(path: Path, seed: int, seconds: int = 10) -> Path:
    """Write an MPEG-4 video, 12 pictures a second, in which a textured square moves over a textured ground."""
    generator = np.random.default_rng(seed)
    ground = generator.integers(0, 256, (96, 160, 3), dtype=np.uint8)
    square = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    step = generator.integers(1, 4, 2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(12 * seconds):
            picture = ground.copy()
            top, left = (number * step[0]) % 64, (number * step[1]) % 128
            picture[top : top + 32, left : left + 32] = square
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_media(folder: Path, pictures: Sequence[str], videos: Sequence[str], seconds: int = 10) -> dict[str, Medium]:
    """Write pictures and videos; return name -> medium."""
    shown = {name: write_picture(folder / f"{name}.png", seed) for seed, name in enumerate(pictures)}
    films = {name: write_video(folder / f"{name}.mp4", seed, seconds) for seed, name in enumerate(videos)}
    found = {name: Medium("image", str(path), path.name) for name, path in shown.items()}
    return found | {name: Medium("video", str(path), path.name) for name, path in films.items()}
