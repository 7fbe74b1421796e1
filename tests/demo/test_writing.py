"""The written files are real H.264 and JPEG, the same each time, with motion that an encoder can find."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from lavit_eval.demo import writing
from lavit_eval.demo.drawing import draw_frame, shape_mask
from lavit_eval.demo.world import DIRECTIONS, FPS, HEIGHT, PICTURE, VIDEO, WIDTH, Scene, draw_scene
from lavit_eval.errors import UsageError

BLOCK = 16


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_clip_is_h264_of_the_scenes_length(tmp_path: Path, suffix: str) -> None:
    scene = draw_scene(0, "test", 1, VIDEO)
    writing.write_video(scene, tmp_path / f"one{suffix}")
    writing.write_video(scene, tmp_path / f"two{suffix}")
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    with av.open(str(tmp_path / f"one{suffix}")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.average_rate) == (WIDTH, HEIGHT, FPS)
        assert float(stream.duration * stream.time_base) == pytest.approx(scene.frames / FPS)
        frames = list(container.decode(stream))
    assert len(frames) == scene.frames
    assert all(early.pts < late.pts for early, late in pairwise(frames))
    for number in (0, 100, scene.frames - 1):
        seen = frames[number].to_ndarray(format="rgb24").astype(float)
        assert np.abs(seen - draw_frame(scene, number)).mean() < 6


def test_a_picture_is_a_jpeg(tmp_path: Path) -> None:
    scene = draw_scene(0, "test", 1, PICTURE)
    writing.write_picture(scene, tmp_path / "one.jpg")
    with Image.open(tmp_path / "one.jpg") as picture:
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (WIDTH, HEIGHT), "RGB")
        assert np.abs(np.asarray(picture, dtype=float) - draw_frame(scene)).mean() < 8


def test_without_an_encoder_one_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "ENCODER", "no_such_encoder")
    with pytest.raises(UsageError, match="pip install"):
        writing.write_video(draw_scene(0, "test", 1, VIDEO), tmp_path / "one.mp4")


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_an_encoder_finds_the_motion_and_none_on_the_ground(tmp_path: Path, index: int) -> None:
    scene = draw_scene(0, "test", index, VIDEO)
    path = tmp_path / "clip.mp4"
    writing.write_video(scene, path)
    shape = scene.main
    step = np.array(DIRECTIONS[shape.direction or ""]) * shape.speed // 6
    found = _motion(path)
    inside, ground = [], []
    for number, vectors in found.items():
        here, before = _covered(scene, 4 * number), _covered(scene, 4 * number - 4)
        inside.append(vectors[here == 1])
        ground.append(vectors[(here == 0) & (before == 0)])
    vectors, still = np.concatenate(inside), np.concatenate(ground)
    assert len(vectors) > 40
    # A vector points from a block to where its content was, a frame before.
    assert (np.abs(vectors + step).max(-1) <= 0.5).mean() > 0.95
    assert (still == 0).all(-1).mean() > 0.995


def _covered(scene: Scene, frame: int) -> np.ndarray:
    """Return which part of each 16 x 16 block the moving shape covers."""
    x, y = scene.main.corner(frame)
    canvas = np.zeros((HEIGHT, WIDTH))
    canvas[y : y + scene.main.size, x : x + scene.main.size] = shape_mask(scene.main.kind, scene.main.size)
    parts: np.ndarray = canvas.reshape(HEIGHT // BLOCK, BLOCK, WIDTH // BLOCK, BLOCK).mean((1, 3))
    return parts


def _motion(path: Path) -> dict[int, np.ndarray]:
    """Return frame number -> vectors [20, 36, 2] of an MPEG-4 encode at 6 frames per second, in pixels."""
    encoder = av.CodecContext.create("mpeg4", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.bit_rate, encoder.gop_size, encoder.max_b_frames = Fraction(1, 6), 8_000_000, 12, 0
    packets = []
    with av.open(str(path)) as container:
        for number, frame in enumerate(list(container.decode(video=0))[::4]):
            kept = frame.reformat(format="yuv420p")
            kept.pts, kept.time_base, kept.pict_type = number, Fraction(1, 6), av.video.frame.PictureType.NONE
            packets += encoder.encode(kept)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("mpeg4", "r")
    decoder.extradata, decoder.options = encoder.extradata, {"flags2": "+export_mvs"}
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    found = {}
    for number, frame in enumerate(frames):
        table = frame.side_data.get("MOTION_VECTORS")
        if table is None:
            continue
        rows = table.to_ndarray()
        vectors = np.zeros((HEIGHT // BLOCK, WIDTH // BLOCK, 2))
        scaled = np.stack([rows["motion_x"], rows["motion_y"]], -1) / rows["motion_scale"][:, None]
        vectors[rows["dst_y"] // BLOCK, rows["dst_x"] // BLOCK] = scaled
        found[number] = vectors
    return found
