"""Traps of the benchmark cards that no reader's own test holds: each is a mistake that public code makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.benchmarks.activitynet_qa import ActivitynetQa
from lavit_eval.benchmarks.coco_captions import CocoKarpathyTest
from lavit_eval.benchmarks.msvd_caption import MsvdCaption
from lavit_eval.benchmarks.nocaps import Nocaps
from lavit_eval.benchmarks.tgif_qa import TgifQaFrame
from lavit_eval.category_scores import categories
from lavit_eval.metrics.exact_match_verbatim import ExactMatchVerbatim
from lavit_eval.registry import Catalogue
from tests.benchmarks.caption_layouts import put
from tests.benchmarks.layouts import COCO_IMAGES, write_karpathy, write_lines
from tests.benchmarks.video_qa_layouts import ACTIVITYNET_ROWS, write_activitynet_qa, write_tgif_qa
from tests.task_fixtures import write_nocaps_test


@pytest.mark.parametrize("order", [1, -1])
def test_activitynets_free_questions_do_not_hang_on_the_order_of_the_file(tmp_path: Path, order: int) -> None:
    """The official script slices the types as they come, so that its `free_type` is right in one order only."""
    rows = [
        {**ACTIVITYNET_ROWS[0], "n": kind, "type": kind, "answer": "yes" if kind in (0, 3, 8) else "no"}
        for kind in range(9)
    ]
    write_activitynet_qa(tmp_path / "activitynet_qa", rows[::order])
    samples = ActivitynetQa().read(tmp_path, "test").samples
    found = categories(ExactMatchVerbatim().measure(samples, ["yes"] * 9), samples)
    assert (found["free"]["all"]["n"], found["free"]["all"]["value"]) == (6, pytest.approx(100 * 2 / 6))


def test_activitynets_questions_are_asked_without_a_question_mark(tmp_path: Path) -> None:
    write_activitynet_qa(tmp_path / "activitynet_qa")
    task = Catalogue().task("activitynet_qa")
    asked = [task.text(sample) for sample in ActivitynetQa().read(tmp_path, "test").samples]
    assert asked == [row["question"] for row in ACTIVITYNET_ROWS]


@pytest.mark.parametrize(
    ("number", "split"),
    [(1, "train"), (1200, "train"), (1201, "val"), (1300, "val"), (1301, "test"), (1970, "test")],
)
def test_msvds_splits_end_where_the_numbers_do(tmp_path: Path, number: int, split: str) -> None:
    folder = tmp_path / "MSVD"
    numbers = {"train_0_1": 100, "val_0_1": 1250, "test_0_1": 1500, "x_0_1": number}
    put(folder / "YouTubeClips", [f"{name}.avi" for name in numbers])
    write_lines(folder / "youtube_mapping.txt", [f"{name} vid{place}" for name, place in numbers.items()], "\n")
    write_lines(folder / "AllVideoDescriptions.txt", [f"{name} a man rows" for name in numbers])
    for other in ("train", "val", "test"):
        ids = {sample.id for sample in MsvdCaption().read(tmp_path, other).samples}
        assert ids == {f"{other}_0_1", *(["x_0_1"] if other == split else [])}, other


def test_tgifs_own_gif_is_taken_before_the_shared_mp4(tmp_path: Path) -> None:
    write_tgif_qa(tmp_path / "tgif_qa")
    put(tmp_path / "tgif_qa" / "gifs", ["tumblr_zz900_250.mp4"])
    first = TgifQaFrame().read(tmp_path, "test").samples[0].media[0]
    assert Path(first.path).name == "tumblr_zz900_250.gif"


def test_nocaps_test_has_no_captions_and_begins_with_image_0(tmp_path: Path) -> None:
    write_nocaps_test(tmp_path)
    samples = Nocaps().read(tmp_path, "test").samples
    assert [(sample.id, sample.references, dict(sample.categories)) for sample in samples] == [
        *(("0", (), {}), ("1", (), {}), ("2", (), {}))
    ]


def test_coco_takes_the_id_from_the_name_and_no_image_of_another_split(tmp_path: Path) -> None:
    write_karpathy(tmp_path / "coco")
    ids = [sample.id for sample in CocoKarpathyTest().read(tmp_path, "test").samples]
    assert ids == [str(image["id"]) for image in COCO_IMAGES if image["split"] == "test"]


def test_captions_are_asked_for_without_examples() -> None:
    """lmms-eval's VATEX prompt holds four captions to imitate, which is no zero-shot."""
    catalogue = Catalogue()
    for name in catalogue.suite("captions").tasks:
        prompt = catalogue.task(name).prompt
        assert "\n" not in prompt, name
        assert prompt.count(".") <= 1, name
