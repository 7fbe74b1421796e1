"""How the user wants a run to be carried out: by which engine, by how many workers, and which share of it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from lavit_eval.errors import UsageError

EngineName = Literal["local", "ray"]
ExtractAhead = Literal["auto", "on", "off"]
ALL_DEVICES = "cuda:all"


@dataclass(frozen=True, slots=True)
class Shard:
    """A fixed share of a run's batches: those whose number over all tasks leaves the same remainder."""

    index: int
    """From 1."""
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    @property
    def writer(self) -> str:
        """What its journals are named by."""
        return f"shard-{self.index}-of-{self.of}"

    def owns(self, place: int) -> bool:
        """Say whether the batch at this place of the whole plan (from 0) is its own."""
        return place % self.of == self.index - 1


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Who answers; nothing here can change an answer but for rounding."""

    engine: EngineName = "local"
    workers: int | None = None
    """None takes one per device; with one device and no time-out the model then runs in this process."""
    devices: tuple[str, ...] = ()
    """All that workers share among them; empty: the model's own."""
    timeout: float | None = None
    """Seconds that a batch may take before its worker is given up."""
    shard: Shard | None = None
    ray_address: str | None = None
    """`auto`, or host:port of a cluster's head; None starts a cluster on this machine."""
    extract_ahead: ExtractAhead = "auto"
    """Whether this machine extracts features of what is made while more is made; `auto` where a card does it."""

    @property
    def in_process(self) -> bool:
        """Whether the model runs in this process."""
        return self.engine == "local" and self.workers is None and self.timeout is None and len(self.devices) < 2

    @property
    def on_one_machine(self) -> bool:
        """Whether all workers run where the driver does."""
        return self.engine == "local"


def parse_shard(text: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """Read `I/N`, or `auto`: the rank that torchrun gave, else the task of a Slurm array, else that of a Slurm step.

    Raises UsageError for anything else.
    """
    if text == "auto":
        return _shard_of(environment)
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"--shard {text!r} is not I/N with I from 1 to N, such as 1/4, nor auto.")
    return Shard(int(found[1]), int(found[2]))


def _shard_of(environment: Mapping[str, str]) -> Shard:
    for rank, count, first in (
        ("RANK", "WORLD_SIZE", "0"),
        ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", environment.get("SLURM_ARRAY_TASK_MIN", "0")),
        ("SLURM_PROCID", "SLURM_NTASKS", "0"),
    ):
        if rank in environment and count in environment:
            try:
                shard = Shard(int(environment[rank]) - int(first) + 1, int(environment[count]))
            except ValueError:
                continue
            if 1 <= shard.index <= shard.of:
                return shard
            raise UsageError(
                f"--shard auto found {rank}={environment[rank]} and {count}={environment[count]}, which name no share; "
                "number a Slurm array without gaps, or write --shard I/N."
            )
    raise UsageError("--shard auto found neither torchrun nor a Slurm array around it; write --shard I/N.")


def parse_devices(text: str, engine: EngineName = "local", environment: Mapping[str, str] = os.environ) -> list[str]:
    """Read `--device`: one, several separated by commas, or `cuda:all` for every GPU that is visible.

    Under torchrun `cuda` is the GPU of this process (LOCAL_RANK). Raises UsageError for anything else.
    """
    names = [name.strip() for name in text.split(",")]
    if names == [ALL_DEVICES]:
        return ["cuda:0"] if engine == "ray" else _visible(text)
    if names == ["cuda"] and "LOCAL_RANK" in environment:
        names = [f"cuda:{environment['LOCAL_RANK']}"]
    wrong = next((name for name in names if not re.fullmatch(r"cpu|cuda(:\d+)?", name)), None)
    if wrong is not None:
        raise UsageError(f"--device {wrong!r} is neither cpu nor cuda:N.")
    if len(set(names)) != len(names):
        raise UsageError(f"--device {text} names a device twice; --workers N puts several workers on one.")
    return names


def _visible(text: str) -> list[str]:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise UsageError(f"--device {text}: no GPU is visible here; take --device cpu.")
    return [f"cuda:{index}" for index in range(count)]


def with_devices(options: EngineOptions, devices: list[str]) -> EngineOptions:
    """Return the options for these devices."""
    return replace(options, devices=tuple(devices))
