"""Java: said to be missing before the run, and never trusted with the number of lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.bleu import Bleu1, Bleu4
from lavit_eval.metrics.caption_tokens import tokenise
from lavit_eval.metrics.cider import Cider
from lavit_eval.metrics.java import jar, missing_java, run_lines
from lavit_eval.metrics.meteor import Meteor
from lavit_eval.metrics.rouge import RougeL
from lavit_eval.sample import Sample


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put a `java` on the PATH that each test writes itself; there is none until it does."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda name: str(folder / name) if (folder / name).is_file() else None)
    missing_java.cache_clear()
    yield folder / "java"
    missing_java.cache_clear()


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_without_java_every_caption_metric_is_skipped(java: Path) -> None:
    reasons = {metric.skipped_because() for metric in (Bleu1(), Bleu4(), RougeL(), Cider(), Meteor())}
    assert reasons == {"no Java"}


def test_a_java_that_does_not_run_is_no_java(java: Path) -> None:
    script(java, "echo 'No Java runtime present' >&2; exit 1")
    assert missing_java() == "no Java"


def test_a_java_that_runs_is_found(java: Path) -> None:
    script(java, "exit 0")
    assert missing_java() is None


def test_without_java_nothing_else_tokenises(java: Path) -> None:
    with pytest.raises(UsageError, match="the PTB tokenizer needs Java"):
        tokenise([Sample("no-java", (), "", ("a cat",))], ["a cat"])


@pytest.mark.parametrize("answer", ["head -n 1", "cat; echo; echo more", "true"])
def test_another_number_of_lines_is_refused(java: Path, answer: str) -> None:
    script(java, answer)
    with pytest.raises(UsageError, match=r"gave \d lines for 3"):
        run_lines("Program", [], ["a", "b", "c"])


def test_a_failure_is_told_with_the_last_words_of_the_program(java: Path) -> None:
    script(java, "echo first >&2; echo 'Error: heap' >&2; exit 3")
    with pytest.raises(UsageError, match=r"Program failed with exit code 3 \(first / Error: heap\)"):
        run_lines("Program", [], ["a"])


def test_a_talkative_program_does_not_block(java: Path) -> None:
    script(
        java,
        "i=0; while [ $i -lt 3000 ]; do echo 'a long warning about nothing at all, again and again' >&2; "
        "i=$((i+1)); done; cat",
    )
    lines = ["x" * 100] * 3000
    assert run_lines("Program", [], lines) == lines


def test_empty_lines_and_half_characters_pass(java: Path) -> None:
    script(java, "cat; echo")
    assert run_lines("Program", [], ["", "a", "\ud83d b", ""]) == ["", "a", "? b", ""]


def test_no_lines_need_no_java(java: Path) -> None:
    assert run_lines("Program", [], []) == []


def test_a_missing_jar_is_named() -> None:
    with pytest.raises(UsageError, match=r"meteor/other\.jar is not installed: run pip install"):
        jar("meteor", "other.jar")
