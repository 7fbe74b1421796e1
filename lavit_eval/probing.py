"""How long a run will take and how much disk, by a few of its samples that are answered and thrown away."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lavit_eval.engines.asking import ask, first_missing, one_line, out_of_memory, pin_threads, with_output
from lavit_eval.errors import UsageError
from lavit_eval.journal import JournalWriter, journal_path
from lavit_eval.models.protocol import Model
from lavit_eval.plan import in_batches
from lavit_eval.preparation import PreparedTask
from lavit_eval.progress import duration
from lavit_eval.prospect import Prospect
from lavit_eval.sample import Request, Response
from lavit_eval.workload import Workload

SAMPLES = 10
PER_MEDIUM = ("preprocess", "encode")
"""Times of a response that a medium takes, however many questions are asked about it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a whole task will take."""

    task: str
    asked: int
    failed: int
    seconds: float
    """Of one worker."""
    bytes: int


@dataclass(frozen=True, slots=True)
class Probe:
    """What a whole run will take."""

    loading: float
    """Seconds until the model is loaded."""
    probing: float
    tasks: tuple[Estimate, ...]
    workers: int

    def lines(self) -> list[str]:
        """Return what it says, a line per task and one of all."""
        asked = sum(each.asked for each in self.tasks)
        lines = [f"probe: {asked} samples in {self.probing:.1f} s, after {self.loading:.1f} s of loading"]
        for each in self.tasks:
            failed = f"; {each.failed} of the {each.asked} failed" if each.failed else ""
            unknown = "no sample with its media, so nothing is known"
            said = f"about {duration(each.seconds)}, {each.bytes / 1e6:,.1f} MB{failed}" if each.asked else unknown
            lines.append(f"  {each.task}: {said}")
        seconds, space = sum(each.seconds for each in self.tasks), sum(each.bytes for each in self.tasks)
        by = f" by one worker, {duration(seconds / self.workers)} by {self.workers}" if self.workers > 1 else ""
        lines.append(f"  in all: about {duration(seconds)}{by}, {space / 1e6:,.1f} MB; the whole plan, without scoring")
        return lines


def probe(prospect: Prospect, samples: int = SAMPLES) -> Probe:
    """Load the model, answer samples spread over the plan into a folder that is then removed, and estimate the whole.

    Each task is asked at least one; one more of every kind of request warms up before its time is taken. Preprocessed
    videos stay in their cache, as those of any run.

    Raises:
        UsageError: The run has problems, is for a cluster, or the model cannot be loaded or does not fit.
    """
    options = prospect.options
    if options.engine.engine == "ray":
        raise UsageError("--probe answers on this machine, not on a cluster; leave out --engine ray for the probe.")
    pin_threads(options.threads)
    began = time.perf_counter()
    model: Model = prospect.model_class.load(options.model_options)
    pin_threads(options.threads)
    loaded = time.perf_counter()
    warm: set[str] = set()
    try:
        found = tuple(_probe_task(model, prospect, each, samples, warm) for each in prospect.prepared)
    except Exception as error:
        if not out_of_memory(error):
            raise
        size = prospect.identity["batch_size"]
        raise UsageError(f"Memory does not suffice ({one_line(error)}); try less than --batch-size {size}.") from error
    engine = options.engine
    workers = engine.workers or max(1, len(engine.devices))
    return Probe(loaded - began, time.perf_counter() - loaded, found, workers)


def _probe_task(model: Model, prospect: Prospect, each: PreparedTask, samples: int, warm: set[str]) -> Estimate:
    name, plan = each.task.task, prospect.plans[each.task.task]
    missing = frozenset(each.missing) if getattr(prospect.model_class, "reads_media", True) else frozenset()
    there = [request for request in plan.requests if first_missing(request, missing) is None]
    if not there:
        return Estimate(name, 0, 0, 0.0, 0)
    total = sum(len(plan.requests) for plan in prospect.plans.values())
    chosen = spread(there, max(1, round(samples * len(plan.requests) / total)))
    with tempfile.TemporaryDirectory(prefix="lavit-eval-probe-") as temporary:
        folder = Path(temporary)
        model.prepare(name, each.samples)
        if each.task.kind not in warm:
            warm.add(each.task.kind)
            ask(model, [with_output(there[-1], folder / "warm")])
        asked = [with_output(request, folder / "tasks" / name) for request in chosen]
        batches = in_batches(asked, plan.sizes, attempt=1)
        began = time.perf_counter()
        responses = [response for batch in batches for response in ask(model, batch.requests)]
        seconds = time.perf_counter() - began
        with JournalWriter(journal_path(folder / "tasks" / name)) as writer:
            writer.append(1, 0, responses)
        used = sum(path.stat().st_size for path in (folder / "tasks").rglob("*") if path.is_file())
    failed = sum(response.outcome == "failed" for response in responses)
    whole = whole_seconds(seconds, chosen, responses, there)
    return Estimate(name, len(chosen), failed, whole, round(used / len(chosen) * len(plan.requests)))


def spread(requests: Sequence[Request], count: int) -> list[Request]:
    """Return so many requests, or all if there are fewer, from the middles of equal parts of the plan."""
    count = min(count, len(requests))
    return [requests[(2 * place + 1) * len(requests) // (2 * count)] for place in range(count)]


def whole_seconds(
    seconds: float, asked: Sequence[Request], responses: Sequence[Response], plan: Sequence[Request]
) -> float:
    """Return the seconds of a whole plan by those of a part of it.

    What media took grows with their number, the rest with the estimated tokens of what is asked about them.
    """
    on_media = min(seconds, sum(_on_media(response.times) for response in responses))
    load = Workload()
    share = load.weigh_texts(plan) / load.weigh_texts(asked)
    return on_media * len(_shown(plan)) / max(1, len(_shown(asked))) + (seconds - on_media) * share


def _on_media(times: Mapping[str, float]) -> float:
    return sum(times.get(stage, 0.0) for stage in PER_MEDIUM)


def _shown(requests: Sequence[Request]) -> set[tuple[object, ...]]:
    return {(*(medium.path for medium in request.media), request.repeat) for request in requests if request.media}
