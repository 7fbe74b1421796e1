"""The leaderboard as LaTeX, a page, a model card's metadata and lmms-eval's results."""

from __future__ import annotations

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from lavit_eval.cli import main
from lavit_eval.errors import UsageError
from lavit_eval.leaderboard import Row, rows
from lavit_eval.leaderboard_exports import lmms_results, model_index, render_html, render_latex
from tests.test_leaderboard import document

HOSTILE = '<script>alert("x")</script> & 5% of_$1 {a}\\b'


def table(*documents: dict[str, Any]) -> list[Row]:
    return rows(documents)


@pytest.fixture
def two() -> list[Row]:
    return table(document("better", {"msvd_qa": 60.0}), document(HOSTILE, {"msvd_qa": 50.0}))


def test_latex_is_bold_only_for_the_best_and_escapes(two: list[Row], tmp_path: Path) -> None:
    text = render_latex(two)
    assert "\\textbf{60.0}" in text
    assert text.count("\\textbf") == 1
    assert "\\toprule" in text
    assert "5\\% of\\_\\$1 \\{a\\}\\textbackslash{}b" in text
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 1
    body = [line for line in text.splitlines() if "&" in line]
    assert all(line.replace("\\&", "").count("&") == 4 for line in body)
    if shutil.which("pdflatex"):
        whole = f"\\documentclass{{article}}\\usepackage{{booktabs,xcolor}}\\begin{{document}}{text}\\end{{document}}"
        (tmp_path / "t.tex").write_text(whole)
        done = subprocess.run(["pdflatex", "-interaction=batchmode", "t.tex"], cwd=tmp_path, check=False)
        assert done.returncode == 0


class Tags(HTMLParser):
    """Collects tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_inert_and_whole(two: list[Row]) -> None:
    page = Tags()
    page.feed(render_html(two))
    assert "script" not in page.tags
    assert HOSTILE in page.text
    assert page.tags.count("strong") == 1
    assert {"html", "table", "thead", "tbody"} <= set(page.tags)


def test_published_numbers_stand_beside_and_are_never_bold() -> None:
    own = table(document("mine", {"msrvtt_t2v": 200.0}))
    own = [Row(**{**{name: getattr(one, name) for name in Row.__dataclass_fields__}, "metric": "fvd"}) for one in own]
    few, many = render_html(own), render_html(own, every_published=True)
    assert "188.36" in few
    assert "1294" not in few
    assert "1294" in many
    assert "\\textcolor{gray}{188.36}" in render_latex(own)


def test_a_model_card_holds_whole_scores_of_real_data_only(two: list[Row]) -> None:
    found = yaml.safe_load(model_index(two, {"msvd_qa": "answer"}))["model-index"]
    assert [one["name"] for one in found] == [HOSTILE, "better"]
    (result,) = found[1]["results"]
    assert result["task"]["type"] == "visual-question-answering"
    assert result["dataset"]["type"] == "msvd_qa"
    assert result["metrics"][0]["value"] == 60.0
    for labels in (["demo data"], ["limited to 3"], ["partial"]):
        made = document("mine", {"msvd_qa": 60.0})
        made["tasks"]["msvd_qa"]["labels"] = labels
        with pytest.raises(UsageError, match="No run has a whole score"):
            model_index(table(made), {})


def test_lmms_results_name_metric_filter_and_error() -> None:
    made = document("mine", {"msvd_qa": 60.0})
    made["tasks"]["msvd_qa"]["answered"] = made["tasks"]["msvd_qa"]["n"]
    found = lmms_results(made)
    scores = found["results"]["msvd_qa"]
    assert scores["exact_match,none"] == 60.0
    assert scores["exact_match_stderr,none"] == "N/A" or scores["exact_match_stderr,none"] > 0
    assert found["n-samples"]["msvd_qa"]["original"] >= found["n-samples"]["msvd_qa"]["effective"]
    assert found["higher_is_better"]["msvd_qa"]["exact_match"] is True
    assert found["configs"]["msvd_qa"]["labels"] == made["tasks"]["msvd_qa"]["labels"]
    json.dumps(found, allow_nan=False)


def test_the_command_writes_every_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.tiny_world import msvd_task, write_msvd

    msvd_task(write_msvd(tmp_path / "data"), tmp_path / "tasks")
    out = ["--output-dir", str(tmp_path / "out")]
    run = ["run", "--model", "constant", "--tasks", "made_qa", "--task-dir", str(tmp_path / "tasks")]
    assert main([*run, "--data-root", str(tmp_path / "data"), *out]) == 0
    files = {name: tmp_path / name for name in ("latex", "html", "model-index", "lmms-eval")}
    arguments = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    assert main(["leaderboard", *arguments, "--task-dir", str(tmp_path / "tasks"), *out]) == 0
    assert all(path.stat().st_size > 100 for path in files.values())
    card = yaml.safe_load(files["model-index"].read_text())["model-index"]
    assert card[0]["results"][0]["task"]["type"] == "visual-question-answering"
    assert main([*run, "--model-args", "answer=no", "--data-root", str(tmp_path / "data"), *out]) == 0
    capsys.readouterr()
    fresh = {name: tmp_path / "fresh" / name for name in files}
    refused = [word for name, path in fresh.items() for word in (f"--{name}", str(path))]
    assert main(["leaderboard", *refused, "--task-dir", str(tmp_path / "tasks"), *out]) == 2
    captured = capsys.readouterr()
    assert "of one run, not of 2" in captured.err
    assert captured.out == ""
    assert not (tmp_path / "fresh").exists(), "one refusal writes none of them"
    same = ["--latex", str(tmp_path / "one"), "--html", str(tmp_path / "one")]
    assert main(["leaderboard", *same, *out]) == 2
    assert "into the same file" in capsys.readouterr().err


def test_latex_says_the_protocol_where_one_task_has_several() -> None:
    documents = [document("m", {"msvd_qa": 60.0}), document("m", {"msvd_qa": 50.0})]
    assert "protocol" not in render_latex(table(*documents[:1]))
    documents[1]["tasks"]["msvd_qa"]["protocol"] = "0badc0de" * 8
    text = render_latex(table(*documents))
    assert "msvd\\_qa exact\\_match $\\uparrow$, protocol 0badc0de &" in text
    assert "msvd\\_qa exact\\_match $\\uparrow$, protocol 1a2b3c4d &" in text
    documents[1]["tasks"]["msvd_qa"] |= {"protocol": "1a2b3c4d" * 8, "data": "feedbeef" * 8}
    assert "data feedbeef" in render_latex(table(*documents))
    assert "data feedbeef" in render_html(table(*documents))
