"""The loaded parts of the generating model: read when first needed, on the device while they work."""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lavit_eval.models.video_lavit.generation_loading import read_part

RESERVE = 6 << 30
"""Bytes that a part at work may need besides its weights; with less left over, idle parts leave the device."""


class Parts:
    """Loads parts by their names and moves them between the device and the CPU's memory.

    Args:
        root: The checkpoint's folder.
        device: Where parts work.
        dtype: float32, or the half precision that is asked for; see `generation_loading.Part.dtypes`.
        offload: `on` lets only the parts at work lie on the device, `off` lets all stay there that were ever at work,
            `auto` makes room when it gets scarce. On the CPU it changes nothing, and nowhere a result.
    """

    def __init__(self, root: Path, device: torch.device, dtype: torch.dtype, offload: str = "auto") -> None:
        self.root = root
        self.device = device
        self.dtype = dtype
        self.offload = offload
        self.seconds: defaultdict[str, float] = defaultdict(float)
        """Stage -> time that it took, since `begin`."""
        self.peaks: dict[str, int] = {}
        """Stage -> most bytes allocated on the GPU, since `begin`."""
        self._loaded: dict[str, nn.Module] = {}

    def begin(self) -> None:
        """Forget what was measured."""
        self.seconds.clear()
        self.peaks.clear()

    def get(self, name: str) -> Any:
        """Return a part, wherever it lies (raises UsageError if it cannot be loaded)."""
        if name not in self._loaded:
            with self.timed("load"):
                self._loaded[name] = read_part(name, self.root).load(self.dtype)
        return self._loaded[name]

    def put(self, name: str, module: nn.Module) -> None:
        """Take in a module that comes from elsewhere."""
        self._loaded[name] = module

    def __contains__(self, name: str) -> bool:
        return name in self._loaded

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of what happens inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    @contextmanager
    def at_work(self, stage: str, *names: str) -> Iterator[None]:
        """Have parts on the device, and measure what happens there meanwhile."""
        for name in names:
            self.get(name)
        if self.device.type != "cuda":
            with self.timed(stage):
                yield
            return
        self._make_room(names)
        for name in names:
            self._loaded[name].to(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        try:
            with self.timed(stage):
                yield
                torch.cuda.synchronize(self.device)
        finally:
            peak = torch.cuda.max_memory_allocated(self.device)
            self.peaks[stage] = max(peak, self.peaks.get(stage, 0))

    def release(self) -> None:
        """Free what memory can be freed without forgetting a part: after an allocation that failed."""
        gc.collect()
        if self.device.type == "cuda":
            if self.offload != "off":
                self._move_away(())
            torch.cuda.empty_cache()

    def autocast(self) -> Any:
        """Return the context in which halved matrices and float32 tables work together, as published."""
        half = self.dtype != torch.float32
        return torch.autocast(self.device.type, self.dtype if half else torch.bfloat16, enabled=half)

    def _make_room(self, names: tuple[str, ...]) -> None:
        if self.offload == "off":
            return
        coming = sum(_size(self._loaded[name]) for name in names if not _on(self._loaded[name], self.device))
        if self.offload == "on" or self._free() < coming + RESERVE:
            self._move_away(names)

    def _move_away(self, names: tuple[str, ...]) -> None:
        for name, module in self._loaded.items():
            if name not in names and _on(module, self.device):
                module.to("cpu")
        torch.cuda.empty_cache()

    def _free(self) -> int:
        """Return the bytes that can still be allocated, those that torch holds in store among them."""
        free, _ = torch.cuda.mem_get_info(self.device)
        return int(free) + torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)


def _size(module: nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in module.parameters())


def _on(module: nn.Module, device: torch.device) -> bool:
    return next(module.parameters()).device.type == device.type
