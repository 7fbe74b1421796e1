"""A list that is read entry by entry gives what `json.loads` gives, and its faults are named as ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavit_eval.benchmarks.annotations import read_records
from lavit_eval.benchmarks.large_json import BLOCK, read_blocks
from lavit_eval.errors import UsageError

ENTRY = st.fixed_dictionaries({"id": st.integers(), "text": st.text()})


def rows(path: Path) -> list[dict[str, Any]]:
    return [row for _, block in read_blocks(path, {"id": int, "text": str}, "id", "list") for row in block]


@settings(max_examples=60, deadline=None)
@given(st.lists(ENTRY, min_size=1, max_size=3 * BLOCK), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_the_entries_are_those_of_the_json_module(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Any], indent: Any, last: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "large.json"
    around = {"info": {"list": [1, {}]}, "n": 1.5}
    whole = {**around, "list": entries} if last else {"list": entries, **around}
    path.write_text(json.dumps(whole, indent=indent) + "\n", encoding="utf-8-sig")
    assert rows(path) == entries


def test_blocks_say_where_they_begin(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"list": [{"id": number, "text": ""} for number in range(BLOCK + 2)]}))
    assert [(start, len(block)) for start, block in read_blocks(path, {"id": int}, "id", "list")] == [
        (0, BLOCK),
        (BLOCK, 2),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        "<html>",
        "{",
        '{"list"',
        '{"list" [',
        '{"list": [',
        '{"list": [{"id": 1, "text": "a"}',
        '{"list": [{"id": 1, "text": "a"},]}',
        '{"list": [{"id": 1, "text": "a"} {"id": 2, "text": "b"}]}',
        '{"list": [{"id": 1, "text": "a"}]',
        '{"list": [{"id": 1, "text": "a"}]} x',
        '{"list": [{"id": 1, "text": "a"}], }',
        '{"list": {}}',
        '{"list": []}',
        '{"other": []}',
        "{7: []}",
        '{"list": [{"id": 1}]}',
        '{"list": [{"id": "1", "text": "a"}]}',
        '{"list": [7]}',
    ],
)
def test_what_read_records_refuses_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=str(path)):
        read_records(path, {"id": int, "text": str}, key="id", under="list")
    with pytest.raises(UsageError, match=str(path)):
        rows(path)


def test_a_fault_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    entries: list[Any] = [{"id": number, "text": ""} for number in range(BLOCK + 3)]
    entries[BLOCK + 1]["text"] = None
    path.write_text(json.dumps({"list": entries}))
    with pytest.raises(UsageError, match=rf'entry {BLOCK + 2} \(id {BLOCK + 1}\) has null as "text"'):
        rows(path)
