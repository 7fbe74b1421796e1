"""A folder of pictures at a rate is the video that its pictures make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lavit_eval.errors import MediumError
from lavit_eval.sample import Segment
from lavit_eval.video.clips import load_clips
from lavit_eval.video.picture_folder import folder_digest, pictures_of
from lavit_eval.video.settings import VideoSettings
from lavit_eval.video.source import VideoFile
from tests.video.made import moving

SETTINGS = VideoSettings(encoder_threads=1)
STEP = 6


def frames(folder: Path, count: int, suffix: str = "png", first: int = 1) -> Path:
    """Write pictures 00001, 00002, ... whose grey says their place, from 0."""
    folder.mkdir(parents=True)
    for place in range(count):
        picture = Image.fromarray(np.full((32, 32, 3), 10 + STEP * place, np.uint8))
        picture.save(folder / f"{first + place:05d}.{suffix}")
    return folder


def shown(folder: Path, segment: Segment, fps: int = 3) -> list[int]:
    with VideoFile(folder, 3) as file:
        greys = [frame.to_ndarray(format="rgb24").mean() for frame in file.segment_pictures(fps, segment)]
    return [round((grey - 10) / STEP) for grey in greys]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_pictures_are_shown_at_their_rate(tmp_path: Path, suffix: str) -> None:
    folder = frames(tmp_path / "a [b] 100%", 30, suffix)
    assert shown(folder, Segment.seconds(0, 100)) == list(range(30))
    assert shown(folder, Segment.seconds(1, 3)) == [3, 4, 5, 6, 7, 8]
    assert shown(folder, Segment.seconds(1.2, 3.2)) == [4, 5, 6, 7, 8, 9]
    assert shown(folder, Segment.seconds(1.2, 3.1), fps=6) == [4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9]
    assert shown(folder, Segment.seconds(1, 2), fps=6) == [3, 3, 4, 4, 5, 5]


def test_clips_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "episode"
    folder.mkdir()
    for place, picture in enumerate(moving(40)):
        Image.fromarray(picture).save(folder / f"{place:05d}.png")
    whole = load_clips(folder, SETTINGS, rate=3)
    assert whole.frames == 80, "each picture fills two of six slots a second"
    part = load_clips(folder, SETTINGS, segment=Segment.seconds(2, 8), rate=3)
    assert part.frames == 36
    assert whole.file_digest == part.file_digest == folder_digest(folder, 3)
    assert len({whole.digest, part.digest, folder_digest(folder, 4)}) == 3


def test_the_digest_is_that_of_names_and_contents(tmp_path: Path) -> None:
    one, same, other = (frames(tmp_path / name, 3, first=first) for name, first in (("a", 1), ("b", 1), ("c", 2)))
    assert folder_digest(one, 3) == folder_digest(same, 3) != folder_digest(other, 3)
    (same / "00002.png").write_bytes((same / "00001.png").read_bytes())
    assert folder_digest(one, 3) != folder_digest(same, 3)


def test_folders_that_are_no_video_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    mixed, unsorted, hollow = (frames(tmp_path / name, 3) for name in ("mixed", "unsorted", "hollow"))
    (mixed / "00002.png").rename(mixed / "00002.jpg")
    (unsorted / "00003.png").rename(unsorted / "3.png")
    (hollow / "00002.png").write_bytes(b"")
    for folder, reason in (
        (tmp_path / "absent", "is no folder that can be read"),
        (tmp_path / "empty", "is a folder without pictures"),
        (mixed, "two kinds or lengths"),
        (unsorted, "two kinds or lengths"),
        (hollow, "00002.png is empty"),
    ):
        with pytest.raises(MediumError, match=reason):
            load_clips(folder, SETTINGS, rate=3)


def test_other_files_beside_the_pictures_do_not_count(tmp_path: Path) -> None:
    folder = frames(tmp_path / "a", 3)
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "._00001.png").write_bytes(b"x")
    assert len(pictures_of(folder)) == 3


def test_a_damaged_picture_fails_the_video(tmp_path: Path) -> None:
    folder = frames(tmp_path / "a", 9)
    (folder / "00005.png").write_bytes((folder / "00005.png").read_bytes()[:40])
    with pytest.raises(MediumError):
        load_clips(folder, SETTINGS, rate=3)
