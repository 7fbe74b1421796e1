"""Leaderboards of made scores documents."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.leaderboard import Row, render_markdown, render_terminal, rows, write_leaderboard


def score(value: float | None, **fields: Any) -> dict[str, Any]:
    """Return one metric of a scores document."""
    bounds = None if value is None else [value - 1.0, value + 2.0]
    made: dict[str, Any] = {
        "value": value,
        "interval": bounds,
        "interval_method": "t on 9 cluster means",
        "n": 64,
        "clusters": 9,
    }
    made |= {"coverage": 1.0, "higher_is_better": True, "unit": "percent", "categories": {}, "repeats": []}
    return {**made, "skipped": None, "details": {}, **fields}


def document(model: str, values: dict[str, float], digest: str = "a" * 64, **fields: Any) -> dict[str, Any]:
    """Return a scores document with one exact-match value per task."""
    tasks = {
        task: {
            "protocol": "1a2b3c4d" * 8,
            "data": "9f8e7d6c" * 8,
            "benchmark": task,
            "n": 64,
            "coverage": 1.0,
            "labels": [],
            "primary": "exact_match",
            "metrics": {"exact_match": score(value)},
        }
        for task, value in values.items()
    }
    made = {"schema": 1, "model": {"name": model, "digest": digest, "label": model}, "seed": 42, "demo": False}
    return {**made, "tasks": tasks, **fields}


def best(found: list[Row]) -> list[str]:
    """Return the labels of the rows that are marked best."""
    return [row.model for row in found if row.best]


def test_the_best_value_of_a_group_comes_first_and_is_marked() -> None:
    found = rows([document("low", {"msvd_qa": 10.0}), document("high", {"msvd_qa": 20.0})])
    assert [row.model for row in found] == ["high", "low"]
    assert best(found) == ["high"]


def test_lower_can_be_better() -> None:
    documents = [document("far", {"ucf101_t2v": 300.0}), document("near", {"ucf101_t2v": 200.0})]
    for made in documents:
        made["tasks"]["ucf101_t2v"]["metrics"]["exact_match"]["higher_is_better"] = False
    assert best(rows(documents)) == ["near"]


def test_one_run_alone_or_equal_runs_are_not_called_best() -> None:
    assert best(rows([document("alone", {"msvd_qa": 10.0})])) == []
    assert best(rows([document("a", {"msvd_qa": 10.0}), document("b", {"msvd_qa": 10.0})])) == []


@pytest.mark.parametrize("field", ["protocol", "data"])
def test_other_protocols_and_data_are_never_ranked_together(field: str) -> None:
    other = document("other", {"msvd_qa": 90.0})
    other["tasks"]["msvd_qa"][field] = "0badc0de" * 8
    found = rows([document("low", {"msvd_qa": 10.0}), document("high", {"msvd_qa": 20.0}), other])
    assert best(found) == ["high"]
    assert len({row.group for row in found}) == 2
    assert "0badc0de" in render_terminal(found)
    assert "0badc0de" in render_markdown(found)


def test_a_limited_run_is_not_ranked_with_a_whole_one() -> None:
    limited = document("limited", {"msvd_qa": 90.0})
    limited["tasks"]["msvd_qa"] |= {"n": 4, "labels": ["limited to 4"]}
    found = rows([document("low", {"msvd_qa": 10.0}), limited])
    assert best(found) == []
    assert "limited to 4" in render_terminal(found)


def test_a_partial_run_is_never_best() -> None:
    partial = document("partial", {"msvd_qa": 90.0})
    partial["tasks"]["msvd_qa"]["metrics"]["exact_match"] |= {"n": 63, "coverage": 63 / 64}
    partial["tasks"]["msvd_qa"]["labels"] = ["partial"]
    found = rows([document("low", {"msvd_qa": 10.0}), document("high", {"msvd_qa": 20.0}), partial])
    assert best(found) == ["high"]
    text = render_terminal(found)
    assert "63/64" in text
    assert "98 %" in text


def test_coverage_is_never_rounded_up_to_all() -> None:
    made = document("m", {"msvd_qa": 10.0})
    made["tasks"]["msvd_qa"]["metrics"]["exact_match"]["coverage"] = 0.9999
    assert "100 %" not in render_terminal(rows([made]))


@pytest.mark.parametrize(
    ("unit", "value", "shown"), [("percent", 0.25, "0.2"), ("x100", 134.56, "134.6"), ("", 0.30123, "0.3012")]
)
def test_values_have_the_decimals_of_their_scale(unit: str, value: float, shown: str) -> None:
    made = document("m", {"a": 0.0})
    made["tasks"]["a"]["metrics"]["exact_match"] = score(value, unit=unit, interval=[value / 2, value * 2])
    assert f"| {shown} |" in render_markdown(rows([made]))


def test_primary_metrics_of_all_tasks_come_before_other_metrics() -> None:
    made = document("m", {"a": 1.0, "b": 2.0})
    made["tasks"]["a"]["metrics"] = {"aaa": score(5.0), **made["tasks"]["a"]["metrics"]}
    assert [(row.task, row.metric) for row in rows([made])] == [
        ("a", "exact_match"),
        ("b", "exact_match"),
        ("a", "aaa"),
    ]


def test_a_skipped_metric_is_shown_with_its_reason_and_ranked_last() -> None:
    skipped = document("a", {"coco_karpathy_test": 0.0})
    skipped["tasks"]["coco_karpathy_test"]["metrics"]["exact_match"] = score(None, skipped="no Java", n=0, coverage=0.0)
    found = rows([skipped, document("b", {"coco_karpathy_test": 0.0})])
    assert [row.model for row in found] == ["b", "a"]
    assert "skipped (no Java)" in render_terminal(found)
    assert "skipped (no Java)" in render_markdown(found)


def test_other_metrics_without_any_value_share_a_line_per_reason() -> None:
    made = [document(name, {"msvd_qa": 1.0}) for name in "ab"]
    for each in made:
        metrics = each["tasks"]["msvd_qa"]["metrics"]
        metrics |= {name: score(None, skipped="no judge", n=0, coverage=0.0) for name in ("j1", "j2")}
    text = render_terminal(rows(made))
    assert text.count("no judge") == 1
    assert "No value (no judge): msvd_qa j1, msvd_qa j2." in text
    assert "other metrics" not in text


def test_models_that_share_a_label_are_told_apart() -> None:
    twins = [
        document("m", {"msvd_qa": 1.0}, digest="aaaaaaaa11"),
        document("m", {"msvd_qa": 2.0}, digest="bbbbbbbb22"),
        document("m", {"msvd_qa": 3.0}, digest="bbbbbbbb22", seed=43),
    ]
    labels = [row.model for row in rows(twins)]
    assert labels == ["m @bbbbbbbb, seed 43", "m @bbbbbbbb, seed 42", "m @aaaaaaaa, seed 42"]


def test_equal_runs_stand_once() -> None:
    assert len(rows([document("m", {"msvd_qa": 1.0}), document("m", {"msvd_qa": 1.0})])) == 1


def test_demo_data_is_not_compared_with_the_paper() -> None:
    found = rows([document("m", {"msvd_qa": 1.0}, demo=True)])
    assert found[0].labels == ("demo data",)
    for text in (render_terminal(found), render_markdown(found)):
        assert "73.2" in text
        assert "not comparable" in text
        assert "demo data" in text


def test_the_papers_judged_accuracy_is_named_beside_exact_match() -> None:
    assert "73.2 (GPT-3.5 judge): another metric" in render_markdown(rows([document("m", {"msvd_qa": 1.0})]))


def test_a_variant_that_stands_for_itself_has_no_published_number_beside_it() -> None:
    made = document("m", {"msvd_qa_likelihood": -0.5})
    made["tasks"]["msvd_qa_likelihood"] |= {"benchmark": "msvd_qa", "published_as": "msvd_qa_likelihood"}
    assert [row.paper for row in rows([made])] == [None]


def test_a_variant_finds_the_number_of_its_benchmark() -> None:
    made = document("m", {"msvd_qa_reference": 1.0})
    made["tasks"]["msvd_qa_reference"]["benchmark"] = "msvd_qa"
    paper = rows([made])[0].paper
    assert paper is not None
    assert paper.value == "73.2"


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_the_terminal_table_fits_and_keeps_every_value(width: int) -> None:
    documents = [document(f"a model with a long name {n}", {"msvd_qa": 10.0 + n, "vqav2": 30.0 + n}) for n in range(3)]
    text = render_terminal(rows(documents), width)
    assert max(len(line) for line in text.splitlines()) <= width
    for shown in ("12.0*", "[11.0, 14.0]", "32.0*", "80.3"):
        assert shown in text
    assert "\x1b" not in text


def test_color_marks_the_best_bold_and_the_incomparable_dim() -> None:
    found = rows([document("low", {"msvd_qa": 10.0}), document("high", {"msvd_qa": 20.0})])
    text = render_terminal(found, color=True)
    assert re.search(r"\x1b\[1m *20\.0\x1b", text)
    assert re.search(r"\x1b\[2m *73\.2\x1b", text)
    assert not re.search(r"\x1b\[1m *10\.0\x1b", text)
    assert "20.0*" not in text


def test_hostile_labels_are_inert(tmp_path: Path) -> None:
    hostile = "a|b\n\x1b[31m[bold]<script>`*_x_ \u202e"
    made = document(hostile, {"msvd_qa": 1.0})
    found = rows([made])
    text = render_terminal(found, 200)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"a|b\n\x1b[31m[bold]<script>`*_x_ \u202e" in text
    markdown = render_markdown(found)
    assert r"a\|b\\n\\x1b\[31m\[bold\]\<script\>\`\*\_x\_ \\u202e" in markdown
    assert len([line for line in markdown.splitlines() if line.startswith("| ")]) == 2
    write_leaderboard([made], tmp_path)
    assert len((tmp_path / "leaderboard.csv").read_text().splitlines()) == 2


def test_task_names_stay_readable_in_markdown() -> None:
    assert "| msvd_qa | exact_match ↑ |" in render_markdown(rows([document("m", {"msvd_qa": 1.0})]))


def test_written_files_hold_the_same_rows(tmp_path: Path) -> None:
    documents = [document("low", {"msvd_qa": 10.0}), document("high", {"msvd_qa": 20.125, "vqav2": 3.0})]
    write_leaderboard(documents, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "leaderboard.csv",
        "leaderboard.json",
        "leaderboard.md",
    ]
    with open(tmp_path / "leaderboard.csv", encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    records = json.loads((tmp_path / "leaderboard.json").read_text())["rows"]
    assert [line["model"] for line in lines] == [record["model"] for record in records] == ["high", "low", "high"]
    assert lines[0]["value"] == "20.125"
    assert lines[0]["best"] == "True"
    assert records[0]["interval"] == [19.125, 22.125]
    assert records[0]["paper"]["value"] == "73.2"
    assert records[0]["paper"]["comparable"] is False


def test_no_runs_give_an_empty_board(tmp_path: Path) -> None:
    write_leaderboard([], tmp_path)
    assert json.loads((tmp_path / "leaderboard.json").read_text())["rows"] == []
    assert render_terminal([]) == "No scores yet.\n"


def test_another_schema_is_refused() -> None:
    with pytest.raises(UsageError, match="schema 2, expected 1"):
        rows([{"schema": 2}])


def test_the_module_loads_without_rich() -> None:
    code = "import sys, lavit_eval.leaderboard; print([m for m in ('rich', 'torch', 'numpy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_runs_of_one_model_and_seed_are_told_apart_by_their_ids_and_equal_ones_stand_once() -> None:
    made = [document("m", {"msvd_qa": value}) | {"run": run} for value, run in ((10.0, "a"), (20.0, "b"), (20.0, "c"))]
    assert [row.model for row in rows(made)] == ["m, run b", "m, run a"]
    assert [row.model for row in rows(made[1:])] == ["m"]


def test_categories_with_their_intervals_stand_in_the_json_only(tmp_path: Path) -> None:
    made = document("m", {"gqa": 50.0})
    parts = {"semantic": {"rel": {"value": 40.0, "n": 5, "low": 10.0, "high": 70.0}}}
    made["tasks"]["gqa"]["metrics"]["exact_match"]["categories"] = parts
    write_leaderboard([made], tmp_path)
    (row,) = json.loads((tmp_path / "leaderboard.json").read_text())["rows"]
    assert row["categories"] == parts
    assert "semantic" not in (tmp_path / "leaderboard.csv").read_text()
