"""The coded stream: reading, skipping, and which library decodes it."""

from __future__ import annotations

import gc
from pathlib import Path

import av
import numpy as np
import pytest

from lavit_eval.errors import MediumError
from lavit_eval.video import stream as stream_module
from lavit_eval.video.clips import load_clips, stream_clips
from lavit_eval.video.reencode import reencode
from lavit_eval.video.settings import VideoSettings
from lavit_eval.video.stream import Mpeg4Stream, read_stream
from tests.video.made import coded_bytes, moving, write_video

SETTINGS = VideoSettings()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of moving texture."""
    return write_video(tmp_path_factory.mktemp("made") / "a.mp4", moving(300))


@pytest.fixture(scope="module")
def ready(video: Path) -> Path:
    """The same, re-encoded, under a name that says nothing of its kind."""
    path = video.with_name("ready.mp4")
    with reencode(video, SETTINGS) as stream:
        path.write_bytes(coded_bytes(stream))
    return path


def test_ready_stream_is_told_by_its_content_and_taken_as_it_is(video: Path, ready: Path) -> None:
    with read_stream(ready) as stream:
        assert coded_bytes(stream) == ready.read_bytes()
        assert stream.frame_types == ("I" + "P" * 11) * 5
    made, taken = load_clips(video, SETTINGS), load_clips(ready, SETTINGS)
    np.testing.assert_array_equal(made.motions, taken.motions)
    np.testing.assert_array_equal(made.keyframes, taken.keyframes)
    assert made.starts == taken.starts


def test_other_containers_are_no_ready_stream(video: Path) -> None:
    with pytest.raises(MediumError, match="no raw MPEG-4 stream"):
        read_stream(video)


def test_decoding_a_part_equals_that_part_of_decoding_all(ready: Path) -> None:
    with read_stream(ready) as stream:
        everything = list(stream.frames())
        for wanted in ([0], [59], [13], [12, 13, 40, 41], [5, 30, 31, 58], list(range(36, 60))):
            found = list(stream.frames(wanted))
            assert [frame.index for frame in found] == wanted
            for frame in found:
                np.testing.assert_array_equal(frame.vectors, everything[frame.index].vectors)
                assert frame.picture is not None
                assert everything[frame.index].picture is not None
                np.testing.assert_array_equal(frame.picture, everything[frame.index].picture)
        assert list(stream.frames([])) == []


def test_pictures_are_made_only_where_asked_for(ready: Path) -> None:
    with read_stream(ready) as stream:
        pictured = [frame.index for frame in stream.frames(range(12, 36), {12}) if frame.picture is not None]
    assert pictured == [12]


def test_stream_with_b_frames_is_decoded_in_showing_order(tmp_path: Path) -> None:
    path = write_video(tmp_path / "b.m4v", moving(60), codec="mpeg4", options={"bf": "2"}, container_format="m4v")
    with read_stream(path) as stream:
        kinds = stream.frame_types
        found = list(stream.frames([7, 20], ()))
        everything = list(stream.frames(pictured=()))
    assert "B" in kinds
    assert "".join(frame.kind for frame in everything) == kinds
    assert [frame.index for frame in found] == [7, 20]
    np.testing.assert_array_equal(found[1].vectors, everything[20].vectors)
    assert load_clips(path, SETTINGS).frames == len(kinds)


def test_packets_beyond_the_memory_go_to_a_file(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_clips(ready, SETTINGS)
    monkeypatch.setattr(stream_module, "SPOOL_BYTES", 1000)
    found = load_clips(ready, SETTINGS)
    np.testing.assert_array_equal(found.motions, expected.motions)
    np.testing.assert_array_equal(found.keyframes, expected.keyframes)


def test_no_i_frame_is_refused_in_one_sentence() -> None:
    with Mpeg4Stream("a.mp4") as stream:
        stream.append(av.Packet(10), "P")
        with pytest.raises(MediumError, match=r"^video a\.mp4 has no I-frame .*\.$"):
            stream_clips(stream, SETTINGS)


def test_damaged_stream_is_refused(ready: Path, tmp_path: Path) -> None:
    content = bytearray(ready.read_bytes())
    place = content.index(b"\0\0\1\xb6") + 200
    content[place : place + 600] = bytes(600)
    path = tmp_path / "damaged.m4v"
    path.write_bytes(bytes(content))
    with pytest.raises(MediumError, match="damaged"):
        load_clips(path, SETTINGS)


@pytest.mark.slow
def test_frames_do_not_pile_up(ready: Path) -> None:
    """Looking at a frame's vectors makes a reference cycle in PyAV; a video's frames must not wait for a collection."""
    gc.collect()
    gc.disable()
    try:
        with read_stream(ready) as stream:
            most = 0
            for _ in stream.frames(pictured=()):
                most = max(most, sum(type(each).__name__ == "SideDataContainer" for each in gc.get_objects()))
    finally:
        gc.enable()
    assert 0 < most <= 2 * stream_module._FRAMES_ALIVE


def test_second_back_end_gives_the_same_vectors(video: Path) -> None:
    pytest.importorskip(
        "mvextractor.videocap",
        reason="motion-vector-extractor is not installed (extra mvextractor)",
        exc_type=ImportError,
    )
    from lavit_eval.video.extractor import extracted_frames

    with reencode(video, SETTINGS) as stream:
        ours, theirs = list(stream.frames()), list(extracted_frames(stream))
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.kind, one.height, one.width) == (other.kind, other.height, other.width)
        np.testing.assert_array_equal(one.vectors, other.vectors)
        # Its old libav may round the inverse transform otherwise.
        assert np.abs(one.picture.astype(int) - other.picture).max() <= 2
    ours_clips = load_clips(video, SETTINGS)
    theirs_clips = load_clips(video, VideoSettings(backend="mvextractor"))
    np.testing.assert_array_equal(ours_clips.motions, theirs_clips.motions)
    assert ours_clips.starts == theirs_clips.starts
