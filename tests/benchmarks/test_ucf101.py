"""UCF-101: which videos are drawn, from where, and what stands for a class in words."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from lavit_eval.benchmarks.ucf101 import Ucf101
from lavit_eval.benchmarks.ucf101_prompts import SHIPPED, official_name, official_names, read_prompts
from lavit_eval.errors import UsageError
from lavit_eval.sample import Sample
from tests.benchmarks.layouts import UCF_CLASSES, touch, ucf_video, write_lines, write_ucf101

LISTS = "ucfTrainTestlist"
OTHERS = ("JumpingJack", "JumpRope")


def read(root: Path, **options: object) -> tuple[Sample, ...]:
    return Ucf101().read(root, "test", **options).samples  # type: ignore[arg-type]


def write_list(root: Path, name: str, lines: list[str]) -> Path:
    return write_lines(root / LISTS / f"{name}.txt", lines)


def test_some_videos_of_each_class_in_the_order_of_class_and_name(tmp_path: Path) -> None:
    write_ucf101(tmp_path)
    samples = read(tmp_path)
    assert Counter(sample.categories["class"] for sample in samples) == dict.fromkeys(UCF_CLASSES, 20)
    # As ASCII orders them, not as classInd.txt or a dictionary does.
    assert list(dict.fromkeys(sample.categories["class"] for sample in samples)) == [
        "HandstandPushups",
        "JumpRope",
        "JumpingJack",
    ]
    ids = [sample.id for sample in samples if sample.categories["class"] == "JumpRope"]
    assert ids == sorted(ids)
    sample = samples[-1]
    assert (sample.question, sample.references) == ("a person doing jumping jacks", ("a person doing jumping jacks",))
    assert sample.media == ()
    (target,) = sample.targets
    assert (target.kind, target.name) == ("video", f"UCF-101/JumpingJack/{sample.id}.avi")
    assert Path(target.path) == tmp_path / "UCF-101" / "JumpingJack" / f"{sample.id}.avi"
    assert len({sample.cluster for sample in samples}) == 60


@pytest.mark.parametrize("seed", [0, 1])
def test_the_draw_is_the_seeds_over_the_sorted_names(tmp_path: Path, seed: int) -> None:
    write_ucf101(tmp_path)
    names = sorted(ucf_video("JumpRope", group) for group in range(1, 23))
    expected = sorted(random.Random(f"{seed}:JumpRope").sample(names, 5))
    samples = read(tmp_path, per_class=5, sampling_seed=seed)
    assert [sample.id for sample in samples if sample.categories["class"] == "JumpRope"] == expected


def test_handstand_pushups_are_spelled_in_two_ways(tmp_path: Path) -> None:
    write_ucf101(tmp_path, {"HandstandPushups": 37}, groups=2)
    samples = read(tmp_path, per_class=2)
    assert [sample.id for sample in samples] == ["v_HandStandPushups_g01_c01", "v_HandStandPushups_g02_c01"]
    assert {sample.categories["class"] for sample in samples} == {"HandstandPushups"}
    assert all(Path(sample.targets[0].path).is_file() for sample in samples)


def test_a_video_and_its_copy_in_the_other_spelling_are_one(tmp_path: Path) -> None:
    write_ucf101(tmp_path, {"HandstandPushups": 37}, groups=2)
    touch(tmp_path / "UCF-101" / "HandstandPushups", ["v_HandstandPushups_g01_c01.avi"])
    expected = ["v_HandStandPushups_g01_c01", "v_HandStandPushups_g02_c01"]
    assert [sample.id for sample in read(tmp_path, per_class=2)] == expected


def test_letter_case_of_suffix_and_folder_is_ignored_and_other_files_are_no_videos(tmp_path: Path) -> None:
    folder = tmp_path / "UCF-101" / "HandStandPushups"
    touch(folder, ["v_HandStandPushups_g01_c01.AVI", "v_HandStandPushups_g02_c01.Avi"])
    touch(folder, ["._v_HandStandPushups_g03_c01.avi", "v_HandStandPushups_g04_c01.txt", "Thumbs.db"])
    samples = read(tmp_path, per_class=2)
    assert [Path(sample.targets[0].path).name for sample in samples] == [
        "v_HandStandPushups_g01_c01.AVI",
        "v_HandStandPushups_g02_c01.Avi",
    ]
    assert samples[0].targets[0].name == "UCF-101/HandstandPushups/v_HandStandPushups_g01_c01.avi"
    with pytest.raises(UsageError, match="HandstandPushups has 2"):
        read(tmp_path, per_class=3)


def test_the_folder_of_the_official_spelling_wins(tmp_path: Path) -> None:
    for name in ("HANDSTANDPUSHUPS", "HandstandPushups", "handstandpushups"):
        touch(tmp_path / "UCF-101" / name, ["v_HandStandPushups_g01_c01.avi"])
    assert Path(read(tmp_path, per_class=1)[0].targets[0].path).parent.name == "HandstandPushups"


@pytest.mark.parametrize("folder", ["UCF101/UCF-101", "ucf101/UCF-101", "UCF101", "ucf101/videos"])
def test_the_usual_folders_are_known(tmp_path: Path, folder: str) -> None:
    touch(tmp_path / "UCF101" / LISTS, ["unrelated.txt"])
    touch(tmp_path / folder / "JumpRope", [f"{ucf_video('JumpRope', 1)}.avi"])
    assert [sample.id for sample in read(tmp_path, per_class=1)] == [ucf_video("JumpRope", 1)]


def test_classes_are_those_of_the_index_else_those_with_a_folder(tmp_path: Path) -> None:
    write_ucf101(tmp_path, {"JumpRope": 48}, groups=1)
    touch(tmp_path / "UCF-101" / "JumpingJack", [f"{ucf_video('JumpingJack', 1)}.avi"])
    assert [sample.id for sample in read(tmp_path, per_class=1)] == [ucf_video("JumpRope", 1)]
    (tmp_path / LISTS / "classInd.txt").unlink()
    assert len(read(tmp_path, per_class=1)) == 2


def test_missing_folders_and_small_classes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no class folders of UCF-101.*tried UCF-101, UCF101/UCF-101.*crcv\.ucf\.edu"):
        read(tmp_path)
    write_ucf101(tmp_path)
    with pytest.raises(UsageError, match=r"3 of 3 classes have fewer than 23 videos.*HandstandPushups has 22, "):
        read(tmp_path, per_class=23)
    (tmp_path / "UCF-101" / "JumpRope" / f"{ucf_video('JumpRope', 1)}.avi").unlink()
    with pytest.raises(UsageError, match=r"1 of 3 classes .*\(JumpRope has 21\)"):
        read(tmp_path, per_class=22)
    for name in OTHERS:
        shutil.rmtree(tmp_path / "UCF-101" / name)
    with pytest.raises(UsageError, match=r"lacks the folders of 2 of 3 classes \(JumpRope, JumpingJack\)"):
        read(tmp_path)


def test_a_video_in_the_folder_of_another_class_is_refused(tmp_path: Path) -> None:
    write_ucf101(tmp_path)
    touch(tmp_path / "UCF-101" / "JumpRope", [f"{ucf_video('JumpingJack', 1)}.avi"])
    with pytest.raises(UsageError, match=r"v_JumpingJack_g01_c01\.avi lies in the folder of another class"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["0 JumpingJack", "1 JumpRope"], "line 1 is not of the form .*numbers from 1"),
        (["47 JumpingJack", "JumpRope"], "line 2 is not of the form"),
        (["47 JumpingJack", "47 JumpRope"], "line 2 repeats"),
        (["47 JumpingJack", "48 JumpingJack"], "line 2 repeats"),
        (["48 JumpRopes"], "line 1: 'JumpRopes' is no class of UCF-101. Did you mean JumpRope"),
    ],
)
def test_a_bad_index_is_named(tmp_path: Path, lines: list[str], said: str) -> None:
    write_ucf101(tmp_path)
    write_lines(tmp_path / LISTS / "classInd.txt", lines)
    with pytest.raises(UsageError, match=rf"classInd\.txt, {said}"):
        read(tmp_path)


def test_an_official_list_is_the_pool(tmp_path: Path) -> None:
    write_ucf101(tmp_path)
    wanted = [ucf_video(name, group) for name in UCF_CLASSES for group in (3, 5)]
    lines = {video: f"{name}/{video}.avi" for name in UCF_CLASSES for video in wanted if name.lower() in video.lower()}
    write_list(tmp_path, "testlist02", [*lines.values(), "Archery/v_Archery_g01_c01.avi"])
    samples = read(tmp_path, list="testlist02", per_class=2)
    # Archery is not in classInd.txt, which says what the classes are.
    assert {sample.id for sample in samples} == set(wanted)
    assert all(Path(sample.targets[0].path).is_file() for sample in samples)
    with pytest.raises(UsageError, match=r"3 of 3 classes have fewer than 3 videos in testlist02"):
        read(tmp_path, list="testlist02", per_class=3)


def test_the_draw_does_not_depend_on_the_order_of_a_list(tmp_path: Path) -> None:
    write_ucf101(tmp_path, {"JumpRope": 48})
    videos = [ucf_video("JumpRope", group) for group in range(1, 23)]
    write_list(tmp_path, "testlist01", [f"JumpRope/{video}.avi" for video in videos])
    write_list(tmp_path, "testlist02", [f"JumpRope/{video}.avi" for video in reversed(videos)])
    drawn = [[sample.id for sample in read(tmp_path, list=f"testlist{n:02d}", per_class=5)] for n in (1, 2)]
    assert drawn[0] == drawn[1] == [sample.id for sample in read(tmp_path, per_class=5)]


def test_a_train_list_has_numbers_and_a_test_list_none(tmp_path: Path) -> None:
    write_ucf101(tmp_path)
    line = "JumpRope/v_JumpRope_g01_c01.avi"
    others = [f"{name}/{ucf_video(name, 1)}.avi {UCF_CLASSES[name]}" for name in ("HandstandPushups", "JumpingJack")]
    write_list(tmp_path, "trainlist01", [*others, f"{line} 48"])
    assert len(read(tmp_path, list="trainlist01", per_class=1)) == 3
    write_list(tmp_path, "trainlist01", [*others, line])
    with pytest.raises(UsageError, match=r"trainlist01\.txt, line 3 is not of the form Class/v_Class_g01_c01\.avi 1:"):
        read(tmp_path, list="trainlist01", per_class=1)
    write_list(tmp_path, "testlist01", [f"{line} 48"])
    with pytest.raises(UsageError, match=r"testlist01\.txt, line 1 is not of the form Class/v_Class_g01_c01\.avi:"):
        read(tmp_path, list="testlist01", per_class=1)
    write_list(tmp_path, "trainlist01", [f"{line} 47"])
    with pytest.raises(UsageError, match=r"line 1 gives JumpRope the number 47, but .*classInd\.txt says 48"):
        read(tmp_path, list="trainlist01", per_class=1)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["JumpRope/v_JumpRope_g01_c01.avi", "JumpRope/v_JumpRope_g01_c01.avi"], "line 2 names v_JumpRope_g01_c01 a"),
        (["JumpRope/v_JumpingJack_g01_c01.avi"], "line 1 is not of the form"),
        (["../secret/v_JumpRope_g01_c01.avi"], "line 1 is not of the form"),
        (["Jumping/v_Jumping_g01_c01.avi"], "line 1 is not of the form"),
    ],
)
def test_bad_list_lines_are_named(tmp_path: Path, lines: list[str], said: str) -> None:
    write_ucf101(tmp_path)
    write_list(tmp_path, "testlist01", lines)
    with pytest.raises(UsageError, match=rf"testlist01\.txt, {said}"):
        read(tmp_path, list="testlist01")


def test_a_listed_video_that_is_absent_is_named_where_it_is_expected(tmp_path: Path) -> None:
    write_ucf101(tmp_path, {"JumpRope": 48}, groups=1)
    write_list(tmp_path, "testlist01", ["JumpRope/v_JumpRope_g07_c02.avi"])
    (sample,) = read(tmp_path, list="testlist01", per_class=1)
    assert Path(sample.targets[0].path) == tmp_path / "UCF-101" / "JumpRope" / "v_JumpRope_g07_c02.avi"


def test_unknown_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"option list is one of all, testlist01.*not 'testlist04'"):
        read(tmp_path, list="testlist04")
    with pytest.raises(UsageError, match="per_class is a whole number from 1, not 0"):
        read(tmp_path, per_class=0)
    with pytest.raises(UsageError, match="no split 'train'"):
        Ucf101().read(tmp_path, "train")
    write_ucf101(tmp_path)
    with pytest.raises(UsageError, match=r"testlist01\.txt"):
        read(tmp_path, list="testlist01")


def test_the_shipped_sentences_stand_for_101_classes() -> None:
    prompts = read_prompts(SHIPPED, None)
    assert len(prompts) == len(set(prompts.values())) == len(official_names()) == 101
    for name, prompt in prompts.items():
        assert name.isalpha() and name[0].isupper(), name
        assert prompt == prompt.lower() and len(prompt.split()) >= 3, prompt
        assert prompt.split()[0] in {"a", "two", "several", "people", "soldiers"}, prompt
    assert {"HandstandPushups", "YoYo", "CleanAndJerk", "TaiChi"} <= set(prompts)
    assert official_name("handstandpushups") == "HandstandPushups"
    assert official_name("v_HandStandPushups") is None


def test_every_file_that_is_read_is_an_annotation(tmp_path: Path) -> None:
    write_ucf101(tmp_path, {"JumpRope": 48}, groups=1)
    found = Ucf101().read(tmp_path, "test", per_class=1)
    assert found.annotations == {"classes": tmp_path / LISTS / "classInd.txt", "prompts": SHIPPED}
    path = write_list(tmp_path, "testlist01", ["JumpRope/v_JumpRope_g01_c01.avi"])
    mine = write_lines(tmp_path / "mine.tsv", ["JumpRope\tskipping"])
    found = Ucf101().read(tmp_path, "test", list="testlist01", per_class=1, prompts=str(mine))
    assert found.annotations == {"classes": tmp_path / LISTS / "classInd.txt", "list": path, "prompts": mine}
    assert Ucf101.file_options == {"prompts"}


def test_prompts_of_ones_own_belong_to_classes_by_name(tmp_path: Path) -> None:
    write_ucf101(tmp_path, groups=1)
    lines = [
        "JumpingJack\tarms  up, legs apart",
        "handstandpushups\tupside down",
        "JumpRope\tskipping",
        "YoYo\ta yo-yo",
    ]
    path = write_lines(tmp_path / "mine.txt", lines)
    samples = read(tmp_path, per_class=1, prompts=str(path))
    assert {sample.categories["class"]: sample.question for sample in samples} == {
        "JumpingJack": "arms up, legs apart",
        "HandstandPushups": "upside down",
        "JumpRope": "skipping",
    }


def write_whole(root: Path) -> list[str]:
    """Write all classes with one video each; return their names in the order of classInd.txt."""
    names = sorted(official_names().values(), key=str.casefold)
    write_ucf101(root, {name: number for number, name in enumerate(names, start=1)}, groups=1)
    return names


def test_plain_prompts_stand_in_the_order_of_the_index(tmp_path: Path) -> None:
    names = write_whole(tmp_path)
    path = write_lines(tmp_path / "mine.txt", [f"prompt of {name}, in words" for name in names])
    samples = read(tmp_path, per_class=1, prompts=str(path))
    assert len(samples) == 101
    assert all(sample.question == f"prompt of {sample.categories['class']}, in words" for sample in samples)
    (tmp_path / LISTS / "classInd.txt").unlink()
    with pytest.raises(UsageError, match=r"mine\.txt, line 1 is a plain prompt.*classInd\.txt, but that is not there"):
        read(tmp_path, per_class=1, prompts=str(path))


def test_plain_prompts_need_an_index_of_all_classes(tmp_path: Path) -> None:
    write_ucf101(tmp_path, groups=1)
    path = write_lines(tmp_path / "mine.txt", [f"prompt {number}" for number in range(101)])
    with pytest.raises(UsageError, match="but that names 3 classes"):
        read(tmp_path, per_class=1, prompts=str(path))


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (100, "ends after 100 prompts, 1 too early"),
        (102, r"holds 102 prompts, those from line 102 on are too many: write one prompt a line"),
        (105, r"holds 105 prompts, .*commas within the prompts of CleanAndJerk, HorseRace, IceDancing and WallPushups"),
    ],
)
def test_another_number_of_plain_prompts_is_refused(tmp_path: Path, count: int, said: str) -> None:
    write_whole(tmp_path)
    path = write_lines(tmp_path / "mine.txt", [f"prompt {number}" for number in range(count)])
    with pytest.raises(UsageError, match=rf"mine\.txt {said}"):
        read(tmp_path, per_class=1, prompts=str(path))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["JumpRope\tskipping", "JumpingJack"], "line 2 is not of the form Class<TAB>prompt"),
        (["JumpRope\tskipping", "JumpRope\thopping"], "line 2 gives a second prompt of JumpRope"),
        (["JumpRoep\tskipping"], "line 1: 'JumpRoep' is no class of UCF-101. Did you mean JumpRope"),
    ],
)
def test_bad_prompt_lines_are_named(tmp_path: Path, lines: list[str], said: str) -> None:
    write_ucf101(tmp_path, groups=1)
    path = write_lines(tmp_path / "mine.txt", lines)
    with pytest.raises(UsageError, match=rf"mine\.txt, {said}"):
        read(tmp_path, per_class=1, prompts=str(path))


def test_classes_without_a_prompt_and_absent_files_are_named(tmp_path: Path) -> None:
    write_ucf101(tmp_path, groups=1)
    path = write_lines(tmp_path / "mine.txt", ["JumpRope\tskipping"])
    with pytest.raises(UsageError, match=r"no prompt for 2 of 3 classes \(HandstandPushups, JumpingJack\)"):
        read(tmp_path, per_class=1, prompts=str(path))
    with pytest.raises(UsageError, match=r"no file .*none\.txt, which the option prompts names"):
        read(tmp_path, per_class=1, prompts=str(tmp_path / "none.txt"))
