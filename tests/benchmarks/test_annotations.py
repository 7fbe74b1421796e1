"""What is wrong with an annotation file is said with the file, the entry and its id."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from lavit_eval.benchmarks.annotations import read_json, read_records, same_ids
from lavit_eval.errors import UsageError

FIELDS = {"id": int, "text": str}


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "file.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_byte_order_mark_is_tolerated(tmp_path: Path) -> None:
    assert read_json(written(tmp_path, b'\xef\xbb\xbf{"a": "\xc3\xa9"}')) == {"a": "é"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,\n"b": [1, 2', "line 2"),
        ('{"a": 1}\n{"a": 2}', "line 2"),
        ("", "line 1"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        ("[" * 200_000, "nested too deeply"),
    ],
)
def test_what_is_not_json_is_said_with_its_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as error:
        read_json(path)
    assert str(path) in str(error.value)
    assert said in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.json cannot be read"):
        read_json(tmp_path / "gone.json")


def test_reading_leaves_the_garbage_collector_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_json(written(tmp_path, "["))
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "must be a list of entries, not an object"),
        ("[]", "holds no entries"),
        ('[{"id": 1, "text": "a"}, 7]', "entry 2 is a whole number, not an object"),
        ('[{"id": 1, "text": "a"}, ["id", "text"]]', "entry 2 is a list, not an object"),
        ('[{"id": 1}]', 'entry 1 (id 1) has no field "text"'),
        ('[{"id": 1, "text": null}]', 'entry 1 (id 1) has null as "text", not text'),
        ('[{"id": true, "text": "a"}]', 'has true or false as "id", not a whole number'),
        ('[{"id": "1", "text": "a"}]', 'has text as "id", not a whole number'),
        ('[{"id": 1.0, "text": "a"}]', 'has a number as "id", not a whole number'),
        (
            '[{"id": 4, "text": "a"}, {"id": 5, "text": "b"}, {"id": 4, "text": "c"}]',
            "entry 3 (id 4) has the id of entry 1",
        ),
    ],
)
def test_a_bad_entry_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as error:
        read_records(path, FIELDS, key="id")
    assert str(path) in str(error.value)
    assert said in str(error.value)


def test_the_list_may_stand_under_a_name(tmp_path: Path) -> None:
    path = written(tmp_path, '{"rows": [{"id": 1, "text": "a"}]}')
    assert read_records(path, FIELDS, key="id", under="rows") == [{"id": 1, "text": "a"}]
    with pytest.raises(UsageError, match='a list "questions"'):
        read_records(path, FIELDS, under="questions")


def test_a_number_and_the_same_number_as_text_are_one_id(tmp_path: Path) -> None:
    path = written(tmp_path, '[{"id": 7}, {"id": "7"}]')
    with pytest.raises(UsageError, match="entry 2"):
        read_records(path, {"id": (int, str)}, key="id")


@pytest.mark.parametrize(("mine", "others", "lacking"), [("ab", "abcd", "q"), ("abcd", "ab", "a")])
def test_files_of_different_ids_are_refused(mine: str, others: str, lacking: str) -> None:
    with pytest.raises(UsageError, match=rf"^{lacking}\.json lacks 2 of the 4 entries .*first: id c"):
        same_ids(Path("q.json"), mine, Path("a.json"), others, "id")


def test_order_does_not_matter_for_a_join() -> None:
    same_ids(Path("q.json"), "abc", Path("a.json"), "cab", "id")
