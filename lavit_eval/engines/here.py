"""The model runs in this process."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from lavit_eval.engines.asking import ask, free_memory, one_line, out_of_memory
from lavit_eval.engines.gauges import Gauge
from lavit_eval.engines.pool import Answered, Event, Ready, Short
from lavit_eval.models.protocol import Model
from lavit_eval.sample import Request, Sample

HERE = "here"
AHEAD = 16
"""Leases of which a model is told before they are asked, if it wants to prepare for them: `foresee(requests)`."""


class Here:
    """One worker that is this process: what its model raises ends the run, and nothing can give it up.

    Args:
        model: Answers.
        samples: Task -> all its samples, of which the model is told before the task's first batch.
        device: Where the model runs.
    """

    window = 1

    def __init__(self, model: Model, samples: Mapping[str, Sequence[Sample]], device: str = "cpu") -> None:
        self._model, self._samples = model, samples
        self._foresee: Callable[[Sequence[Request]], None] | None = getattr(model, "foresee", None)
        if self._foresee is not None:
            self.window = AHEAD
        self._task: str | None = None
        self._given: deque[tuple[int, str, Sequence[Request]]] = deque()
        self._ready = False
        self._gauge = Gauge(device)

    def start(self) -> None:
        """Take part once more."""
        self._ready = False

    def send(self, worker: str, number: int, task: str, requests: Sequence[Request]) -> None:
        """Keep a lease until `events` is asked."""
        self._given.append((number, task, requests))
        if self._foresee is not None:
            self._foresee(requests)

    def events(self, patience: float) -> list[Event]:
        """Do the lease that was given."""
        if not self._ready:
            self._ready = True
            return [Ready(HERE, {})]
        number, task, requests = self._given.popleft()
        if task != self._task:
            self._model.prepare(task, self._samples[task])
            self._task = task
        self._gauge.begin()
        began = time.perf_counter()
        try:
            responses = ask(self._model, requests)
        except Exception as error:
            if not out_of_memory(error):
                raise
            free_memory()
            return [Short(HERE, number, one_line(error))]
        seconds = time.perf_counter() - began
        return [Answered(HERE, number, responses, seconds, timings(self._model), self._gauge.read())]

    def give_up(self, worker: str) -> None:
        """Do nothing: a process cannot give itself up, so no time-out is kept here."""

    def close(self) -> None:
        """Need nothing."""


def timings(model: Model) -> dict[str, float]:
    """Return what a model says its device waited for since it was last asked, in seconds; most models say nothing.

    A model that keeps count has a method `timings() -> Mapping[str, float]`.
    """
    said = getattr(model, "timings", None)
    return dict(said()) if callable(said) else {}
