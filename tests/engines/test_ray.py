"""Ray actors answer a run as any other worker does; one that is killed costs its batch only."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lavit_eval.engines import checks, ray_cluster
from lavit_eval.engines.greeting import Greeting
from lavit_eval.engines.options import EngineOptions
from lavit_eval.engines.ray_cluster import RayPool, cluster_problems, refusal
from lavit_eval.errors import PreflightError, UsageError
from lavit_eval.evaluate import evaluate
from lavit_eval.prospect import foresee
from tests.engines.moody import SIZED, moody_options, told_ahead

RAY = EngineOptions(engine="ray", workers=2)


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cluster_problems(RAY) == ["--engine ray needs the extra `ray`: pip install 'lavit-eval[ray]'"]


def test_a_head_that_does_not_answer_stops_the_run_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    engine = dataclasses.replace(RAY, ray_address="127.0.0.1:1")
    with pytest.raises(PreflightError, match=r"No Ray cluster answers at 127\.0\.0\.1:1 \(.*refused\); start one"):
        evaluate(moody_options(monkeypatch, tmp_path, engine))
    assert not (tmp_path / "out").exists()


def _failed(cause: str) -> Exception:
    """Return an error as `ray.init` raises it."""
    error = ConnectionError("Failed to connect to Ray cluster at head:6379")
    error.__cause__ = RuntimeError(cause)
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            _failed("Failed to connect to GCS. ray.exceptions.AuthenticationError: RPC error"),
            "does not let this machine in: copy the head's token here",
        ),
        (RuntimeError("Token authentication is enabled but no token was found"), "does not let this machine in"),
        (
            _failed("No node info found matching attributes: '' when trying to resolve node to connect to."),
            "This machine is no part of the Ray cluster at head:6379: enter it (ray start --address=head:6379)",
        ),
        (_failed("Failed to connect to GCS."), "No Ray cluster answers at head:6379 (something is there, but"),
        (RuntimeError("Version mismatch: The cluster was started with: Ray: 2.9"), "runs other versions"),
        (RuntimeError("out of ports"), "No Ray cluster could be used at head:6379: out of ports"),
    ],
)
def test_why_a_cluster_was_not_entered_is_one_sentence(error: Exception, said: str) -> None:
    assert said in refusal("head:6379", error)


def test_a_head_that_refuses_the_token_stops_the_run_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="needs the extra `ray`")

    def refuse(*_: object) -> None:
        raise _failed("ray.exceptions.AuthenticationError: RPC error: InvalidAuthToken")

    monkeypatch.setattr(ray_cluster, "_init", refuse)
    with socket.create_server(("127.0.0.1", 0)) as head:
        engine = dataclasses.replace(RAY, ray_address=f"127.0.0.1:{head.getsockname()[1]}")
        with pytest.raises(PreflightError, match="does not let this machine in"):
            evaluate(moody_options(monkeypatch, tmp_path, engine))
    assert not (tmp_path / "out").exists()


def test_a_head_that_is_gone_ends_the_run_and_one_that_is_late_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "LOOKED_EVERY", -1.0)
    asked: list[None] = []
    monkeypatch.setattr(RayPool, "_spawn", lambda pool: asked.append(None))
    prospect = foresee(moody_options(monkeypatch, tmp_path, EngineOptions()))
    greeting = Greeting("", prospect.model_class, prospect.options.model_options, {}, 1, {})
    pool = RayPool(greeting, RAY, "cpu", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        pool._head = "127.0.0.1:1"
        assert [pool.events(0.0) for _ in range(ray_cluster.MISSED - 1)] == [[]] * (ray_cluster.MISSED - 1)
        assert not asked, "nobody is asked for actors"
        pool._head = address
        assert (pool.events(0.0), len(asked)) == ([], 2)
    for _ in range(ray_cluster.MISSED - 1):
        pool.events(0.0)
    with pytest.raises(UsageError, match=f"at {address} is gone; start the cluster again and repeat the command"):
        pool.events(0.0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray", reason="needs the extra `ray`")
    from lavit_eval.engines.ray_cluster import _init

    # Two cards by name only, for an actor that asks for one.
    quiet = {"include_dashboard": False, "logging_level": "ERROR", "log_to_driver": False}
    _init(ray, "local", {"num_cpus": 2, "num_gpus": 2, **quiet})
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
class TestOnACluster:
    """One local cluster for all, since starting Ray takes half a minute."""

    def test_a_killed_actor_loses_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        alone = evaluate(moody_options(monkeypatch, tmp_path / "alone")).run
        log = tmp_path / "log"
        options = moody_options(monkeypatch, tmp_path / "ray", RAY, seconds="0.3", log=str(log))

        def kill_the_first_that_answers() -> None:
            deadline = time.monotonic() + 120
            while not log.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            os.kill(int(log.read_text().split()[1]), signal.SIGKILL)

        killer = threading.Thread(target=kill_the_first_that_answers)
        killer.start()
        outcome = evaluate(options)
        killer.join()
        assert outcome.complete
        assert outcome.run.scores_path.read_bytes() == alone.scores_path.read_bytes()
        said = (outcome.run.folder / "run.log").read_text()
        assert re.search(r"worker \d+ is lost over made_qa batch \d+: its actor died", said)
        asked = [line.split()[0] for line in log.read_text().splitlines()]
        assert len(asked) == 24 + 3
        assert not list(outcome.run.folder.glob(".shared-*"))

    def test_actors_are_told_of_media_before_they_are_asked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alone = evaluate(moody_options(monkeypatch, tmp_path / "alone")).run
        options = moody_options(monkeypatch, tmp_path / "ray", RAY, foresees=str(tmp_path / "told"), seconds="0.1")
        outcome = evaluate(options)
        assert outcome.run.scores_path.read_bytes() == alone.scores_path.read_bytes()
        calls = told_ahead(tmp_path / "told")
        assert len(calls) == 8
        _, first = calls[0]
        assert len({medium for medium, text in first if not text}) > 2, "more than the next leases show"

    def test_a_sample_that_kills_actors_fails_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        outcome = evaluate(moody_options(monkeypatch, tmp_path, RAY, kills="101"))
        task = outcome.scores["tasks"]["made_qa"]
        assert [failure["sample_id"] for failure in task["failures"]] == ["101"]
        assert task["answered"] == 23

    def test_an_actor_that_hangs_is_given_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        outcome = evaluate(moody_options(monkeypatch, tmp_path, dataclasses.replace(RAY, timeout=1.0), hangs="603"))
        assert [failure["sample_id"] for failure in outcome.scores["tasks"]["made_qa"]["failures"]] == ["603"]

    def test_other_versions_models_and_folders_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        options = moody_options(monkeypatch, tmp_path, RAY)
        with monkeypatch.context() as changed:
            changed.setattr("lavit_eval.engines.greeting.versions_here", lambda: {"torch": "0.1"})
            with pytest.raises(UsageError, match="runs other versions than this machine"):
                evaluate(options)
        with monkeypatch.context() as changed:
            changed.setattr(checks.Probe, "message", {"path": "/nowhere/shared", "nonce": "x"})
            with pytest.raises(UsageError, match="do not share /nowhere"):
                evaluate(options)
        with pytest.raises(UsageError, match="differs in checkpoint, class; give all machines the same"):
            evaluate(options, prospect=dataclasses.replace(foresee(options), model_identity={"checkpoint": "another"}))
        gpus = dataclasses.replace(RAY, workers=None, devices=("cuda",))
        with monkeypatch.context() as changed:
            changed.setattr("ray.cluster_resources", lambda: {"CPU": 2.0})
            with pytest.raises(UsageError, match="The Ray cluster has no GPU"):
                evaluate(dataclasses.replace(options, engine=gpus))
        assert evaluate(options).complete

    def test_an_actor_with_a_card_finds_the_batch_sizes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        log = tmp_path / "log"
        engine = dataclasses.replace(RAY, devices=("cuda:0",))
        options = moody_options(monkeypatch, tmp_path, engine, target=SIZED, device="cuda:0", log=str(log))
        outcome = evaluate(options)
        found, *asked = (line.split() for line in log.read_text().splitlines())
        assert (found[0], found[2:]) == ("fit", ["1", "cuda:0"])
        assert found[1] not in {str(os.getpid()), *(process for _, process in asked)}
        assert outcome.run.manifest["plan"]["made_qa"]["batch_size"] == 10
        assert outcome.complete
