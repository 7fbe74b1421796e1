"""A real video becomes 24 frames and their motion, as they are reconstructed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lavit_eval.errors import MediumError
from lavit_eval.models.video_lavit.draws import SeededDraws
from lavit_eval.models.video_lavit.recording import load_recording, regular_starts
from lavit_eval.video.reencode import reencode
from lavit_eval.video.settings import VideoSettings
from lavit_eval.video.vectors import block_map, clip_motion
from tests.models.video_lavit.media import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "square.mp4", seed=1, seconds=6)


class At(SeededDraws):
    """Gives one uniform number."""

    def __init__(self, number: float) -> None:
        super().__init__(0)
        self.number = number

    def uniform(self, name: str) -> float:
        assert name == "clip_start"
        return self.number


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (("I" + "P" * 11) * 4, [0, 12, 24]),
        (("I" + "P" * 11) * 2, [0]),
        ("I" + "P" * 11 + "I" + "P" * 10, []),
        ("I" + "P" * 29, [0]),
        ("I" + "P" * 20, []),
        ("I" + "P" * 5 + ("I" + "P" * 11) * 3, [6, 18]),
        ("P" * 40, []),
        ("", []),
    ],
)
def test_clips_begin_where_two_whole_groups_follow(types: str, expected: list[int]) -> None:
    assert regular_starts(types) == expected


def test_frames_and_motion_are_those_of_the_stream(video: Path) -> None:
    found = load_recording(video, 72, 48, "raw", At(0.5))
    with reencode(video, VideoSettings(fps=12)) as stream:
        starts = regular_starts(stream.frame_types)
        assert found.start == starts[len(starts) // 2]
        frames = list(stream.frames(range(found.start, found.start + 24)))
    assert found.frames.shape == (24, 48, 72, 3)
    for frame, coded in zip(found.frames, frames, strict=True):
        assert coded.picture is not None
        resized = Image.fromarray(coded.picture).resize((72, 48), Image.Resampling.BICUBIC)
        assert torch.equal(frame, torch.from_numpy(np.array(resized)))
    maps = [block_map(coded.vectors, coded.height, coded.width, rescale=False) for coded in frames]
    assert torch.equal(found.motion, clip_motion(maps, 6, 9))
    assert float(found.motion.abs().max()) > 0


def test_on_the_way_to_tokens_motion_is_ten_times_as_large(video: Path) -> None:
    raw = load_recording(video, 288, 160, "raw", At(0.0))
    tokens = load_recording(video, 288, 160, "tokens", At(0.0))
    assert tokens.motion.shape == raw.motion.shape == (2, 24, 20, 36)
    torch.testing.assert_close(tokens.motion, 10 * raw.motion, rtol=1e-4, atol=1e-5)
    assert load_recording(video, 64, 64, "tokens", At(0.0)).motion.shape == (2, 24, 20, 36)


def test_the_seed_chooses_among_all_clips(video: Path) -> None:
    starts = [load_recording(video, 64, 64, "raw", At(number)).start for number in (0.0, 0.19, 0.21, 0.5, 0.7, 0.99)]
    assert starts == [0, 0, 12, 24, 36, 48]
    assert len({load_recording(video, 64, 64, "raw", SeededDraws(seed)).start for seed in range(6)}) > 1
    assert load_recording(video, 64, 64, "raw", At(1.0)).start == 48
    assert load_recording(video, 64, 64, "raw", SeededDraws(3)).start == (
        load_recording(video, 64, 64, "raw", SeededDraws(3)).start
    )


def test_a_video_too_short_is_refused(tmp_path: Path) -> None:
    short = write_video(tmp_path / "short.mp4", seed=1, seconds=1)
    with pytest.raises(MediumError, match="no clip of 24 frames"):
        load_recording(short, 64, 64, "raw", SeededDraws(0))
    with pytest.raises(MediumError, match="does not exist"):
        load_recording(tmp_path / "none.mp4", 64, 64, "raw", SeededDraws(0))
