"""Writes tiny annotation files (and empty media) in the official layouts."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]

VQA_QUESTIONS: Rows = [
    {"image_id": 900001, "question": "What colour is the kite?", "question_id": 900001000},
    {"image_id": 900001, "question": "Is it windy?", "question_id": 900001001},
    {"image_id": 900002, "question": "How many cups?", "question_id": 900002000},
]
MSVD_ROWS: Rows = [
    {"answer": "someone", "id": 9001, "question": "who cuts an onion?", "video_id": 1451},
    {"answer": "cat", "id": 9002, "question": "what plays a piano?", "video_id": 1452},
    {"answer": "slice", "id": 9003, "question": "does a man slice?", "video_id": 1451},
]
MSRVTT_ROWS: Rows = [
    {"answer": "couch", "category_id": 14, "id": 158581, "question": "what does a man sit on?", "video_id": 7010},
    {"answer": "two", "category_id": 3, "id": 158582, "question": "How many girls sing?", "video_id": 7011},
]
COCO_IMAGES: Rows = [
    {"id": 900001, "split": "test", "captions": ["a red bus on a road", "A bus drives ."]},
    {"id": 900002, "split": "train", "captions": ["a dog"]},
    {"id": 900003, "split": "test", "captions": ["two cats", "cats on a sofa", "Two cats sit."]},
]


def write_json(path: Path, value: object) -> Path:
    """Write a value as JSON and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def touch(folder: Path, names: Iterable[str]) -> None:
    """Make empty media files."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def vqa_annotations(questions: Rows = VQA_QUESTIONS) -> Rows:
    """Return official annotations: ten answers a question, one person of another opinion."""
    opinions = {0: ("red", "other", "what color is the"), 1: ("yes", "yes/no", "is it"), 2: ("2", "number", "how many")}
    rows = []
    for index, question in enumerate(questions):
        answer, answer_type, question_type = opinions[index % 3]
        texts = [answer] * 9 + ["dark " + answer]
        rows.append(
            {
                "question_type": question_type,
                "multiple_choice_answer": answer,
                "answers": [
                    {"answer": text, "answer_confidence": "yes", "answer_id": number}
                    for number, text in enumerate(texts, start=1)
                ],
                "image_id": question["image_id"],
                "answer_type": answer_type,
                "question_id": question["question_id"],
            }
        )
    return rows


def write_vqav2(folder: Path, questions: Rows = VQA_QUESTIONS, annotations: Rows | None = None) -> None:
    """Write VQA v2's val questions, annotations and images (`folder` is the data root's vqav2/)."""
    head = {"info": {}, "data_type": "mscoco", "data_subtype": "val2014", "license": {}}
    questions_file = {**head, "task_type": "Open-Ended", "questions": questions}
    write_json(folder / "v2_OpenEnded_mscoco_val2014_questions.json", questions_file)
    annotations = vqa_annotations(questions) if annotations is None else annotations
    write_json(folder / "v2_mscoco_val2014_annotations.json", {**head, "annotations": annotations})
    touch(folder / "val2014", {f"COCO_val2014_{question['image_id']:012d}.jpg" for question in questions})


def write_vqav2_testdev(folder: Path, questions: Rows = VQA_QUESTIONS) -> None:
    """Write VQA v2's test-dev questions, which have no public answers."""
    write_json(folder / "v2_OpenEnded_mscoco_test-dev2015_questions.json", {"questions": questions})
    touch(folder / "test2015", {f"COCO_test2015_{question['image_id']:012d}.jpg" for question in questions})


def coco_name(image_id: int) -> str:
    """Return the file name of a COCO val2014 image."""
    return f"COCO_val2014_{image_id:012d}.jpg"


def write_karpathy(folder: Path, images: Rows = COCO_IMAGES) -> Path:
    """Write dataset_coco.json and the images of its test split (`folder` is the data root's coco/)."""
    rows = [
        {
            "filepath": "val2014",
            "filename": coco_name(image["id"]),
            "imgid": index,
            "split": image["split"],
            "sentences": [{"raw": caption, "imgid": index} for caption in image["captions"]],
            "cocoid": image["id"],
        }
        for index, image in enumerate(images)
    ]
    touch(folder / "val2014", [coco_name(image["id"]) for image in images if image["split"] == "test"])
    return write_json(folder / "dataset_coco.json", {"images": rows, "dataset": "coco"})


def write_lavis(folder: Path, images: Rows = COCO_IMAGES, truth_folder: Path | None = None) -> Path:
    """Write LAVIS's coco_karpathy_test.json and, where a folder for it is given, its ground truth."""
    images = [image for image in images if image["split"] == "test"]
    if truth_folder is not None:
        captions = [(image["id"], caption) for image in images for caption in image["captions"]]
        annotations = [{"image_id": image, "caption": text, "id": n} for n, (image, text) in enumerate(captions)]
        truth = {"annotations": annotations, "images": [{"id": image["id"]} for image in images]}
        write_json(truth_folder / "coco_karpathy_test_gt.json", truth)
    rows = [{"image": f"val2014/{coco_name(image['id'])}", "caption": image["captions"]} for image in images]
    return write_json(folder / "coco_karpathy_test.json", rows)


def write_msvd_qa(folder: Path, rows: Rows = MSVD_ROWS, split: str = "test") -> Path:
    """Write MSVD-QA as its authors publish it (`folder` is the data root's MSVD-QA/)."""
    touch(folder / "video", {f"vid{row['video_id']}.avi" for row in rows})
    return write_json(folder / f"{split}_qa.json", rows)


def write_msrvtt_qa(folder: Path, rows: Rows = MSRVTT_ROWS, split: str = "test") -> Path:
    """Write MSRVTT-QA as its authors publish it (`folder` is the data root's MSRVTT-QA/)."""
    touch(folder / "video", {f"video{row['video_id']}.mp4" for row in rows})
    return write_json(folder / f"{split}_qa.json", rows)


def write_paired(folder: Path, rows: Rows, videos: str, suffix: str) -> None:
    """Write Video-LLaVA's test_q.json and test_a.json, the answers in another order than the questions.

    Args:
        folder: The data root's MSVD_Zero_Shot_QA/ or MSRVTT_Zero_Shot_QA/.
        rows: {"question_id", "video_name", "question", "answer"}.
        videos: Sub-folder of the videos.
        suffix: Their extension.
    """
    questions = [{key: row[key] for key in ("video_name", "question", "question_id")} for row in rows]
    answers = [{"answer": row["answer"], "type": 0, "question_id": row["question_id"]} for row in reversed(rows)]
    write_json(folder / "test_q.json", questions)
    write_json(folder / "test_a.json", answers)
    touch(folder / videos, {row["video_name"] + suffix for row in rows})


MSRVTT_DOCUMENT: dict[str, Any] = {
    "info": {},
    "videos": [
        {"video_id": f"video{number}", "category": 3, "start time": 0.5, "split": "test"} for number in (7011, 7010, 12)
    ],
    "sentences": [
        {"video_id": video, "sen_id": sen_id, "caption": f"caption {sen_id} of {video}"}
        for sen_id, video in [(4, "video12"), (3, "video7010"), (2, "video7010"), (1, "video7010"), (0, "video7011")]
    ],
}
I2V_ROWS: Rows = [
    {"prompt_en": "a goat on a hill", "dimension": ["i2v_subject"], "image_type": "animal", "image_name": "a goat.jpg"},
    {"prompt_en": "a goat, camera pans left", "dimension": [], "image_type": "animal", "image_name": "a goat.jpg"},
]


def write_msrvtt(folder: Path, document: dict[str, Any] = MSRVTT_DOCUMENT) -> None:
    """Write MSR-VTT's own annotations of two test videos and one other, and the test videos."""
    write_json(folder / "test_videodatainfo.json", document)
    touch(folder / "TestVideo", ["video7010.mp4", "video7011.mp4"])


VBENCH_ROWS: Rows = [
    {"prompt_en": "a goat in snow", "dimension": ["subject_consistency", "dynamic_degree", "motion_smoothness"]},
    {"prompt_en": "In a still frame, a stop sign", "dimension": ["temporal_flickering"]},
    {"prompt_en": "The quay, oil painting", "dimension": ["appearance_style"]},
    {"prompt_en": "a red kite", "dimension": ["color"], "auxiliary_info": {"color": {"color": "red"}}},
    {"prompt_en": "The quay, oil painting", "dimension": ["overall_consistency"]},
]
"""One prompt stands twice, as two of the official list do."""


def write_vbench(folder: Path, rows: Rows = VBENCH_ROWS) -> Path:
    """Write VBench's list (`folder` is the data root's VBench/)."""
    return write_json(folder / "vbench" / "VBench_full_info.json", rows)


def write_image_to_video(folder: Path, rows: Rows = I2V_ROWS) -> None:
    """Write VBench-I2V's list and its picture in three crops."""
    write_json(folder / "vbench2_i2v_full_info.json", rows)
    for ratio in ("16-9", "1-1", "7-4"):
        touch(folder / "data" / "crop" / ratio, ["a goat.jpg"])


UCF_CLASSES: dict[str, int] = {"HandstandPushups": 37, "JumpingJack": 47, "JumpRope": 48}
"""Class -> its number in the official classInd.txt."""


def ucf_video(name: str, group: int, clip: int = 1) -> str:
    """Return the official name of a video, without extension."""
    return f"v_{name.replace('Handstand', 'HandStand')}_g{group:02d}_c{clip:02d}"


def write_ucf101(root: Path, classes: Mapping[str, int] = UCF_CLASSES, groups: int = 22) -> None:
    """Write UCF-101's class folders and classInd.txt, with its Windows line ends (`root` is the data root)."""
    for name in classes:
        touch(root / "UCF-101" / name, [f"{ucf_video(name, group)}.avi" for group in range(1, groups + 1)])
    write_lines(root / "ucfTrainTestlist" / "classInd.txt", [f"{number} {name}" for name, number in classes.items()])


def write_lines(path: Path, lines: Iterable[str], end: str = "\r\n") -> Path:
    """Write lines, each with its line end, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


T2I_ROWS: list[tuple[object, str]] = [
    (900003, "two cats, one of them black, on a sofa"),
    (900001, 'a  bus with "Centre" on its front\n'),
]


def write_text_to_image(folder: Path, rows: Sequence[tuple[object, str]] = T2I_ROWS) -> Path:
    """Write the public list of captions and its images (`folder` is the data root's coco/)."""
    path = folder / "annotations" / "MS-COCO_val2014_30k_captions.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("image_id", "text"), *rows])
    touch(folder / "val2014", [coco_name(image_id) for image_id, _ in rows if isinstance(image_id, int)])
    return path


def evalcrafter_prompts(count: int = 700) -> list[str]:
    """Return made prompts."""
    return [f"{number} paper boats on a pond" for number in range(count)]


def write_evalcrafter(folder: Path, prompts: Sequence[str] | None = None) -> Path:
    """Write prompt700.txt, whose last line has no line end (`folder` is the data root's EvalCrafter/)."""
    path = folder / "prompt700.txt"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(evalcrafter_prompts() if prompts is None else prompts), encoding="utf-8")
    return path
