"""The folder has the official layouts: every field, every file, every id once."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from lavit_eval.benchmarks.protocol import Benchmark
from lavit_eval.demo import demo_counts
from lavit_eval.demo.layouts import UCF_CLASSES
from lavit_eval.demo.world import FPS, HEIGHT, WIDTH
from lavit_eval.registry import find
from tests.demo.conftest import IMAGES, VIDEOS
from tests.demo.detector import direction, find_shapes

COUNTS = demo_counts(VIDEOS, IMAGES)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


VIDEO_QA = [("MSVD-QA", "video/vid{}.avi", set()), ("MSRVTT-QA", "videos/video{}.mp4", {"category_id"})]


@pytest.mark.parametrize(("folder", "name", "more"), VIDEO_QA)
def test_video_qa_rows(demo_root: Path, folder: str, name: str, more: set[str]) -> None:
    rows = read(demo_root / folder / "test_qa.json")
    assert len(rows) == COUNTS["msvd_qa"] == COUNTS["msrvtt_qa"]
    assert all(set(row) == {"answer", "id", "question", "video_id"} | more for row in rows)
    assert len({row["id"] for row in rows}) == len(rows)
    assert set(Counter(row["video_id"] for row in rows).values()) == {4}
    named = {demo_root / folder / name.format(row["video_id"]) for row in rows}
    assert named == set((demo_root / folder / name).parent.iterdir())


@pytest.mark.parametrize(("folder", "name", "more"), VIDEO_QA)
def test_video_answers_can_be_seen_in_the_files(demo_root: Path, folder: str, name: str, more: set[str]) -> None:
    rows = read(demo_root / folder / "test_qa.json")
    checked = set()
    for video in {row["video_id"] for row in rows}:
        with av.open(str(demo_root / folder / name.format(video))) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        first, middle, last = (find_shapes(frames[place]) for place in (0, 47, -1))
        for row in (row for row in rows if row["video_id"] == video):
            words, answer = row["question"].rstrip("?").split(), row["answer"]
            if words[:2] == ["how", "many"]:
                assert len(first) == ["one", "two", "three", "four"].index(answer) + 1
            elif words[:2] == ["what", "color"]:
                assert first[answer].form() == words[4]
            elif words[0] == "what":
                assert first[words[3]].form() == answer
            elif words[0] == "where" and words[-1] not in ("first", "last"):
                opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}
                ways = {direction(first[color], last[color]) for color in first} - {None}
                assert ways == {opposite[answer] if "camera" in words else answer}
            elif words[0] == "where":
                before, after = (first, middle) if words[-1] == "first" else (middle, last)
                assert {direction(before[color], after[color]) for color in first} - {None} == {answer}
            elif words[:2] == ["how", "fast"]:
                leg = [np.hypot(middle[color].x - first[color].x, middle[color].y - first[color].y) for color in first]
                assert max(leg) == pytest.approx(24 if answer == "slow" else 48, abs=3)
            elif words[0] == "on":
                shape = next(blob for blob in first.values() if blob.form() == words[-1 if words[3] == "is" else -2])
                assert (shape.x < WIDTH / 2) == (answer == "left")
            elif words[:3] == ["in", "which", "half"]:
                moving = {color for color in first if direction(first[color], last[color]) is not None}
                assert {"top" if first[color].y < HEIGHT / 2 else "bottom" for color in moving} == {answer}
            else:
                assert words[:2] in (["how", "big"], ["how", "large"])
            checked.add(words[0])
    assert {"how", "what", "where", "on"} <= checked <= {"how", "what", "where", "on", "in"}


def test_msvd_mapping_names_every_video(demo_root: Path) -> None:
    lines = (demo_root / "MSVD-QA" / "youtube_mapping.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" ") for line in lines]
    assert {file for _, file in pairs} == {path.stem for path in (demo_root / "MSVD-QA" / "video").iterdir()}
    assert len({clip for clip, _ in pairs}) == VIDEOS
    assert {clip[0] for clip, _ in pairs} >= {"-", "_"}


def test_vqav2_files(demo_root: Path) -> None:
    asked = read(demo_root / "vqav2" / "v2_OpenEnded_mscoco_val2014_questions.json")
    stated = read(demo_root / "vqav2" / "v2_mscoco_val2014_annotations.json")
    assert (asked["task_type"], asked["data_type"], asked["data_subtype"]) == ("Open-Ended", "mscoco", "val2014")
    questions = {row["question_id"]: row for row in asked["questions"]}
    assert len(questions) == len(asked["questions"]) == len(stated["annotations"]) == COUNTS["vqav2"]
    assert {row["question_id"] for row in stated["annotations"]} == set(questions)
    for row in stated["annotations"]:
        answers = Counter(answer["answer"] for answer in row["answers"])
        assert answers.most_common(1)[0][0] == row["multiple_choice_answer"]
        assert answers[row["multiple_choice_answer"]] >= 6
        assert [answer["answer_id"] for answer in row["answers"]] == list(range(1, 11))
        assert {answer["answer_confidence"] for answer in row["answers"]} <= {"yes", "maybe", "no"}
        question = questions[row["question_id"]]
        assert question["image_id"] == row["image_id"]
        assert question["question"].lower().startswith(row["question_type"])
        assert (demo_root / "coco" / "val2014" / f"COCO_val2014_{row['image_id']:012d}.jpg").is_file()
    assert Counter(row["answer_type"] for row in stated["annotations"]) == dict.fromkeys(
        ("other", "number", "yes/no"), IMAGES
    )
    agreeing = {len({answer["answer"] for answer in row["answers"]}) == 1 for row in stated["annotations"]}
    assert agreeing == {True, False}


def test_vqav2_counts_colours_and_forms_can_be_seen(demo_root: Path) -> None:
    for row in read(demo_root / "vqav2" / "v2_mscoco_val2014_annotations.json")["annotations"]:
        with Image.open(demo_root / "coco" / "val2014" / f"COCO_val2014_{row['image_id']:012d}.jpg") as picture:
            found = find_shapes(np.asarray(picture))
        if row["question_type"] == "how many":
            assert row["multiple_choice_answer"] == str(len(found))
        elif row["question_type"] == "what color is the":
            assert row["multiple_choice_answer"] in found
        elif row["question_type"] == "what is the":
            assert row["multiple_choice_answer"] in {blob.form() for blob in found.values()}


def test_captions(demo_root: Path) -> None:
    listed = read(demo_root / "coco" / "annotations" / "coco_karpathy_test.json")
    truth = read(demo_root / "coco" / "annotations" / "coco_karpathy_test_gt.json")
    assert len(listed) == len({row["image"] for row in listed}) == COUNTS["coco_karpathy_test"]
    assert all(len(row["caption"]) == 5 and (demo_root / "coco" / row["image"]).is_file() for row in listed)
    ids = [int(row["image"].rsplit("_", 1)[1].removesuffix(".jpg")) for row in listed]
    assert [row["id"] for row in truth["images"]] == ids
    assert [row["caption"] for row in truth["annotations"]] == [text for row in listed for text in row["caption"]]
    assert len({row["id"] for row in truth["annotations"]}) == 5 * IMAGES


GENERATED: list[tuple[str, str, str, dict[str, object]]] = [
    ("msrvtt_t2v_demo", "msrvtt", "test", {}),
    ("ucf101_t2v_demo", "ucf101", "test", {"per_class": 2}),
    ("mscoco_t2i_30k_demo", "mscoco_t2i", "val", {}),
    ("long_video_demo", "evalcrafter", "test", {"videos": 4}),
    ("image_to_video_demo", "image_to_video", "test", {}),
    ("video_reconstruction_demo", "msrvtt", "test", {"video": "source", "first": 8}),
]


@pytest.mark.parametrize(("task", "benchmark", "split", "options"), GENERATED)
def test_the_readers_find_as_many_samples_as_stated(
    demo_root: Path, task: str, benchmark: str, split: str, options: Mapping[str, object]
) -> None:
    reader: Benchmark = find("benchmark", benchmark)()
    samples = reader.read(demo_root, split, **options).samples
    assert len(samples) == COUNTS[task]
    assert all(Path(medium.path).is_file() for sample in samples for medium in (*sample.media, *sample.targets))


def test_generating_tasks_have_more_samples_with_more_videos() -> None:
    counts = demo_counts(videos=16, images=2)
    assert (counts["msrvtt_t2v_demo"], counts["video_reconstruction_demo"], counts["mscoco_t2i_30k_demo"]) == (8, 8, 2)


def test_ucf101_clips(demo_root: Path) -> None:
    index = (demo_root / "ucfTrainTestlist" / "classInd.txt").read_bytes().decode()
    assert index == "1 Archery\r\n2 HandstandPushups\r\n3 JumpingJack\r\n4 JumpRope\r\n"
    clips = sorted((demo_root / "UCF-101").glob("*/*"))
    assert len(clips) == COUNTS["ucf101_t2v_demo"]
    assert {clip.parent.name for clip in clips} == set(UCF_CLASSES)
    assert clips[2].relative_to(demo_root).as_posix() == "UCF-101/HandstandPushups/v_HandStandPushups_g01_c01.avi"
    for clip in clips:
        with av.open(str(clip)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            assert container.streams.video[0].average_rate == FPS
        assert frames[0].shape == (HEIGHT, WIDTH, 3)
        assert 2 * FPS <= len(frames) <= 3 * FPS
        first, last = find_shapes(frames[0]), find_shapes(frames[-1])
        assert sum(direction(first[color], last[color]) is not None for color in first) == 1


def test_evalcrafter_prompts(demo_root: Path) -> None:
    text = (demo_root / "EvalCrafter" / "prompt700.txt").read_text(encoding="utf-8")
    assert text.count("\n") == COUNTS["long_video_demo"] - 1
    assert len(set(text.split("\n"))) == COUNTS["long_video_demo"]


def test_text_to_image_list(demo_root: Path) -> None:
    with (demo_root / "coco" / "annotations" / "MS-COCO_val2014_30k_captions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == COUNTS["mscoco_t2i_30k_demo"]
    listed = read(demo_root / "coco" / "annotations" / "coco_karpathy_test.json")
    said = {int(row["image"].rsplit("_", 1)[1].removesuffix(".jpg")): row["caption"] for row in listed}
    assert all(row["text"] in said[int(row["image_id"])] for row in rows)
    assert any("," in row["text"] for row in rows)
