"""Karpathy's test split of COCO captions, in its two forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lavit_eval.benchmarks.coco_captions import CocoKarpathyTest
from lavit_eval.errors import UsageError
from tests.benchmarks.layouts import COCO_IMAGES, coco_name, touch, write_json, write_karpathy, write_lavis


def test_karpathy(tmp_path: Path) -> None:
    write_karpathy(tmp_path / "coco")
    found = CocoKarpathyTest().read(tmp_path, "test")
    assert [sample.id for sample in found.samples] == ["900001", "900003"]
    assert found.samples[1].references == ("two cats", "cats on a sofa", "Two cats sit.")
    assert found.samples[0].question == ""
    medium = found.samples[0].media[0]
    assert (medium.kind, medium.name) == ("image", f"val2014/{coco_name(900001)}")
    assert Path(medium.path) == tmp_path / "coco" / "val2014" / coco_name(900001)


@pytest.mark.parametrize("truth", [None, "coco", "coco_gt"])
def test_lavis_gives_the_same_samples(tmp_path: Path, truth: str | None) -> None:
    write_karpathy(tmp_path / "one" / "coco")
    two = tmp_path / "two"
    write_lavis(two / "coco" / "annotations", truth_folder=two / truth if truth else None)
    touch(two / "coco" / "images" / "val2014", [coco_name(900003)])
    expected = CocoKarpathyTest().read(tmp_path / "one", "test")
    found = CocoKarpathyTest().read(two, "test")
    assert [(one.id, one.references, one.cluster) for one in found.samples] == [
        (one.id, one.references, one.cluster) for one in expected.samples
    ]
    assert Path(found.samples[1].media[0].path) == two / "coco" / "images" / "val2014" / coco_name(900003)
    assert sorted(found.annotations) == (["captions", "references"] if truth else ["captions"])


def test_an_image_without_truth_is_refused(tmp_path: Path) -> None:
    path = write_lavis(tmp_path / "coco", truth_folder=tmp_path / "coco")
    rows = json.loads(path.read_text())
    write_json(path, [*rows, {"image": f"val2014/{coco_name(5)}", "caption": ["x"]}])
    with pytest.raises(UsageError, match=r"test_gt\.json lacks 1 of the 3 entries .*image_id 5"):
        CocoKarpathyTest().read(tmp_path, "test")


def test_an_image_may_come_once(tmp_path: Path) -> None:
    write_karpathy(tmp_path / "one" / "coco", [*COCO_IMAGES, COCO_IMAGES[0]])
    with pytest.raises(UsageError, match=r"entry 4 \(cocoid 900001\)"):
        CocoKarpathyTest().read(tmp_path / "one", "test")
    write_lavis(tmp_path / "two" / "coco", [*COCO_IMAGES, COCO_IMAGES[0]])
    with pytest.raises(UsageError, match=r"entry 3 \(image_id 900001\)"):
        CocoKarpathyTest().read(tmp_path / "two", "test")


@pytest.mark.parametrize(("captions", "said"), [([], "has no captions"), ([None], "not text"), (["a", 3], "not text")])
def test_bad_captions_are_named_with_their_entry(tmp_path: Path, captions: list[object], said: str) -> None:
    write_karpathy(tmp_path / "coco", [*COCO_IMAGES, {"id": 4, "split": "test", "captions": captions}])
    with pytest.raises(UsageError, match=rf"dataset_coco\.json, entry 4 \(cocoid 4\) .*{said}"):
        CocoKarpathyTest().read(tmp_path, "test")


@pytest.mark.parametrize(
    ("name", "said"),
    [("../../secret_1.jpg", "outside the data folder"), ("val2014/photo.jpg", "does not end in _NUMBER")],
)
def test_bad_image_names_are_refused(tmp_path: Path, name: str, said: str) -> None:
    write_json(tmp_path / "coco" / "coco_karpathy_test.json", [{"image": name, "caption": ["x"]}])
    with pytest.raises(UsageError, match=said):
        CocoKarpathyTest().read(tmp_path, "test")


def test_a_file_without_test_images_is_refused(tmp_path: Path) -> None:
    write_karpathy(tmp_path / "coco", [image for image in COCO_IMAGES if image["split"] != "test"])
    with pytest.raises(UsageError, match='no image whose split is "test"'):
        CocoKarpathyTest().read(tmp_path, "test")


def test_missing_files_say_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"coco_karpathy_test\.json.*caption_datasets\.zip.*CC-BY-4\.0"):
        CocoKarpathyTest().read(tmp_path, "test")
