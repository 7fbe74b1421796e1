"""MMBench: images in the table in two packings, rotations that belong together, damage of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.mmbench import Mmbench
from lavit_eval.errors import UsageError
from tests.benchmarks.image_layouts import MMBENCH_COLUMNS, mmbench_rows, write_mmbench, write_table


def test_rotations(tmp_path: Path) -> None:
    write_mmbench(tmp_path / "mmbench")
    found = Mmbench().read(tmp_path, "dev")
    assert [sample.id for sample in found.samples] == ["9001", "1009001", "2009001", "9002", "1009002"]
    first, turned = found.samples[:2]
    assert first.question == "What is the boy holding?\nA. kite\nB. ball\nC. cup"
    assert turned.question == "What is the boy holding?\nA. cup\nB. kite\nC. ball"
    assert (first.references, turned.references) == (("A",), ("B",))
    assert turned.extra == {
        "choices": ["cup", "kite", "ball"],
        "reading": "vlmevalkit",
        "question": "9001",
        "rotations": 3,
    }
    assert first.categories == {"category": "logic", "l2_category": "reasoning"}
    assert Path(first.media[0].path).read_bytes()[1:4] == b"PNG"
    assert list(found.annotations) == ["table"]


def test_the_hint_comes_first_and_quoted_cells_are_one(tmp_path: Path) -> None:
    write_mmbench(tmp_path)
    sample = Mmbench().read(tmp_path, "dev").samples[3]
    assert sample.question == 'A play\tin two acts.\nWho says "yes"?\nA. the cat\nB. nobody'


def test_both_packings_give_the_same_samples(tmp_path: Path) -> None:
    write_mmbench(tmp_path / "repeated")
    write_mmbench(tmp_path / "pointing", mmbench_rows(pointers=True))
    repeated, pointing = (Mmbench().read(tmp_path / name, "dev").samples for name in ("repeated", "pointing"))
    assert repeated == pointing
    assert len({sample.cluster for sample in pointing}) == 2


@pytest.mark.parametrize("nothing", ["", "nan", "None"])
def test_choices_end_at_the_first_that_is_none(tmp_path: Path, nothing: str) -> None:
    rows = [{**row, **({"C": nothing, "D": nothing} if not row["C"] else {})} for row in mmbench_rows()]
    write_mmbench(tmp_path, rows)
    assert Mmbench().read(tmp_path, "dev").samples[3].extra["choices"] == ["the cat", "nobody"]


def test_test_has_no_answers(tmp_path: Path) -> None:
    columns = [column for column in MMBENCH_COLUMNS if column not in ("answer", "l2-category")]
    write_table(tmp_path / "MMBench_TEST_EN.tsv", mmbench_rows(), columns)
    first = Mmbench().read(tmp_path, "test").samples[0]
    assert first.references == ()
    assert first.categories == {"category": "logic"}


def test_the_first_release_is_a_split_of_its_own(tmp_path: Path) -> None:
    write_table(tmp_path / "mmbench" / "mmbench_dev_20230712.tsv", mmbench_rows())
    assert len(Mmbench().read(tmp_path, "dev_20230712").samples) == 5
    with pytest.raises(UsageError, match=r"no annotations of MMBench .*MMBench_DEV_EN\.tsv"):
        Mmbench().read(tmp_path, "dev")


@pytest.mark.parametrize(
    ("place", "change", "said"),
    [
        (1, {"index": 9001}, "line 3 has the index 9001 of line 2"),
        (1, {"index": "x"}, "line 3 has 'x' as index"),
        (1, {"answer": "D"}, "line 3 has the answer 'D', but the choices A, B, C"),
        (1, {"answer": ""}, "line 3 has the answer ''"),
        (1, {"image": "12"}, "line 3 takes the image of row 12, which has none"),
        (1, {"image": "1009001"}, "line 3 takes the image of row 1009001, which has none"),
        (1, {"image": "bm90IGFuIGltYWdl"}, "line 3 holds an image that is none"),
        (1, {"image": "%%%"}, "line 3 holds an image that is no base64"),
        (1, {"index": 1009003}, "has rotations of the question 9003, but no row with that index"),
        (1, {"question": "a\0b"}, "line 3 holds a NUL byte"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, place: int, change: dict[str, Any], said: str) -> None:
    rows = mmbench_rows()
    rows[place] = {**rows[place], **change}
    write_mmbench(tmp_path, rows)
    with pytest.raises(UsageError, match=said):
        Mmbench().read(tmp_path, "dev")


def test_a_missing_rotation_is_named(tmp_path: Path) -> None:
    write_mmbench(tmp_path, mmbench_rows()[:-1])
    with pytest.raises(UsageError, match=r"the question 9002 has 2 choices, but stands there in 1 rotations"):
        Mmbench().read(tmp_path, "dev")


def test_a_table_separated_by_commas_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "MMBench_DEV_EN.tsv", mmbench_rows(), separator=",")
    with pytest.raises(UsageError, match="separated by commas, not tabs"):
        Mmbench().read(tmp_path, "dev")
