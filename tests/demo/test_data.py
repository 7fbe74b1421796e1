"""The folder is made once, whole or not at all, by one of any number of processes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lavit_eval.demo import DEMO_COUNTS, DEMO_VERSION, layouts, make_demo_data
from lavit_eval.errors import UsageError
from tests.demo.conftest import IMAGES, VIDEOS


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def start(root: Path, videos: int = 1) -> subprocess.Popen[bytes]:
    code = "import sys; from pathlib import Path; from lavit_eval.demo import make_demo_data as make; "
    code += "make(Path(sys.argv[1]), videos=int(sys.argv[2]), images=1)"
    return subprocess.Popen([sys.executable, "-c", code, str(root), str(videos)])


def test_the_marker_lists_every_file(demo_root: Path) -> None:
    marker = json.loads((demo_root / "DEMO.json").read_text())
    assert marker["version"] == DEMO_VERSION
    assert (marker["seed"], marker["counts"]) == (0, {"videos": VIDEOS, "images": IMAGES})
    listed = {name: file["sha256"] for name, file in marker["files"].items()}
    found = contents(demo_root)
    assert listed == {name: digest for name, digest in found.items() if name != "DEMO.json"}
    assert "README.txt" in listed
    assert DEMO_COUNTS == {
        "msvd_qa": 64,
        "msrvtt_qa": 64,
        "vqav2": 48,
        "coco_karpathy_test": 16,
        "msvd_qa_likelihood": 64,
        "msrvtt_qa_likelihood": 64,
        "vqav2_likelihood": 48,
        "coco_karpathy_test_likelihood": 16,
        "msrvtt_t2v_demo": 8,
        "ucf101_t2v_demo": 8,
        "mscoco_t2i_30k_demo": 4,
        "long_video_demo": 4,
        "image_to_video_demo": 8,
        "video_reconstruction_demo": 8,
    }


def test_two_makes_give_equal_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    one = contents(make_demo_data(tmp_path / "one", videos=1, images=2))
    assert contents(make_demo_data(tmp_path / "two", videos=1, images=2)) == one
    other = contents(make_demo_data(tmp_path / "three", seed=1, videos=1, images=2))
    for name in (
        "MSVD-QA/video/vid1301.avi",
        "UCF-101/JumpRope/v_JumpRope_g01_c01.avi",
        "EvalCrafter/prompt700.txt",
        "coco/annotations/MS-COCO_val2014_30k_captions.csv",
    ):
        assert other[name] != one[name]


def test_a_complete_folder_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_demo_data(tmp_path / "data", videos=1, images=1)
    monkeypatch.setattr(layouts, "write_msvd_qa", None)
    assert make_demo_data(root, videos=1, images=1) == root


@pytest.mark.parametrize("harm", ["missing", "short", "marker"])
def test_an_incomplete_folder_is_made_anew(tmp_path: Path, harm: str) -> None:
    root = make_demo_data(tmp_path / "data", videos=1, images=1)
    before = contents(root)
    if harm == "missing":
        (root / "vqav2" / "v2_mscoco_val2014_annotations.json").unlink()
    elif harm == "short":
        clip = root / "MSVD-QA" / "video" / "vid1301.avi"
        clip.write_bytes(clip.read_bytes()[:1000])
    else:
        (root / "DEMO.json").write_text("{")
    assert contents(make_demo_data(root, videos=1, images=1)) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == ["data"]


def test_another_size_is_made_in_place(tmp_path: Path) -> None:
    root = make_demo_data(tmp_path / "data", videos=1, images=1)
    make_demo_data(root, videos=1, images=2)
    assert len(list((root / "coco" / "val2014").iterdir())) == 2


def test_a_killed_maker_leaves_nothing_half_made(tmp_path: Path) -> None:
    root = tmp_path / "data"
    maker = start(root, videos=40)
    try:
        while not list(tmp_path.glob(".data.making/MSVD-QA/video/*.avi")) and maker.poll() is None:
            time.sleep(0.01)
        os.kill(maker.pid, signal.SIGKILL)
    finally:
        assert maker.wait() == -signal.SIGKILL
    assert not root.exists()
    make_demo_data(root, videos=1, images=1)
    assert contents(root) == contents(make_demo_data(tmp_path / "other", videos=1, images=1))
    assert not (tmp_path / ".data.making").exists()


def test_makers_that_start_at_once_agree(tmp_path: Path) -> None:
    makers = [start(tmp_path / "data") for _ in range(3)]
    assert [maker.wait() for maker in makers] == [0, 0, 0]
    assert contents(tmp_path / "data") == contents(make_demo_data(tmp_path / "other", videos=1, images=1))


def test_other_peoples_files_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="--data-root"):
        make_demo_data(tmp_path / "data", videos=1, images=1)
    assert contents(tmp_path / "data").keys() == {"mine.txt"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    assert (make_demo_data(tmp_path, videos=1, images=1) / "DEMO.json").is_file()


def test_a_full_disk_is_one_sentence_and_leaves_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(root: Path, seed: int, videos: int) -> None:
        (root / "MSRVTT-QA").mkdir()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(layouts, "write_msrvtt_qa", full)
    with pytest.raises(UsageError, match="No space left on device"):
        make_demo_data(tmp_path / "data", videos=1, images=1)
    assert not any("data" in path.name and path.suffix != ".lock" for path in tmp_path.iterdir())


def test_importing_the_package_is_light() -> None:
    code = "import sys, lavit_eval.demo; sys.exit(bool({'av', 'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
