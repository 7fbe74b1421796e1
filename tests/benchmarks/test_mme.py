"""MME: two folder styles, equal names in different subtasks, one Yes and one No on each image."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.benchmarks.mme import Mme
from lavit_eval.errors import UsageError
from tests.benchmarks.image_layouts import MME_LINES, write_mme

RELEASE = "MME_Benchmark_release_version"


def test_both_styles(tmp_path: Path) -> None:
    write_mme(tmp_path / RELEASE)
    found = Mme().read(tmp_path, "test")
    assert len(found.samples) == 28
    samples = {sample.id: sample for sample in found.samples}
    flat, split = samples["existence/0001#1"], samples["posters/0001#2"]
    assert flat.question == "Is there a goat in this image?"
    assert (flat.references, split.references) == (("Yes",), ("No",))
    assert flat.categories == {"subtask": "existence", "area": "perception"}
    assert Path(flat.media[0].path) == tmp_path / RELEASE / "existence" / "0001.png"
    assert Path(split.media[0].path) == tmp_path / RELEASE / "posters" / "images" / "0001.jpg"
    assert samples["code_reasoning/0001#1"].categories["area"] == "cognition"
    assert len(found.annotations) == 14


def test_equal_names_in_two_subtasks_are_two_images(tmp_path: Path) -> None:
    write_mme(tmp_path / RELEASE)
    clusters = [sample.cluster for sample in Mme().read(tmp_path, "test").samples]
    assert len(set(clusters)) == 14
    assert all(clusters.count(cluster) == 2 for cluster in clusters)


@pytest.mark.parametrize("folder", [f"{RELEASE}/MME_Benchmark", f"mme/{RELEASE}", "MME", ""])
def test_where_the_folders_may_lie(tmp_path: Path, folder: str) -> None:
    write_mme(tmp_path / folder)
    assert len(Mme().read(tmp_path, "test").samples) == 28


def test_the_instruction_goes_only_from_the_end(tmp_path: Path) -> None:
    lines = ("Please answer yes or no. Is it so?\tYes", "Is it not?\tNo")
    write_mme(tmp_path / RELEASE, lines)
    asked = [sample.question for sample in Mme().read(tmp_path, "test").samples[:2]]
    assert asked == ["Please answer yes or no. Is it so?", "Is it not?"]


def test_a_missing_image_is_expected_beside_its_text(tmp_path: Path) -> None:
    write_mme(tmp_path / RELEASE)
    (tmp_path / RELEASE / "count" / "0001.png").unlink()
    absent = [sample for sample in Mme().read(tmp_path, "test").samples if sample.categories["subtask"] == "count"]
    assert len(absent) == 2
    assert Path(absent[0].media[0].path).parent == tmp_path / RELEASE / "count"
    assert [sample.id for sample in absent] == ["count/0001#1", "count/0001#2"]


def test_files_that_a_mac_leaves_are_no_questions(tmp_path: Path) -> None:
    write_mme(tmp_path / RELEASE)
    (tmp_path / RELEASE / "count" / "._0001.txt").write_bytes(b"\x00\x05\x16\x07")
    assert len(Mme().read(tmp_path, "test").samples) == 28


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (MME_LINES[:1], r"0001\.txt must hold two questions.* not Yes"),
        ((MME_LINES[0], MME_LINES[0]), "not Yes, Yes"),
        ((*MME_LINES, MME_LINES[0]), "not Yes, No, Yes"),
        ((), "not nothing"),
        ((MME_LINES[0], "Is there a whale? No"), r"0001\.txt, line 2 must be a question, a tab, and Yes or No"),
        ((MME_LINES[0], "Is there a whale?\tMaybe"), "line 2 must be a question"),
    ],
)
def test_a_bad_text_file_is_named(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    write_mme(tmp_path / RELEASE, lines)
    with pytest.raises(UsageError, match=said):
        Mme().read(tmp_path, "test")


def test_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no folders of MME under .*research only"):
        Mme().read(tmp_path, "test")
    with pytest.raises(UsageError, match="there is no data folder"):
        Mme().read(tmp_path / "nowhere", "test")
    write_mme(tmp_path / RELEASE)
    for path in (tmp_path / RELEASE / "OCR").iterdir():
        path.unlink()
    with pytest.raises(UsageError, match=r"OCR holds no questions"):
        Mme().read(tmp_path, "test")
    (tmp_path / RELEASE / "OCR").rmdir()
    with pytest.raises(UsageError, match="lacks the subtasks OCR of MME"):
        Mme().read(tmp_path, "test")
