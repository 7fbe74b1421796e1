"""A worker's side of the talk: it proves that it may take part, loads the model, and answers leases."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from lavit_eval.engines.asking import ask, free_memory, one_line, out_of_memory, pin_threads
from lavit_eval.engines.checks import about_here, answer_probe, check_identity, check_versions, check_witnesses
from lavit_eval.engines.gauges import Gauge
from lavit_eval.engines.here import foreseeing, look_ahead, timings
from lavit_eval.engines.messages import (
    Message,
    pack_fits,
    pack_responses,
    unpack_demands,
    unpack_options,
    unpack_requests,
    unpack_samples,
)
from lavit_eval.errors import UsageError
from lavit_eval.models.protocol import Fit, Model
from lavit_eval.sample import Sample

CARRIED = ("LAVIT_EVAL_CACHE", "LAVIT_EVAL_WEIGHTS", "LAVIT_EVAL_DATA")
"""Environment variables that a worker takes over from its driver, unless its machine sets them."""


class Session:
    """Answers the messages of one driver."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._samples: dict[str, Sequence[Sample]] = {}
        self._task: str | None = None
        self._free_since = time.perf_counter()
        self._gauge = Gauge("cpu")

    @property
    def foresees(self) -> bool:
        """Whether the model is there and prepares for requests that it is told of beforehand."""
        return foreseeing(self._model) is not None

    def handle(self, message: Message) -> Message | None:
        """Return the reply to a message, None where there is none."""
        handlers: Mapping[str, Callable[[Message], Message | None]] = {
            "load": self._load,
            "samples": self._keep_samples,
            "respond": self._respond,
        }
        try:
            return handlers[message["do"]](message)
        except UsageError as error:
            return {"say": "usage", "text": str(error)}
        except Exception:
            return {"say": "error", "text": traceback.format_exc()}

    def foresee(self, message: Message) -> None:
        """Tell the model of a lease's requests, and of what will probably follow, if it wants to prepare for them.

        May be called from another thread, as soon as the lease is there.
        """
        foresee = foreseeing(self._model)
        if foresee is None or message["do"] != "respond":
            return
        look_ahead(foresee, [*unpack_requests(message["requests"]), *unpack_requests(message["likely"])])

    def _load(self, message: Message) -> Message:
        where = f"Worker {message['name']} on {socket.gethostname()}"
        for name, value in message["environment"].items():
            os.environ.setdefault(name, value)
        if os.path.isdir(message["cwd"]):
            os.chdir(message["cwd"])
        check_versions(message["versions"], where)
        answer_probe(message["probe"], message["name"], where)
        check_witnesses(message["witnesses"], where)
        options = dataclasses.replace(unpack_options(message["options"]), device=message["device"])
        module, _, attribute = message["target"].partition(":")
        model_class: Any = getattr(import_module(module), attribute)
        check_identity(message["identity"], dict(model_class.identify(options)), where)
        pin_threads(message["threads"])
        fits: Sequence[Fit] = ()
        if message["demands"]:
            fits, self._model = model_class.fit_batches(options, unpack_demands(message["demands"]))
        else:
            self._model = model_class.load(options)
        self._gauge = Gauge(options.device)
        # Loading may be what imports torch.
        pin_threads(message["threads"])
        self._free_since = time.perf_counter()
        return {
            "say": "ready",
            "about": about_here(options.device),
            "fits": pack_fits(fits),
            "foresees": self.foresees,
        }

    def _keep_samples(self, message: Message) -> None:
        self._samples[message["task"]] = unpack_samples(message["samples"])

    def _respond(self, message: Message) -> Message:
        model, number = self._model, message["number"]
        if model is None:
            raise RuntimeError("a lease came before the model was loaded")
        began = time.perf_counter()
        waited = began - self._free_since
        if message["task"] != self._task:
            model.prepare(message["task"], self._samples.get(message["task"], ()))
            self._task = message["task"]
        self._gauge.begin()
        try:
            responses = ask(model, unpack_requests(message["requests"]))
        except Exception as error:
            if not out_of_memory(error):
                raise
            said = one_line(error)
            free_memory()
            return {"say": "memory", "number": number, "text": said}
        finally:
            self._free_since = time.perf_counter()
        return {
            "say": "answered",
            "number": number,
            "responses": pack_responses(responses),
            "seconds": self._free_since - began,
            "waited": {"work": waited, **timings(model)},
            "used": self._gauge.read(),
        }
