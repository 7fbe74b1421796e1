"""MSVD-QA and MSRVTT-QA in the official layout and in Video-LLaVA's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.msrvtt_qa import MsrvttQa
from lavit_eval.benchmarks.msvd_qa import MsvdQa
from lavit_eval.errors import UsageError
from tests.benchmarks.layouts import (
    MSRVTT_ROWS,
    MSVD_ROWS,
    touch,
    write_json,
    write_msrvtt_qa,
    write_msvd_qa,
    write_paired,
)

PAIRED = [
    {"question_id": "v_-aBc_5_16_14", "video_name": "-aBc_5_16", "question": "what is cut?", "answer": "onion"},
    {"question_id": "v__x.y_1_2_3", "video_name": "_x.y_1_2", "question": "where is it?", "answer": "kitchen"},
]


def test_msvd_official(tmp_path: Path) -> None:
    path = write_msvd_qa(tmp_path / "MSVD-QA")
    found = MsvdQa().read(tmp_path, "test")
    assert [sample.id for sample in found.samples] == ["9001", "9002", "9003"]
    first = found.samples[0]
    assert (first.question, first.references) == ("who cuts an onion?", ("someone",))
    assert first.media[0].kind == "video"
    assert first.media[0].name == "video/vid1451.avi"
    assert Path(first.media[0].path) == tmp_path / "MSVD-QA" / "video" / "vid1451.avi"
    assert [sample.categories for sample in found.samples] == [
        {"question_word": "who"},
        {"question_word": "what"},
        {"question_word": "other"},
    ]
    assert found.samples[2].cluster == first.cluster
    assert found.annotations == {"questions": path}


def test_msrvtt_official(tmp_path: Path) -> None:
    write_msrvtt_qa(tmp_path / "msrvtt_qa")
    samples = MsrvttQa().read(tmp_path, "test").samples
    assert [sample.id for sample in samples] == ["158581", "158582"]
    assert samples[1].categories == {"question_word": "how", "category": "3"}
    assert Path(samples[1].media[0].path) == tmp_path / "msrvtt_qa" / "video" / "video7011.mp4"


@pytest.mark.parametrize(
    "place", ["MSRVTT-QA/videos/all", "MSRVTT-QA/TestVideo", "MSRVTT/videos/all", "MSR-VTT/videos", "videos"]
)
def test_msrvtt_videos_may_lie_in_the_usual_folders(tmp_path: Path, place: str) -> None:
    write_json(tmp_path / "MSRVTT-QA" / "test_qa.json", MSRVTT_ROWS)
    touch(tmp_path / place, ["video7010.webm"])
    samples = MsrvttQa().read(tmp_path, "test").samples
    assert Path(samples[0].media[0].path).resolve() == (tmp_path / place / "video7010.webm").resolve()
    assert samples[0].media[0].name == "video/video7010.mp4"
    assert not Path(samples[1].media[0].path).exists()
    assert Path(samples[1].media[0].path).name == "video7011.mp4"


def test_other_splits(tmp_path: Path) -> None:
    write_msvd_qa(tmp_path / "MSVD-QA", MSVD_ROWS[:1], split="val")
    assert len(MsvdQa().read(tmp_path, "val").samples) == 1
    with pytest.raises(UsageError, match=r"no annotations of MSVD-QA .*test_qa\.json.*research only"):
        MsvdQa().read(tmp_path, "test")
    with pytest.raises(UsageError, match="no split 'dev'"):
        MsvdQa().read(tmp_path, "dev")


def test_msvd_videos_may_have_their_names_on_youtube(tmp_path: Path) -> None:
    write_json(tmp_path / "MSVD-QA" / "test_qa.json", MSVD_ROWS)
    mapping = tmp_path / "MSVD" / "youtube_mapping.txt"
    touch(tmp_path / "MSVD" / "YouTubeClips", ["-wKqTaA8aZs_0_5.avi", "vid1452.avi", "b_1_2.avi"])
    mapping.write_text("-wKqTaA8aZs_0_5 vid1451\nb_1_2 vid1452\n")
    found = MsvdQa().read(tmp_path, "test")
    first, second = found.samples[:2]
    assert Path(first.media[0].path).name == "-wKqTaA8aZs_0_5.avi"
    assert first.media[0].name == "video/vid1451.avi"
    assert Path(second.media[0].path).name == "vid1452.avi"
    assert found.annotations["youtube_mapping"] == mapping


def test_the_mapping_is_not_read_when_all_videos_have_their_numbers(tmp_path: Path) -> None:
    write_msvd_qa(tmp_path / "MSVD-QA")
    (tmp_path / "MSVD-QA" / "youtube_mapping.txt").write_text("nonsense\n")
    assert "youtube_mapping" not in MsvdQa().read(tmp_path, "test").annotations


@pytest.mark.parametrize("line", ["nonsense", "a vid1451 b", "../a vid1451", "a vid1\n\nb vid1"])
def test_a_bad_mapping_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    write_json(tmp_path / "MSVD-QA" / "test_qa.json", MSVD_ROWS)
    (tmp_path / "MSVD-QA" / "youtube_mapping.txt").write_text(line + "\n")
    number = line.count("\n") + 1
    with pytest.raises(UsageError, match=rf"youtube_mapping\.txt, line {number} is not"):
        MsvdQa().read(tmp_path, "test")


def test_video_llava_layout_is_joined_by_id(tmp_path: Path) -> None:
    write_paired(tmp_path / "MSVD_Zero_Shot_QA", PAIRED, "videos", ".avi")
    found = MsvdQa().read(tmp_path, "test")
    assert [(sample.id, sample.references) for sample in found.samples] == [
        ("v_-aBc_5_16_14", ("onion",)),
        ("v__x.y_1_2_3", ("kitchen",)),
    ]
    assert all(Path(sample.media[0].path).is_file() for sample in found.samples)
    assert found.samples[1].media[0].name == "video/_x.y_1_2.avi"
    assert sorted(found.annotations) == ["answers", "questions"]


def test_video_llava_layout_of_msrvtt(tmp_path: Path) -> None:
    rows = [{"question_id": 7, "video_name": "video7010", "question": "who sings?", "answer": "girl"}]
    write_paired(tmp_path / "MSRVTT_Zero_Shot_QA", rows, "videos/all", ".mp4")
    (sample,) = MsrvttQa().read(tmp_path, "test").samples
    assert sample.id == "7"
    assert Path(sample.media[0].path) == tmp_path / "MSRVTT_Zero_Shot_QA" / "videos" / "all" / "video7010.mp4"


def test_the_official_layout_is_preferred(tmp_path: Path) -> None:
    write_paired(tmp_path / "MSVD_Zero_Shot_QA", PAIRED, "videos", ".avi")
    write_msvd_qa(tmp_path / "MSVD-QA")
    assert MsvdQa().read(tmp_path, "test").samples[0].id == "9001"


def test_questions_and_answers_must_be_one_set(tmp_path: Path) -> None:
    folder = tmp_path / "MSVD_Zero_Shot_QA"
    write_paired(folder, PAIRED, "videos", ".avi")
    write_json(folder / "test_a.json", [{"question_id": "v_-aBc_5_16_14", "answer": "onion"}])
    with pytest.raises(UsageError, match=r"test_a\.json lacks 1 of the 2 entries .*question_id v__x\.y_1_2_3"):
        MsvdQa().read(tmp_path, "test")
    (folder / "test_a.json").unlink()
    with pytest.raises(UsageError, match=r"test_a\.json is missing"):
        MsvdQa().read(tmp_path, "test")


def test_a_video_outside_the_data_folder_is_refused(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{**PAIRED[0], "video_name": "a"}]
    write_paired(tmp_path / "MSVD_Zero_Shot_QA", rows, "videos", ".avi")
    write_json(tmp_path / "MSVD_Zero_Shot_QA" / "test_q.json", [{**rows[0], "video_name": "../../a"}])
    with pytest.raises(UsageError, match="outside the data folder"):
        MsvdQa().read(tmp_path, "test")


def test_the_two_benchmarks_are_not_taken_for_each_other(tmp_path: Path) -> None:
    write_json(tmp_path / "one" / "test_qa.json", MSRVTT_ROWS)
    with pytest.raises(UsageError, match=r'entry 1 \(id 158581\) has a "category_id", which no entry of MSVD-QA has'):
        MsvdQa().read(tmp_path / "one", "test")
    write_json(tmp_path / "two" / "test_qa.json", MSVD_ROWS)
    with pytest.raises(UsageError, match=r'entry 1 \(id 9001\) has no whole number "category_id"'):
        MsrvttQa().read(tmp_path / "two", "test")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": 9001}, r"entry 2 \(id 9001\) has the id of entry 1"),
        ({"video_id": "1452"}, r'entry 2 \(id 9002\) has text as "video_id", not a whole number'),
        ({"answer": None}, r'entry 2 \(id 9002\) has null as "answer", not text'),
    ],
)
def test_bad_entries_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    write_json(tmp_path / "MSVD-QA" / "test_qa.json", [MSVD_ROWS[0], {**MSVD_ROWS[1], **change}])
    with pytest.raises(UsageError, match=said):
        MsvdQa().read(tmp_path, "test")
