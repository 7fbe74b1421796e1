"""Shipped scores stand only beside runs on the same data, asked and scored in the same way."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from lavit_eval import committed
from lavit_eval.committed import committed_beside


def document(model: str, **tasks: dict[str, Any]) -> dict[str, Any]:
    return {"model": {"digest": model}, "tasks": tasks}


TASK = {"data": "d", "protocol": "p", "n": 4, "value": 1.0}


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    (tmp_path / "demo").mkdir()
    found = document("old", msvd_qa=TASK, vqav2=TASK)
    (tmp_path / "demo" / "old.json").write_text(json.dumps(found))
    monkeypatch.setattr(committed, "data_folder", lambda _: tmp_path)
    return found


def test_only_comparable_tasks_remain(shipped: dict[str, Any]) -> None:
    here = [document("new", msvd_qa=TASK, vqav2={**TASK, "n": 5})]
    assert committed_beside(here) == [document("old", msvd_qa=TASK)]


@pytest.mark.parametrize("field", ["data", "protocol", "n"])
def test_other_data_or_another_protocol_is_left_out(shipped: dict[str, Any], field: str) -> None:
    other = {**TASK, field: 9}
    assert committed_beside([document("new", msvd_qa=other)]) == []


def test_a_model_that_has_run_here_does_not_stand_twice(shipped: dict[str, Any]) -> None:
    assert committed_beside([copy.deepcopy(shipped)]) == []


def test_without_runs_there_is_nothing_beside(shipped: dict[str, Any]) -> None:
    assert committed_beside([]) == []
