"""The model runs in this process."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence

from lavit_eval.engines.asking import ask, free_memory, one_line, out_of_memory
from lavit_eval.engines.gauges import Gauge
from lavit_eval.engines.pool import Answered, Event, Ready, Short
from lavit_eval.models.protocol import Model
from lavit_eval.sample import Request, Sample

HERE = "here"


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
        self._foresee = foreseeing(model)
        self._task: str | None = None
        self._given: tuple[int, str, Sequence[Request]] | None = None
        self._ready = False
        self._gauge = Gauge(device)

    def start(self) -> None:
        """Take part once more."""
        self._ready = False

    def send(
        self, worker: str, number: int, task: str, requests: Sequence[Request], likely: Sequence[Request] = ()
    ) -> None:
        """Keep a lease until `events` is asked, and tell the model of what will probably follow."""
        self._given = number, task, requests
        if self._foresee is not None:
            look_ahead(self._foresee, [*requests, *likely])

    def events(self, patience: float) -> list[Event]:
        """Do the lease that was given."""
        if not self._ready:
            self._ready = True
            return [Ready(HERE, {}, foresees=self._foresee is not None)]
        if self._given is None:
            raise RuntimeError("the model is asked for what nobody gave it")
        number, task, requests = self._given
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


def foreseeing(model: Model | None) -> Callable[[Sequence[Request]], None] | None:
    """Return what a model wants to be told requests by that will probably be asked soon; None if it does not care."""
    return getattr(model, "foresee", None)


def look_ahead(foresee: Callable[[Sequence[Request]], None], requests: Sequence[Request]) -> None:
    """Tell a model of requests that will probably be asked; that saves time only, so what it raises is just printed.

    Whatever is wrong with them is met when they are answered.
    """
    try:
        foresee(requests)
    except Exception:
        traceback.print_exc()


def timings(model: Model) -> dict[str, float]:
    """Return what a model says its device waited for since it was last asked, in seconds; most models say nothing.

    A model that keeps count has a method `timings() -> Mapping[str, float]`.
    """
    said = getattr(model, "timings", None)
    return dict(said()) if callable(said) else {}
