"""Annotation files as they come from the world: every reader names the fault and makes nothing of what is not there."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.evaluate import evaluate
from lavit_eval.prospect import RunOptions, foresee
from lavit_eval.registry import find
from tests.benchmarks import caption_layouts, choice_layouts, image_layouts, layouts, video_qa_layouts
from tests.tiny_world import msvd_task, write_msvd


def twice_in(path: Path, key: str | None = None) -> None:
    """Repeat the first entry of a list, or of the list under a key."""
    document = json.loads(path.read_text(encoding="utf-8-sig"))
    rows = document if key is None else document[key]
    rows.append(rows[0])
    path.write_text(json.dumps(document))


def key_twice(path: Path) -> None:
    """Repeat the first entry of an object under its own key, which JSON allows."""
    document = json.loads(path.read_text(encoding="utf-8-sig"))
    name, value = next(iter(document.items()))
    text = json.dumps(document)
    path.write_text(f"{text[:-1]}, {json.dumps(name)}: {json.dumps(value)}}}")


def line_twice(path: Path, number: int = 1) -> None:
    """Repeat a line."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    path.write_text("\n".join([*lines, lines[number]]) + "\n")


def under(key: str) -> Callable[[Path], None]:
    """Return what repeats the first entry of the list under a key."""
    return lambda path: twice_in(path, key)


def first_video_twice(path: Path) -> None:
    """Repeat the questions of a video."""
    path.write_text(json.dumps([*choice_layouts.MME_VIDEOS, choice_layouts.MME_VIDEOS[0]]))


WRITERS: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "vqav2": ("val", layouts.write_vqav2, "vqav2"),
    "okvqa": ("val", image_layouts.write_okvqa, "okvqa"),
    "gqa": ("testdev_balanced", image_layouts.write_gqa, "gqa"),
    "vizwiz_vqa": ("val", image_layouts.write_vizwiz, "vizwiz"),
    "scienceqa_img": ("test", image_layouts.write_scienceqa, "scienceqa"),
    "mmbench": ("dev", image_layouts.write_mmbench, "mmbench"),
    "seed_bench": ("all", image_layouts.write_seed_bench, "seed_bench"),
    "mmvet": ("test", image_layouts.write_mmvet, "mm-vet"),
    "pope": ("test", image_layouts.write_pope, "pope"),
    "coco_karpathy_test": ("test", layouts.write_karpathy, "coco"),
    "nocaps_val": ("val", caption_layouts.write_nocaps, "nocaps"),
    "flickr30k_karpathy_test": ("test", caption_layouts.write_flickr30k, "flickr30k"),
    "msrvtt_caption": ("test", caption_layouts.write_msrvtt_caption, "MSRVTT"),
    "vatex_en": ("test", caption_layouts.write_vatex, "vatex"),
    "msvd_qa": ("test", layouts.write_msvd_qa, "MSVD-QA"),
    "msrvtt_qa": ("test", layouts.write_msrvtt_qa, "MSRVTT-QA"),
    "activitynet_qa": ("test", video_qa_layouts.write_activitynet_qa, "activitynet_qa"),
    "tgif_qa_frame": ("test", video_qa_layouts.write_tgif_qa, "tgif_qa"),
    "nextqa_mc": ("test", choice_layouts.write_nextqa, "nextqa"),
    "perception_test_mc": ("valid", choice_layouts.write_perception_test, "perception_test"),
    "egoschema": ("subset", choice_layouts.write_egoschema, "egoschema"),
    "video_mme": ("test", choice_layouts.write_video_mme, "video_mme"),
}
CASES: list[tuple[str, str, Callable[[Path], None]]] = [
    ("vqav2", "v2_mscoco_val2014_annotations.json", under("annotations")),
    ("vqav2", "v2_OpenEnded_mscoco_val2014_questions.json", under("questions")),
    ("okvqa", "mscoco_val2014_annotations.json", under("annotations")),
    ("gqa", "testdev_balanced_questions.json", key_twice),
    ("vizwiz_vqa", "val.json", twice_in),
    ("scienceqa_img", "problems.json", key_twice),
    ("mmbench", "MMBench_DEV_EN.tsv", line_twice),
    ("seed_bench", "SEED-Bench.json", under("questions")),
    ("mmvet", "mm-vet.json", key_twice),
    ("pope", "coco_pope_popular.json", line_twice),
    ("coco_karpathy_test", "dataset_coco.json", under("images")),
    ("nocaps_val", "nocaps_val_4500_captions.json", under("images")),
    ("flickr30k_karpathy_test", "dataset_flickr30k.json", under("images")),
    ("msrvtt_caption", "*.json", under("sentences")),
    ("vatex_en", "vatex_public_test_english_v1.1.json", twice_in),
    ("msvd_qa", "test_qa.json", twice_in),
    ("msrvtt_qa", "test_qa.json", twice_in),
    ("activitynet_qa", "test_a.json", twice_in),
    ("tgif_qa_frame", "Test_frameqa_question.csv", line_twice),
    ("nextqa_mc", "test.csv", line_twice),
    ("perception_test_mc", "mc_question_valid.json", key_twice),
    ("egoschema", "questions.json", twice_in),
    ("egoschema", "subset_answers.json", key_twice),
    ("video_mme", "output_test_template.json", first_video_twice),
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(tmp_path / "cache"))


def made(benchmark: str, root: Path) -> Callable[[], Found]:
    """Write a benchmark's files; return what reads them."""
    split, write, folder = WRITERS[benchmark]
    write(root / folder)
    return lambda: find("benchmark", benchmark)().read(root, split)


@pytest.mark.parametrize(("benchmark", "name", "repeat"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_annotation_ids_that_repeat_are_refused(
    benchmark: str, name: str, repeat: Callable[[Path], None], tmp_path: Path
) -> None:
    read = made(benchmark, tmp_path / "data")
    assert read().samples
    path = next(path for path in sorted((tmp_path / "data").rglob(name)) if path.is_file())
    repeat(path)
    with pytest.raises(UsageError, match=rf"{path.name}.*(entry|line|twice|holds)"):
        read()


def test_a_tsv_in_the_place_of_csv_is_named(tmp_path: Path) -> None:
    path = choice_layouts.write_nextqa(tmp_path / "nextqa")
    rows = list(csv.reader(path.read_text().splitlines()))
    path.write_text("\n".join("\t".join(row) for row in rows))
    with pytest.raises(UsageError, match=r"test\.csv, line 1 is separated by tabs, not by commas"):
        find("benchmark", "nextqa_mc")().read(tmp_path, "test")


def test_a_csv_in_the_place_of_tsv_is_named(tmp_path: Path) -> None:
    video_qa_layouts.write_tgif_qa(tmp_path / "tgif_qa", delimiter=",")
    with pytest.raises(UsageError, match=r"question\.csv, line 1 must name the columns .*separated by tabs"):
        find("benchmark", "tgif_qa_frame")().read(tmp_path, "test")
    image_layouts.write_table(tmp_path / "mmbench" / "MMBench_DEV_EN.tsv", image_layouts.mmbench_rows(), separator=",")
    with pytest.raises(UsageError, match=r"MMBench_DEV_EN\.tsv must be a table separated by tabs"):
        find("benchmark", "mmbench")().read(tmp_path, "dev")


@pytest.mark.parametrize(
    ("benchmark", "name"),
    [("tgif_qa_frame", "Test_frameqa_question.csv"), ("nextqa_mc", "test.csv"), ("mmbench", "MMBench_DEV_EN.tsv")],
)
def test_a_nul_byte_is_named_with_its_line(benchmark: str, name: str, tmp_path: Path) -> None:
    read = made(benchmark, tmp_path)
    path = next(tmp_path.rglob(name))
    lines = path.read_bytes().split(b"\n")
    lines[1] = lines[1][:5] + b"\0" + lines[1][5:]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(UsageError, match=rf"{name}, line 2 holds a NUL byte"):
        read()


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("not base64!", "line 2 holds an image that is no base64"),
        ("aGVsbG8gd29ybGQ=", "line 2 holds an image that is none: it begins with b'hello wo'"),
        ("", "line 2 holds an image that is none"),
    ],
)
def test_base64_that_is_no_image_is_named(cell: str, said: str, tmp_path: Path) -> None:
    rows = image_layouts.mmbench_rows()
    image_layouts.write_mmbench(tmp_path / "mmbench", [{**rows[0], "image": cell}, *rows[1:]])
    with pytest.raises(UsageError, match=said):
        find("benchmark", "mmbench")().read(tmp_path, "dev")


def test_a_run_without_some_media_says_how_many_it_found_and_is_partial(tmp_path: Path) -> None:
    root = tmp_path / "data"
    count = write_msvd(root, videos=3, questions=2)
    (root / "MSVD-QA" / "video" / "vid2.avi").unlink()
    task = msvd_task(count, tmp_path / "tasks")
    options = RunOptions(
        model="most-common-answer", tasks=(task,), data_root=root, output=tmp_path / "out", allow_missing=True
    )
    said = "made_qa: 2 of 3 media are there; the samples of the others fail and the score is labelled partial"
    assert [warning for warning in foresee(options).warnings if "media" in warning] == [said]
    score = evaluate(options).scores["tasks"]["made_qa"]
    assert (score["answered"], score["n"]) == (4, 6) and score["coverage"] < 1
    assert "partial" in score["labels"]
    blind = dataclasses.replace(options, model="external")
    assert not any("media are there" in warning for warning in foresee(blind).warnings)
