"""Tells apart the weight files of a case that names several: image and video side hold children of equal names."""

from __future__ import annotations

import json
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from tests.parity.case import Case


def part_config(case: Case, member: str) -> dict[str, Any]:
    """Return the configuration of the weight file whose configuration has a member of this name."""
    return _part(case, member)[1]


def part_weights(case: Case, member: str, child: str = "") -> dict[str, Tensor]:
    """Return that file's weights in float32, of one child or of all."""
    prefix = f"weights/{child}." if child else "weights/"
    stored = load_file(case.folder / f"{_part(case, member)[0]}.safetensors")
    return {
        name.removeprefix(prefix): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in stored.items()
        if name.startswith(prefix)
    }


def _part(case: Case, member: str) -> tuple[str, dict[str, Any]]:
    found = [
        (stem, config)
        for stem in case.facts["weights_files"]
        if member in (config := json.loads((case.folder / f"{stem}.json").read_text())["config"])
    ]
    assert len(found) == 1, f"{case.name}: {len(found)} weight files have {member}"
    return found[0]
