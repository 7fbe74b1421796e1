"""The public list of 30,000 captions, and LaVIT's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.benchmarks.coco_text_to_image import CocoTextToImage
from lavit_eval.errors import UsageError
from tests.benchmarks.layouts import T2I_ROWS, coco_name, touch, write_json, write_text_to_image

LIST = "MS-COCO_val2014_30k_captions.csv"


def write(root: Path, content: bytes) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / LIST).write_bytes(content)


def test_a_caption_of_each_image_in_the_files_order(tmp_path: Path) -> None:
    path = write_text_to_image(tmp_path / "coco")
    found = CocoTextToImage().read(tmp_path, "val")
    assert [sample.id for sample in found.samples] == ["900003", "900001"]
    assert found.samples[0].question == "two cats, one of them black, on a sofa"
    second = found.samples[1]
    # The caption stands in quotes and ends in a line end, as some of COCO's do.
    assert (second.question, second.references) == ('a bus with "Centre" on its front', (T2I_ROWS[1][1],))
    assert second.media == ()
    (target,) = second.targets
    assert (target.kind, target.name) == ("image", f"val2014/{coco_name(900001)}")
    assert Path(target.path) == tmp_path / "coco" / "val2014" / coco_name(900001)
    assert found.annotations == {"captions": path}


def test_an_index_column_and_others_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, b",image_id,id,text\r\n0,900001,77,a red bus\r\n1,42,78,a dog\r\n")
    samples = CocoTextToImage().read(tmp_path, "val").samples
    assert [(sample.id, sample.question) for sample in samples] == [("900001", "a red bus"), ("42", "a dog")]
    assert samples[1].targets[0].name == "val2014/COCO_val2014_000000000042.jpg"


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    write(tmp_path, b"\xef\xbb\xbfimage_id,text\n1,a caf\xc3\xa9\n")
    assert CocoTextToImage().read(tmp_path, "val").samples[0].question == "a café"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"image_id\ttext\n1\ta dog\n", "line 1 is separated by tabs, not by commas: the file is a TSV"),
        (b"image_id,caption\n1,a dog\n", r"line 1 must name the columns image_id and text \(it names image_id, capt"),
        (b"", r"line 1 must name the columns image_id and text \(it names none\)"),
        (b"image_id,text\n1,a dog, running\n", "line 2 has 3 columns, not 2"),
        (b"image_id,text\n1,a dog\n2", "line 3 has 1 columns, not 2"),
        (b"image_id,text\n1,a dog\n1.0,a cat\n", "line 3 has '1.0' as image_id, not a whole number"),
        (b"image_id,text\n1,a dog\n01,a cat\n", "line 3 has image 01 of line 2 again"),
        (b"image_id,text\n1, \n", "line 2 has no text for image 1"),
        (b'image_id,text\n1,"a dog\n2,a cat\n', r"line \d is not comma-separated text"),
        (b"image_id,text\n1,a \0dog\n", "line 2 holds a NUL byte"),
    ],
)
def test_another_form_is_named_with_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    write(tmp_path / "coco", content)
    with pytest.raises(UsageError, match=rf"captions\.csv, {said}"):
        CocoTextToImage().read(tmp_path, "val")


def test_lavits_list(tmp_path: Path) -> None:
    rows = [{"image": f"val2014/{coco_name(7)}", "text": "a  dog"}, {"image": coco_name(5), "text": "a cat"}]
    path = write_json(tmp_path / "coco" / "annotations" / "coco_t2i_eval.json", rows)
    touch(tmp_path / "coco" / "images" / "val2014", [coco_name(7)])
    found = CocoTextToImage().read(tmp_path, "val")
    assert [(sample.id, sample.question) for sample in found.samples] == [("7", "a dog"), ("5", "a cat")]
    assert Path(found.samples[0].targets[0].path) == tmp_path / "coco" / "images" / "val2014" / coco_name(7)
    assert Path(found.samples[1].targets[0].path).name == coco_name(5)
    assert found.annotations == {"captions": path}
    write_text_to_image(tmp_path / "coco")
    assert len(CocoTextToImage().read(tmp_path, "val").samples) == 2
    assert CocoTextToImage().read(tmp_path, "val").samples[0].id == "900003"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"image": coco_name(7), "text": "again"}, r"entry 2 .*has the image_id of entry 1"),
        ({"image": "val2014/photo.jpg", "text": "x"}, 'entry 2 .*names as "image" no file COCO_val2014_'),
        ({"image": "../../COCO_val2014_000000000009.jpg", "text": "x"}, "entry 2 .*no file COCO_val2014_"),
        ({"image": "COCO_train2014_000000000009.jpg", "text": "x"}, "entry 2 .*no file COCO_val2014_"),
        ({"image": coco_name(9), "text": " "}, "entry 2 .*has no text"),
        ({"image": coco_name(9)}, 'entry 2 .*has no field "text"'),
    ],
)
def test_bad_entries_of_lavits_list_are_named(tmp_path: Path, row: dict[str, str], said: str) -> None:
    write_json(tmp_path / "coco" / "coco_t2i_eval.json", [{"image": coco_name(7), "text": "a dog"}, row])
    with pytest.raises(UsageError, match=said):
        CocoTextToImage().read(tmp_path, "val")


def test_missing_files_say_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"30k_captions\.csv.*coco_t2i_eval\.json.*text2image-benchmark.*CC-BY-4\.0"):
        CocoTextToImage().read(tmp_path, "val")
    with pytest.raises(UsageError, match="no split 'test'"):
        CocoTextToImage().read(tmp_path, "test")
