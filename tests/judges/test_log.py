"""Judgements on disk: nothing is lost by a kill, and damage is not passed over in silence."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.judges.log import Judgement, JudgementLog, all_judgements, read_judgements


def write(path: Path, *keys: str) -> None:
    with JudgementLog(path) as log:
        for key in keys:
            log.append(Judgement(key, f"reply to {key}\n</x> \u2028 ü"))


def test_what_was_written_is_read_and_the_last_of_equal_keys_counts(tmp_path: Path) -> None:
    path = tmp_path / "run" / "j.jsonl"
    assert read_judgements(path) == {}
    write(path, "a", "b")
    with JudgementLog(path) as log:
        log.append(Judgement("a", "again", refused="no", served="m", requests=2, prompt_tokens=1, completion_tokens=0))
    found = read_judgements(path)
    assert list(found) == ["a", "b"]
    assert found["a"].reply == "again" and found["b"].reply == "reply to b\n</x> \u2028 ü"
    assert [one.key for one in all_judgements(path)] == ["a", "b", "a"]


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_line_torn_by_a_kill_is_left_out_and_the_next_one_stands_alone(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "j.jsonl"
    write(path, "a", "b")
    os.truncate(path, path.stat().st_size - cut)
    assert set(read_judgements(path)) == {"a"}
    write(path, "c")
    # Of a line that lacks its end alone all was written.
    whole = {"b"} if cut == 1 else set()
    assert set(read_judgements(path)) == {"a", "c"} | whole
    write(path, "d")
    assert set(read_judgements(path)) == {"a", "c", "d"} | whole


def test_other_damage_is_named_and_of_a_cache_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    write(path, "a", "b", "c")
    lines = path.read_bytes().split(b"\n")
    lines[1] = b'{"schema":1,"key":5}'
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(UsageError, match=r"j\.jsonl:2: not a judgement"):
        read_judgements(path)
    assert set(read_judgements(path, strict=False)) == {"a", "c"}


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with JudgementLog(path) as log:
        threads = [
            threading.Thread(target=lambda n=n: [log.append(Judgement(f"{n}-{k}", "x" * 500)) for k in range(50)])
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(read_judgements(path)) == 400


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        JudgementLog(tmp_path / "file" / "j.jsonl")
