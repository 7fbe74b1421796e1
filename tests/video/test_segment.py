"""A segment of a video is what a file that holds its pictures alone would be."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from lavit_eval.digests import digest_file
from lavit_eval.errors import MediumError
from lavit_eval.sample import Segment
from lavit_eval.video import source
from lavit_eval.video.cache import ClipCache
from lavit_eval.video.clips import load_clips, medium_digest
from lavit_eval.video.reencode import reencode
from lavit_eval.video.settings import VideoSettings
from lavit_eval.video.source import OutOfOrderError, VideoFile
from tests.video.made import moving, write_video

SETTINGS = VideoSettings(encoder_threads=1)
STEP = 4
"""Grey levels from one picture to the next: pictures are told apart by their mean."""


def numbered(path: Path, count: int, rate: int, times: list[int] | None = None, **how: object) -> Path:
    """Write pictures of 32x32 whose grey says their number (up to 60)."""
    pictures = [np.full((32, 32, 3), 8 + STEP * (number % 60), np.uint8) for number in range(count)]
    how = {"codec": "ffv1", **how}
    return write_video(path, pictures, rate, times, **how)  # type: ignore[arg-type]


def shown(path: Path, segment: Segment, fps: int, quick: bool = True) -> list[int]:
    """Return the numbers (modulo 60) of the pictures in a segment's slots."""
    with VideoFile(path) as file:
        found = [frame.to_ndarray(format="rgb24").mean() for frame in file.segment_pictures(fps, segment, quick)]
    return [round((grey - 8) / STEP) for grey in found]


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize(
    ("segment", "first", "last"),
    [
        (Segment.seconds(0, 1), 0, 9),
        (Segment.seconds(1, 2), 10, 19),
        (Segment.seconds(1.05, 2), 11, 19),  # the picture before 1.05 s is not in it
        (Segment.seconds(1, 2.05), 10, 20),  # the picture at 2.0 s is
        (Segment.seconds(1.1, 1.2), 11, 11),
        (Segment.frames(18, 27, 10), 18, 26),  # frame numbers of a file at that rate, the last one not included
        (Segment.seconds(3, 99), 30, 39),  # a segment that runs over the end takes what there is
    ],
    ids=str,
)
def test_first_picture_is_not_before_the_start_and_the_last_is_before_the_end(
    tmp_path: Path, segment: Segment, first: int, last: int, quick: bool
) -> None:
    path = numbered(tmp_path / "a.mkv", 40, 10)
    assert shown(path, segment, 10, quick) == list(range(first, last + 1))


def test_frame_numbers_at_another_rate_are_times(tmp_path: Path) -> None:
    """SEED-Bench counts at 15 fps; of a copy at 30 fps, frame 18 is its picture 36."""
    path = numbered(tmp_path / "a.mkv", 60, 30)
    assert shown(path, Segment.frames(18, 20, 15), 30) == [36, 37, 38, 39]


def test_a_segment_is_recoded_as_a_file_of_its_own(tmp_path: Path) -> None:
    pictures = moving(90)
    whole = write_video(tmp_path / "whole.mkv", pictures, codec="ffv1")
    part = write_video(tmp_path / "part.mkv", pictures[22:75], codec="ffv1")
    with reencode(whole, SETTINGS, Segment.frames(22, 75, 30)) as cut, reencode(part, SETTINGS) as alone:
        assert cut.frame_types == alone.frame_types
        mine, theirs = BytesIO(), BytesIO()
        cut.write(mine)
        alone.write(theirs)
    assert mine.getvalue() == theirs.getvalue()


SPARSE: dict[str, object] = {"codec": "libx264", "options": {"g": "30", "crf": "4"}}
"""A keyframe every three seconds, and B-frames between."""


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_the_shortcut_to_a_late_segment_changes_nothing(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = numbered(tmp_path / f"a.{suffix}", 400, 10, **(SPARSE if suffix != "avi" else {}))
    segment = Segment.seconds(24.5, 26.5)
    decoded: list[int] = []
    through = VideoFile._decode

    def counted(self: VideoFile, packets: object) -> object:
        for frame in through(self, packets):  # type: ignore[arg-type]
            decoded.append(1)
            yield frame

    monkeypatch.setattr(VideoFile, "_decode", counted)
    quickly = shown(path, segment, 10)
    assert quickly == [number % 60 for number in range(245, 265)]
    few, decoded[:] = len(decoded), []
    assert shown(path, segment, 10, quick=False) == quickly
    assert len(decoded) == 400
    assert few < (100 if suffix != "avi" else 270), "an AVI file is read from its beginning"


def test_a_shortcut_that_misses_its_place_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = numbered(tmp_path / "a.mp4", 400, 10, **SPARSE)
    segment = Segment.seconds(24.5, 28)
    with reencode(path, SETTINGS, segment) as right:
        kinds, sought = right.frame_types, BytesIO()
        right.write(sought)
    monkeypatch.setattr(source, "_SEEK_MARGIN", -9)
    with pytest.raises(OutOfOrderError), VideoFile(path) as file:
        list(file.segment_pictures(6, segment))
    with reencode(path, SETTINGS, segment) as again:
        read = BytesIO()
        again.write(read)
        assert again.frame_types == kinds
    assert read.getvalue() == sought.getvalue()


def test_varying_frame_rate_is_cut_by_time(tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.mkv", 8, 10, times=[0, 2, 3, 10, 11, 20, 30, 31])
    assert shown(path, Segment.seconds(0.25, 2.5), 10)[0] == 2
    slots = shown(path, Segment.seconds(0.25, 2.5), 10)
    assert slots == [2] * 7 + [3] + [4] * 9 + [5] * 5, "each is shown until the next one, the last until the end"


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        (Segment.seconds(9, 12), "has no picture in its segment 9-12 s; the last picture that was read is at 3.9 s"),
        (Segment.seconds(1.01, 1.05), "has no picture in its segment 1.01-1.05 s"),
        (Segment.seconds(1, 1.05), "has no frames at 6 per second in its segment 1-1.05 s"),
    ],
    ids=str,
)
def test_a_segment_without_pictures_is_refused(tmp_path: Path, segment: Segment, reason: str) -> None:
    path = numbered(tmp_path / "a.mkv", 40, 10)
    with pytest.raises(MediumError, match=reason):
        load_clips(path, SETTINGS, segment=segment)


def test_damage_within_the_segment_is_found(tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.mp4", 400, 10, **SPARSE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(MediumError):
        load_clips(path, SETTINGS, segment=Segment.seconds(24, 39))


def test_a_raw_stream_has_no_times() -> None:
    path = Path(__file__).parent / "fixtures" / "reencoded.m4v"
    with pytest.raises(MediumError, match="raw MPEG-4 stream without times"):
        load_clips(path, SETTINGS, segment=Segment.seconds(0, 1))


def test_the_cache_and_the_digest_tell_segments_apart(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving(150))
    cache = ClipCache(tmp_path / "cache")
    segments = [None, Segment.seconds(0, 4), Segment.seconds(1, 5)]
    clips = [load_clips(path, SETTINGS, cache, segment) for segment in segments]
    assert len({each.digest for each in clips}) == 3
    assert {each.file_digest for each in clips} == {digest_file(path)}
    assert clips[0].digest == clips[0].file_digest, "a whole file keeps its own digest"
    assert [medium_digest(digest_file(path), segment) for segment in segments] == [each.digest for each in clips]
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 3
    again = load_clips(path, SETTINGS, cache, segments[2])
    assert (again.keyframes == clips[2].keyframes).all()
    assert again.digest == clips[2].digest
    assert again.file_digest == clips[2].file_digest


def test_segments_are_exact_and_sound() -> None:
    assert Segment.seconds(1.2, 9.0) == Segment(Fraction(6, 5), Fraction(9))
    assert Segment.frames(18, 166, 15).start == Fraction(6, 5)
    for start, end in ((2, 2), (3, 1), (-1, 2)):
        with pytest.raises(ValueError, match="segment"):
            Segment.seconds(start, end)
