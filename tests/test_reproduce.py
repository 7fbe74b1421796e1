"""Published numbers beside measured ones: the verdicts, what was left open, and the command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.cli import main
from lavit_eval.errors import UsageError
from lavit_eval.open_points import _read, open_points, protocol_assumptions
from lavit_eval.published import all_published
from lavit_eval.registry import Catalogue
from lavit_eval.reproduce import Finding, as_json, claims, reproduce, rounding
from lavit_eval.reproduction_tables import render_markdown, render_terminal

SUITES = {"two": ("msrvtt_t2v", "ucf101_t2v")}


def document(
    metrics: dict[str, dict[str, Any]], task: str = "msrvtt_t2v", labels: Sequence[str] = (), model: str = "m"
) -> dict[str, Any]:
    """Return a `scores.json` of one task."""
    filled = {
        name: {
            "value": 1.0, "interval": [0.0, 2.0], "interval_method": "made", "n": 10, "coverage": 1.0, "labels": [],
            "recipe": {"protocol": "video-lavit"}, **score,
        }
        for name, score in metrics.items()
    }  # fmt: skip
    scored = {"labels": list(labels), "metrics": filled, "published_as": task}
    return {"model": {"name": model, "label": model, "digest": model}, "seed": 42, "tasks": {task: scored}}


def finding(
    score: dict[str, Any], labels: Sequence[str] = (), others: Sequence[dict[str, Any]] = (), metric: str = "fvd"
) -> Finding:
    """Return what is said of the main row of MSR-VTT's FVD, 188.36."""
    aimed = [one for one in claims("msrvtt_t2v", SUITES) if one.metric == metric and one.target == "main"]
    (found,) = reproduce(aimed, [document({metric: score}, labels=labels), *others])
    return found


def test_a_number_of_a_subset_is_never_held_against_the_whole() -> None:
    subsets = {"Temporal": {"value": 25.57, "n": 352}}
    score = {"value": 18.9, "interval": [17.0, 21.0], "categories": {"subset": subsets}, "n": 1952}
    stored = document({"pair_accuracy": score}, task="videohallucer")
    found = {one.claim.split: one for one in reproduce(claims("videohallucer", SUITES), [stored])}
    assert (found["Overall"].verdict, found["Overall"].value) == ("reproduced", 18.9)
    assert (found["Temporal"].value, found["Temporal"].n) == (25.57, 352)
    assert (found["Temporal"].verdict, found["Temporal"].why) == (
        "not comparable",
        "no interval (none is stored for a category)",
    )


def test_a_number_of_a_subset_is_held_against_the_interval_of_the_subset() -> None:
    subsets = {"Temporal": {"value": 25.57, "n": 352, "low": 20.0, "high": 31.0}}
    score = {"value": 18.9, "interval": [17.0, 21.0], "categories": {"subset": subsets}, "n": 1952}
    stored = document({"pair_accuracy": score}, task="videohallucer")
    found = {one.claim.split: one for one in reproduce(claims("videohallucer", SUITES), [stored])}
    assert (found["Temporal"].verdict, found["Temporal"].interval) == ("reproduced", (20.0, 31.0))


@pytest.mark.parametrize(
    ("interval", "verdict", "why"),
    [
        ([180.0, 195.0], "reproduced", ""),
        ([188.364, 195.0], "reproduced", ""),
        ([188.37, 195.0], "differs", "the claim lies 0.01 outside; measured is worse"),
        ([150.0, 170.0], "differs", "the claim lies 18.36 outside; measured is better"),
    ],
)
def test_a_number_is_reproduced_when_the_interval_holds_it(interval: list[float], verdict: str, why: str) -> None:
    found = finding({"value": sum(interval) / 2, "interval": interval})
    assert (found.verdict, found.why) == (verdict, why)


def test_higher_is_better_turns_the_word_round() -> None:
    found = finding({"value": 0.28, "interval": [0.27, 0.29]}, metric="clipsim_vitb16")
    assert found.why == "the claim lies 0.0112 outside; measured is worse"


@pytest.mark.parametrize(
    ("score", "labels", "why"),
    [
        ({"labels": ["demo features"]}, ["demo data"], "demo data, demo features"),
        ({"coverage": 0.9}, [], "partial"),
        ({"coverage": 0.9}, ["partial"], "partial"),
        ({"interval": None}, [], "no interval (made)"),
    ],
)
def test_what_cannot_be_compared_says_why(score: dict[str, Any], labels: list[str], why: str) -> None:
    found = finding({"value": 188.36, "interval": [188.0, 189.0], **score}, labels)
    assert (found.verdict, found.why) == ("not comparable", why)


def test_another_metric_or_split_is_not_compared() -> None:
    (vqa,) = reproduce(
        [one for one in claims("vqav2", SUITES) if one.target == "main"],
        [document({"vqa_accuracy": {"value": 80.3, "interval": [80.0, 81.0]}}, task="vqav2")],
    )
    assert (vqa.verdict, vqa.why) == ("not comparable", "another split: test-dev")
    judged = [one for one in claims("msvd_qa", SUITES) if one.metric == "judge_accuracy_gpt35" and one.target == "main"]
    runs = [document({"exact_match": {}}, task="msvd_qa", model=name) for name in ("a", "b")]
    (found,) = reproduce(judged, runs)
    assert found.why == "measured exact_match, not accuracy % (GPT-3.5 judge)"


def test_our_judge_is_shown_beside_the_published_one_and_is_another() -> None:
    judged = [one for one in claims("msvd_qa", SUITES) if one.metric == "judge_accuracy_gpt35" and one.target == "main"]
    score = {"value": 70.0, "interval": [68.0, 72.0], "n": 100, "details": {"judge": {"model": "made-judge"}}}
    (found,) = reproduce(judged, [document({"exact_match": {}, "judge_accuracy": score}, task="msvd_qa")])
    assert (found.verdict, found.value, found.interval, found.n) == ("not comparable", 70.0, (68.0, 72.0), 100)
    assert found.why.startswith("judged by made-judge; of the published accuracy % (GPT-3.5 judge)")


def test_what_was_not_run_or_has_no_value_says_so() -> None:
    aimed = claims("ucf101_t2v", SUITES)
    assert {one.verdict for one in reproduce(aimed, [document({"fvd": {}})])} == {"not run"}
    held_back = finding({"value": None, "skipped": "of 8 files, 1 generated lack features"})
    assert (held_back.verdict, held_back.why) == ("not run", "of 8 files, 1 generated lack features")


def test_every_run_has_its_own_line_and_other_protocols_show_how_far_it_moves() -> None:
    own = document({"fvd": {"value": 200.0, "interval": [190.0, 210.0]}})
    tats = document({"fvd": {"value": 260.0}}, labels=["protocol tats"])
    another = document({"fvd": {"value": 150.0, "interval": [140.0, 160.0]}}, model="n")
    aimed = [one for one in claims("msrvtt_t2v", SUITES) if one.metric == "fvd" and one.target == "main"]
    first, second = reproduce(aimed, [own, tats, another])
    assert (first.model, first.moves) == ("m", "200 to 260 between protocols (tats 260)")
    assert (second.model, second.moves) == ("n", "")


def test_what_was_left_open_stands_under_the_number() -> None:
    found = finding({"value": 200.0, "interval": [190.0, 210.0]})
    assert any("caption" in point.unknown for point in found.left_open)
    assert any("central 16 frames" in text for text in found.assumptions)
    assert protocol_assumptions({"protocol": "somebody's own"}) == []
    for text in (render_terminal([found], 100), render_markdown([found])):
        assert "Which caption of each video was taken." in " ".join(text.split())
        assert "188.36" in text
    assert max(map(len, render_terminal([found], 100).splitlines())) <= 100


def test_open_points_speak_of_published_tasks() -> None:
    from lavit_eval.data_files import data_folder

    published = {one.task for one in all_published()}
    points = _read(data_folder("results/paper") / "open_points.yaml")
    assert {task for point in points for task in point.tasks} <= published
    assert {point.unknown for point in open_points("ucf101_t2v", "is_c3d")} > {
        point.unknown for point in open_points("ucf101_t2v", "fvd")
    }


def test_numbers_are_chosen_by_table_suite_or_task() -> None:
    assert {one.source.rpartition(" ")[2] for one in claims("table4", SUITES)} == {"4"}
    assert claims("4", SUITES) == claims("Table 4", SUITES)
    assert {one.task for one in claims("two", SUITES)} == {"msrvtt_t2v", "ucf101_t2v"}
    everything = claims(None, SUITES)
    assert everything[0].task == "videohallucer", "the one whose settings are known comes first"
    assert {one.target for one in everything} == {"released_weights", "main", "svd_init"}
    with pytest.raises(UsageError, match=r"called 'tabel4'. Did you mean table4"):
        claims("tabel4", SUITES)


@pytest.mark.parametrize(("printed", "half"), [("188.36", 0.005), ("80.3", 0.05), ("4", 0.5), ("1294", 0.5)])
def test_a_printed_number_is_known_to_half_its_last_digit(printed: str, half: float) -> None:
    assert rounding(printed) == pytest.approx(half)


def test_markdown_is_inert() -> None:
    own = document({"fvd": {"value": 200.0, "interval": [190.0, 210.0]}}, model="<b>|x\n")
    aimed = [one for one in claims("msrvtt_t2v", SUITES) if one.metric == "fvd" and one.target == "main"]
    text = render_markdown(reproduce(aimed, [own]))
    assert "\\<b\\>\\|x " in text


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--markdown", str(tmp_path / "r.md"), "--json", str(tmp_path / "r.json")]
    assert main(["reproduce", "table4", "--output-dir", str(tmp_path), *files]) == 0
    assert "not run: no run of ucf101_t2v" in " ".join(capsys.readouterr().out.split())
    stored = json.loads((tmp_path / "r.json").read_text())
    assert len(stored["findings"]) == 5
    assert stored == json.loads(json.dumps(as_json(reproduce(claims("table4", {}), []))))
    assert (tmp_path / "r.md").read_text().startswith("# Published numbers")
    assert main(["reproduce", "nonsense", "--output-dir", str(tmp_path)]) == 2
    assert main(["reproduce", "table4", "no-such-run", "--output-dir", str(tmp_path)]) == 2


def test_every_suite_can_be_named() -> None:
    catalogue = Catalogue()
    suites = {name: catalogue.suite(name).tasks for name in catalogue.suite_files}
    assert {one.task for one in claims("generation", suites)} == {"msrvtt_t2v", "ucf101_t2v", "long_video"}


def test_runs_of_one_label_are_told_apart_and_each_says_how_far_it_moves() -> None:
    aimed = [one for one in claims("msrvtt_t2v", SUITES) if one.metric == "fvd" and one.target == "main"]
    documents = []
    for number, run in enumerate(("first", "second")):
        own = document({"fvd": {"value": 200.0 + number, "interval": [180.0, 220.0]}})
        other = document({"fvd": {"value": 300.0 + number}}, labels=["protocol other"])
        documents += [one | {"run": run, "seed": number} for one in (own, other)]
    found = reproduce(aimed, documents)
    assert [one.model for one in found] == ["m, run first", "m, run second"]
    assert [one["run"] for one in as_json(found)["findings"]] == ["first", "second"]
    text = render_markdown(found)
    assert "m, run first |" in text
    assert "m, run second |" in text
    assert "Moves: m, run first: 200 to 300" in text
    assert "Moves: m, run second: 201 to 301" in text
    (alone,) = reproduce(aimed, documents[:1])
    assert alone.model == "m"


def test_every_task_of_a_run_that_is_published_as_the_number_has_its_own_line() -> None:
    aimed = [one for one in claims("msrvtt_t2v", SUITES) if one.metric == "fvd" and one.target == "main"]
    own = document({"fvd": {"value": 250.0, "interval": [240.0, 260.0]}})
    longer = document({"fvd": {"value": 188.0, "interval": [180.0, 195.0]}})["tasks"]["msrvtt_t2v"]
    without = document({"kvd": {}})["tasks"]["msrvtt_t2v"]
    tasks = {"msrvtt_t2v_short": without, "msrvtt_t2v_long": longer, **own["tasks"]}
    found = reproduce(aimed, [{**own, "run": "first", "tasks": tasks}])
    assert [(one.model, one.task, one.value, one.verdict) for one in found] == [
        ("m, task msrvtt_t2v_long", "msrvtt_t2v_long", 188.0, "reproduced"),
        ("m", "msrvtt_t2v", 250.0, "differs"),
    ]
    text = render_markdown(found)
    assert "m, task msrvtt_t2v_long | 188.36 | 188.00 |" in text
    assert "m, task msrvtt_t2v_long" in " ".join(render_terminal(found, 160).split())
    twice = reproduce(aimed, [{**own, "run": run, "tasks": tasks} for run in ("first", "second")])
    assert [one.model for one in twice] == [
        f"m{task}, run {run}" for run in ("first", "second") for task in (", task msrvtt_t2v_long", "")
    ]


def test_a_title_keeps_its_capitals() -> None:
    text = render_markdown(reproduce(claims(None, SUITES), []))
    assert "with SVD initialisation" in text
    assert "## The paper's main rows" in text


@pytest.mark.parametrize("command", ["reproduce", "leaderboard"])
def test_an_internal_error_shows_its_traceback_with_debug(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Path) -> None:
        raise ZeroDivisionError("made")

    monkeypatch.setattr("lavit_eval.running.all_runs", broken)
    assert main([command, "--debug", "--output-dir", str(tmp_path)]) == 5
    assert "Traceback" in capsys.readouterr().err
