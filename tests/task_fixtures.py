"""For every task a small data root in the exact official layout, its content invented, its media real."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lavit_eval.generation_settings import GenerationSettings
from lavit_eval.registry import find
from lavit_eval.task import Task
from lavit_eval.video.lossless import write_h264
from tests.benchmarks.caption_layouts import NOCAPS_IMAGES, nocaps_document
from tests.benchmarks.choice_layouts import PERCEPTION, write_egoschema
from tests.benchmarks.image_layouts import (
    MMBENCH_COLUMNS,
    SEED_ROWS,
    mmbench_rows,
    write_pope,
    write_seed_bench,
    write_table,
    write_vizwiz,
)
from tests.benchmarks.layouts import (
    touch,
    ucf_video,
    write_evalcrafter,
    write_json,
    write_lines,
    write_text_to_image,
    write_vqav2_testdev,
)
from tests.benchmarks.test_versions import CASES
from tests.film_world import film, ids_of

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".webm", ".gif"})
SECONDS = 5
COMPARED = 4
"""Videos or images of tasks that compare sets of them."""
Writer = Callable[[Path], object]


def write_films(root: Path) -> None:
    """Write MSR-VTT's test file with as many videos as a comparison of sets needs (`root` is the data root)."""
    folder = root / "MSRVTT"
    names = ids_of(COMPARED)
    videos = [{"video_id": name, "split": "test", "id": int(name[5:])} for name in names]
    sentences = [
        {"caption": f"caption {order} of {name}", "video_id": name, "sen_id": 2 * number + order}
        for number, name in enumerate(names)
        for order in range(2)
    ]
    write_json(folder / "test_videodatainfo.json", {"info": {}, "videos": videos, "sentences": sentences})
    touch(folder / "TestVideo", [f"{name}.mp4" for name in names])


def write_classes(root: Path) -> None:
    """Write four classes of UCF-101 with two videos each (`root` is the data root)."""
    classes = {"HandstandPushups": 37, "JumpingJack": 47, "JumpRope": 48, "Archery": 3}
    for name in classes:
        touch(root / "UCF-101" / name, [f"{ucf_video(name, group)}.avi" for group in (1, 2)])
    lines = [f"{number} {name}" for name, number in classes.items()]
    write_lines(root / "ucfTrainTestlist" / "classInd.txt", lines)


def write_pictures(root: Path) -> None:
    """Write the public list of captions with as many images as a comparison of sets needs (`root` is the data root)."""
    rows: list[tuple[object, str]] = [(900000 + number, f"picture {number}") for number in range(COMPARED)]
    write_text_to_image(root / "coco", rows)


def write_perception_test_test(root: Path) -> None:
    """Write Perception Test's test file, which has no answers (`root` is the data root)."""
    unanswered = {
        video: {
            **entry,
            "mc_question": [{k: v for k, v in row.items() if k != "answer_id"} for row in entry["mc_question"]],
        }
        for video, entry in PERCEPTION.items()
    }
    folder = root / "perception_test"
    write_json(folder / "mc_question_test.json", unanswered)
    touch(folder / "videos", [f"{video}.mp4" for video in unanswered])


def write_nocaps_test(root: Path) -> None:
    """Write NoCaps's test images, which have neither captions nor domains (`root` is the data root)."""
    images = [{k: v for k, v in image.items() if k != "domain"} for image in NOCAPS_IMAGES]
    document = {k: v for k, v in nocaps_document().items() if k != "annotations"}
    write_json(root / "nocaps" / "nocaps_test_image_info.json", {**document, "images": images})
    touch(root / "nocaps" / "images", [image["file_name"] for image in images])


def write_legacy_mmbench(root: Path) -> None:
    """Write MMBench's first dev table, whose rotations point to their image (`root` is the data root)."""
    write_table(root / "mmbench" / "mmbench_dev_20230712.tsv", mmbench_rows(pointers=True), MMBENCH_COLUMNS)


def write_mmbench_test(root: Path) -> None:
    """Write MMBench's test table, which has no answers (`root` is the data root)."""
    columns = tuple(column for column in MMBENCH_COLUMNS if column != "answer")
    write_table(root / "mmbench" / "MMBench_TEST_EN.tsv", mmbench_rows(), columns)


def write_vizwiz_test(root: Path) -> None:
    """Write VizWiz's test questions, which have no answers (`root` is the data root)."""
    rows = [{"image": f"VizWiz_test_0000900{number}.jpg", "question": "What is this?"} for number in range(2)]
    write_vizwiz(root / "vizwiz", rows, split="test")


def write_seed_videos(root: Path) -> None:
    """Write a video of each of SEED-Bench's three sources, two of them with a segment (`root` is the data root)."""
    asked = [
        (10, "SSV2/videos", "94.webm", None),
        (11, "EPIC-KITCHENS/3h91syskeag572hl6tvuovwv4d/videos/test", "P99/P99_01.MP4", [0.5, 4.5]),
        (12, "BreakfastII_15fps_qvga_sync", "P9/cam01/P9_tea.avi", [3, 63]),
    ]
    rows = [
        {**SEED_ROWS[1], "question_id": f"v{kind}", "question_type_id": kind, "data_id": name, "segment": segment}
        for kind, _, name, segment in asked
    ]
    names = {"Action Recognition": 10, "Action Prediction": 11, "Procedure Understanding": 12}
    write_seed_bench(root / "seed_bench", rows, names)
    for _, folder, name, _ in asked:
        place = root / folder / name
        touch(place.parent, [place.name])


OTHERS: Mapping[tuple[str, str], Writer] = {
    ("msrvtt", "test"): write_films,
    ("ucf101", "test"): write_classes,
    ("mscoco_t2i", "val"): write_pictures,
    ("evalcrafter", "test"): lambda root: write_evalcrafter(root / "EvalCrafter", [f"boat {n}" for n in range(8)]),
    ("egoschema", "full"): lambda root: write_egoschema(root / "egoschema"),
    ("mmbench", "dev_20230712"): write_legacy_mmbench,
    ("mmbench", "test"): write_mmbench_test,
    ("nocaps_val", "test"): write_nocaps_test,
    ("perception_test_mc", "test"): write_perception_test_test,
    ("pope", "test_llava"): lambda root: write_pope(root / "pope"),
    ("seed_bench", "video"): write_seed_videos,
    ("seed_bench", "image"): lambda root: write_seed_bench(root / "seed_bench"),
    ("vizwiz_vqa", "test"): write_vizwiz_test,
    ("vqav2", "testdev"): lambda root: write_vqav2_testdev(root / "vqav2"),
}
"""(benchmark, split) -> its layout, where the one that `test_versions` watches is of another split or too small."""
FEWER: Mapping[str, Mapping[str, int]] = {
    "vbench": {"videos": 1, "flickering": 2},
    "vbench_i2v": {"videos": 1},
    "evalcrafter": {"videos": 2},
    "long_video": {"videos": 3},
    "long_video_demo": {"videos": 3},
    "ucf101_t2v": {"per_class": 1},
    "ucf101_t2v_demo": {"per_class": 1},
}
"""Task -> options with which a fixture of few samples is whole."""
QUICK: Mapping[str, int] = {
    "width": 64,
    "height": 64,
    "steps": 2,
    "video_width": 32,
    "video_height": 32,
    "video_steps": 1,
    "min_new_tokens": 8,
    "max_new_tokens": 40,
}
"""Generation settings with which the tiny checkpoint makes an image or video in a moment."""


def write_fixture(task: Task, root: Path) -> None:
    """Write a task's data root; raise LookupError for a task that has no fixture yet."""
    writer = OTHERS.get((task.benchmark, task.split))
    if writer is not None:
        writer(root)
    elif task.benchmark in CASES and CASES[task.benchmark][3] == task.split:
        _, write, folder, _ = CASES[task.benchmark]
        write(root / folder)
    else:
        raise LookupError(f"{task.task} has no fixture: add split {task.split} of {task.benchmark} to OTHERS")
    make_real(root)


def small(task: Task) -> Task:
    """Return a task as it is, but for settings that make generating take hours or need published networks."""
    changes: dict[str, Any] = {}
    if task.task in FEWER:
        changes["options"] = {**task.options, **FEWER[task.task]}
    if task.making:
        quick = {name: value for name, value in QUICK.items() if name in task.making}
        GenerationSettings.parse(task.kind, {**task.making, **quick})
        changes |= {"generation": {**task.making, **quick}, "features": "demo"}
    return task.model_copy(update=changes)


def count_of(task: Task, root: Path) -> int:
    """Return how many samples a task's fixture has."""
    return len(find("benchmark", task.benchmark)().read(root, task.split, **task.options).samples)


def make_real(root: Path) -> None:
    """Put a real picture or film in the place of every medium that the layouts only name."""
    for number, path in enumerate(sorted(path for path in root.rglob("*") if path.is_file())):
        content = path.read_bytes()
        if not content or content.startswith(b"made "):
            path.write_bytes(medium(path.suffix.lower(), number % 12))


@cache
def medium(suffix: str, number: int) -> bytes:
    """Return the content of a picture, or of a film in H.264, or of one as a GIF."""
    frames = film(number, frames=SECONDS * 6 if suffix in VIDEO_SUFFIXES else 1, height=48, width=64)
    if suffix in VIDEO_SUFFIXES - {".gif"}:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            write_h264(Path(folder) / "film.mp4", frames, 6, 23)
            return (Path(folder) / "film.mp4").read_bytes()
    pictures = [Image.fromarray(frame) for frame in np.asarray(frames)]
    stream = io.BytesIO()
    if suffix == ".gif":
        pictures[0].save(stream, "GIF", save_all=True, append_images=pictures[1:], duration=160)
    else:
        pictures[0].save(stream, "JPEG" if suffix in (".jpg", ".jpeg") else "PNG")
    return stream.getvalue()
