"""The re-encoded stream against the ffmpeg command's, where that is installed."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest

from lavit_eval.video.reencode import reencode
from lavit_eval.video.settings import VideoSettings
from tests.video.made import coded_bytes, moving, write_video

FFMPEG = shutil.which("ffmpeg")
pytestmark = pytest.mark.skipif(FFMPEG is None, reason="the ffmpeg command is not installed")


def without_user_data(stream: bytes) -> bytes:
    """Leave out MPEG-4 user data, which names the encoder's version."""
    source, kept, place = stream, io.BytesIO(), 0
    while (start := source.find(b"\0\0\1\xb2", place)) >= 0:
        kept.write(source[place:start])
        following = source.find(b"\0\0\1", start + 4)
        place = following if following >= 0 else len(source)
    kept.write(source[place:])
    return kept.getvalue()


def by_command(path: Path, threads: int) -> bytes:
    """Re-encode as the reference does, with the encoder's threads said."""
    target = path.with_suffix(".reference")
    command = [str(FFMPEG), "-loglevel", "error", "-y", "-i", str(path), "-vf", "fps=6", "-c:v", "mpeg4"]
    command += ["-b:v", "8000k", "-threads", str(threads), "-f", "rawvideo", str(target)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return target.read_bytes()


def made(path: Path, arguments: list[str]) -> Path:
    """Make a variant of a file by the command itself."""
    subprocess.run(
        [str(FFMPEG), "-loglevel", "error", "-y", *arguments, str(path)], check=True, stdin=subprocess.DEVNULL
    )
    return path


def same(path: Path, threads: int = 16) -> None:
    """Assert that both ways give the same bytes but for the encoder's name."""
    with reencode(path, VideoSettings(encoder_threads=threads)) as stream:
        ours = without_user_data(coded_bytes(stream))
    theirs = without_user_data(by_command(path, threads))
    assert ours.count(b"\0\0\1\xb6") == theirs.count(b"\0\0\1\xb6")
    assert ours == theirs


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds with B-frames."""
    return write_video(tmp_path_factory.mktemp("made") / "a.mp4", moving(150), options={"bf": "3"})


@pytest.mark.parametrize("threads", [1, 3, 8, 16])
def test_plain_file(video: Path, threads: int) -> None:
    same(video, threads)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "flv", "h264", "avi"])
def test_other_containers(video: Path, suffix: str) -> None:
    same(made(video.with_suffix(f".{suffix}"), ["-i", str(video), "-c", "copy"]))


def test_late_start_beside_sound_is_filled(video: Path, tmp_path: Path) -> None:
    sound = ["-f", "lavfi", "-i", "sine=duration=5", "-c:v", "copy"]
    same(made(tmp_path / "late.mp4", ["-itsoffset", "0.7", "-i", str(video), *sound]))
    same(made(tmp_path / "late.mkv", ["-itsoffset", "0.7", "-i", str(video), *sound]))
    same(made(tmp_path / "late.ts", ["-itsoffset", "0.7", "-i", str(video), *sound]))


def test_edit_list(video: Path, tmp_path: Path) -> None:
    same(made(tmp_path / "edited.mp4", ["-ss", "1.3", "-i", str(video), "-c", "copy"]))


def test_variable_frame_rate(tmp_path: Path) -> None:
    # No B-frames and a regular end: generations of libav differ in the length that they give the last picture.
    times = [0, 1, 2, 9, 10, 11, 40, 41, 70, 99, 100, 101]
    same(write_video(tmp_path / "a.mp4", moving(len(times)), times=times, options={"bf": "0"}))


def test_avi(tmp_path: Path) -> None:
    same(write_video(tmp_path / "a.avi", moving(100), options={"bf": "0"}))


@pytest.mark.parametrize(("rate", "count"), [(4, 16), (25, 10), (60, 200), (2, 1), (5, 7)])
def test_other_rates_and_lengths(tmp_path: Path, rate: int, count: int) -> None:
    same(write_video(tmp_path / "a.mp4", moving(count), rate=rate))


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_rotation(tmp_path: Path, angle: int) -> None:
    pytest.importorskip("av", minversion="17", reason="this PyAV cannot write a display matrix")
    same(write_video(tmp_path / "a.mp4", moving(60), rotation=angle))


def test_ten_bit_source(tmp_path: Path) -> None:
    same(write_video(tmp_path / "a.mp4", moving(60), pix_fmt="yuv420p10le"))
