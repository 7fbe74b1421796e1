"""Judged tasks from their official layouts to scores, comparisons and the report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.mmbench import Mmbench
from lavit_eval.benchmarks.mmvet import Mmvet
from lavit_eval.benchmarks.vcg_bench import VcgBench
from lavit_eval.cli import main
from lavit_eval.evaluate import evaluate
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue
from lavit_eval.runs import Run
from tests.benchmarks.choice_layouts import write_vcg_bench
from tests.benchmarks.image_layouts import write_mmbench, write_mmvet
from tests.judges.judged_world import fair, judge_arguments
from tests.judges.stub import Answer, options_for, reply, serving


def scores_of(name: str, reader: Any, root: Path, answer: str, url: str) -> dict[str, Any]:
    """Run a task with a model that always says the same, and judge it."""
    task = Catalogue().task(name)
    options = RunOptions(
        model="constant",
        tasks=(task,),
        data_root=root,
        output=root / "results",
        model_options=ModelOptions(arguments={"answer": answer}),
        judge=options_for(url),
        counts={name: len(reader.read(root, task.split).samples)},
        threads=1,
    )
    found: dict[str, Any] = evaluate(options).scores["tasks"][name]["metrics"]
    return found


def test_the_five_aspects_of_vcg_bench(tmp_path: Path) -> None:
    write_vcg_bench(tmp_path / "vcg_bench")
    grades = {"correct the facts": 4.8, "detailed": 3, "fits the context": 2.5, "order and timing": 1, "consistent": 5}

    def script(request: dict[str, Any], number: int) -> Answer:
        said = str(request["messages"][0]["content"])
        return reply(json.dumps({"score": next((grade for words, grade in grades.items() if words in said), None)}))

    with serving(script) as stub:
        found = scores_of("vcg_bench", VcgBench(), tmp_path, "A girl rides.", stub.url)
        # Two generic questions three times, two temporal ones, one pair.
        assert len(stub.questions()) == 2 * 3 + 2 + 1
        (pair,) = [text for text in stub.questions() if "<question_2>" in text]
        assert "What does she ride?" in pair and "Which board?" in pair
    values = {name: (score["value"], score["n"]) for name, score in found.items() if name.startswith("vcg")}
    assert values == {
        "vcg_correctness": (4.0, 2), "vcg_detail": (3.0, 2), "vcg_context": (2.0, 2), "vcg_temporal": (1.0, 2),
        "vcg_consistency": (5.0, 1), "vcg_correctness_untruncated": (4.8, 2), "vcg_detail_untruncated": (3.0, 2),
        "vcg_context_untruncated": (2.5, 2), "vcg_temporal_untruncated": (1.0, 2),
        "vcg_consistency_untruncated": (5.0, 1),
    }  # fmt: skip
    assert {found[name]["coverage"] for name in values} == {1.0}
    assert found["exact_match"]["value"] is not None


def test_mmvet_by_ability(tmp_path: Path) -> None:
    write_mmvet(tmp_path / "mm-vet")
    for path in (tmp_path / "mm-vet" / "images").iterdir():
        path.write_bytes(b"made")

    def script(request: dict[str, Any], number: int) -> Answer:
        return reply("0.3" if "total" in request["messages"][-1]["content"].splitlines()[-1] else "0.8")

    with serving(script) as stub:
        found = scores_of("mmvet", Mmvet(), tmp_path, "a | robin\nand more", stub.url)["mmvet_score"]
        last = [text.splitlines()[-1] for text in stub.questions()]
    assert "Name the two birds. | robin <AND> wren | a \\| robin and more |" in last
    assert found["value"] == pytest.approx(55.0)
    assert found["categories"]["needs_rec"]["rec"]["value"] == pytest.approx(80.0)
    assert found["categories"]["capabilities"]["math+ocr"]["value"] == pytest.approx(30.0)


def test_mmbench_asks_a_judge_in_its_own_task_only(tmp_path: Path) -> None:
    write_mmbench(tmp_path / "mmbench")
    assert not [name for name in Catalogue().task("mmbench").metrics if "judged" in name]
    with serving(lambda request, number: reply("Z")) as stub:
        found = scores_of("mmbench_judged", Mmbench(), tmp_path, "well, who knows", stub.url)
        assert len(stub.questions()) > 0
    judged = found["circular_accuracy_judged"]
    assert (judged["value"], judged["coverage"]) == (0.0, 1.0)
    assert judged["details"]["decided_by_judge"] > 0


def judge_other(options: RunOptions, run_id: str, url: str, *more: str) -> int:
    evaluate(dataclasses.replace(options, run_id=run_id, seed=len(run_id)))
    arguments = ["judge", run_id, "--output-dir", str(options.output), "--judge-url", url, "--judge-model", "stub"]
    return main([*arguments, "--task-dir", str(options.output.parent / "tasks"), *more])


def test_runs_of_different_judges_are_not_compared(
    world: RunOptions,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(fair) as stub:
        for name, more in (("a", []), ("bb", []), ("ccc", ["--judge-model", "other"])):
            assert judge_other(world, name, stub.url, *more) == 0
    compared = ["compare", "a", "--metric", "judge_accuracy", "--output-dir", str(world.output)]
    capsys.readouterr()
    assert main([compared[0], "a", "bb", *compared[2:], "--gate"]) == 0
    assert "judge_accuracy" in capsys.readouterr().out
    assert main([compared[0], "a", "ccc", *compared[2:], "--gate"]) == 4
    said = capsys.readouterr().out
    assert "judge.model: stub -> other" in said and "recipe" not in said
    assert main([compared[0], "a", "ccc", *compared[2:], "--waive", "judge"]) == 0
    # By exact match, which no judge touches, they are comparable.
    assert main(["compare", "a", "ccc", "--output-dir", str(world.output), "--gate"]) == 0
    assert main(["compare", "a", "ccc", "--output-dir", str(world.output), "--metric", "judge_acuracy"]) == 2
    assert "Did you mean judge_accuracy" in capsys.readouterr().err


def test_a_worse_model_is_a_regression_by_the_judges_word(
    world: RunOptions,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(lambda request, number: reply('{"pred": "yes", "score": 5}')) as stub:
        assert judge_other(world, "a", stub.url) == 0
        evaluate(dataclasses.replace(world, run_id="bb", seed=2))
        journal = Run(world.output / "runs" / "bb").task_folder("made_qa") / "journal.jsonl"
        journal.write_text(journal.read_text().replace('"text":"cat"', '"text":"a stone"'))
        stub.script = lambda request, number: reply('{"pred": "no", "score": 0}')
        assert main(judge_arguments(world, stub, run="bb")) == 0
    capsys.readouterr()
    by = ["--metric", "judge_score", "--output-dir", str(world.output), "--gate"]
    assert main(["compare", "a", "bb", *by]) == 1
    assert "judge_score went from 5.00 to 0.00" in capsys.readouterr().out


def test_failed_judgements_make_a_comparison_incomplete(
    world: RunOptions,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(fair) as stub:
        assert judge_other(world, "a", stub.url) == 0
        evaluate(dataclasses.replace(world, run_id="bb", seed=2))
        journal = Run(world.output / "runs" / "bb").task_folder("made_qa") / "journal.jsonl"
        journal.write_text(journal.read_text().replace('"text":"cat"', '"text":"cats"', 1))
        stub.script = lambda request, number: reply("perhaps")
        assert main(judge_arguments(world, stub, run="bb")) == 3
    capsys.readouterr()
    by = ["--metric", "judge_accuracy", "--output-dir", str(world.output), "--gate"]
    assert main(["compare", "a", "bb", *by]) == 3
    assert "coverage: 24 of 24 -> 23 of 24 judged" in capsys.readouterr().out


def test_the_report_shows_what_the_judge_said(world: RunOptions) -> None:
    said = "{'pred': 'yes', 'score': 4, 'why': '<b>like the answer</b>'}"
    with serving(lambda request, number: reply(said if number < 3 else "no idea")) as stub:
        assert judge_other(world, "a", stub.url, "--judge-concurrency", "1") == 3
    folder = world.output.parent / "page"
    arguments = ["report", "a", "--output-dir", str(world.output), "--out", str(folder), "--media", "none"]
    assert main([*arguments, "--task-dir", str(world.output.parent / "tasks")]) == 0
    details = (folder / "data" / "0" / "0.js").read_text()
    assert "judge_reply" in details and "like the answer" in details and "<b>" not in details
    assert "it says neither yes nor no" in details and "no idea" in details
