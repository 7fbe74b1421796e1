"""The journal: whole batches survive anything, torn ones are cut off, damage is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavit_eval.errors import UsageError
from lavit_eval.journal import Entry, JournalWriter, latest, read_journal, responses_digest
from lavit_eval.sample import Likelihoods, Response


def _batch(number: int, size: int = 3, text: str = "a\nb\u2028c") -> list[Response]:
    return [Response(f"s{number}-{index}", 0, "answered", text=text) for index in range(size)]


def _written(path: Path, batches: int = 3) -> bytes:
    with JournalWriter(path) as writer:
        for number in range(batches):
            writer.append(1, number, _batch(number))
    return path.read_bytes()


def test_lines_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    response = Response(
        "id 1",
        2,
        "failed",
        error="It broke.",
        digests={"media": ["ab"]},
        counts={"new_tokens": 3},
        times={"encode": 0.5},
    )
    with JournalWriter(path) as writer:
        written = writer.append(4, 7, [response])
    assert read_journal(path).entries == tuple(written)
    assert written == [Entry(4, 7, 1, response)]


def test_likelihoods_come_back_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    likelihoods = Likelihoods.of([-1.1, -0.1 - 0.2, -1e-17], [3, 1, 7])
    with JournalWriter(path) as writer:
        written = writer.append(1, 0, [Response("q", 0, "answered", text="C", likelihoods=likelihoods)])
    stored = json.loads(path.read_text())["likelihoods"]
    assert stored == {
        "summed": [-1.1, -0.30000000000000004, -1e-17],
        "normalised": [-1.1 / 3, -0.30000000000000004, -1e-17 / 7],
        "tokens": [3, 1, 7],
    }
    assert read_journal(path).entries == tuple(written)
    assert read_journal(path).entries[0].response.likelihoods == likelihoods


def test_a_line_of_an_earlier_version_is_read() -> None:
    line = '{"schema":1,"sample_id":"q","repeat":0,"outcome":"answered","text":"B","attempt":1,"batch":0,"of":1}'
    response = Entry.parse(line).response
    assert (response.text, response.likelihoods) == ("B", None)
    assert "likelihoods" not in json.loads(Entry(1, 0, 1, response).line())


@settings(deadline=None)
@given(cut=st.integers(min_value=0, max_value=100_000))
def test_a_kill_at_any_byte_costs_the_torn_batch_only(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("j") / "journal.jsonl"
    whole = _written(path)
    ends = [0]
    for _batch_number in range(3):
        line_end = ends[-1]
        for _ in range(3):
            line_end = whole.index(b"\n", line_end) + 1
        ends.append(line_end)
    cut %= len(whole) + 1
    path.write_bytes(whole[:cut])
    kept = max(number for number, end in enumerate(ends) if end <= cut)
    with JournalWriter(path) as writer:
        assert len(writer.log.entries) == 3 * kept
        for number in range(kept, 3):
            writer.append(1, number, _batch(number))
    assert path.read_bytes() == whole


def test_damage_in_the_middle_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    lines = _written(path).split(b"\n")
    lines[1] = b"{damaged"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(UsageError, match=r"journal\.jsonl:2: not a journal line"):
        read_journal(path)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with JournalWriter(path), pytest.raises(UsageError, match="Another process is writing"):
        JournalWriter(path)
    with JournalWriter(path):
        pass


def test_a_full_disk_is_one_sentence_and_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    whole = _written(path, 1)
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    writer = JournalWriter(path)
    writer._stream.close()
    writer._stream = open(full, "ab")  # noqa: SIM115 - closed by the writer
    with writer, pytest.raises(UsageError, match="free disk space and repeat the command"):
        writer.append(1, 1, _batch(1))
    assert path.read_bytes() == whole


def test_the_highest_attempt_counts(tmp_path: Path) -> None:
    first = Entry(1, 0, 1, Response("s", 0, "failed", error="x"))
    second = Entry(2, 0, 1, Response("s", 0, "answered", text="y"))
    assert latest([first, second]) == latest([second, first]) == {("s", 0): second}


def test_the_digest_of_responses_sees_text_and_outcome_but_no_times() -> None:
    def digest(**fields: object) -> str:
        entry = Entry(1, 0, 1, Response("s", 0, **{"outcome": "answered", "text": "y", **fields}))  # type: ignore[arg-type]
        return responses_digest({entry.key: entry})

    assert digest() == digest(times={"generate": 1.0})
    assert digest() != digest(text="z")
    assert digest() != digest(outcome="skipped")
    assert len({digest(), digest(medium_digest="aa"), digest(medium_digest="bb")}) == 3


def test_a_line_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    lines = _written(path).decode().splitlines()
    lines[0] = json.dumps({**json.loads(lines[0]), "schema": 99})
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UsageError, match="another version"):
        read_journal(path)
