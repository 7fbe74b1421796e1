"""Settles `--batch-size auto` where the device decides: once, before the plan of a run that begins."""

from __future__ import annotations

import secrets
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lavit_eval.claiming import choose_run
from lavit_eval.engines.fitting import fits_of
from lavit_eval.errors import UsageError
from lavit_eval.models.protocol import Demand, Fit
from lavit_eval.plan import BatchSizes, TaskPlan
from lavit_eval.prospect import AUTO, Prospect, planned_anew
from lavit_eval.sample import MAKING, Request
from lavit_eval.workers import worker_pool

KEPT = 86_400.0
"""Seconds for which what a worker printed is kept that found no sizes."""
SHORTEST = 128
"""Characters up to which texts are in the first bucket; each next bucket goes twice as far."""


def settled(prospect: Prospect) -> Prospect:
    """Return what a run will be, its batch sizes found on the device; as it is where they are known or stored.

    The sizes are found per task, that is per kind of request, and per bucket of text lengths. Where the model runs in
    this process, it was loaded for that and goes on to answer; otherwise one worker, wherever it runs, finds them.

    Raises:
        UsageError: The model cannot be loaded, or the worker cannot take part.
        WorkerError: The model raised what nobody foresaw, in the worker.
    """
    if prospect.identity["batch_size"] != AUTO or choose_run(prospect).exists:
        return prospect
    demands = {name: buckets(plan) for name, plan in prospect.plans.items()}
    asked = [demand for of_task in demands.values() for _, demand in of_task]
    options, model = prospect.options, None
    print("Batch sizes are found on the device, before the run is planned.", file=sys.stderr)
    if options.engine.in_process:
        from lavit_eval.engines.asking import pin_threads

        pin_threads(options.threads)
        found, model = prospect.model_class.fit_batches(options.model_options, asked)
    else:
        found = _found_by_worker(prospect, asked)
    fits = iter(found)
    planned = {
        name: _sizes([(limit, next(fits)) for limit, _ in of_task]) if of_task else prospect.plans[name].sizes
        for name, of_task in demands.items()
    }
    return replace(planned_anew(prospect, planned), loaded=model)


def _found_by_worker(prospect: Prospect, demands: Sequence[Demand]) -> list[Fit]:
    """Let one worker find out how many requests fit; it ends afterwards, for it knows no folder of a run yet."""
    # Beside the runs, for workers must see it: the run's own folder is chosen when it is planned.
    runs = prospect.options.output / "runs"
    folder = runs / f".fitting-{secrets.token_hex(4)}"
    _remove_old(runs)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror}); choose another --output-dir.") from error
    found: list[Fit] | None = None
    try:
        found = fits_of(worker_pool(prospect, prospect.options.threads, folder, demands, most=1))
    finally:
        # An error may name what the worker printed.
        if found is not None or not any(path.stat().st_size for path in folder.rglob("*.log")):
            shutil.rmtree(folder, ignore_errors=True)
    return found


def _remove_old(runs: Path) -> None:
    """Remove what was left of earlier attempts that failed or were killed, a day afterwards."""
    for old in runs.glob(".fitting-*"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > KEPT:
                shutil.rmtree(old, ignore_errors=True)


def _sizes(fits: Sequence[tuple[int | None, Fit]]) -> BatchSizes:
    """Return the sizes of a task by what fits of each of its buckets; stages belong to all of them."""
    stages: dict[str, int] = {}
    for _, fit in fits:
        for stage, size in fit.stages.items():
            stages[stage] = min(size, stages.get(stage, size))
    return BatchSizes(tuple((limit, fit.requests) for limit, fit in fits), tuple(sorted(stages.items())))


def buckets(plan: TaskPlan) -> list[tuple[int | None, Demand]]:
    """Return the buckets of a task's text lengths that hold requests, each with its demand; the last has no limit.

    What is made takes far more room than the text that asks for it: such tasks have one bucket.
    """
    held: dict[int, list[Request]] = defaultdict(list)
    for request in plan.requests:
        limit = SHORTEST
        while len(request.text) > limit and request.kind not in MAKING:
            limit *= 2
        held[limit].append(request)
    limits: list[int | None] = sorted(held)  # type: ignore[assignment]
    demands = [_demand(held[limit]) for limit in sorted(held)]
    return list(zip([*limits[:-1], None] if limits else [], demands, strict=True))


def _demand(requests: Sequence[Request]) -> Demand:
    kinds = {medium.kind for request in requests for medium in request.media}
    return Demand(
        kind=requests[0].kind,
        medium="video" if "video" in kinds else "image" if kinds else None,
        characters=max(len(request.text) for request in requests),
        option_characters=max(sum(map(len, request.options)) for request in requests),
        settings=requests[0].settings,
        generation=requests[0].generation,
        media=max(len(request.media) for request in requests),
    )
