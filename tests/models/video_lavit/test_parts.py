from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from lavit_eval.models.video_lavit import parts as module
from lavit_eval.models.video_lavit.parts import RESERVE, Parts

GIGA = 1 << 30


class Placed(nn.Module):
    """A part of so many gigabytes that knows where it was sent."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.place = "cpu"

    def to(self, place: object) -> Placed:  # type: ignore[override]
        self.place = torch.device(str(place)).type
        return self


class Card:
    """A GPU of so many gigabytes, as far as moving parts is concerned."""

    def __init__(self, size: int, parts: dict[str, Placed], monkeypatch: pytest.MonkeyPatch) -> None:
        self.size = size
        self.parts = parts
        self.peak = 0
        cuda = {
            "mem_get_info": lambda device: (self.size * GIGA - self.held, self.size * GIGA),
            "memory_reserved": lambda device: 0,
            "memory_allocated": lambda device: 0,
            "empty_cache": lambda: None,
            "synchronize": lambda device: None,
            "reset_peak_memory_stats": lambda device: None,
            "max_memory_allocated": lambda device: self.held,
        }
        for name, function in cuda.items():
            monkeypatch.setattr(torch.cuda, name, function)
        monkeypatch.setattr(module, "_size", lambda part: part.size * GIGA)
        monkeypatch.setattr(module, "_on", lambda part, device: part.place == device.type)

    @property
    def held(self) -> int:
        return sum(part.size * GIGA for part in self.parts.values() if part.place == "cuda")


def make(offload: str, size: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Parts, dict[str, Placed]]:
    held = {"writer": Placed(14), "painter": Placed(5), "filmer": Placed(3)}
    Card(size, held, monkeypatch)
    parts = Parts(Path("nowhere"), torch.device("cuda"), torch.float16, offload)
    for name, part in held.items():
        parts.put(name, part)
    return parts, held


def places(parts: Parts, held: dict[str, Placed]) -> list[str]:
    """Return who lies on the device while each part works in its turn."""
    found = []
    for name in ("writer", "painter", "filmer", "writer"):
        with parts.at_work(name, name):
            found.append("+".join(other for other, part in held.items() if part.place == "cuda"))
    return found


def test_idle_parts_leave_if_they_must(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, held = make("on", 100, monkeypatch)
    assert places(parts, held) == ["writer", "painter", "filmer", "writer"]


def test_all_stay_if_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, held = make("off", 10, monkeypatch)
    assert places(parts, held) == ["writer", "writer+painter", "writer+painter+filmer", "writer+painter+filmer"]


def test_room_is_made_when_it_gets_scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, held = make("auto", 24, monkeypatch)
    assert places(parts, held) == ["writer", "painter", "painter+filmer", "writer"]
    parts, held = make("auto", 14 + 5 + 3 + RESERVE // GIGA, monkeypatch)
    assert places(parts, held)[-1] == "writer+painter+filmer"


def test_whole_pipeline_fits_24_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    for offload in ("on", "auto"):
        parts, held = make(offload, 24, monkeypatch)
        places(parts, held)
        assert max(parts.peaks.values()) + RESERVE <= 24 * GIGA


def test_peaks_and_times_are_of_the_batch_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, held = make("on", 24, monkeypatch)
    places(parts, held)
    assert parts.peaks == {"writer": 14 * GIGA, "painter": 5 * GIGA, "filmer": 3 * GIGA}
    assert set(parts.seconds) == set(held)
    parts.begin()
    assert not parts.peaks
    assert not parts.seconds


def test_release_moves_everything_away(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, held = make("auto", 100, monkeypatch)
    places(parts, held)
    parts.release()
    assert {part.place for part in held.values()} == {"cpu"}


def test_on_the_cpu_nothing_moves() -> None:
    parts = Parts(Path("nowhere"), torch.device("cpu"), torch.float32, "on")
    part = Placed(1)
    parts.put("writer", part)
    with parts.at_work("write", "writer"):
        assert part.place == "cpu"
    assert set(parts.seconds) == {"write"}
    assert not parts.peaks
    with parts.autocast():
        assert not torch.is_autocast_enabled("cpu")
