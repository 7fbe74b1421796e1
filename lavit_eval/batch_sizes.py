"""Settles `--batch-size auto` where the device decides: once, before the plan of a run that begins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from lavit_eval.claiming import choose_run
from lavit_eval.models.protocol import Demand
from lavit_eval.plan import BatchSizes, TaskPlan
from lavit_eval.prospect import AUTO, Prospect, planned_anew
from lavit_eval.sample import Request

SHORTEST = 128
"""Characters up to which texts are in the first bucket; each next bucket goes twice as far."""


def settled(prospect: Prospect) -> Prospect:
    """Return what a run will be, its batch sizes found on the device; as it is where they are known or stored.

    The sizes are found per task, that is per kind of request, and per bucket of text lengths. The model that was loaded
    for that goes on to answer where it runs in this process; otherwise it is given up, for the workers need its room.
    """
    if prospect.identity["batch_size"] != AUTO or choose_run(prospect).exists:
        return prospect
    demands = {name: buckets(plan) for name, plan in prospect.plans.items()}
    asked = [demand for of_task in demands.values() for _, demand in of_task]
    from lavit_eval.engines.asking import free_memory, pin_threads

    pin_threads(prospect.options.threads)
    found, model = prospect.model_class.fit_batches(prospect.options.model_options, asked)
    sizes = iter(found)
    planned = {
        name: BatchSizes(tuple((limit, next(sizes)) for limit, _ in of_task)) if of_task else prospect.plans[name].sizes
        for name, of_task in demands.items()
    }
    done = planned_anew(prospect, planned)
    if prospect.options.engine.in_process:
        return replace(done, loaded=model)
    del model
    free_memory()
    return done


def buckets(plan: TaskPlan) -> list[tuple[int | None, Demand]]:
    """Return the buckets of a task's text lengths that hold requests, each with its demand; the last has no limit."""
    held: dict[int, list[Request]] = defaultdict(list)
    for request in plan.requests:
        limit = SHORTEST
        while len(request.text) > limit:
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
    )
