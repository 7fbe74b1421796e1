"""A model for spawned workers that dies, hangs, runs out of memory or waits where its arguments say so."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lavit_eval import registry
from lavit_eval.engines.options import EngineOptions
from lavit_eval.errors import UsageError
from lavit_eval.models.protocol import Demand, FactoryMethods, Fit, ModelOptions
from lavit_eval.prospect import RunOptions
from lavit_eval.sample import JSON, Request, RequestKind, Response
from tests.tiny_world import msvd_task, options_for, write_msvd

TARGET = "tests.engines.moody:Moody"
SIZED = "tests.engines.moody:Sized"


class Moody(FactoryMethods):
    """Answers "cat" to every second question and "dog" to the others.

    Arguments: `log` (a file to which sample ids and the process are appended), `seconds` per batch; and, as ids joined
    by "+": `kills`, `hangs`, `memory` (samples that do so always) and `kills_once` (only while the file `once` is
    absent). With `foresees`, a file, it wants to be told of requests beforehand, and writes there what it is told:
    a line of JSON per call with its process and [name of the medium, text] of each request.
    """

    capabilities: ClassVar[frozenset[RequestKind]] = frozenset({"answer", "caption"})
    default_batch_size: ClassVar[int] = 3

    @classmethod
    def identify(cls, options: ModelOptions) -> Mapping[str, JSON]:
        """Be the same model however it behaves."""
        return {"class": cls.__name__}

    @classmethod
    def load(cls, options: ModelOptions) -> Moody:
        """Die while loading, if told so."""
        if "dies_loading" in options.arguments:
            os._exit(7)
        return cls(options)

    def _named(self, argument: str) -> set[str]:
        return set(filter(None, self.options.arguments.get(argument, "").split("+")))

    @property
    def foresee(self) -> Callable[[Sequence[Request]], None] | None:
        """Want to be told if arguments say so."""
        return self._foresee if "foresees" in self.options.arguments else None

    def _foresee(self, requests: Sequence[Request]) -> None:
        if "fails_to_foresee" in self.options.arguments:
            raise RuntimeError("made not to look ahead")
        told = [[medium.name, request.text] for request in requests for medium in request.media]
        with open(self.options.arguments["foresees"], "a") as stream:
            stream.write(json.dumps([os.getpid(), told]) + "\n")

    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Answer a batch, if nothing keeps it from that."""
        ids = {request.sample_id for request in requests}
        log = self.options.arguments.get("log")
        if log:
            with open(log, "a") as stream:
                stream.write("".join(f"{request.sample_id} {os.getpid()}\n" for request in requests))
        once = Path(self.options.arguments.get("once", "/nowhere"))
        if ids & self._named("kills") or (ids & self._named("kills_once") and not once.exists()):
            if once.parent.is_dir():
                once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if ids & self._named("hangs"):
            time.sleep(1000)
        if ids & self._named("memory"):
            raise MemoryError("made not to fit")
        if ids & self._named("raises"):
            raise RuntimeError("made to raise")
        time.sleep(float(self.options.arguments.get("seconds", "0")))
        return [
            Response(request.sample_id, request.repeat, "answered", text="cat" if int(request.sample_id) % 2 else "dog")
            for request in requests
        ]


class Sized(Moody):
    """Finds that ten requests fit, and says in the log who found it and of how many demands."""

    @classmethod
    def fit_batches(cls, options: ModelOptions, demands: Sequence[Demand]) -> tuple[list[Fit], Moody]:
        """Find the size that is told, and the stages' sizes."""
        with open(options.arguments["log"], "a") as stream:
            stream.write(f"fit {os.getpid()} {len(demands)} {options.device}\n")
        if "unfit" in options.arguments:
            raise UsageError("The card is none; take another.")
        return [Fit(10, {"part": 4}) for _ in demands], cls.load(options)


def told_ahead(path: Path) -> list[tuple[int, list[tuple[str, str]]]]:
    """Return what models wrote of what they were told: process and (medium, text) of each request, per call."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(process, [(medium, text) for medium, text in told]) for process, told in lines]


def moody_options(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    engine: EngineOptions | None = None,
    *,
    target: str = TARGET,
    device: str = "cpu",
    **arguments: str,
) -> RunOptions:
    """Return the options of a run of `moody` on 24 made questions."""
    monkeypatch.setitem(registry.BUILT_IN["model"], "moody", target)  # type: ignore[arg-type]
    registry.targets.cache_clear()
    if not (folder / "data").exists():
        write_msvd(folder / "data")
    task = msvd_task(24, folder / "tasks")
    fields: dict[str, Any] = {
        "model": "moody",
        "run_id": "r",
        "model_options": ModelOptions(device=device, arguments=arguments),
        "engine": engine or EngineOptions(),
    }
    return options_for(task, folder / "data", folder / "out", **fields)
