"""The one face of all engines: workers are started, given leases, and heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lavit_eval.models.protocol import Fit
from lavit_eval.sample import JSON, Request, Response


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has loaded the model and takes part from now on."""

    worker: str
    about: Mapping[str, JSON]
    """`host`, `pid`, `device`, `accelerator`."""
    fits: Sequence[Fit] = ()
    """What it found of the demands that it was given, one each."""
    foresees: bool = False
    """Whether its model prepares for requests that it is told of beforehand."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A lease was done."""

    worker: str
    number: int
    responses: Sequence[Response]
    seconds: float
    """That the model took, by the worker's own clock: only ever a length of time."""
    waited: Mapping[str, float] = field(default_factory=dict)
    """What the worker waited for before and within the lease -> seconds."""
    used: Mapping[str, JSON] = field(default_factory=dict)
    """What the lease took besides time, as `Gauge.read` says it."""


@dataclass(frozen=True, slots=True)
class Short:
    """A lease did not fit into memory; its worker lives on."""

    worker: str
    number: int
    detail: str
    """What was said of it, on one line."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker died; whatever it held has to be done by others."""

    worker: str
    reason: str
    """May stand as the reason why a sample failed: it names no machine."""
    detail: str = ""
    """For the log."""


@dataclass(frozen=True, slots=True)
class Left:
    """A worker's machine was taken away in an orderly manner; what it held is not to blame."""

    worker: str


Event = Ready | Answered | Short | Lost | Left


class WorkerError(RuntimeError):
    """The model raised what nobody foresaw, in a worker; its traceback is the message."""


class Pool(Protocol):
    """Workers, wherever they run.

    What the user can mend, and what nobody foresaw, is raised by `events`: UsageError and WorkerError end the run.
    """

    window: int
    """How many leases a worker should hold."""

    def start(self) -> None:
        """Begin to start the workers; each is announced by `Ready`."""

    def send(
        self, worker: str, number: int, task: str, requests: Sequence[Request], likely: Sequence[Request] = ()
    ) -> None:
        """Give a lease to a worker; to one that just died nothing is given, and `Lost` follows.

        It is also told of requests that will probably come later, if it said that it cares; nothing may depend on them.
        """

    def events(self, patience: float) -> list[Event]:
        """Return what happened, after at most `patience` seconds."""
        ...

    def give_up(self, worker: str) -> None:
        """Kill a worker that hangs, and start another in its place."""

    def close(self) -> None:
        """End all workers; nothing that they still do counts."""
