"""What must not change unnoticed between a source and its re-encoded stream."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from lavit_eval.video.clips import load_clips, stream_clips
from lavit_eval.video.reencode import reencode
from lavit_eval.video.settings import VideoSettings
from lavit_eval.video.source import OutOfOrderError, VideoFile
from lavit_eval.video.stream import Mpeg4Stream
from tests.video.made import HEIGHT, WIDTH, coded_bytes, moving, texture, write_video

SETTINGS = VideoSettings()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of moving texture at 30 per second, with B-frames."""
    return write_video(tmp_path_factory.mktemp("made") / "a.mp4", moving(300), options={"bf": "3"})


def vectors(stream: Mpeg4Stream) -> list[np.ndarray]:
    """The vectors of every frame."""
    return [frame.vectors for frame in stream.frames(pictured=())]


def test_six_per_second_in_groups_of_twelve(video: Path) -> None:
    with reencode(video, SETTINGS) as stream:
        assert stream.frame_types == ("I" + "P" * 11) * 5
        frames = list(stream.frames())
    assert {(frame.height, frame.width) for frame in frames} == {(HEIGHT, WIDTH)}
    assert [len(frame.vectors) == 0 for frame in frames] == [kind == "I" for kind in stream.frame_types]
    blocks = np.concatenate([frame.vectors for frame in frames])
    assert set(blocks[:, 0]) == {-1}
    assert {tuple(row) for row in blocks[:, 1:3]} == {(16, 16)}
    assert set(blocks[:, 9]) == {2}


def test_motion_points_where_the_texture_moves(video: Path) -> None:
    # A pixel per picture at 30 per second is 5 pixels at 6 per second.
    with reencode(video, SETTINGS) as stream:
        moved = np.concatenate(vectors(stream))
    pixels = moved[:, 0:1] * moved[:, 7:9] / moved[:, 9:10]
    assert np.median(pixels, axis=0).tolist() == [5, -5]


def test_encoder_threads_change_the_stream_and_are_pinned(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coded = {threads: coded_bytes(reencode(video, VideoSettings(encoder_threads=threads))) for threads in (1, 4, 16)}
    assert len(set(coded.values())) == 3
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert coded_bytes(reencode(video, SETTINGS)) == coded[16]


def test_100_repeats_give_the_same_bits(video: Path) -> None:
    with reencode(video, SETTINGS) as stream:
        first = vectors(stream)
        for _ in range(100):
            for found, expected in zip(vectors(stream), first, strict=True):
                assert np.array_equal(found, expected)


def test_types_of_the_source_do_not_force_i_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "intra.mp4", moving(120), options={"g": "1"})
    with reencode(path, SETTINGS) as stream:
        assert stream.frame_types == ("I" + "P" * 11) * 2


def test_hard_cut_makes_an_extra_i_frame(tmp_path: Path) -> None:
    flat = [np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)] * 120
    path = write_video(tmp_path / "cut.mp4", moving(100) + flat)
    with reencode(path, SETTINGS) as stream:
        assert stream.frame_types[20] == "I"
        assert stream.frame_types[:20] == "IPPPPPPPPPPPIPPPPPPP"


def test_skipping_unneeded_pictures_gives_the_same_stream(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(skip: bool) -> tuple[int, bytes]:
        seen = 0
        original = VideoFile._sound

        def counting(self: VideoFile, frame: Any) -> Any:
            nonlocal seen
            seen += 1
            return original(self, frame)

        with monkeypatch.context() as patch:
            patch.setattr(VideoFile, "_sound", counting)
            whole = VideoFile.pictures
            patch.setattr(VideoFile, "pictures", lambda self, fps, _: whole(self, fps, skip))
            coded = coded_bytes(reencode(video, SETTINGS))
        return seen, coded

    (all_seen, all_coded), (some_seen, some_coded) = decoded(False), decoded(True)
    assert all_seen == 300
    assert some_seen < 240
    assert some_coded == all_coded


def test_times_out_of_order_are_decoded_again_without_skipping(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = coded_bytes(reencode(video, SETTINGS))
    whole = VideoFile.pictures

    def distrustful(self: VideoFile, fps: int, skip: bool = True) -> Any:
        if skip:
            raise OutOfOrderError
        return whole(self, fps, skip)

    monkeypatch.setattr(VideoFile, "pictures", distrustful)
    assert coded_bytes(reencode(video, SETTINGS)) == expected


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (270, 3), (0, 0)])
def test_rotation_metadata_is_applied(tmp_path: Path, rotation: int, turns: int) -> None:
    pytest.importorskip("av", minversion="17", reason="this PyAV cannot write a display matrix")
    picture = texture()
    path = write_video(tmp_path / "turned.mp4", [picture] * 60, rotation=rotation, options={"crf": "5"})
    with reencode(path, SETTINGS) as stream:
        found = next(stream.frames()).picture
    assert found is not None
    expected = np.rot90(picture, turns)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 12


def test_full_range_is_converted_to_limited(tmp_path: Path) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    picture[:, WIDTH // 2 :] = 255
    for name, full in (("full", True), ("limited", False)):
        path = write_video(tmp_path / f"{name}.mp4", [picture] * 30, full_range=full)
        with av.open(str(path)) as container:
            frame: Any = next(container.decode(video=0))
            assert (frame.color_range == 2 or frame.format.name == "yuvj420p") == full
            assert int(frame.to_ndarray().min()) == (0 if full else 16)
        with reencode(path, SETTINGS) as stream:
            found = next(stream.frames()).picture
        assert found is not None
        assert found[:, 4].max() <= 3
        assert found[:, -4].min() >= 252


@pytest.mark.parametrize(("height", "width"), [(97, 131), (33, 16), (17, 50)])
def test_odd_sizes_are_kept(tmp_path: Path, height: int, width: int) -> None:
    path = write_video(tmp_path / "odd.mkv", moving(60, height, width), pix_fmt="yuv444p")
    with reencode(path, SETTINGS) as stream:
        clips = stream_clips(stream, SETTINGS)
        frame = next(stream.frames())
    assert (frame.height, frame.width) == (height, width)
    assert clips.keyframes.shape[1:] == (224, 224, 3)
    assert clips.motions.shape[1:] == (2, 24, 20, 36)


@pytest.mark.parametrize(
    "codec", [("mpeg4", "avi", "yuv420p"), ("libx265", "mp4", "yuv420p10le"), ("mjpeg", "avi", "yuvj422p")]
)
def test_other_codecs_and_pixel_formats(tmp_path: Path, codec: tuple[str, str, str]) -> None:
    name, suffix, pix_fmt = codec
    options = {"x265-params": "log-level=none"} if name == "libx265" else {}
    path = write_video(tmp_path / f"a.{suffix}", moving(60), codec=name, pix_fmt=pix_fmt, options=options)
    with reencode(path, SETTINGS) as stream:
        assert len(stream.frame_types) == 12


def test_variable_frame_rate_shows_each_picture_as_long_as_it_stands(tmp_path: Path) -> None:
    # Pictures at 0, 1, 2 and 5 seconds; the last lasts one tick.
    pictures = [np.full((HEIGHT, WIDTH, 3), level, dtype=np.uint8) for level in (20, 90, 160, 230)]
    path = write_video(tmp_path / "vfr.mkv", pictures, times=[0, 30, 60, 150])
    with reencode(path, SETTINGS) as stream:
        levels = [round(float(frame.picture.mean()), -1) for frame in stream.frames() if frame.picture is not None]
    assert levels[:30] == [20.0] * 6 + [90.0] * 6 + [160.0] * 18
    assert set(levels[30:]) <= {230.0}


def test_slower_source_repeats_pictures(tmp_path: Path) -> None:
    path = write_video(tmp_path / "slow.mp4", moving(16), rate=4)
    with reencode(path, SETTINGS) as stream:
        assert len(stream.frame_types) == 24


def test_very_short_video_still_makes_a_clip(tmp_path: Path) -> None:
    clips = load_clips(write_video(tmp_path / "short.mp4", moving(12)), SETTINGS)
    assert clips.frames == 2
    assert clips.starts == (0,)
    assert not clips.motions[0, :, 2:].any()


def test_one_frame_makes_a_clip_without_motion(tmp_path: Path) -> None:
    clips = load_clips(write_video(tmp_path / "one.mp4", moving(1), rate=2), SETTINGS)
    assert clips.starts == (0,)
    assert not clips.motions.any()


def test_equal_names_do_not_meet(tmp_path: Path) -> None:
    """Names alike up to their first dot, and with spaces, quotes and colons, are different videos."""
    names = ["a.1.mp4", "a.2.mp4", "it's 1:2 a $(b).mp4"]
    paths = [
        write_video(tmp_path / "tmp.mp4", moving(40, step=(step, 0))).rename(tmp_path / name)
        for step, name in enumerate(names, 1)
    ]
    digests = {coded_bytes(reencode(path, SETTINGS)) for path in paths}
    assert len(digests) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_full_disk_ends_the_decoding_thread(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = threading.active_count()
    monkeypatch.setattr(Mpeg4Stream, "append", full)
    with pytest.raises(OSError, match="No space left"):
        reencode(video, SETTINGS)
    assert threading.active_count() == before
