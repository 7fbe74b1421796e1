"""What every worker is told before its first lease."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lavit_eval.engines.checks import Probe, versions_here, witnesses
from lavit_eval.engines.messages import Message, pack_demands, pack_options, pack_samples
from lavit_eval.engines.session import CARRIED
from lavit_eval.files import canonical_json
from lavit_eval.models.protocol import Demand, FactoryMethods, ModelOptions
from lavit_eval.sample import JSON, Sample


@dataclass(frozen=True, slots=True)
class Greeting:
    """Who is to be loaded, on what conditions."""

    target: str
    """"module:class" of the model."""
    model_class: Any
    options: ModelOptions
    identity: Mapping[str, JSON]
    """The model's, as the driver found it; a worker must find the same."""
    threads: int
    samples: Mapping[str, Sequence[Sample]]
    """Task -> all its samples."""
    demands: tuple[Demand, ...] = ()
    """Of which the worker finds out how many fit on its device, in the place of loading alone."""

    def load(self, worker: str, device: str, probe: Probe) -> Message:
        """Return the first message to a worker."""
        reads = getattr(self.model_class, "reads_media", True)
        return {
            "do": "load",
            "name": worker,
            "device": device,
            "target": self.target,
            "options": pack_options(self.options),
            "identity": json.loads(canonical_json(self.identity)),
            "threads": self.threads,
            "versions": versions_here(),
            "probe": probe.message,
            "witnesses": witnesses(self.samples) if reads else [],
            "cwd": os.getcwd(),
            "demands": pack_demands(self.demands),
            "environment": {name: os.environ[name] for name in CARRIED if name in os.environ},
        }

    def of_task(self, task: str) -> Message | None:
        """Return what a worker must know of a task before its first lease of it; None where the model ignores it."""
        if not needs_samples(self.model_class):
            return None
        return {"do": "samples", "task": task, "samples": pack_samples(self.samples[task])}


def needs_samples(model_class: Any) -> bool:
    """Say whether a model wants to know all samples of a task: where it says nothing, if it has its own `prepare`."""
    said = getattr(model_class, "reads_samples", None)
    if said is not None:
        return bool(said)
    return getattr(model_class, "prepare", None) is not FactoryMethods.prepare
