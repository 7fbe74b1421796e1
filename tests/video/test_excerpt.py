"""Chosen frames of any video, at its own size."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from lavit_eval.digests import digest_bytes
from lavit_eval.errors import MediumError
from lavit_eval.metrics.video_input import choose_frames
from lavit_eval.video import excerpt
from lavit_eval.video.excerpt import Excerpt, read_excerpt
from lavit_eval.video.lossless import is_lossless, read_frames, write_lossless, write_preview
from lavit_eval.video.orientation import Uprighter
from lavit_eval.video.source import VideoFile
from tests.video.made import moving, write_video


def everything(count: int, fps: Fraction | None) -> Sequence[int]:
    return range(count)


def decoded(path: Path) -> np.ndarray:
    """All frames, as PyAV alone gives them."""
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mkv", {"pix_fmt": "yuv444p"}),
        ("a.mp4", {"full_range": True}),
        ("a.avi", {"codec": "mpeg4"}),
        ("a.m4v", {"codec": "mpeg4", "container_format": "m4v"}),
        ("a.h264", {"container_format": "h264"}),
        ("a.ts", {"codec": "mpeg2video"}),
        ("a.webm", {"codec": "libvpx"}),
        ("a.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
    ],
)
def test_frames_are_those_of_a_plain_decode(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    path = write_video(tmp_path / name, moving(18, height=54, width=90), rate=25, **options)  # type: ignore[arg-type]
    expected = decoded(path)
    found = read_excerpt(path, everything)
    assert found.frames.dtype == np.uint8 and found.frames.shape == (18, 54, 90, 3)
    np.testing.assert_array_equal(found.frames, expected)
    assert (found.total, found.fps) == (18, 25)
    some = read_excerpt(path, lambda count, fps: [3, 4, 17])
    np.testing.assert_array_equal(some.frames, expected[[3, 4, 17]])
    assert some.total == 18


@pytest.mark.parametrize("fps", [6, Fraction(24000, 1001)])
def test_lossless_files_give_their_very_bytes(tmp_path: Path, fps: int | Fraction) -> None:
    path, frames = tmp_path / "a.mkv", noise(5, 21, 34, 3)
    write_lossless(path, frames, fps)
    assert is_lossless(path)
    np.testing.assert_array_equal(read_excerpt(path, everything).frames, frames)
    some = read_excerpt(path, lambda count, fps: [1, 1, 4])
    np.testing.assert_array_equal(some.frames, frames[[1, 1, 4]])
    assert (some.total, some.fps) == (5, fps)


def test_a_lossless_file_of_other_frames_than_were_written_is_refused(tmp_path: Path) -> None:
    path, frames = tmp_path / "a.mkv", noise(3, 16, 16, 3)
    write_lossless(path, frames, 6)
    digest = digest_bytes(frames.tobytes()).encode()
    content = path.read_bytes()
    assert content.count(digest) == 1
    path.write_bytes(content.replace(digest, b"0" * 64))
    with pytest.raises(MediumError, match="not those that were written"):
        read_excerpt(path, lambda count, fps: [0])


def test_only_files_of_our_own_are_lossless(tmp_path: Path) -> None:
    write_preview(tmp_path / "a.mp4", noise(3, 32, 32, 3), 6)
    foreign = write_video(tmp_path / "b.mkv", moving(3), codec="ffv1", pix_fmt="bgr0")
    assert not is_lossless(tmp_path / "a.mp4") and not is_lossless(foreign)
    np.testing.assert_array_equal(read_excerpt(foreign, everything).frames, np.stack(moving(3)))
    with pytest.raises(MediumError, match="does not exist"):
        is_lossless(tmp_path / "absent.mkv")


def test_the_number_of_frames_counts_where_that_of_packets_is_another(tmp_path: Path) -> None:
    """An MP4's edit list hides the pictures before time 0, which the file holds all the same."""
    path = write_video(tmp_path / "a.mp4", moving(20), times=range(-5, 15), options={"bf": "0"})
    with VideoFile(path) as file:
        assert sum(1 for _ in file.packets()) == 20
    asked = []

    def central(count: int, fps: Fraction | None) -> Sequence[int]:
        asked.append(count)
        return choose_frames(count, 4, "central")

    found = read_excerpt(path, central)
    assert asked == [20, 15] and found.total == 15
    np.testing.assert_array_equal(found.frames, decoded(path)[5:9])
    with pytest.raises(MediumError, match="15 frames are too few"):
        read_excerpt(path, lambda count, fps: choose_frames(count, 16, "first"))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_videos_are_turned_upright(tmp_path: Path, rotation: int) -> None:
    turned = write_video(tmp_path / "turned.mp4", moving(4), rotation=rotation)
    plain = write_video(tmp_path / "plain.mp4", moving(4))
    # The angle is counter-clockwise in the file and in NumPy.
    expected = np.rot90(decoded(plain), rotation // 90, axes=(1, 2))
    np.testing.assert_array_equal(read_excerpt(turned, lambda count, fps: [1, 3]).frames, expected[[1, 3]])


@pytest.mark.parametrize("kind", ["lossless.mkv", "a.mp4", "a.mkv", "a.avi", "a.h264"])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_truncated_file_is_refused_though_the_chosen_frame_is_whole(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / kind
    if kind == "lossless.mkv":
        write_lossless(path, noise(30, 32, 48, 3), 6)
    else:
        write_video(path, moving(120), container_format="h264" if kind.endswith("h264") else None)
    assert read_excerpt(path, lambda count, fps: [0]).total in (30, 120)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(MediumError, match=r"truncated|damaged") as caught:
        read_excerpt(path, lambda count, fps: [0])
    assert str(path) in str(caught.value)


def test_damage_behind_the_chosen_frame_is_seen(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving(120))
    content = bytearray(path.read_bytes())
    place = len(content) // 2
    content[place : place + 3000] = bytes(range(250)) * 12
    path.write_bytes(bytes(content))
    with pytest.raises(MediumError, match="damaged"):
        read_excerpt(path, lambda count, fps: [0])


@pytest.mark.parametrize(("content", "told"), [(b"", "is empty"), (b"no video\n" * 99, "no video")])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(MediumError, match=told):
        read_excerpt(path, everything)


def test_no_chosen_frame_is_no_excerpt(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving(3))
    with pytest.raises(MediumError, match="no frames"):
        read_excerpt(path, lambda count, fps: [])


def test_a_video_that_changes_its_size_is_refused_where_the_frames_show_it(tmp_path: Path) -> None:
    parts = [
        write_video(tmp_path / f"{height}.h264", moving(6, height, 96), container_format="h264", options={"bf": "0"})
        for height in (64, 80)
    ]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(MediumError, match="changes its size: 96x64 and 96x80"):
        read_excerpt(path, everything)
    assert read_excerpt(path, lambda count, fps: [0, 5]).frames.shape == (2, 64, 96, 3)


def test_what_the_choice_raises_is_raised(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving(3))

    def refuse(count: int, fps: Fraction | None) -> Sequence[int]:
        raise MediumError(f"{count} frames at {fps} are not enough.")

    with pytest.raises(MediumError, match="3 frames at 30 are not enough"):
        read_excerpt(path, refuse)


def test_only_the_chosen_frames_are_converted_and_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", moving(60))
    held: list[int] = []
    convert = excerpt._rgb

    def noted(frame: Any, upright: Uprighter) -> np.ndarray:
        held.append(frame.pts)
        return convert(frame, upright)

    monkeypatch.setattr(excerpt, "_rgb", noted)
    found = read_excerpt(path, lambda count, fps: [10, 40, 40])
    assert len(held) == 2 and found.frames.shape[0] == 3


def test_every_frame_once_in_the_order_in_which_they_are_shown(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving(24), options={"bf": "3"})
    with VideoFile(path) as file:
        shown = [frame.pts for frame in file.frames()]
    assert shown == sorted(shown) and len(set(shown)) == 24


def test_a_single_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    write_lossless(tmp_path / "a.mkv", noise(1, 8, 8, 3), 6)
    found = read_excerpt(tmp_path / "a.mkv", everything)
    assert isinstance(found, Excerpt) and found.total == 1
    np.testing.assert_array_equal(found.frames, read_frames(tmp_path / "a.mkv"))
