"""Writes the demo data in the official layouts of the benchmarks that it stands in for."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from lavit_eval.demo.events import ASKED, draw_film, plot_of
from lavit_eval.demo.language import NUMBERS, Question, QuestionKind, ask, captions, choices
from lavit_eval.demo.world import CLIP, PICTURE, VIDEO, Scene, deal, draw_scene, generator, pick
from lavit_eval.demo.writing import write_picture, write_video
from lavit_eval.files import write_atomic, write_json

ASKED_EACH = 4
"""Questions on each film."""
FIRST_MSVD_VIDEO = {"train": 1, "test": 1301}
"""The official splits are vid1 to vid1200 and vid1301 to vid1970."""
FIRST_MSRVTT_VIDEO = 7010
"""The official test split is video7010 to video9999."""
ANIMATION = 8
"""MSR-VTT's category of drawn films."""
UCF_CLASSES = ("Archery", "HandstandPushups", "JumpingJack", "JumpRope")
"""In the order of classInd.txt, which is not that of ASCII; the videos of the second are named v_HandStandPushups_*."""
FIRST_IMAGE = 900001
"""Beyond every real COCO id."""
ANSWERERS = 10
"""People who answer each VQAv2 question."""
MAKERS = 4
"""Films made at once, at most."""
LICENSE = {"name": "made by lavit-eval, no third-party content", "url": ""}


def write_msvd_qa(root: Path, seed: int, videos: int, split: Literal["train", "test"] = "test") -> None:
    """Write MSVD-QA/{SPLIT_qa.json, youtube_mapping.txt, video/vid*.avi}, four questions a video."""
    folder, rows, mapping = root / "MSVD-QA", [], []
    (folder / "video").mkdir(parents=True)
    films: dict[Path, Scene] = {}
    for index in range(videos):
        scene, number = draw_film(seed, f"msvd_qa/{split}", index), FIRST_MSVD_VIDEO[split] + index
        films[folder / "video" / f"vid{number}.avi"] = scene
        # Real names may begin with "-" or "_", so some made ones do.
        mapping.append(f"{('-', '_', 'd')[index % 3]}emo{index:07d}_0_{scene.frames // 24} vid{number}\n")
        for place, kind in enumerate(ASKED[plot_of(scene)]):
            question = ask(scene, kind)
            rows.append(
                {
                    "answer": question.answer,
                    "id": 37000 + ASKED_EACH * index + place,
                    "question": question.text,
                    "video_id": number,
                }
            )
    _write_videos(films)
    write_json(folder / f"{split}_qa.json", rows)
    (folder / "youtube_mapping.txt").write_text("".join(mapping), encoding="utf-8")


def write_msrvtt_qa(root: Path, seed: int, videos: int) -> None:
    """Write MSRVTT-QA/{test_qa.json, videos/video*.mp4}, four questions a video."""
    folder, rows = root / "MSRVTT-QA", []
    (folder / "videos").mkdir(parents=True)
    films: dict[Path, Scene] = {}
    for index in range(videos):
        scene, number = draw_film(seed, "msrvtt_qa/test", index), FIRST_MSRVTT_VIDEO + index
        films[folder / "videos" / f"video{number}.mp4"] = scene
        for place, kind in enumerate(ASKED[plot_of(scene)]):
            question = ask(scene, kind)
            rows.append(
                {
                    "answer": question.answer,
                    "category_id": ANIMATION,
                    "id": 158581 + ASKED_EACH * index + place,
                    "question": question.text,
                    "video_id": number,
                }
            )
    _write_videos(films)
    write_json(folder / "test_qa.json", rows)


def write_msrvtt(root: Path, seed: int, videos: int) -> None:
    """Write MSRVTT/test_videodatainfo.json on the first videos of MSRVTT-QA, five captions each."""
    rows: list[dict[str, Any]] = []
    sentences: list[dict[str, Any]] = []
    for index in range(videos):
        scene, name = draw_film(seed, "msrvtt_qa/test", index), f"video{FIRST_MSRVTT_VIDEO + index}"
        rows.append({"video_id": name, "category": ANIMATION, "split": "test", "id": FIRST_MSRVTT_VIDEO + index})
        for caption in captions(scene):
            sentences.append({"caption": caption, "video_id": name, "sen_id": len(sentences)})
    write_json(root / "MSRVTT" / "test_videodatainfo.json", {"info": {}, "videos": rows, "sentences": sentences})


def write_ucf101(root: Path, seed: int, per_class: int) -> None:
    """Write UCF-101/{Class}/v_{Class}_g*_c01.avi and ucfTrainTestlist/classInd.txt, a few short clips of each class."""
    films: dict[Path, Scene] = {}
    for number, name in enumerate(UCF_CLASSES):
        folder, spelled = root / "UCF-101" / name, name.replace("Handstand", "HandStand")
        folder.mkdir(parents=True)
        for index in range(per_class):
            scene = draw_scene(seed, "ucf101", number * per_class + index, CLIP)
            films[folder / f"v_{spelled}_g{index + 1:02d}_c01.avi"] = scene
    _write_videos(films)
    lines = [f"{number} {name}\r\n" for number, name in enumerate(UCF_CLASSES, start=1)]
    _write_text(root / "ucfTrainTestlist" / "classInd.txt", "".join(lines))


def write_evalcrafter(root: Path, seed: int, prompts: int) -> None:
    """Write EvalCrafter/prompt700.txt with a few prompts of our own, and as there no line end after the last."""
    said = [captions(draw_scene(seed, "evalcrafter", index, VIDEO))[3] for index in range(prompts)]
    _write_text(root / "EvalCrafter" / "prompt700.txt", "\n".join(said))


def write_text_to_image(root: Path, seed: int, images: int) -> None:
    """Write coco/annotations/MS-COCO_val2014_30k_captions.csv, a caption of each of the first COCO images."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("image_id", "text"))
    for index in range(images):
        rows.writerow((FIRST_IMAGE + index, captions(draw_scene(seed, "coco/val2014", index, PICTURE))[0]))
    _write_text(root / "coco" / "annotations" / "MS-COCO_val2014_30k_captions.csv", table.getvalue())


def _write_text(path: Path, text: str) -> None:
    write_atomic(path, text.encode())


def write_image_to_video(root: Path, seed: int, pictures: int) -> None:
    """Write vbench2_beta_i2v/{vbench2_i2v_full_info.json, data/crop/16-9/*.jpg}, one prompt a picture."""
    folder = root / "vbench2_beta_i2v"
    (folder / "data" / "crop" / "16-9").mkdir(parents=True)
    rows = []
    for index in range(pictures):
        scene = draw_scene(seed, "image_to_video/test", index, PICTURE)
        prompt = f"{captions(scene)[0]}, picture {index + 1}"
        rows.append(
            {"prompt_en": prompt, "dimension": ["i2v_subject"], "image_type": "made", "image_name": f"{prompt}.jpg"}
        )
        write_picture(scene, folder / "data" / "crop" / "16-9" / f"{prompt}.jpg")
    write_json(folder / "vbench2_i2v_full_info.json", rows)


def _write_videos(films: Mapping[Path, Scene]) -> None:
    """Draw and encode the films, several at once: each is encoded by one thread, so its bytes do not depend on that."""
    with ThreadPoolExecutor(max_workers=min(MAKERS, os.cpu_count() or 1)) as pool:
        for _ in pool.map(write_video, films.values(), films.keys()):
            pass


def write_images(root: Path, seed: int, images: int) -> None:
    """Write coco/val2014/COCO_val2014_*.jpg with their captions (LAVIS form) and their VQAv2 questions and answers."""
    (root / "coco" / "val2014").mkdir(parents=True)
    scenes = {FIRST_IMAGE + index: draw_scene(seed, "coco/val2014", index, PICTURE) for index in range(images)}
    for image_id, scene in scenes.items():
        write_picture(scene, root / "coco" / image_name(image_id))
    _write_captions(root / "coco" / "annotations", scenes)
    _write_vqav2(root / "vqav2", scenes)


def image_name(image_id: int) -> str:
    """Return an image's path within the COCO folder."""
    return f"val2014/COCO_val2014_{image_id:012d}.jpg"


def _write_captions(folder: Path, scenes: Mapping[int, Scene]) -> None:
    """Write the Karpathy test split as LAVIS has it: a list of images, and the ground truth in COCO's form."""
    said = {image_id: captions(scene) for image_id, scene in scenes.items()}
    write_json(
        folder / "coco_karpathy_test.json",
        [{"image": image_name(image_id), "caption": list(texts)} for image_id, texts in said.items()],
    )
    every = [(image_id, text) for image_id, texts in said.items() for text in texts]
    write_json(
        folder / "coco_karpathy_test_gt.json",
        {
            "annotations": [
                {"image_id": image_id, "caption": text, "id": number} for number, (image_id, text) in enumerate(every)
            ],
            "images": [{"id": image_id} for image_id in said],
        },
    )


def _write_vqav2(folder: Path, scenes: Mapping[int, Scene]) -> None:
    """Write VQAv2's question and annotation files, three questions an image: one of each answer type."""
    questions, annotations = [], []
    for image_id, scene in scenes.items():
        kinds: tuple[QuestionKind, ...] = ("color" if scene.index % 2 == 0 else "shape", "count", "presence")
        for place, kind in enumerate(kinds):
            asked, question_id = ask(scene, kind), image_id * 1000 + place
            text = asked.text[0].upper() + asked.text[1:]
            questions.append({"image_id": image_id, "question": text, "question_id": question_id})
            annotations.append({"image_id": image_id, "question_id": question_id, **_annotation(scene, asked)})
    shared = {
        "info": {"description": "lavit-eval demo data in the form of VQA v2.0", "version": "1.0"},
        "license": LICENSE,
        "data_type": "mscoco",
        "data_subtype": "val2014",
    }
    write_json(
        folder / "v2_OpenEnded_mscoco_val2014_questions.json",
        {**shared, "task_type": "Open-Ended", "questions": questions},
    )
    write_json(folder / "v2_mscoco_val2014_annotations.json", {**shared, "annotations": annotations})


ANSWER_TYPES: dict[QuestionKind, str] = {"color": "other", "shape": "other", "count": "number", "presence": "yes/no"}
QUESTION_TYPES: dict[QuestionKind, str] = {
    "color": "what color is the",
    "shape": "what is the",
    "count": "how many",
    "presence": "is there a",
}


def _annotation(scene: Scene, question: Question) -> dict[str, Any]:
    """Return what VQAv2 states of a question besides its ids; numbers are digits there."""
    given = _answers(scene, question)
    return {
        "question_type": QUESTION_TYPES[question.kind],
        "multiple_choice_answer": Counter(answer for answer, _ in given).most_common(1)[0][0],
        "answers": [
            {"answer": answer, "answer_confidence": sure, "answer_id": number}
            for number, (answer, sure) in enumerate(given, start=1)
        ],
        "answer_type": ANSWER_TYPES[question.kind],
    }


def _answers(scene: Scene, question: Question) -> list[tuple[str, str]]:
    """Return ten people's (answer, confidence): six to ten are right, the others plausible, in random order."""
    rng = generator(scene.seed, scene.split, scene.index, f"answers {question.kind}")
    right = deal(scene.seed, scene.split, scene.index, f"agreement {question.kind}", (10, 9, 8, 7, 6))
    wrong = [answer for answer in choices(question.kind) if answer != question.answer]
    if question.kind == "count":
        wrong = [answer for answer in wrong if abs(NUMBERS.index(answer) - NUMBERS.index(question.answer)) == 1]
    given = [(question.answer, "yes")] * right
    given += [(pick(rng, wrong), pick(rng, ("maybe", "no"))) for _ in range(ANSWERERS - right)]
    if question.kind == "count":
        given = [(str(NUMBERS.index(answer)), sure) for answer, sure in given]
    return [given[int(number)] for number in rng.permutation(ANSWERERS)]
