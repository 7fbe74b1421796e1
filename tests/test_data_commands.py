"""`data check` says all that is wrong at once with the run's own exit codes; `data prepare` fills the layout."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lavit_eval.cards import Card, Count, FileDigest, SplitFacts, read_card
from lavit_eval.cli import main
from lavit_eval.data_check import Thoroughness, check_task, opening_fault
from lavit_eval.data_prepare import archive_named, errands
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium
from lavit_eval.task import Task
from tests.benchmarks.image_layouts import packed, write_pope
from tests.benchmarks.layouts import coco_name
from tests.tiny_world import msvd_task, write_msvd

ALL = Thoroughness(threads=2)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def write_video(path: Path) -> None:
    """Write a second of video."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=6)
        stream.width = stream.height = 32
        for shade in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), shade * 30, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def made(root: Path, videos: int = 3) -> Task:
    """Write MSVD-QA with videos that open; return the task."""
    count = write_msvd(root, videos=videos, questions=2)
    for path in (root / "MSVD-QA" / "video").iterdir():
        write_video(path)
    return msvd_task(count, root.parent / "tasks")


def check(task: Task, root: Path, *more: str) -> int:
    folder = root.parent / "tasks"
    return main(["data", "check", task.task, "--data-root", str(root), "--task-dir", str(folder), *more])


def test_sound_data_are_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = made(tmp_path / "data")
    assert check(task, tmp_path / "data") == 0
    said = capsys.readouterr().out
    assert "media: 3 of 3 open" in said and said.rstrip().endswith("fine")


def test_missing_media_stop_a_run_and_with_allow_missing_they_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = made(tmp_path / "data")
    (tmp_path / "data" / "MSVD-QA" / "video" / "vid2.avi").unlink()
    assert check(task, tmp_path / "data") == 2
    said = capsys.readouterr().out
    assert "vid2.avi is missing" in said and "4 of 6 samples have all their media" in said
    assert "YouTubeClips.tar" in said and "derived from MSVD; for research only" in said
    assert check(task, tmp_path / "data", "--allow-missing") == 3


def test_media_that_do_not_open_fail_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = made(tmp_path / "data")
    video = tmp_path / "data" / "MSVD-QA" / "video" / "vid2.avi"
    video.write_bytes(video.read_bytes()[:600])
    assert check(task, tmp_path / "data") == 3
    assert "1 media fail" in capsys.readouterr().out
    assert check(task, tmp_path / "data", "--quick") == 0
    assert "not opened (--quick)" in capsys.readouterr().out


def test_a_name_in_other_letters_case_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = made(tmp_path / "data")
    folder = tmp_path / "data" / "MSVD-QA" / "video"
    (folder / "vid2.avi").rename(folder / "Vid2.avi")
    assert check(task, tmp_path / "data") == 2
    assert "Vid2.avi, whose name differs in letters' case: rename it" in capsys.readouterr().out
    arguments = ["run", "--model", "constant", "--tasks", task.task, "--task-dir", str(tmp_path / "tasks")]
    assert main([*arguments, "--data-root", str(tmp_path / "data")]) == 2
    assert "Vid2.avi, whose name differs in letters' case from" in capsys.readouterr().err


def test_a_folder_in_other_letters_case_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = made(tmp_path / "data")
    folder = tmp_path / "data" / "MSVD-QA" / "video"
    folder.rename(folder.with_name("Video"))
    assert check(task, tmp_path / "data", "--quick") == 2
    assert f"there is {folder.with_name('Video')}, whose name differs" in capsys.readouterr().out


def test_many_problems_are_all_in_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    task = msvd_task(write_msvd(root, videos=30, questions=1), tmp_path / "tasks")
    for path in (root / "MSVD-QA" / "video").iterdir():
        path.unlink()
    assert check(task, root, "--output-dir", str(tmp_path / "out")) == 2
    said = capsys.readouterr().out
    listed = tmp_path / "out" / "data-check" / "made_qa.txt"
    assert f"and 10 more; all 30 are in {listed}" in said and said.count("problem: ") == 20
    assert len(listed.read_text().splitlines()) == 30


def test_annotations_that_are_absent_or_wrong_are_said_with_where_to_get_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = made(tmp_path / "data")
    path = tmp_path / "data" / "MSVD-QA" / "test_qa.json"
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([*rows, rows[0]]))
    assert check(task, tmp_path / "data") == 2
    assert "has the id of entry 1" in capsys.readouterr().out
    path.unlink()
    assert check(task, tmp_path / "data") == 2
    assert "MSVD-QA.zip: train_qa.json" in capsys.readouterr().out


def carded(monkeypatch: pytest.MonkeyPatch, task: Task, *counts: Count, digests: tuple[FileDigest, ...] = ()) -> None:
    """Let a task's card know these facts."""
    assert task.samples is not None
    facts = SplitFacts(split=task.split, samples=task.samples, counts=counts, digests=digests)
    card: Card = read_card(task.benchmark).model_copy(update={"splits": (facts,)})
    monkeypatch.setattr("lavit_eval.data_check.card_of", lambda _: card)


def test_counts_that_were_read_are_problems_and_those_from_memory_are_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = made(tmp_path / "data")
    carded(
        monkeypatch,
        task,
        Count(of="samples", count=6, sure="counted"),
        Count(of="media", count=4, sure="counted"),
        Count(of="references", count=7, sure="remembered"),
        Count(of="question_word=what", count=6, sure="read"),
        Count(of="answer=cat", count=3, sure="read"),
    )
    found = check_task(task, tmp_path / "data", ALL)
    assert found.problems == [
        "media: 3, but the official split has 4: take the official files, unchanged",
    ]
    assert found.notes == ["references: 6, where 7 were expected (remembered, so that this may be right)"]
    assert "answer=cat: 3, as it should be (read)" in found.facts and found.exit_code == 2


def test_a_file_of_another_version_is_seen_by_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    task = made(tmp_path / "data")
    content = (tmp_path / "data" / "MSVD-QA" / "test_qa.json").read_bytes()
    right = FileDigest(file="test_qa.json", begins=hashlib.sha256(content).hexdigest()[:12])
    carded(monkeypatch, task, digests=(right,))
    assert check_task(task, tmp_path / "data", ALL).exit_code == 0
    right_md5 = FileDigest(file="test_qa.json", algorithm="md5", begins=hashlib.md5(content).hexdigest())
    carded(monkeypatch, task, digests=(right_md5,))
    assert check_task(task, tmp_path / "data", ALL).exit_code == 0
    carded(monkeypatch, task, digests=(FileDigest(file="test_qa.json", begins="0123456789ab"),))
    assert "another version" in check_task(task, tmp_path / "data", ALL).problems[0]


def test_images_are_decoded_whole(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_pope(root / "pope")
    (tmp_path / "tasks").mkdir()
    task = Task.model_validate(
        {
            "task": "mine",
            "benchmark": "pope",
            "split": "test",
            "samples": 6,
            "request": "answer",
            "prompt": "{question}",
            "metrics": ["pope_f1"],
            "primary": "pope_f1",
        }
    )
    image = root / "pope" / "val2014" / coco_name(900001)
    Image.new("RGB", (64, 64), (9, 9, 9)).save(image)
    assert check_task(task, root, ALL).exit_code == 0
    image.write_bytes(image.read_bytes()[:-200])
    assert "cannot be decoded" in check_task(task, root, ALL).failures[0]


def test_prepare_without_files_says_what_to_get(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "prepare", "mme", "--data-root", str(tmp_path / "data")]) == 0
    said = capsys.readouterr().out
    assert "MME_Benchmark_release_version.zip" in said and "by hand: The images are given on request" in said
    assert "nothing is downloaded" in said and not (tmp_path / "data").exists()


def test_prepare_fills_the_layout_that_check_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = made(tmp_path / "source")
    folder = tmp_path / "source" / "MSVD-QA"
    with zipfile.ZipFile(tmp_path / "MSVD-QA.zip", "w") as questions:
        questions.write(folder / "test_qa.json", "MSVD-QA/test_qa.json")
    with zipfile.ZipFile(tmp_path / "YouTubeClips.tar", "w") as clips:  # a zip by its content, whatever its name
        for path in (folder / "video").iterdir():
            clips.write(path, f"YouTubeClips/{path.name}")
    root = tmp_path / "data"
    common = ["data", "prepare", task.task, "--data-root", str(root), "--task-dir", str(tmp_path / "tasks")]
    assert main([*common, "MSVD-QA.zip"]) == 0
    assert "not ready yet: " in capsys.readouterr().out
    assert main([*common, "MSVD-QA.zip", "YouTubeClips.tar"]) == 0
    said = capsys.readouterr().out
    assert "1 were there already" in said and "not ready yet" not in said
    assert check(task, root) == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("MSVD_QA.zip", r"none of the files of this benchmark.*Did you mean MSVD-QA.zip"),
        ("absent.zip", "does not exist"),
    ],
)
def test_prepare_refuses_what_it_does_not_know(
    name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile("MSVD_QA.zip", "w") as packed:
        packed.writestr("test_qa.json", "[]")
    with pytest.raises(UsageError, match=said):
        errands(read_card("msvd_qa"), [tmp_path / name], tmp_path / "data", None)
    found = errands(read_card("msvd_qa"), [tmp_path / "MSVD_QA.zip"], tmp_path / "data", "MSVD-QA")
    assert found[0].into == tmp_path / "data" / "MSVD-QA" and found[0].packed
    with pytest.raises(UsageError, match="below the data root"):
        errands(read_card("msvd_qa"), [tmp_path / "MSVD_QA.zip"], tmp_path / "data", "../out")


def test_a_rar_is_left_to_the_user(tmp_path: Path) -> None:
    (tmp_path / "UCF101.rar").write_bytes(b"Rar!")
    with pytest.raises(UsageError, match="unrar x"):
        errands(read_card("ucf101"), [tmp_path / "UCF101.rar"], tmp_path, None)


def test_numbered_archives_are_known() -> None:
    found = archive_named(read_card("video_mme"), "videos_chunked_07.zip")
    assert found is not None and found.into == "video_mme/data"
    assert archive_named(read_card("video_mme"), "videos.zip") is None


def test_a_table_whose_images_are_none_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "data" / "mmbench" / "MMBench_DEV_EN.tsv"
    table.parent.mkdir(parents=True)
    head = "index\tquestion\thint\tA\tB\tanswer\tcategory\timage\n"

    def said(cell: str) -> str:
        table.write_text(f"{head}1\tWhich?\t\tone\ttwo\tA\tx\t{cell}\n")
        assert main(["data", "check", "mmbench", "--data-root", str(tmp_path / "data")]) == 2
        return capsys.readouterr().out

    assert "line 2 holds an image that is no base64" in said("not base64!")
    assert "line 2 holds an image that is none" in said("aGVsbG8gd29ybGQ=")
    assert "line 2 holds a NUL byte" in said(packed((1, 2, 3)) + "\0")


def test_threads_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    task = made(tmp_path / "data", videos=9)
    here: set[str] = set()

    def note(medium: Any) -> None:
        here.add(threading.current_thread().name)

    monkeypatch.setattr("lavit_eval.data_check.opening_fault", note)
    check_task(task, tmp_path / "data", Thoroughness(threads=2))
    assert 1 <= len(here) <= 2
    assert os.path.exists(tmp_path / "data")


def test_a_folder_of_frames_opens_by_its_first_picture(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    medium = Medium("video", str(folder), "frames")
    assert "is empty" in (opening_fault(medium) or "")
    Image.new("RGB", (8, 8)).save(folder / "00001.jpg")
    assert opening_fault(medium) is None
    (folder / "00000.jpg").write_bytes(b"no image")
    assert "cannot be decoded" in (opening_fault(medium) or "")
