"""`--batch-size auto` on a device: found once, kept in the manifest, taken from there by whoever goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lavit_eval.batch_sizes import buckets, settled
from lavit_eval.compare_sides import side_of_run
from lavit_eval.engines.options import EngineOptions
from lavit_eval.evaluate import evaluate
from lavit_eval.models.protocol import Demand, ModelOptions
from lavit_eval.plan import BatchSizes, TaskPlan
from lavit_eval.prospect import RunOptions, foresee
from lavit_eval.sample import Request, Seeds, Settings
from tests.tiny_world import Echo, msvd_task, options_for, write_msvd


class Fitted(Echo):
    """Finds its batch sizes: ten for short texts, four for others; counts how often it is loaded and asked."""

    sizes: ClassVar[list[int]] = [10]
    demands: ClassVar[list[Demand]] = []
    loads: ClassVar[int] = 0
    batches: ClassVar[list[int]] = []

    @classmethod
    def load(cls, options: ModelOptions) -> Any:
        """Count."""
        cls.loads += 1
        return super().load(options)

    @classmethod
    def fit_batches(cls, options: ModelOptions, demands: Sequence[Demand]) -> tuple[list[int], Any]:
        """Find the sizes that were told."""
        cls.demands = list(demands)
        return cls.sizes[: len(demands)], cls.load(options)

    def respond(self, requests: Sequence[Request]) -> Any:
        """Note the size."""
        Fitted.batches.append(len(requests))
        return super().respond(requests)


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunOptions:
    Echo.reset()
    Fitted.demands, Fitted.loads, Fitted.batches, Fitted.sizes = [], 0, [], [10]
    monkeypatch.setattr("lavit_eval.prospect.find", lambda kind, name: Fitted)
    count = write_msvd(tmp_path / "data")
    task = msvd_task(count, tmp_path / "tasks")
    base = options_for(task, tmp_path / "data", tmp_path / "results", run_id="r")
    return replace(base, model_options=ModelOptions(device="cuda"))


def test_sizes_are_found_once_and_the_model_goes_on(options: RunOptions) -> None:
    outcome = evaluate(options)
    assert outcome.run.manifest["identity"]["batch_size"] == "auto"
    assert outcome.run.manifest["plan"]["made_qa"]["batch_size"] == 10
    assert (Fitted.loads, Fitted.batches) == (1, [10, 10, 4])
    (demand,) = Fitted.demands
    assert (demand.kind, demand.medium) == ("answer", "video")
    assert demand.characters >= len("what is number 3?")


def test_whoever_goes_on_takes_the_manifests_sizes(options: RunOptions) -> None:
    Echo.dies_at = "400"
    with pytest.raises(RuntimeError, match="made to die"):
        evaluate(options)
    Echo.dies_at, Fitted.sizes, Fitted.batches, Fitted.demands = None, [5], [], []
    outcome = evaluate(options)
    assert (outcome.state, Fitted.demands) == ("continued", [])
    assert Fitted.batches == [10, 4]
    other = evaluate(replace(options, fresh=True, run_id="other")).run
    assert other.manifest["plan"]["made_qa"]["batch_size"] == 5
    beside_each_other = [side_of_run(run).batch_size("made_qa") for run in (outcome.run, other)]
    assert beside_each_other == [10, 5], "both identities say auto, but the sizes may move a rounding"


def test_one_that_began_at_the_same_time_decides(options: RunOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(prospect: Any) -> Any:
        found = settled(prospect)
        Fitted.sizes = [6]
        if not options.output.exists():
            monkeypatch.setattr("lavit_eval.evaluate.settled", settled)
            evaluate(options)
        return found

    monkeypatch.setattr("lavit_eval.evaluate.settled", late)
    outcome = evaluate(options)
    assert outcome.state == "finished before"
    assert Fitted.batches == [6, 6, 6, 6]


@pytest.mark.parametrize(
    "changes", [{"batch_size": 8}, {"model_options": ModelOptions()}, {"engine": EngineOptions("ray")}]
)
def test_nothing_is_tried_where_the_size_is_known(options: RunOptions, changes: dict[str, Any]) -> None:
    prospect = foresee(replace(options, **changes))
    assert settled(prospect) is prospect
    assert prospect.identity["batch_size"] == changes.get("batch_size", Echo.default_batch_size)


def test_workers_load_their_own(options: RunOptions) -> None:
    prospect = settled(foresee(replace(options, engine=EngineOptions(workers=2))))
    assert prospect.loaded is None
    assert prospect.plans["made_qa"].sizes.largest == 10


def ask(name: str, length: int) -> Request:
    return Request(name, 0, "answer", (), "x" * length, Settings(), Seeds(1, 0, 0))


def test_lengths_have_buckets_of_their_own() -> None:
    requests = tuple(ask(str(place), length) for place, length in enumerate((5, 128, 129, 700, 30, 20)))
    plan = TaskPlan(None, (), requests, BatchSizes.even(8))  # type: ignore[arg-type]
    found = buckets(plan)
    assert [limit for limit, _ in found] == [128, 256, None]
    assert [demand.characters for _, demand in found] == [128, 129, 700]
    sizes = BatchSizes(((128, 4), (256, 2), (None, 1)))
    cut = replace(plan, sizes=sizes)
    batches = [[request.sample_id for request in batch.requests] for batch in cut.batches()]
    assert batches == [["0", "1"], ["2"], ["3"], ["4", "5"]], "in a batch each has its room"
    assert BatchSizes.of_manifest(sizes.in_manifest()) == sizes
    assert len({cut.digest(), plan.digest(), replace(plan, sizes=BatchSizes.even(4)).digest()}) == 3
