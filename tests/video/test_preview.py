"""Copies for browsers: small, upright, with the video's pictures and length, and sure of what plays everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lavit_eval.errors import MediumError
from lavit_eval.video import preview
from lavit_eval.video.excerpt import read_excerpt
from lavit_eval.video.lossless import write_lossless
from lavit_eval.video.preview import playable_suffix, write_small_copy
from tests.film_world import film
from tests.video.made import moving, write_video


def copied(source: Path, target: Path) -> np.ndarray:
    """Return the pictures of the copy."""
    write_small_copy(source, target)
    assert playable_suffix(target) == ".mp4"
    return read_excerpt(target, lambda count, _: range(count)).frames


def test_a_copy_shows_the_same_pictures_at_the_same_rate(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.avi", moving(18), rate=6, codec="mpeg4")
    frames = copied(source, tmp_path / "a.mp4")
    wanted = read_excerpt(source, lambda count, _: range(count)).frames
    assert frames.shape == wanted.shape
    assert np.abs(frames.astype(int) - wanted).mean() < 8
    assert read_excerpt(tmp_path / "a.mp4", lambda count, _: range(count)).fps == 6


def test_a_copy_is_bounded_and_even(tmp_path: Path) -> None:
    large = write_video(tmp_path / "large.mp4", moving(4, height=300, width=1202))
    assert copied(large, tmp_path / "a.mp4").shape == (4, 120, 480, 3)
    odd = tmp_path / "odd.mkv"
    write_lossless(odd, film(1, height=33, width=49), 6)
    assert copied(odd, tmp_path / "b.mp4").shape[1:3] == (32, 48)


def test_a_turned_video_is_upright(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", moving(4, height=96, width=160), rotation=90)
    assert copied(source, tmp_path / "b.mp4").shape[1:3] == (160, 96)


def test_a_long_video_is_cut_and_a_fast_one_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "SECONDS", 1)
    long = write_video(tmp_path / "long.avi", moving(12), rate=6, codec="mpeg4")
    assert write_small_copy(long, tmp_path / "a.mp4").cut
    assert len(read_excerpt(tmp_path / "a.mp4", lambda count, _: range(count)).frames) == 6
    fast = write_video(tmp_path / "fast.mp4", moving(60), rate=60)
    assert not write_small_copy(fast, tmp_path / "b.mp4").cut
    assert len(read_excerpt(tmp_path / "b.mp4", lambda count, _: range(count)).frames) == 30


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "suffix"),
    [
        ("a.mp4", "libx264", "yuv420p", ".mp4"),
        ("a.webm", "libvpx-vp9", "yuv420p", ".webm"),
        ("high.mp4", "libx264", "yuv444p", None),
        ("a.mkv", "libx264", "yuv420p", None),
        ("a.avi", "mpeg4", "yuv420p", None),
        ("four.mp4", "mpeg4", "yuv420p", None),
    ],
)
def test_only_what_every_browser_plays_is_called_playable(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, suffix: str | None
) -> None:
    source = write_video(tmp_path / name, moving(4), codec=codec, pix_fmt=pix_fmt)
    assert playable_suffix(source) == suffix


def test_a_damaged_video_has_no_copy(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.avi", moving(18), rate=6, codec="mpeg4")
    source.write_bytes(source.read_bytes()[:3000])
    with pytest.raises(MediumError, match=r"truncated|damaged"):
        write_small_copy(source, tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()
