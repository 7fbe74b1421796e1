"""Scores over checkpoints: what is a point, what is noise, what is a step."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from lavit_eval.cli import main
from lavit_eval.errors import UsageError
from lavit_eval.history import Noise, Point, history, render, steps
from lavit_eval.registry import find
from lavit_eval.runs import Run, all_runs, as_frame, sample_frame
from tests.compare_world import QUESTIONS, VIDEOS, made_run

START = datetime(2026, 1, 1, tzinfo=UTC)


def points(*values: tuple[float, ...]) -> list[Point]:
    days = [START + timedelta(days=day) for day in range(len(values))]
    return [Point(f"c{day}", str(day), days[day], (f"r{day}",), each) for day, each in enumerate(values)]


def test_a_step_is_a_change_beyond_the_noise() -> None:
    noise = Noise(0.5, 10)
    found = steps(points((60.0, 60.5), (60.2,), (56.0,), (56.3,), (60.0,)), noise, higher_is_better=True)
    assert [(step.at, step.better) for step in found] == [(2, False), (4, True)]
    assert found[0].change == pytest.approx(56.0 - (60 + 60.5 + 60.2) / 3)
    assert [step.better for step in steps(points((3.0,), (9.0,)), noise, higher_is_better=False)] == [False]


def test_without_noise_known_no_step_is_claimed_and_without_any_every_change_is_one() -> None:
    assert steps(points((60.0,), (10.0,)), None, True) == []
    assert [step.at for step in steps(points((60.0, 60.0), (60.0,), (59.9,)), Noise(0.0, 1), True)] == [2]


def test_noise_alone_seldom_looks_like_a_step() -> None:
    draw, false = np.random.default_rng(3), 0
    for _ in range(400):
        made = points(*(tuple(draw.normal(60, 1, 3)) for _ in range(8)))
        squares = sum((value - point.mean) ** 2 for point in made for value in point.values)
        false += bool(steps(made, Noise(float(np.sqrt(squares / 16)), 16), True))
    print(f"{false} of 400 histories without a change show a step")
    # At most 5 % are wanted: 20, and 30 leaves room for chance.
    assert false <= 30


def _world(root: Path) -> list[Run]:
    """Three checkpoints, the first two as good as each other, the first with two seeds, the third worse."""
    for number, (run_id, checkpoint, seed, wrong) in enumerate(
        [("r1", "one", 1, 4), ("r2", "one", 2, 5), ("r3", "two", 1, 4), ("r4", "three", 1, 40), ("r5", "one", 1, 4)]
    ):
        run = made_run(
            root, run_id, lambda video, question, wrong=wrong: video * QUESTIONS + question < wrong + 4, seed=seed
        )
        manifest = json.loads((run.folder / "manifest.json").read_text())
        manifest["created"] = (START + timedelta(days=number)).isoformat()
        manifest["model"]["identity_by_kind"] = {"answer": {"checkpoint": checkpoint}}
        manifest["code"] = {"revision": f"{number // 2}" * 40, "dirty": False}
        (run.folder / "manifest.json").write_text(json.dumps(manifest))
        scores = json.loads(run.scores_path.read_text())
        scores["model"]["label"] = f"<b>{checkpoint}</b>"
        run.scores_path.write_text(json.dumps(scores))
    return all_runs(root / "out")


def test_runs_of_one_checkpoint_are_one_point_whose_spread_is_the_noise(tmp_path: Path) -> None:
    one = history(_world(tmp_path), "model")[0]
    assert [(point.label, len(point.values)) for point in one.points] == [
        ("<b>one</b>", 2),  # the third run has the first one's seed: the same number again
        ("<b>two</b>", 1),
        ("<b>three</b>", 1),
    ]
    assert one.points[0].runs == ("r1", "r2", "r5")
    share = 100 / (VIDEOS * QUESTIONS)
    assert one.noise is not None
    assert one.noise.degrees == 1
    assert one.noise.sd == pytest.approx(share / np.sqrt(2))
    assert [(step.at, step.better) for step in one.steps] == [(2, False)]


def test_over_commits_the_checkpoint_stays(tmp_path: Path) -> None:
    one = history(_world(tmp_path), "commit")[0]
    assert [(point.label, point.runs) for point in one.points] == [("0" * 8, ("r1", "r2")), ("2" * 8, ("r5",))]
    assert one.follows is not None
    assert one.follows.startswith("<b>one</b> @")
    assert [absent.run for absent in one.left_out] == ["r3", "r4"]
    assert re.match(r"another checkpoint: <b>two</b> @[0-9a-f]{8}$", one.left_out[0].why)


def test_a_model_without_weights_is_no_checkpoint_though_it_ran_last(tmp_path: Path) -> None:
    _world(tmp_path)
    last = made_run(tmp_path, "floor", lambda *_: True)
    manifest = json.loads((last.folder / "manifest.json").read_text())
    assert manifest["model"]["prior"] is False
    manifest["model"]["prior"] = True
    (last.folder / "manifest.json").write_text(json.dumps(manifest))
    for by in ("model", "commit"):
        one = history(all_runs(tmp_path / "out"), by)[0]  # type: ignore[arg-type]
        assert "r5" in {run for point in one.points for run in point.runs}
        assert [absent.why for absent in one.left_out if absent.run == "floor"] == ["a model without weights: external"]
    alone = history([run for run in all_runs(tmp_path / "out") if run.id == "floor"], "model")[0]
    assert [point.runs for point in alone.points] == [("floor",)]


def test_models_without_weights_say_so() -> None:
    assert [
        getattr(find("model", name), "prior", False) for name in ("constant", "most-common-answer", "external")
    ] == [
        True,
        True,
        False,
    ]


def test_the_same_seed_with_other_numbers_counts_and_with_the_same_ones_does_not(tmp_path: Path) -> None:
    for number, wrong in enumerate((4, 4, 6)):
        run = made_run(tmp_path, f"r{number}", lambda video, _, wrong=wrong: video <= wrong)
        manifest = json.loads((run.folder / "manifest.json").read_text())
        manifest["created"] = (START + timedelta(days=number)).isoformat()
        manifest["model"]["identity_by_kind"] = {"answer": {"checkpoint": "one"}}
        (run.folder / "manifest.json").write_text(json.dumps(manifest))
    point = history(all_runs(tmp_path / "out"), "model")[0].points[0]
    assert point.when == START
    assert point.values == pytest.approx((100 * 8 / 12, 100 * 6 / 12))


def test_equal_values_are_a_weak_ground_for_steps_and_that_is_said(tmp_path: Path) -> None:
    for number, (run_id, checkpoint, seed) in enumerate((("r1", "one", 1), ("r2", "one", 2), ("r3", "two", 1))):
        run = made_run(tmp_path, run_id, lambda video, _, c=checkpoint: c == "two" and video == 1, seed=seed)
        manifest = json.loads((run.folder / "manifest.json").read_text())
        manifest["created"] = (START + timedelta(days=number)).isoformat()
        manifest["model"]["identity_by_kind"] = {"answer": {"checkpoint": checkpoint}}
        (run.folder / "manifest.json").write_text(json.dumps(manifest))
    text = render(history(all_runs(tmp_path / "out"), "model"))
    assert "STEP -8.3333 worse (no spread to weigh it by)" in text
    assert "no spread was seen, so every change is called a step, which so few values hardly bear" in text


def test_with_one_value_per_point_the_text_says_that_no_step_is_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_run(tmp_path, "r")
    assert main(["history", "--output-dir", str(tmp_path / "out"), "--json", str(tmp_path / "h.json")]) == 0
    assert "NO STEP IS LOOKED FOR: each point has one value" in capsys.readouterr().out
    assert "NO STEP" in json.loads((tmp_path / "h.json").read_text())["series"][0]["said"]


def test_another_protocol_is_no_history(tmp_path: Path) -> None:
    made_run(tmp_path, "old", prompt="Tell me, {question}")
    made_run(tmp_path, "partial", skip="101")
    made_run(tmp_path, "new")
    one = history(all_runs(tmp_path / "out"), "model")[0]
    assert [point.runs for point in one.points] == [("new",)]
    assert [absent.run for absent in one.left_out] == ["old", "partial"]
    assert one.left_out[0].why.startswith("another protocol: ")
    assert one.left_out[1].why == "partial: 47 scored, 97.9 %"


def test_the_command_writes_charts_that_hold_no_foreign_markup(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    _world(tmp_path)
    files = {name: tmp_path / f"h.{name}" for name in ("html", "png", "json")}
    arguments = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    assert main(["history", "--output-dir", str(tmp_path / "out"), *arguments]) == 0
    said = capsys.readouterr().out
    assert "STEP -" in said
    assert "worse" in said
    page = files["html"].read_text()
    assert "<b>" not in page
    assert "&lt;b&gt;one" in page
    assert "http" not in page
    picture = Image.open(files["png"])
    assert picture.size[0] == 880
    assert len(picture.getcolors(1 << 20) or []) > 5, "something was drawn"
    stored = json.loads(files["json"].read_text())["series"][0]
    assert len(stored["steps"]) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--task", "made_qq"], "Did you mean made_qa"),
        (["--metric", "exact"], "exact_match"),
        (["nowhere"], "no run at"),
    ],
)
def test_mistakes_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str) -> None:
    made_run(tmp_path, "r")
    assert main(["history", "--output-dir", str(tmp_path / "out"), *more]) == 2
    assert said in capsys.readouterr().err


def test_no_finished_run_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no finished run"):
        history([], "model")
    assert as_frame([]).empty


def test_runs_are_read_back_as_frames(tmp_path: Path) -> None:
    run = made_run(tmp_path, "r", lambda video, _: video == 1, repeats=2)
    frame = as_frame([run])
    # One row per metric; those of a judge have no value here.
    assert sorted(frame["metric"]) == sorted(run.manifest["tasks"]["made_qa"]["fields"]["metrics"])
    (row,) = (one for _, one in frame.iterrows() if one["primary"])
    assert (row["run"], row["task"], row["metric"], row["primary"]) == ("r", "made_qa", "exact_match", True)
    assert row["value"] == pytest.approx(100 * 11 / 12)
    assert row["repeats"] == pytest.approx([100 * 11 / 12] * 2)
    assert row["created"].tzinfo is not None
    samples = sample_frame(run, "made_qa")
    assert len(samples) == 2 * VIDEOS * QUESTIONS
    assert samples.groupby("cluster")["exact_match"].mean().min() == 0.0
