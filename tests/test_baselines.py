"""Baselines: what is kept of an accepted run, and where it is looked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lavit_eval.cli import main
from tests.compare_world import code, made_run, one_wrong


def test_a_baseline_stands_in_for_its_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong)
    accept = ["baseline", "accept", "base", "--output-dir", str(tmp_path / "out")]
    assert main(accept) == 0
    shutil.rmtree(tmp_path / "out" / "runs" / "base")
    path = tmp_path / "out" / "baselines" / "nightly.json"
    for named in ("nightly", str(path)):
        assert code(tmp_path, "--gate", base=named) == 1
        said = capsys.readouterr().out
        assert "a drop of 25.00 points" in said
        assert "baseline nightly" in said
    assert main(["baseline", "accept", "new", "--name", "../x", "--output-dir", str(tmp_path / "out")]) == 2
    assert main(["baseline", "accept", "nightly", "--output-dir", str(tmp_path / "out")]) == 2


def test_a_partial_run_is_no_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base", skip="101")
    assert main(["baseline", "accept", "base", "--output-dir", str(tmp_path / "out")]) == 2
    assert "lacks responses of made_qa" in capsys.readouterr().err
    assert not (tmp_path / "out" / "baselines").exists()


def test_the_file_that_is_taken_is_named_and_so_is_the_one_it_hides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made_run(tmp_path, "base")
    out = ["--output-dir", str(tmp_path / "out")]
    assert main(["baseline", "accept", "base", *out]) == 0
    own, shipped = tmp_path / "out" / "baselines" / "nightly.json", tmp_path / "shipped"
    capsys.readouterr()
    assert code(tmp_path, base="nightly", new="base") == 0
    assert f"      {own}\n" in capsys.readouterr().out
    shipped.mkdir()
    shutil.copy(own, shipped / "nightly.json")
    (shipped / "thresholds.yaml").write_text("tasks: {}\n")
    monkeypatch.setattr("lavit_eval.compare_sides.data_folder", lambda _: shipped)
    assert code(tmp_path, "--json", str(tmp_path / "c.json"), base="nightly", new="base") == 0
    assert f"{own}, which hides the shipped {shipped / 'nightly.json'}" in capsys.readouterr().out
    stored = json.loads((tmp_path / "c.json").read_text())
    assert stored["new_from"] == str(tmp_path / "out" / "runs" / "base")
    own.unlink()
    assert code(tmp_path, base="nightly", new="base") == 0
    assert f"      {shipped / 'nightly.json'}\n" in capsys.readouterr().out
