"""`--batch-size auto` on a device: found once, kept in the manifest, taken from there by whoever goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from lavit_eval.batch_sizes import KEPT, _remove_old, buckets, settled
from lavit_eval.compare_sides import side_of_run
from lavit_eval.engines.options import EngineOptions
from lavit_eval.errors import PreflightError, UsageError
from lavit_eval.evaluate import evaluate
from lavit_eval.models.protocol import Demand, Fit, ModelOptions
from lavit_eval.plan import BatchSizes, TaskPlan
from lavit_eval.prospect import RunOptions, foresee
from lavit_eval.sample import Request, Seeds, Settings
from tests.engines.moody import SIZED, moody_options
from tests.tiny_world import Echo, msvd_task, options_for, write_msvd

RAY = EngineOptions("ray")


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
    def fit_batches(cls, options: ModelOptions, demands: Sequence[Demand]) -> tuple[list[Fit], Any]:
        """Find the sizes that were told."""
        cls.demands = list(demands)
        return [Fit(size) for size in cls.sizes[: len(demands)]], cls.load(options)

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
    "changes",
    [{"batch_size": 8}, {"model_options": ModelOptions()}, {"model_options": ModelOptions(), "engine": RAY}],
)
def test_nothing_is_tried_where_the_size_is_known(options: RunOptions, changes: dict[str, Any]) -> None:
    prospect = foresee(replace(options, **changes))
    assert settled(prospect) is prospect
    assert prospect.identity["batch_size"] == changes.get("batch_size", Echo.default_batch_size)


def test_one_worker_finds_the_sizes_and_the_run_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    two = EngineOptions(workers=2)
    options = moody_options(monkeypatch, tmp_path, two, target=SIZED, device="cuda", log=str(log))
    outcome = evaluate(options)
    (found, *asked) = (line.split() for line in log.read_text().splitlines())
    assert (found[0], found[2:]) == ("fit", ["1", "cuda"])
    assert found[1] not in {str(os.getpid()), *(process for _, process in asked)}
    planned = outcome.run.manifest["plan"]["made_qa"]
    assert (planned["batch_size"], planned["stage_batches"]) == (10, {"part": 4})
    assert outcome.run.manifest["identity"]["batch_size"] == "auto"
    assert sorted(path.name for path in (tmp_path / "out" / "runs").iterdir()) == [".choosing.lock", "r"]
    assert evaluate(options).state == "finished before"
    assert log.read_text().count("fit") == 1


def test_a_worker_that_cannot_fit_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {"log": str(tmp_path / "log"), "unfit": "yes"}
    two = EngineOptions(workers=2)
    with pytest.raises(UsageError, match="The card is none"):
        evaluate(moody_options(monkeypatch, tmp_path, two, target=SIZED, device="cuda", **arguments))
    assert not list((tmp_path / "out" / "runs").iterdir())


class FakeRay:
    """Runs actors in this process: what a cluster does is not what is tested with it."""

    exceptions = SimpleNamespace(RayError=OSError)

    def __init__(self, gpus: int) -> None:
        self.gpus, self.actors, self.ended = gpus, 0, 0
        self.asked_for: list[dict[str, Any]] = []

    def is_initialized(self) -> bool:
        return True

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(gcs_address="127.0.0.1:6379")

    def cluster_resources(self) -> dict[str, float]:
        return {"GPU": self.gpus} if self.gpus else {}

    def remote(self, **resources: Any) -> Any:
        self.asked_for.append(resources)

        def make(kind: Any) -> Any:
            self.actors += 1
            handle = kind().handle
            call = SimpleNamespace(remote=lambda line: _Reply(handle(line)))
            return SimpleNamespace(remote=lambda: SimpleNamespace(handle=call))

        return make

    def wait(self, calls: Sequence[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        return list(calls[:num_returns]), list(calls[num_returns:])

    def get(self, call: Any) -> str:
        return str(call.line)

    def kill(self, handle: Any, no_restart: bool) -> None:
        self.ended += 1


@dataclass(eq=False)
class _Reply:
    line: str


@pytest.mark.parametrize("workers", [None, 3])
def test_an_actor_of_the_cluster_finds_the_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int | None
) -> None:
    fake, log = FakeRay(gpus=2), tmp_path / "log"
    monkeypatch.setattr("lavit_eval.engines.ray_cluster.import_ray", lambda: fake)
    monkeypatch.setattr("lavit_eval.prospect.cluster_problems", lambda engine: [])
    engine = replace(RAY, workers=workers, devices=("cuda:0",))
    options = moody_options(monkeypatch, tmp_path, engine, target=SIZED, device="cuda:0", log=str(log))
    found = settled(foresee(options))
    assert found.plans["made_qa"].sizes == BatchSizes(((None, 10),), (("part", 4),))
    assert fake.asked_for == [{**fake.asked_for[0], "num_gpus": 1}], "one actor, with a card of its own"
    assert (fake.actors, fake.ended, log.read_text().count("fit")) == (1, 1, 1)
    outcome = evaluate(options)
    assert outcome.run.manifest["plan"]["made_qa"]["batch_size"] == 10
    assert fake.actors == 1 + 1 + (workers or 2), "who answers is started after the plan is made"


def test_a_cluster_without_gpus_is_said_before_anything_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lavit_eval.engines.ray_cluster.import_ray", lambda: FakeRay(gpus=0))
    monkeypatch.setattr("lavit_eval.prospect.cluster_problems", lambda engine: [])
    engine = replace(RAY, devices=("cuda:0",))
    options = moody_options(monkeypatch, tmp_path, engine, target=SIZED, device="cuda:0", log=str(tmp_path / "log"))
    with pytest.raises(UsageError, match="The Ray cluster has no GPU"):
        evaluate(options)
    assert not list((tmp_path / "out" / "runs").iterdir())


def test_a_cluster_that_is_not_there_is_said_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    engine = replace(RAY, ray_address="127.0.0.1:1")
    log = tmp_path / "log"
    with pytest.raises(PreflightError, match=r"No Ray cluster answers at 127\.0\.0\.1:1 \("):
        evaluate(moody_options(monkeypatch, tmp_path, engine, target=SIZED, device="cuda", log=str(log)))
    assert not log.exists()
    assert not (tmp_path / "out").exists()


def test_stages_change_the_plan_and_come_back_from_it() -> None:
    sizes = BatchSizes(((None, 8),), (("llm_batch", 48), ("video_batch", 3)))
    assert BatchSizes.of_manifest(sizes.in_manifest()) == sizes
    plans = [TaskPlan(None, (), (ask("0", 5),), each) for each in (sizes, BatchSizes.even(8))]  # type: ignore[arg-type]
    assert plans[0].digest() != plans[1].digest()
    assert BatchSizes.of_manifest({"batch_size": 8}) == BatchSizes.even(8)


def test_what_is_made_has_one_bucket() -> None:
    requests = tuple(replace(ask(str(length), length), kind="generate_image") for length in (5, 700))
    plan = TaskPlan(None, (), requests, BatchSizes.even(8))  # type: ignore[arg-type]
    ((limit, demand),) = buckets(plan)
    assert (limit, demand.characters) == (None, 700)


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


def test_what_earlier_attempts_left_is_removed_a_day_afterwards(tmp_path: Path) -> None:
    for name, age in ((".fitting-old", 2 * KEPT), (".fitting-new", 0.0), ("run", 2 * KEPT)):
        (tmp_path / name).mkdir()
        then = time.time() - age
        os.utime(tmp_path / name, (then, then))
    _remove_old(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".fitting-new", "run"]
