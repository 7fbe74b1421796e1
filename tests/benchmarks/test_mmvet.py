"""MM-Vet: alternatives, parts that belong together, and abilities one by one and as a set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.mmvet import Mmvet
from lavit_eval.errors import UsageError
from tests.benchmarks.image_layouts import MMVET, write_mmvet
from tests.benchmarks.layouts import write_json


def test_questions(tmp_path: Path) -> None:
    write_mmvet(tmp_path / "mm-vet")
    first, second = Mmvet().read(tmp_path, "test").samples
    assert (first.id, first.question) == ("v1_900", "What is the total?")
    assert first.references == ("12", "twelve")
    assert second.references == ("robin, wren",)
    assert first.extra == {"answer": "12 <OR> twelve"}
    assert first.categories == {"capabilities": "math+ocr", "needs_ocr": "ocr", "needs_math": "math"}
    assert Path(first.media[0].path) == tmp_path / "mm-vet" / "images" / "v1_900.png"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"capability": []}, r"has the capabilities \[\]"),
        ({"capability": ["ocr", "cook"]}, "has the capabilities"),
        ({"imagename": "/etc/passwd"}, "outside the data folder"),
        ({"answer": 12}, 'has a whole number as "answer"'),
    ],
)
def test_a_bad_question_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    write_mmvet(tmp_path / "mm-vet", {**MMVET, "v1_901": {**MMVET["v1_901"], **change}})
    with pytest.raises(UsageError, match=r"mm-vet\.json, entry 2.* " + said):
        Mmvet().read(tmp_path, "test")


def test_a_list_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "mm-vet.json", [MMVET["v1_900"]])
    with pytest.raises(UsageError, match="must be a JSON object of questions"):
        Mmvet().read(tmp_path, "test")
