"""A model for any engine that makes small films, and waits, fails, dies or damages what it made where told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from lavit_eval import registry
from lavit_eval.digests import digest_file
from lavit_eval.engines.options import EngineOptions
from lavit_eval.models.protocol import FactoryMethods, ModelOptions
from lavit_eval.prospect import RunOptions
from lavit_eval.sample import JSON, Request, RequestKind, Response
from lavit_eval.task import Task
from lavit_eval.video.lossless import write_lossless
from tests.film_world import film

TARGET = "tests.filmer:Filmer"
PATIENCE = 400.0


class Filmer(FactoryMethods):
    """Makes a film per prompt.

    Arguments: `seconds` per batch; and, as ids joined by "+": `short` (films too short for a clip), `fails`; before
    the sample `waits_at`, wait until `waits_for` files of features lie under `features`, then, with `removes`, remove
    that film, and with `signals`, send that signal to the process `to` (default: this one).
    """

    capabilities: ClassVar[frozenset[RequestKind]] = frozenset({"generate_video"})
    default_batch_size: ClassVar[int] = 2

    @classmethod
    def identify(cls, options: ModelOptions) -> Mapping[str, JSON]:
        """Be the same model however it behaves."""
        return {"class": cls.__name__}

    def _named(self, argument: str) -> set[str]:
        return set(filter(None, self.options.arguments.get(argument, "").split("+")))

    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Make a batch of films."""
        told = self.options.arguments
        if told.get("waits_at") in {request.sample_id for request in requests}:
            _wait_for_features(Path(told["features"]), int(told["waits_for"]))
            if "removes" in told:
                Path(told["removes"]).unlink()
            if "signals" in told:
                os.kill(int(told.get("to", os.getpid())), getattr(signal, told["signals"]))
                time.sleep(PATIENCE)
        time.sleep(float(told.get("seconds", "0")))
        return [self._made(request) for request in requests]

    def _made(self, request: Request) -> Response:
        if request.sample_id in self._named("fails"):
            return Response(request.sample_id, request.repeat, "failed", error="made to fail.")
        path = Path(f"{request.output}.mkv")
        frames = 8 if request.sample_id in self._named("short") else 24
        write_lossless(path, film(request.seeds.write % 1000, frames), 6)
        medium = "/".join(path.parts[-4:])
        return Response(request.sample_id, request.repeat, "answered", medium=medium, medium_digest=digest_file(path))


def _wait_for_features(folder: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(list(folder.rglob("*.npz"))) < count:
        assert time.monotonic() < deadline, "no features came"
        time.sleep(0.02)


def filmer_options(
    monkeypatch: pytest.MonkeyPatch, folder: Path, task: Task, engine: EngineOptions, run_id: str = "r", **told: str
) -> RunOptions:
    """Return the options of a run of `filmer` on the made benchmark under `folder`/data."""
    monkeypatch.setitem(registry.BUILT_IN["model"], "filmer", TARGET)  # type: ignore[arg-type]
    registry.targets.cache_clear()
    return RunOptions(
        model="filmer",
        tasks=(task,),
        data_root=folder / "data",
        output=folder / "results",
        model_options=ModelOptions(arguments=told),
        engine=engine,
        threads=1,
        run_id=run_id,
    )
