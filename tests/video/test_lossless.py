from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lavit_eval.errors import MediumError
from lavit_eval.video.lossless import Frames, read_frames, write_lossless, write_preview
from lavit_eval.video.still import write_png


def noise(*shape: int, seed: int = 0) -> Frames:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def smooth(count: int, height: int, width: int) -> Frames:
    rows, columns = np.mgrid[0:height, 0:width]
    shades = [(rows * 2 + place) % 200 + columns for place in range(count)]
    return np.stack([np.stack((shade, shade // 2, 255 - shade // 2), axis=-1) for shade in shades]).astype(np.uint8)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 4), height=st.integers(1, 70), width=st.integers(2, 70), seed=st.integers(0, 99))
def test_every_byte_of_noise_comes_back(
    tmp_path_factory: pytest.TempPathFactory, count: int, height: int, width: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("noise") / "video.mkv"
    frames = noise(count, height, width, 3, seed=seed)
    write_lossless(path, frames, 6)
    found = read_frames(path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, frames)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_every_level_of_every_channel_comes_back_in_its_channel(tmp_path: Path, channel: int) -> None:
    frames = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    frames[0, ..., channel] = np.arange(256).reshape(16, 16)
    write_lossless(tmp_path / "video.mkv", frames, 6)
    np.testing.assert_array_equal(read_frames(tmp_path / "video.mkv"), frames)


@pytest.mark.parametrize("fps", [6, 12, Fraction(25, 2)])
def test_the_file_is_what_it_is_said_to_be(tmp_path: Path, fps: int | Fraction) -> None:
    path = tmp_path / "folder" / "video.mkv"
    write_lossless(path, noise(24, 20, 36, 3), fps)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("ffv1", "bgr0")
        assert "matroska" in file.format.name
        assert stream.average_rate == fps


def test_equal_frames_make_equal_files(tmp_path: Path) -> None:
    for name in ("a.mkv", "b.mkv"):
        write_lossless(tmp_path / name, noise(3, 64, 64, 3), 6)
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


def test_writing_leaves_nothing_beside_the_file_and_replaces_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "video.mkv"
    write_lossless(path, noise(2, 8, 8, 3), 6)
    newer = noise(3, 10, 12, 3, seed=1)
    write_lossless(path, newer, 6)
    np.testing.assert_array_equal(read_frames(path), newer)
    assert [each.name for each in tmp_path.iterdir()] == ["video.mkv"]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_truncated_or_damaged_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "video.mkv"
    write_lossless(path, noise(4, 48, 64, 3), 6)
    content = path.read_bytes()
    place = int(len(content) * share)
    path.write_bytes(content[:place])
    with pytest.raises(MediumError, match=r"video\.mkv"):
        read_frames(path)
    path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
    with pytest.raises(MediumError, match="damaged"):
        read_frames(path)


def test_a_video_that_is_not_lossless_is_refused(tmp_path: Path) -> None:
    write_preview(tmp_path / "video.mp4", smooth(2, 16, 16), 6)
    with pytest.raises(MediumError, match="not lossless"):
        read_frames(tmp_path / "video.mp4")
    with pytest.raises(MediumError, match="does not exist"):
        read_frames(tmp_path / "other.mkv")


def test_frames_of_another_kind_are_refused(tmp_path: Path) -> None:
    for frames in (np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 8, 8, 4), np.uint8), noise(2, 8, 8, 3)[:0]):
        with pytest.raises(ValueError, match="expected uint8"):
            write_lossless(tmp_path / "video.mkv", frames, 6)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("height", "width"), [(64, 96), (33, 47)])
def test_the_preview_is_an_h264_video_that_looks_like_the_frames(tmp_path: Path, height: int, width: int) -> None:
    path, frames = tmp_path / "video.mp4", smooth(6, height, width)
    write_preview(path, frames, 6)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 6
        shown = np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(stream)])
    assert shown.shape == (6, height + height % 2, width + width % 2, 3)
    assert np.abs(shown[:, :height, :width].astype(int) - frames).mean() < 6


def test_a_png_keeps_every_byte(tmp_path: Path) -> None:
    picture = noise(31, 17, 3)
    write_png(tmp_path / "folder" / "picture.png", picture)
    with Image.open(tmp_path / "folder" / "picture.png") as opened:
        assert (opened.format, opened.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(opened), picture)
    assert [each.name for each in (tmp_path / "folder").iterdir()] == ["picture.png"]


def test_a_picture_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        write_png(tmp_path / "picture.png", noise(8, 8, 4))
