"""A made run to be judged, and what is looked at afterwards."""

from __future__ import annotations

from typing import Any

from lavit_eval.prospect import RunOptions
from lavit_eval.runs import Run
from tests.judges.stub import Answer, Stub, reply

YES, NO = "{'pred': 'yes', 'score': 4.8}", '{"pred": "no", "score": 1}'


def fair(request: dict[str, Any], number: int) -> Answer:
    """Judge by whether the correct answer is the predicted one, "cat"."""
    text = str(request["messages"][-1]["content"])
    return reply(YES if "<correct_answer>\ncat\n" in text else NO)


def judge_arguments(world: RunOptions, stub: Stub, *more: str, run: str = "r") -> list[str]:
    folder = str(world.output.parent / "tasks")
    return [
        "judge", run, "--output-dir", str(world.output), "--task-dir", folder, "--judge-model", "stub",
        "--judge-url", stub.url, "--judge-attempts", "2", *more,
    ]  # fmt: skip


def run_of(world: RunOptions) -> Run:
    return Run(world.output / "runs" / "r")


def metrics(world: RunOptions) -> dict[str, Any]:
    scores = run_of(world).scores()
    assert scores is not None
    found: dict[str, Any] = scores["tasks"]["made_qa"]["metrics"]
    return found
