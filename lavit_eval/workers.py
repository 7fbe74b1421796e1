"""The workers of a run, wherever they are to be, none of them started yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lavit_eval.engines.greeting import Greeting
from lavit_eval.engines.pool import Pool
from lavit_eval.models.protocol import Demand
from lavit_eval.prospect import Prospect
from lavit_eval.registry import targets


def worker_pool(
    prospect: Prospect, threads: int, folder: Path, demands: Sequence[Demand] = (), most: int | None = None
) -> Pool:
    """Return the workers that were asked for: processes of this machine or actors of a cluster.

    Args:
        prospect: Of the run; its model runs in workers.
        threads: Of each.
        folder: Which all machines must share; what workers print goes there.
        demands: Of which each finds out how many fit, before it takes part.
        most: So many workers at most; None for as many as were asked for.
    """
    options = prospect.options
    engine = options.engine
    greeting = Greeting(
        target=targets("model")[options.model],
        model_class=prospect.model_class,
        options=options.model_options,
        identity=prospect.model_identity,
        threads=threads,
        samples={each.task.task: each.samples for each in prospect.prepared},
        demands=tuple(demands),
    )
    if engine.engine == "ray":
        from lavit_eval.engines.ray_cluster import RayPool

        return RayPool(greeting, engine, devices_of(prospect)[0], folder, most)
    from lavit_eval.engines.local import LocalPool

    names = worker_devices(prospect)
    return LocalPool(greeting, names[:most], folder)


def devices_of(prospect: Prospect) -> tuple[str, ...]:
    """Return the devices that workers share among them."""
    return prospect.options.engine.devices or (prospect.options.model_options.device,)


def worker_devices(prospect: Prospect) -> list[str]:
    """Return the device of each worker of this machine."""
    devices = devices_of(prospect)
    count = prospect.options.engine.workers or len(devices)
    return [devices[index % len(devices)] for index in range(count)]
