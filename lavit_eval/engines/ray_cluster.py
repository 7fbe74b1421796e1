"""Workers as Ray Core actors, on a cluster that exists or on one that is started for the run.

Ray neither restarts actors nor repeats calls here: the scheduler does, so that a call bound to a dead actor never waits
for it, and a sample that kills actors is found.
"""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lavit_eval.engines.checks import Probe
from lavit_eval.engines.greeting import Greeting
from lavit_eval.engines.messages import from_line, lease, to_line
from lavit_eval.engines.options import EngineOptions
from lavit_eval.engines.pool import Event, Left, Lost
from lavit_eval.engines.ray_actor import RayActor
from lavit_eval.engines.replies import event_of, ready_of
from lavit_eval.engines.scheduler import WINDOW
from lavit_eval.errors import UsageError
from lavit_eval.sample import Request

NOT_INSTALLED = "--engine ray needs the extra `ray`: pip install 'lavit-eval[ray]'"
STARTS = 3
"""How many actors in a row may die before they are ready."""
LOOKED_EVERY = 10.0
"""Seconds between looks at the cluster: whether its head is there, and GPUs that joined."""
MISSED = 3
"""Looks in a row without a head that end the run; Ray itself would end this process, with 1, after a minute."""
REACHED_IN = 10.0
"""Seconds in which a cluster's head must answer."""


@dataclass(slots=True, eq=False)
class _Actor:
    name: str
    handle: Any
    told: set[str] = field(default_factory=set)
    ready: bool = False


class RayPool:
    """Actors, one per GPU of the cluster or as many as were asked for; one that dies is replaced.

    An actor for which the cluster has no room yet waits and joins later. Without `--workers`, so does one for every GPU
    that is added.

    Args:
        greeting: What they are told.
        engine: Address and number of workers.
        device: "cpu", or "cuda": then each actor gets a GPU of its own, which it sees as cuda:0.
        folder: The run's, which all machines must share.
        most: So many actors at most; None for as many as were asked for.
    """

    window = WINDOW

    def __init__(
        self, greeting: Greeting, engine: EngineOptions, device: str, folder: Path, most: int | None = None
    ) -> None:
        self._greeting, self._engine, self._folder, self._most = greeting, engine, folder, most
        self._gpu = device.startswith("cuda")
        self._ray: Any = None
        self._shut = False
        self._probe: Probe | None = None
        self._actors: dict[str, _Actor] = {}
        self._calls: dict[Any, _Actor] = {}
        self._lives = self._false_starts = 0
        self._looked = 0.0
        self._head: str | None = None
        self._missed = 0

    def start(self) -> None:
        """Connect to the cluster, or start one, and ask it for the actors."""
        ray = import_ray()
        self._shut = not ray.is_initialized()
        if self._shut:
            connect(self._engine.ray_address, self._engine.workers)
        self._ray = ray
        self._head = ray.get_runtime_context().gcs_address
        self._probe = Probe(self._folder)
        count = self._wanted()
        if not count:
            raise UsageError(
                "The Ray cluster has no GPU; add a machine that has one, or take --device cpu --workers N."
            )
        for _ in range(count):
            self._spawn()

    def _wanted(self) -> int:
        self._looked = time.monotonic()
        wanted = self._engine.workers
        if wanted is None:
            wanted = int(self._ray.cluster_resources().get("GPU", 0)) if self._gpu else 1
        return wanted if self._most is None else min(wanted, self._most)

    def _spawn(self) -> None:
        assert self._probe is not None
        self._lives += 1
        name = str(self._lives)
        remote = self._ray.remote(
            num_cpus=1, num_gpus=1 if self._gpu else 0, max_restarts=0, max_task_retries=0, max_concurrency=1
        )
        actor = _Actor(name, remote(RayActor).remote())
        self._actors[name] = actor
        self._tell(actor, self._greeting.load(name, "cuda:0" if self._gpu else "cpu", self._probe))

    def _tell(self, actor: _Actor, message: Mapping[str, Any]) -> None:
        self._calls[actor.handle.handle.remote(to_line(message))] = actor

    def send(
        self, worker: str, number: int, task: str, requests: Sequence[Request], likely: Sequence[Request] = ()
    ) -> None:
        """Call an actor."""
        actor = self._actors.get(worker)
        if actor is None:
            return
        if task not in actor.told:
            actor.told.add(task)
            about = self._greeting.of_task(task)
            if about is not None:
                self._tell(actor, about)
        self._tell(actor, lease(number, task, requests, likely))

    def events(self, patience: float) -> list[Event]:
        """Return what the actors replied, and whom the cluster lost."""
        if time.monotonic() - self._looked > LOOKED_EVERY:
            self._look()
        calls = list(self._calls)
        if not calls:
            time.sleep(patience)
            return []
        found, _ = self._ray.wait(calls, num_returns=1, timeout=patience)
        if found:
            found, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
        return [event for call in found if (event := self._event(call)) is not None]

    def _look(self) -> None:
        """Ask for the actors that lack, if the head is there."""
        self._looked = time.monotonic()
        if self._head is not None:
            try:
                _check_reachable(self._head)
            except UsageError:
                self._missed += 1
                if self._missed < MISSED:
                    return
                raise UsageError(
                    f"The head of the Ray cluster at {self._head} is gone; start the cluster again and repeat the "
                    "command: all that was answered is kept."
                ) from None
            self._missed = 0
        for _ in range(self._wanted() - len(self._actors)):
            self._spawn()

    def _event(self, call: Any) -> Event | None:
        actor = self._calls.pop(call, None)
        if actor is None:
            return None
        try:
            line = self._ray.get(call)
        except self._ray.exceptions.RayError as error:
            return self._ended(actor, error)
        if not line:
            return None
        message = from_line(line)
        if message["say"] == "ready":
            assert self._probe is not None
            actor.ready, self._false_starts = True, 0
            return ready_of(actor.name, message, self._probe)
        return event_of(actor.name, message)

    def _ended(self, actor: _Actor, error: Exception) -> Event:
        self._forget(actor)
        detail = " ".join(str(error).split())[:300]
        if not actor.ready:
            self._false_starts += 1
            if self._false_starts >= STARTS and not any(other.ready for other in self._actors.values()):
                raise UsageError(
                    f"{STARTS} Ray actors in a row ended before their model was loaded ({detail}); "
                    "look into Ray's logs, and take fewer --workers if memory did not suffice."
                )
        self._spawn()
        return Left(actor.name) if getattr(error, "preempted", False) else Lost(actor.name, "its actor died", detail)

    def _forget(self, actor: _Actor) -> None:
        self._actors.pop(actor.name, None)
        self._calls = {call: other for call, other in self._calls.items() if other is not actor}

    def give_up(self, worker: str) -> None:
        """Kill an actor and ask for another."""
        actor = self._actors.get(worker)
        if actor is not None:
            self._ray.kill(actor.handle, no_restart=True)
            self._forget(actor)
            self._spawn()

    def close(self) -> None:
        """Kill the actors, and leave the cluster if this pool entered it."""
        if self._ray is not None:
            for actor in self._actors.values():
                with suppress(Exception):
                    self._ray.kill(actor.handle, no_restart=True)
            if self._shut:
                self._ray.shutdown()
        self._actors, self._calls, self._ray = {}, {}, None
        if self._probe is not None:
            self._probe.close()
            self._probe = None


def cluster_problems(engine: EngineOptions) -> list[str]:
    """Return what can be said against a Ray run before anything is begun, one sentence each."""
    try:
        if importlib.util.find_spec("ray") is None:
            raise UsageError(NOT_INSTALLED)
        address = engine.ray_address or os.environ.get("RAY_ADDRESS")
        if address not in (None, "", "local"):
            _check_entered(address)
    except UsageError as error:
        return [str(error)]
    return []


def _check_entered(address: str) -> None:
    """Enter a cluster and leave it again: whether it lets this machine in is known only then (raises UsageError)."""
    if address != "auto":
        _check_reachable(address)
    ray = import_ray()
    if not ray.is_initialized():
        connect(address)
        ray.shutdown()


def import_ray() -> Any:
    """Return Ray (raises UsageError where it is not installed)."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray prints on standard output, among the scores, what it has to say of a worker that died; run.log has it.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    try:
        import ray
    except ImportError:
        raise UsageError(NOT_INSTALLED) from None
    return ray


def connect(address: str | None, workers: int | None = None) -> None:
    """Connect to a cluster, or start one on this machine where neither an address nor RAY_ADDRESS names any.

    Raises:
        UsageError: The cluster does not answer, does not let us in, or runs other versions.
    """
    ray = import_ray()
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address == "local":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        quiet |= {"num_cpus": max(cores, workers or 1), "include_dashboard": False}
    elif address != "auto":
        _check_reachable(address)
    try:
        _init(ray, address, quiet)
    except Exception as error:
        # Ray raises bare exceptions too.
        raise UsageError(refusal(address, error)) from None


def refusal(address: str, error: Exception) -> str:
    """Return in one sentence why a cluster was not entered; what Ray's error was raised from says more than itself."""
    said = " ".join(f"{error} {error.__cause__ or ''}".split())
    refused = "(?i)token auth|auth.{0,6}token|AuthenticationError|InvalidAuthToken|Unauthenticated"
    if type(error).__name__ == "AuthenticationError" or re.search(refused, said):
        return (
            f"The Ray cluster at {address} does not let this machine in: copy the head's token here "
            "(RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token) and set RAY_AUTH_MODE=token."
        )
    if "ersion mismatch" in said:
        return (
            f"The Ray cluster at {address} runs other versions than this machine ({said[:200]}); "
            "install the same Ray and Python in both places."
        )
    if "No node info found" in said:
        return (
            f"This machine is no part of the Ray cluster at {address}: enter it (ray start --address={address}), "
            "or give the command on one of the cluster's machines."
        )
    if isinstance(error, ConnectionError):
        nobody = "none runs on this machine" if address == "auto" else "something is there, but it is no head"
        return _unreachable(address, nobody)
    if address == "local":
        return f"Ray could not be started on this machine: {said[:200]}"
    return f"No Ray cluster could be used at {address}: {said[:200]}"


def _init(ray: Any, address: str, settings: Mapping[str, Any]) -> None:
    """Enter the cluster; on a busy machine Ray's own processes may need a second start."""
    for left in reversed(range(STARTS)):
        try:
            ray.init(address=address, **settings)
            return
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise
            ray.shutdown()


def _check_reachable(address: str) -> None:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "://" in address:
        raise UsageError(f"--ray-address {address!r} is not HOST:PORT of the cluster's head, nor auto.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACHED_IN).close()
    except (OSError, OverflowError) as error:
        raise UsageError(_unreachable(address, str(error))) from None


def _unreachable(address: str, why: str) -> str:
    return f"No Ray cluster answers at {address} ({why}); start one (ray start --head) or leave out --ray-address."
