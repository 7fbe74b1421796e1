"""Writes drawn scenes as real media files: H.264 in MP4 or AVI, and JPEG."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from PIL import Image

from lavit_eval.demo.drawing import Pixels, draw_frame, draw_frames
from lavit_eval.demo.world import FPS, HEIGHT, WIDTH, Scene
from lavit_eval.errors import UsageError

ENCODER = "libx264"
OPTIONS = {"crf": "18", "preset": "veryfast", "g": "48"}
JPEG_QUALITY = 92


def write_video(scene: Scene, path: Path) -> None:
    """Write a scene as an H.264 file (yuv420p, FPS frames per second); the suffix, .mp4 or .avi, chooses the container.

    One encoder thread and closed groups of pictures: with one version of libav, equal scenes give equal bytes. Raises
    UsageError when this build of PyAV has no H.264 encoder.
    """
    # AVI has no presentation times, so its frames must be stored in the order in which they are shown.
    options = OPTIONS | ({"bf": "0"} if path.suffix == ".avi" else {})
    with av.open(str(path), "w") as container:
        try:
            stream = container.add_stream(ENCODER, rate=FPS, options=options)
        except av.codec.codec.UnknownCodecError as error:
            raise UsageError(
                f"This PyAV ({av.__version__}) has no {ENCODER} encoder, which the demo data needs: "
                "run `pip install --force-reinstall --only-binary av av`."
            ) from error
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        planes = _planes(draw_frame(scene))
        for number, pixels in enumerate(draw_frames(scene)):
            _refresh(planes, pixels, _changed(scene, number))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode(None))


def _planes(pixels: Pixels) -> Pixels:
    """Return an RGB picture [H, W, 3] of even sides as yuv420p planes, uint8 [H * 3 / 2, W]."""
    planes: Pixels = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p").to_ndarray()
    return planes


def _changed(scene: Scene, frame: int) -> tuple[slice, slice]:
    """Return rows and columns, both even, that hold all that differs between a frame and the one before."""
    if scene.pan:
        return slice(0, HEIGHT), slice(0, WIDTH)
    x0, y0 = scene.main.corner(max(frame - 1, 0))
    x1, y1 = scene.main.corner(frame)
    # Two pixels more on each side, since a chroma sample is made of its neighbours too.
    left, top = (max(0, min(pair) - 2) // 2 * 2 for pair in ((x0, x1), (y0, y1)))
    right, bottom = (max(pair) + scene.main.size + 4 for pair in ((x0, x1), (y0, y1)))
    return slice(top, min(bottom // 2 * 2, HEIGHT)), slice(left, min(right // 2 * 2, WIDTH))


def _refresh(planes: Pixels, pixels: Pixels, changed: tuple[slice, slice]) -> None:
    """Convert one part of a picture anew, in place: a third of a clip's making was converting what stands still."""
    part = np.ascontiguousarray(pixels[changed])
    for whole, piece, scale in zip(_split(planes, WIDTH), _split(_planes(part), part.shape[1]), (1, 2, 2), strict=True):
        rows, columns = (slice(side.start // scale, side.stop // scale) for side in changed)
        whole[rows, columns] = piece


def _split(planes: Pixels, width: int) -> tuple[Pixels, Pixels, Pixels]:
    """Return views of the luma plane and both chroma planes of yuv420p planes whose rows are `width` long."""
    flat, area = planes.reshape(-1), planes.size * 2 // 3
    luma, blue, red = flat[:area], flat[area : area * 5 // 4], flat[area * 5 // 4 :]
    return luma.reshape(-1, width), blue.reshape(-1, width // 2), red.reshape(-1, width // 2)


def write_picture(scene: Scene, path: Path) -> None:
    """Write a scene's first frame as a JPEG file."""
    Image.fromarray(draw_frame(scene)).save(path, format="JPEG", quality=JPEG_QUALITY)
