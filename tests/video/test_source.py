"""Files that cannot be used, each refused in one sentence that names it."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from lavit_eval.errors import MediumError
from lavit_eval.video.clips import load_clips
from lavit_eval.video.disposable import is_reference, nal_length_size
from lavit_eval.video.settings import VideoSettings
from tests.video.made import moving, write_video

SETTINGS = VideoSettings()


def refused(path: Path, because: str) -> None:
    """Assert that a file is refused for a reason in one sentence."""
    with pytest.raises(MediumError, match=because) as caught:
        load_clips(path, SETTINGS)
    message = str(caught.value)
    assert str(path) in message
    assert message.endswith(".")
    assert "\n" not in message


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "absent.mp4", "cannot be read|does not exist")


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").mkdir()
    refused(tmp_path / "a.mp4", "cannot be read|does not exist")


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    refused(path, "empty")


def test_text_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("this is no video\n" * 100)
    refused(path, "cannot be opened|no video stream")


def test_sound_without_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    refused(path, "no video stream")


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.mp4", {}), ("a.mp4", {"movflags": "faststart"}), ("a.mkv", {}), ("a.avi", {})],
)
@pytest.mark.parametrize("share", [0.35, 0.6])
def test_truncated_file(tmp_path: Path, name: str, options: dict[str, str], share: float) -> None:
    whole = write_video(tmp_path / f"whole-{name}", moving(150), container_options=options)
    content = whole.read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "truncated")


def test_file_cut_between_two_pictures(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", moving(150), options={"bf": "0"}).read_bytes()
    place = whole.index(b"00dc", len(whole) // 2)
    path = tmp_path / "a.avi"
    path.write_bytes(whole[:place])
    refused(path, "truncated")


def test_damage_is_found_every_time(tmp_path: Path) -> None:
    """With frame threads libav reports it in some runs only."""
    whole = write_video(tmp_path / "whole.mp4", moving(150))
    content = bytearray(whole.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 4000] = bytes(range(250)) * 16
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(content))
    for _ in range(10):
        refused(path, "truncated or damaged")


@pytest.mark.parametrize("share", [0.35, 0.6])
def test_cut_elementary_stream_is_found_every_time(tmp_path: Path, share: float) -> None:
    whole = write_video(tmp_path / "whole.h264", moving(150), container_format="h264").read_bytes()
    path = tmp_path / "a.h264"
    path.write_bytes(whole[: int(len(whole) * share)])
    for _ in range(10):
        refused(path, "truncated or damaged")


def test_too_short_for_the_rate(tmp_path: Path) -> None:
    """One picture of a 25th second ends before the middle of the first sixth: the ffmpeg command writes nothing."""
    refused(write_video(tmp_path / "a.mp4", moving(1), rate=25), "no frames at 6 per second")


def test_whole_files_of_the_same_kinds_pass(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.avi", "a.ts"):
        assert load_clips(write_video(tmp_path / name, moving(150)), SETTINGS).frames == 30


def test_reference_pictures_are_told_in_both_framings() -> None:
    assert nal_length_size(bytes([1, 100, 0, 30, 0xFF, 0xE1])) == 4
    assert nal_length_size(bytes([0, 0, 0, 1, 0x67])) == 0
    assert nal_length_size(None) == 0
    sei, dropped, kept = bytes([0x06, 1, 2]), bytes([0x01, 9, 9]), bytes([0x41, 9, 9])

    def by_length(*units: bytes) -> bytes:
        return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)

    def by_start_code(*units: bytes) -> bytes:
        return b"".join(b"\0\0\1" + unit for unit in units)

    for frame, length_size in ((by_length, 4), (by_start_code, 0)):
        assert not is_reference(frame(sei, dropped), length_size)
        assert not is_reference(frame(dropped, dropped), length_size)
        assert is_reference(frame(dropped, kept), length_size)
        assert is_reference(frame(sei), length_size)
        assert is_reference(b"", length_size)
