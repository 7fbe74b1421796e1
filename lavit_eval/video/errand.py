"""What another process is sent to do with a medium, and what it brings back."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from numpy.typing import NDArray

from lavit_eval.sample import JSON, Medium, Segment


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a medium became: arrays, and what is to be known of them."""

    facts: Mapping[str, JSON]
    arrays: tuple[NDArray[Any], ...]

    @property
    def size(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays)


@dataclass(frozen=True, slots=True)
class Errand:
    """Work on one medium."""

    target: str
    """"module:function", called with the medium and the arguments by their names; it returns `Prepared`."""
    medium: Medium
    arguments: Mapping[str, JSON]
    """What `json.dumps` takes."""

    def key(self) -> Hashable:
        """Return what is equal for equal work on a file that is still the same."""
        return json.dumps(self.packed(), sort_keys=True), _file_state(self.medium.path)

    def packed(self) -> dict[str, JSON]:
        """Return the errand as JSON; times stay exact fractions."""
        medium = self.medium
        segment = None if medium.segment is None else [str(medium.segment.start), str(medium.segment.end)]
        return {
            "target": self.target,
            "medium": [medium.kind, medium.path, medium.name, segment, medium.rate],
            "arguments": dict(self.arguments),
        }

    @classmethod
    def unpacked(cls, packed: Mapping[str, JSON]) -> Errand:
        """Return the errand that was packed."""
        kind, path, name, segment, rate = packed["medium"]
        medium = Medium(kind, path, name, segment and Segment(*map(Fraction, segment)), rate)
        return cls(packed["target"], medium, packed["arguments"])


def _file_state(path: str) -> tuple[int, int, int] | None:
    """Return what changes when a file is replaced; None if there is no file, which its reader then says."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns, state.st_ino
