"""`lavit-eval report` as a user meets it: where the page lies, what it says, and one sentence for a mistake."""

from __future__ import annotations

import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lavit_eval.cli import main
from lavit_eval.report.folder import SCRIPTS, STYLES, ReportOptions, write_report
from lavit_eval.runs import Run
from tests.report.made_runs import HOSTILE, again, answer_questions, question_runs, registered, write_questions


class Tags(HTMLParser):
    """Counts the elements of a page and collects its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run and its BASE."""
    folder = tmp_path_factory.mktemp("made")
    question_runs(folder)
    return folder


def _report(capsys: pytest.CaptureFixture[str], made: Path, *arguments: str) -> tuple[int, str, str]:
    folders = ["--output-dir", str(made / "results"), "--task-dir", str(made / "tasks"), "--media", "none"]
    code = main(["report", *arguments, *folders])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return code, captured.out, captured.err


def _parsed(page: Path) -> Tags:
    tags = Tags()
    tags.feed(page.read_text())
    return tags


def test_the_page_is_named_and_whole(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _report(capsys, made, "run", "base")
    page = Path(out.strip())
    assert code == 0
    assert page == made / "results" / "reports" / "run-against-base" / "index.html"
    needed = [attributes.get("src") or attributes.get("href") for tag, attributes in _parsed(page).tags]
    files = [one for one in needed if one and not one.startswith(("#", "data:"))]
    assert len(files) == len(STYLES) + len(SCRIPTS) + 1
    for one in files:
        assert (page.parent / one).is_file(), one
    assert not re.search(r"(https?:)?//[a-z]", page.read_text())


def test_hostile_texts_are_no_markup(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(_report(capsys, made, "run", "base")[1].strip())
    tags = _parsed(page)
    assert HOSTILE in "".join(tags.text)
    assert not [tag for tag, _ in tags.tags if tag in ("img", "textarea")]
    scripts = [attributes for tag, attributes in tags.tags if tag == "script"]
    assert all(set(attributes) == {"src"} for attributes in scripts)
    assert not [name for _, attributes in tags.tags for name in attributes if name.startswith("on")]


def test_the_page_says_the_runs_numbers(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(_report(capsys, made, "run", "base")[1].strip())
    text = html.unescape(page.read_text())
    run, base = (Run(made / "results" / "runs" / name).scores() for name in ("run", "base"))
    assert run is not None and base is not None
    own, theirs = (one["tasks"]["made_qa"]["metrics"]["exact_match"] for one in (run, base))
    assert f"<b>{own['value']:.1f}</b>" in text
    assert f"{own['interval'][0]:.1f} to {own['interval'][1]:.1f}" in text
    assert f"{own['value'] - theirs['value']:+.1f}" in text
    assert "23 of 24" in text
    assert "run.jsonl has no answer to it." in text
    # The paper's number stands beside it, with the reason why it is another quantity.
    assert "73.2" in text and "GPT-3.5 judge" in text
    svgs = [attributes for tag, attributes in _parsed(page).tags if tag == "svg" and attributes.get("class") == "strip"]
    assert svgs and all("exact_match" in (attributes["aria-label"] or "") for attributes in svgs)


def test_another_protocol_is_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = write_questions(tmp_path / "data")
    answer_questions(tmp_path, "run", dict.fromkeys(ids, "cat"))
    base = answer_questions(tmp_path, "base", dict.fromkeys(ids, "dog"))
    document = json.loads(base.scores_path.read_text())
    document["tasks"]["made_qa"]["protocol"] = "0" * 64
    base.scores_path.write_text(json.dumps(document))
    page = Path(_report(capsys, tmp_path, "run", "base")[1].strip())
    row = re.search(r'data-name="difference">(.*?)</td>', page.read_text(), re.DOTALL)
    assert row is not None and "another protocol" in row.group(1)
    assert not re.search(r"\d", re.sub("<.*?>", "", row.group(1)))


def test_two_runs_of_one_label_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = write_questions(tmp_path / "data")
    for name in ("run", "base"):
        answer_questions(tmp_path, name, dict.fromkeys(ids, "cat"), label="mine")
    page = Path(_report(capsys, tmp_path, "run", "base")[1].strip())
    assert page.read_text().count("mine (this run)") >= 2
    assert "mine (BASE)</th>" in page.read_text()
    about = registered(page.parent / "data" / "tasks.js")
    assert (about["model"], about["base"]) == ("mine (this run)", "mine")


def test_samples_on_other_data_are_not_called_better_or_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = write_questions(tmp_path / "data")
    answer_questions(tmp_path, "run", dict.fromkeys(ids, "cat"))
    base = answer_questions(tmp_path, "base", dict.fromkeys(ids, "dog"))
    page = Path(_report(capsys, tmp_path, "run", "base")[1].strip()).read_text()
    assert "against BASE: <b" in page
    document = json.loads(base.scores_path.read_text())
    document["tasks"]["made_qa"]["data"] = "0" * 64
    base.scores_path.write_text(json.dumps(document))
    page = Path(_report(capsys, tmp_path, "run", "base")[1].strip()).read_text()
    assert "Not comparable with BASE: another data." in page
    assert "against BASE: <b" not in page


def test_a_baseline_is_a_base_with_its_scores_and_says_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = write_questions(tmp_path / "data")
    base = answer_questions(tmp_path, "base", dict.fromkeys(ids, "cat"))
    answer_questions(tmp_path, "run", {one: "dog" if number % 3 else "cat" for number, one in enumerate(ids)})
    assert main(["baseline", "accept", "base", "--output-dir", str(tmp_path / "results")]) == 0
    shutil.rmtree(base.folder)
    capsys.readouterr()
    code, out, err = _report(capsys, tmp_path, "run", "nightly")
    page = Path(out.strip())
    assert code == 0
    assert page.parent.name == "run-against-baseline-nightly"
    said = "BASE is the baseline nightly: of each sample it keeps the score by the primary metric, no answer and no"
    assert said in err and said in page.read_text()
    index = registered(page.parent / "data" / "0" / "index.js")
    assert set(index["base"]) == {0, 100}
    drops = [other - own for own, other in zip(index["scores"], index["base"], strict=True)]
    assert max(drops) == 100, "worst first has something to order by"
    assert "worse</b>, " in page.read_text()
    # A baseline of another task has nothing to show.
    code, _, err = _report(capsys, tmp_path, "run", "demo")
    assert code == 0 and "nothing of the samples of made_qa" in err


def test_scores_of_samples_have_the_unit_of_the_table_and_no_raw_sums(tmp_path: Path) -> None:
    ids = write_questions(tmp_path / "data")
    run = answer_questions(tmp_path, "run", dict.fromkeys(ids, "cat"))
    path = run.task_folder("made_qa") / "samples.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        record["exact_match"] |= {"part": 3.5}
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    written = write_report(run, None, tmp_path / "page", ReportOptions(again(tmp_path), "none"))
    index = registered(written.page.parent / "data" / "0" / "index.js")
    assert (index["unit"], set(index["scores"])) == ("%", {0, 100})
    details = registered(written.page.parent / "data" / "0" / "0.js")
    assert details[0]["metrics"][:1] == [["exact_match", index["scores"][0], None, [], "%"]]


def test_runs_of_one_model_make_a_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = write_questions(tmp_path / "data")
    answer_questions(tmp_path, "one", dict.fromkeys(ids, "cat"))
    page = Path(_report(capsys, tmp_path, "one")[1].strip())
    assert 'id="history"' not in page.read_text()
    answer_questions(tmp_path, "two", {one: "dog" if number < 9 else "cat" for number, one in enumerate(ids)})
    page = Path(_report(capsys, tmp_path, "one")[1].strip())
    (chart,) = re.findall(r'<svg class="history".*?</svg>', page.read_text(), re.DOTALL)
    assert chart.count("<circle") == 2
    points = re.findall(r'<g class="(.*?)"><title>(.*?)</title>', chart)
    assert [(role, name.split(", ")[1]) for role, name in points] == [("run here", "one"), ("run", "two")]


def test_a_report_is_replaced_and_nothing_else_is(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page"
    assert _report(capsys, made, "run", "base", "--out", str(page))[0] == 0
    (page / "data" / "9").mkdir()
    (page / "data" / "9" / "0.js").write_text("stale")
    assert _report(capsys, made, "run", "--out", str(page))[0] == 0
    assert not (page / "data" / "9").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    code, out, err = _report(capsys, made, "run", "--out", str(other))
    assert (code, out) == (2, "")
    assert "holds something else (thesis.tex" in err
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]


def test_a_users_mistake_is_a_sentence(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _report(capsys, made, "nowhere")
    assert (code, out) == (2, "") and "There is no run at nowhere" in err
    code, out, err = _report(capsys, made, "run", "nowhere")
    assert (code, out) == (2, "") and "There is no run at nowhere" in err
    unfinished = made / "results" / "runs" / "unfinished"
    unfinished.mkdir()
    manifest = (made / "results" / "runs" / "run" / "manifest.json").read_text()
    (unfinished / "manifest.json").write_text(manifest)
    for arguments in (["unfinished"], ["run", "unfinished"]):
        code, out, err = _report(capsys, made, *arguments)
        assert (code, out) == (2, "") and "unfinished is not finished" in err
    taken = tmp_path / "taken"
    taken.write_text("a file")
    code, _, err = _report(capsys, made, "run", "--out", str(taken))
    assert code == 2 and "cannot be a report's folder" in err
    assert _report(capsys, made, "run", "--media", "some")[0] == 2


def test_categories_show_their_intervals(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = _report(capsys, made, "run")
    page = Path(out.strip()).read_text()
    (scored,) = Run(made / "results" / "runs" / "run").scores()["tasks"].values()  # type: ignore[index]
    axes = scored["metrics"][scored["primary"]]["categories"]
    ends = [(part["low"], part["high"]) for parts in axes.values() for part in parts.values() if "low" in part]
    assert ends
    for low, high in ends:
        assert f'title="95 % interval">{low:.1f} to {high:.1f}<' in page


def test_the_page_says_what_the_run_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = write_questions(tmp_path / "data")
    run = answer_questions(tmp_path, "run", dict.fromkeys(ids, "cat"))
    path = run.folder / "costs.json"
    document = json.loads(path.read_text())
    cost = document["tasks"]["made_qa"]
    cost |= {"device_seconds": 12345.67, "samples_per_second": 3.21, "new_tokens_per_second": 99.5}
    cost |= {"peak_memory_bytes": 12_340_000_000, "peak_memory_of": "cuda", "joules": 36_000.0, "energy_unknown": None}
    cost["waited_seconds"] = {HOSTILE: 4.5}
    path.write_text(json.dumps(document))
    page = Path(_report(capsys, tmp_path, "run")[1].strip())
    tags = _parsed(page)
    text = "".join(tags.text)
    for said in ("12,345.7 device-s", "3.21", "99.5", "12.34 GB", "10.000 Wh", f"{HOSTILE} 4.5"):
        assert said in text
    assert not [tag for tag, _ in tags.tags if tag in ("img", "textarea")]
    cost |= {"joules": None, "energy_unknown": f"no counter {HOSTILE}"}
    path.write_text(json.dumps(document))
    _report(capsys, tmp_path, "run")
    assert f"Energy is not known: no counter {HOSTILE}." in "".join(_parsed(page).text)


def test_a_run_without_costs_has_a_page_without_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = write_questions(tmp_path / "data")
    path = answer_questions(tmp_path, "run", dict.fromkeys(ids, "cat")).folder / "costs.json"
    path.unlink()
    code, out, _ = _report(capsys, tmp_path, "run")
    assert code == 0
    assert 'id="cost"' not in Path(out.strip()).read_text()
    path.write_text('{"schema": 1, "tasks": {"made_qa": {"device_seconds": "<b>much</b>"}}}')
    code, out, err = _report(capsys, tmp_path, "run")
    assert code == 0
    assert 'id="cost"' not in Path(out.strip()).read_text()
    assert "without what it cost" in err
    assert "costs.json is damaged" in err
    assert "lavit-eval score" in err
