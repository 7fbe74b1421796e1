"""What a lease used besides time: the most memory, and energy where the driver of the card counts it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from lavit_eval.sample import JSON

NO_NVML = "the package pynvml is not installed"
NO_CARD = "the model did not run on a CUDA device"


class Gauge:
    """Reads memory and energy around one lease after another.

    On a card, memory is the most that torch had allocated there within the lease; elsewhere it is the most that the
    process ever held, for no more is known of less. Energy is what the whole card took, whoever used it.

    Args:
        device: Where the model runs, as `--device` names it.
        energy: Gives the joules that the card has taken so far; found out at the first lease where absent.
    """

    def __init__(self, device: str, energy: Callable[[], float] | None = None) -> None:
        self._device = device
        self._energy = energy
        self._asked = energy is not None
        self._no_energy = ""
        self._joules = 0.0

    def begin(self) -> None:
        """Note where the counters stand."""
        torch = self._cuda()
        if torch is not None:
            torch.cuda.reset_peak_memory_stats(self._device)
        if not self._asked:
            self._asked = True
            self._find_energy(torch)
        if self._energy is not None:
            self._joules = self._energy()

    def read(self) -> dict[str, JSON]:
        """Return what was used since `begin`.

        `memory_bytes`, `memory_of` ("cuda" or "process"), and `joules`, or `no_energy` with the reason why it is not
        known.
        """
        torch = self._cuda()
        used: dict[str, JSON] = (
            {"memory_bytes": process_peak(), "memory_of": "process"}
            if torch is None
            else {"memory_bytes": int(torch.cuda.max_memory_allocated(self._device)), "memory_of": "cuda"}
        )
        if self._energy is None:
            return {**used, "no_energy": self._no_energy}
        return {**used, "joules": round(self._energy() - self._joules, 3)}

    def _cuda(self) -> Any:
        """Return torch if the model's device is a card that is in use, else None."""
        torch: Any = sys.modules.get("torch")
        if torch is None or not self._device.startswith("cuda") or not torch.cuda.is_initialized():
            return None
        return torch

    def _find_energy(self, torch: Any) -> None:
        if torch is None:
            self._no_energy = NO_CARD
        elif importlib.util.find_spec("pynvml") is None:
            self._no_energy = NO_NVML
        else:
            try:
                self._energy = _counter(torch.cuda.get_device_properties(self._device))
            except Exception as error:
                # NVML raises errors of its own, one class per code; none of them is worth an answer.
                self._no_energy = f"NVML says: {error}"


def _counter(properties: Any) -> Callable[[], float]:
    """Return a reader of the card's joules; raises NVMLError where the card does not count them."""
    nvml: Any = import_module("pynvml")
    nvml.nvmlInit()
    handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{properties.uuid}".encode())

    def joules() -> float:
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3

    joules()
    return joules


def process_peak() -> int:
    """Return the most bytes of memory that this process ever held; 0 where the system does not say."""
    # Linux keeps getrusage's peak over exec: a small worker would have that of the process that spawned it.
    with suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def merged_use(uses: Sequence[Mapping[str, JSON]]) -> dict[str, JSON]:
    """Return the use of several leases: the most memory, the sum of the joules.

    Leases of which the energy is not known leave the whole without it, with the first reason.
    """
    if not uses:
        return {}
    most = max(uses, key=lambda use: use["memory_bytes"])
    whole: dict[str, JSON] = {name: most[name] for name in ("memory_bytes", "memory_of")}
    reasons = [use["no_energy"] for use in uses if "no_energy" in use]
    if reasons:
        return {**whole, "no_energy": reasons[0]}
    return {**whole, "joules": round(sum(use["joules"] for use in uses), 3)}
