"""The multiple-choice video benchmarks and Video-ChatGPT's: official layouts and what is known to go wrong in them."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.egoschema import Egoschema
from lavit_eval.benchmarks.mvbench import Mvbench
from lavit_eval.benchmarks.nextqa import NextqaMc
from lavit_eval.benchmarks.perception_test import PerceptionTestMc
from lavit_eval.benchmarks.vcg_bench import VcgBench
from lavit_eval.benchmarks.video_mme import VideoMme
from lavit_eval.errors import UsageError
from lavit_eval.preparation import prepare_task
from lavit_eval.published import beside
from lavit_eval.registry import Catalogue
from lavit_eval.sample import Segment
from tests.benchmarks.caption_layouts import put
from tests.benchmarks.choice_layouts import (
    BOUND,
    MME_VIDEOS,
    MVBENCH_PARTS,
    NEXTQA_ROWS,
    PERCEPTION,
    mvbench_rows,
    write_egoschema,
    write_mvbench,
    write_nextqa,
    write_perception_test,
    write_vcg_bench,
    write_video_mme,
    write_video_mme_parquet,
)
from tests.benchmarks.layouts import write_json, write_lines


def test_nextqa_ids_groups_and_options(tmp_path: Path) -> None:
    write_nextqa(tmp_path / "nextqa")
    samples = NextqaMc().read(tmp_path, "test").samples
    assert [sample.id for sample in samples] == ["9000000001_6", "9000000001_7", "9000000002_6"]
    assert [sample.references for sample in samples] == [("C",), ("A",), ("E",)]
    assert [dict(sample.categories) for sample in samples] == [
        {"type": "CW", "group": "causal"},
        {"type": "TN", "group": "temporal"},
        {"type": "DC", "group": "descriptive"},
    ]
    assert samples[0].question == "why did the boy laugh?\nA. he fell\nB. he ran\nC. dog licked\nD. rain\nE. wave"
    assert samples[2].question.startswith("how many are there?\n")
    assert samples[1].extra == {"choices": ["a, then b", "b", "c", "d", "e"]}


def test_nextqa_videos_may_lie_by_group_or_in_one_folder(tmp_path: Path) -> None:
    write_nextqa(tmp_path / "nextqa")
    grouped = NextqaMc().read(tmp_path, "test").samples[0].media[0]
    assert Path(grouped.path) == tmp_path / "nextqa" / "NExTVideo" / "0101" / "9000000001.mp4"
    put(tmp_path / "nextqa" / "NExTVideo", ["9000000001.mp4"])
    flat = NextqaMc().read(tmp_path, "test").samples[0].media[0]
    assert Path(flat.path) == tmp_path / "nextqa" / "NExTVideo" / "9000000001.mp4"
    assert flat.name == grouped.name


def test_nextqa_faults_are_named(tmp_path: Path) -> None:
    path = write_nextqa(tmp_path / "nextqa", [NEXTQA_ROWS[0], NEXTQA_ROWS[0]])
    with pytest.raises(UsageError, match=r"entry 2 \(id 9000000001_6\) has the id of entry 1"):
        NextqaMc().read(tmp_path, "test")
    write_nextqa(tmp_path / "nextqa", [(*NEXTQA_ROWS[0][:5], 5, *NEXTQA_ROWS[0][6:])])
    with pytest.raises(UsageError, match="has 5 as the right option, not 0 to 4"):
        NextqaMc().read(tmp_path, "test")
    write_nextqa(tmp_path / "nextqa", [(*NEXTQA_ROWS[0][:7], "XY", *NEXTQA_ROWS[0][8:])])
    with pytest.raises(UsageError, match='has the type "XY"'):
        NextqaMc().read(tmp_path, "test")
    write_nextqa(tmp_path / "nextqa", [NEXTQA_ROWS[0][:12]])
    with pytest.raises(UsageError, match="line 2 does not have 13 columns"):
        NextqaMc().read(tmp_path, "test")
    write_lines(path, ["video,frame_count,width,height,question,answer,qid,type,additional_ref_answer"])
    with pytest.raises(UsageError, match="open-ended questions have a file of the same name"):
        NextqaMc().read(tmp_path, "test")


def test_perception_test_ids_are_those_of_video_and_question(tmp_path: Path) -> None:
    write_perception_test(tmp_path / "perception_test")
    samples = PerceptionTestMc().read(tmp_path, "valid").samples
    assert [(sample.id, sample.references) for sample in samples] == [("video_901_0", ("A",)), ("video_901_1", ("B",))]
    assert samples[0].question == "Is lid 0 open?\nA. yes\nB. no\nC. unknown"
    assert samples[0].categories == {"area": "physics", "reasoning": "descriptive"}
    assert Path(samples[0].media[0].path).is_file()


def test_perception_test_answers_of_the_test_split_are_not_public(tmp_path: Path) -> None:
    hidden = copy.deepcopy(PERCEPTION)
    for question in hidden["video_901"]["mc_question"]:
        del question["answer_id"]
    write_perception_test(tmp_path / "perception_test", hidden)
    with pytest.raises(UsageError, match=r'entry 1 \(id video_901_0\) has no field "answer_id"'):
        PerceptionTestMc().read(tmp_path, "valid")
    write_json(tmp_path / "perception_test" / "mc_question_test.json", hidden)
    assert [sample.references for sample in PerceptionTestMc().read(tmp_path, "test").samples] == [(), ()]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer_id": 3}, "has 3 as the right option"),
        ({"options": ["yes"]}, "has 1 options"),
        ({"id": 1}, "the id of"),
    ],
)
def test_perception_test_faults_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    content = copy.deepcopy(PERCEPTION)
    content["video_901"]["mc_question"][0].update(change)
    write_perception_test(tmp_path / "perception_test", content)
    with pytest.raises(UsageError, match=rf"video_901.*{said}"):
        PerceptionTestMc().read(tmp_path, "valid")


def test_egoschema_scores_the_public_answers_in_the_order_of_the_questions(tmp_path: Path) -> None:
    write_egoschema(tmp_path / "egoschema")
    subset = Egoschema().read(tmp_path, "subset").samples
    assert [(sample.id, sample.references) for sample in subset] == [("0000-a", ("D",)), ("0000-c", ("A",))]
    assert subset[0].question.endswith("\nE. C does 4.")
    full = Egoschema().read(tmp_path, "full").samples
    assert [(sample.id, sample.references) for sample in full] == [("0000-a", ()), ("0000-b", ()), ("0000-c", ())]


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"0000-z": 1}, r"lacks 1 of the 1 entries .*0000-z"),
        ({"0000-a": 5}, 'entry "0000-a" has 5'),
        ([3], "an object"),
    ],
)
def test_egoschema_bad_answers_are_named(tmp_path: Path, answers: Any, said: str) -> None:
    write_egoschema(tmp_path / "egoschema", answers)
    with pytest.raises(UsageError, match=said):
        Egoschema().read(tmp_path, "subset")


def test_video_mme_template_has_commas_that_json_has_not(tmp_path: Path) -> None:
    path = write_video_mme(tmp_path / "video_mme")
    with pytest.raises(json.JSONDecodeError):
        json.loads(path.read_text())
    samples = VideoMme().read(tmp_path, "test").samples
    assert [sample.id for sample in samples] == [f"90{video}-{number}" for video in (1, 2) for number in (1, 2, 3)]
    assert [sample.references[0] for sample in samples[:3]] == ["A", "B", "D"]
    assert samples[0].question == "What word is on sign 1?\nA. Open.\nB. Shut.\nC. Sale.\nD. Exit."
    assert samples[0].extra == {"choices": ["Open.", "Shut.", "Sale.", "Exit."]}
    assert samples[5].categories["duration"] == "long"
    assert Path(samples[0].media[0].path) == tmp_path / "video_mme" / "data" / "-bCdEfGhIj1.mp4"


def test_video_mme_commas_within_texts_stay(tmp_path: Path) -> None:
    videos = copy.deepcopy(MME_VIDEOS)
    videos[0]["questions"][0]["question"] = 'Is it "a,]" or ", }"?'
    write_video_mme(tmp_path / "video_mme", videos)
    assert VideoMme().read(tmp_path, "test").samples[0].question.startswith('Is it "a,]" or ", }"?\n')


def test_video_mme_from_the_hub_is_the_same(tmp_path: Path) -> None:
    write_video_mme(tmp_path / "one" / "video_mme")
    write_video_mme_parquet(tmp_path / "two" / "Video-MME")
    one, two = (VideoMme().read(tmp_path / name, "test").samples for name in ("one", "two"))
    assert [(s.id, s.question, s.references, s.categories, s.media[0].name) for s in one] == [
        (s.id, s.question, s.references, s.categories, s.media[0].name) for s in two
    ]
    assert Path(two[0].media[0].path).is_file()
    broken = tmp_path / "two" / "Video-MME" / "videomme" / "test-00000-of-00001.parquet"
    broken.write_bytes(b"<html>")
    with pytest.raises(UsageError, match="cannot be read as Parquet"):
        VideoMme().read(tmp_path / "two", "test")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer": "E"}, 'the answer "E"'),
        ({"options": ["Open.", "Shut.", "Sale.", "Exit."]}, "do not begin with their letters"),
        ({"options": ["A. a", "B. b"]}, "has 2 options"),
    ],
)
def test_video_mme_faults_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    videos = copy.deepcopy(MME_VIDEOS)
    videos[0]["questions"][1].update(change)
    write_video_mme(tmp_path / "video_mme", videos)
    with pytest.raises(UsageError, match=rf"entry 2 \(question_id 901-2\).*{said}"):
        VideoMme().read(tmp_path, "test")


def test_mvbench_has_twenty_tasks(tmp_path: Path) -> None:
    write_mvbench(tmp_path / "mvbench")
    samples = Mvbench().read(tmp_path, "test").samples
    assert len(samples) == 40
    assert len({sample.categories["task"] for sample in samples}) == 20
    assert len({sample.id for sample in samples}) == 40
    assert all(Path(sample.media[0].path).is_file() for sample in samples)
    assert samples[0].question == "Question: What is 1?\nOptions:\n(A) ran\n(B) ate"
    assert [sample.references for sample in samples[:2]] == [("A",), ("B",)]
    without = {sample.categories["task"] for sample in samples if "shipped" not in sample.categories}
    assert without == {"Fine-grained Pose"}


def test_mvbench_videos_of_one_data_set_are_one_medium(tmp_path: Path) -> None:
    write_mvbench(tmp_path / "mvbench")
    samples = {s.categories["task"]: s for s in reversed(Mvbench().read(tmp_path, "test").samples)}
    assert samples["Moving Count"].cluster == samples["Object Existence"].cluster
    assert samples["Moving Count"].cluster != samples["Action Count"].cluster


def test_mvbench_missing_videos_stay_in_the_denominator(tmp_path: Path) -> None:
    write_mvbench(tmp_path / "mvbench")
    for number in (1, 2):
        (tmp_path / "mvbench" / "nturgbd_convert" / f"{number}.mp4").unlink()
    prepared, problems = prepare_task(Catalogue().task("mvbench"), tmp_path, None, {"mvbench": 40})
    assert len(prepared.samples) == 40
    assert prepared.missing == ("nturgbd_convert/1.mp4", "nturgbd_convert/2.mp4")
    assert "2 of" in problems[0]


def test_mvbench_of_whole_videos_the_segment_is_shown(tmp_path: Path) -> None:
    """Segments that are cut already are shown as they are: their times are those of the whole video."""
    write_mvbench(tmp_path / "mvbench")
    assert {s.media[0].segment for s in Mvbench().read(tmp_path, "test").samples} == {None}
    for cut, whole in (("star/Charades_segment", "star/Charades_v1_480"), ("sta/sta_video_segment", "sta/sta_video")):
        (tmp_path / "mvbench" / cut).rename(tmp_path / "mvbench" / whole)
    samples = Mvbench().read(tmp_path, "test").samples
    assert all(Path(sample.media[0].path).is_file() for sample in samples)
    parts = {sample.categories["task"]: sample.media[0].segment for sample in samples if sample.media[0].segment}
    assert set(parts.values()) == {Segment.seconds(1.2, 9)}
    bound = {name.replace("_", " ").title() for name in BOUND}
    assert set(parts) == bound - {"Episodic Reasoning"}
    assert "star/Charades_v1_480/1.mp4" in {sample.media[0].name for sample in samples}


@pytest.mark.parametrize(
    "times",
    [{"start": 3.0}, {"start": 9.0, "end": 2.0}, {"start": "1", "end": "2"}],
    ids=str,
)
def test_mvbench_a_whole_video_needs_times(tmp_path: Path, times: dict[str, object]) -> None:
    write_mvbench(tmp_path / "mvbench")
    (tmp_path / "mvbench" / "sta" / "sta_video_segment").rename(tmp_path / "mvbench" / "sta" / "sta_video")
    rows = [{key: value for key, value in row.items() if key not in ("start", "end")} for row in mvbench_rows("any")]
    write_json(tmp_path / "mvbench/json/action_localization.json", [{**row, **times} for row in rows])
    with pytest.raises(UsageError, match=r"action_localization\.json, entry 1 .*has no times in seconds"):
        Mvbench().read(tmp_path, "test")


def test_mvbench_episodes_may_be_folders_of_frames(tmp_path: Path) -> None:
    write_mvbench(tmp_path / "mvbench")
    shutil.rmtree(tmp_path / "mvbench" / "tvqa" / "video_fps3_hq_segment")
    for number in (1, 2):
        put(tmp_path / "mvbench" / "tvqa" / "frames_fps3_hq" / f"{number}.mp4", ["00001.jpg", "00002.jpg"])
    samples = Mvbench().read(tmp_path, "test").samples
    episodes = [sample.media[0] for sample in samples if sample.categories["task"] == "Episodic Reasoning"]
    assert [(medium.rate, medium.segment) for medium in episodes] == [(3, Segment.seconds(1.2, 9))] * 2
    assert episodes[0].name == "tvqa/frames_fps3_hq/1.mp4"
    assert {sample.media[0].rate for sample in samples if sample.media[0] not in episodes} == {None}
    prepared, problems = prepare_task(Catalogue().task("mvbench"), tmp_path, None, {"mvbench": 40})
    assert (prepared.missing, problems) == ((), [])
    (tmp_path / "mvbench" / "tvqa" / "frames_fps3_hq" / "1.mp4" / "00002.jpg").write_bytes(b"other bytes")
    assert prepare_task(Catalogue().task("mvbench"), tmp_path, None, {"mvbench": 40})[0].data != prepared.data


def test_mvbench_table_of_what_was_found_is_refused(tmp_path: Path) -> None:
    write_lines(tmp_path / "mvbench" / "MVBench.tsv", ["index\tvideo\tquestion"])
    with pytest.raises(UsageError, match=r"MVBench\.tsv holds only questions whose videos were found"):
        Mvbench().read(tmp_path, "test")


def test_mvbench_an_answer_must_be_a_candidate(tmp_path: Path) -> None:
    write_mvbench(tmp_path / "mvbench")
    rows = mvbench_rows("vlnqa")
    write_json(tmp_path / "mvbench/json/moving_count.json", [{**rows[0], "answer": "slept"}, rows[1]])
    with pytest.raises(UsageError, match=r'moving_count\.json, entry 1 .*the answer "slept", which is none of'):
        Mvbench().read(tmp_path, "test")
    (tmp_path / "mvbench/json/moving_count.json").unlink()
    with pytest.raises(UsageError, match=r"json/moving_count\.json"):
        Mvbench().read(tmp_path, "test")
    assert len(MVBENCH_PARTS) == 20


def test_vcg_bench_parts_and_pairs(tmp_path: Path) -> None:
    write_vcg_bench(tmp_path / "vcg_bench")
    samples = VcgBench().read(tmp_path, "test").samples
    assert [sample.categories["part"] for sample in samples] == [
        *("generic", "generic", "temporal", "temporal", "consistency", "consistency")
    ]
    assert [sample.question for sample in samples[4:]] == ["What does she ride?", "Which board?"]
    assert samples[4].extra == samples[5].extra
    assert samples[4].id.endswith("/Q1")
    assert len({sample.id for sample in samples}) == 6
    assert len(VcgBench().read(tmp_path, "consistency").samples) == 2


def test_vcg_bench_pairs_of_the_hub_are_refused(tmp_path: Path) -> None:
    write_vcg_bench(tmp_path / "vcg_bench")
    row = {"Q1": "What does she ride?", "Q2": "None", "A": "a board", "video_name": "v_AbCdEfGhIjK"}
    write_json(tmp_path / "vcg_bench" / "consistency_qa.json", [row])
    with pytest.raises(UsageError, match='has "None" as a question'):
        VcgBench().read(tmp_path, "test")


@pytest.mark.parametrize("task", ["perception_test_mc", "egoschema"])
def test_the_papers_number_is_of_another_split(task: str) -> None:
    found = beside(task, Catalogue().task(task).primary, primary=True)
    assert found is not None
    assert not found.comparable
    assert "another split" in str(found)
