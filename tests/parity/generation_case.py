"""What the recorded generation cases have in common: shared weights, recorded draws, one measure of closeness."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.parity.case import Case

Tensors = dict[str, Tensor]
NOT_DRAWN = "euler_step_unused"
"""Numbers that only the reference's old Euler scheduler draws, and throws away: neither stored nor drawn anew."""
FRAME_LEVELS = 1
FRAME_SHARE = 0.001


def weights_of(case: Case, child: str = "") -> Tensors:
    """Return the weights of a case and of the files it names, all float32, under their checkpoint names.

    With a child ("unet", "vae", "tokenizer_decoder") only its weights, under their names inside it.
    """
    found: Tensors = {}
    for stem in case.facts.get("weights_files", ()):
        found |= _part(load_file(case.folder / f"{stem}.safetensors"), "weights/")
    found |= _part(case.stored(), "weights/")
    upcast = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in found.items()}
    return _part(upcast, f"{child}.") if child else upcast


def config_of(case: Case, part: str) -> dict[str, Any]:
    """Return the configuration of one module ("unet", "vae", ...) from the weight files that the case names."""
    configs = [json.loads((case.folder / f"{stem}.json").read_text())["config"] for stem in case.facts["weights_files"]]
    found: dict[str, Any] = next(config[part] for config in configs if part in config)
    return found


def inputs_of(case: Case) -> Tensors:
    """Return the inputs by their names."""
    return _part(case.stored(), "inputs/")


def outputs_of(case: Case) -> Tensors:
    """Return the recorded outputs by their names; a case without any is broken."""
    found = _part(case.stored(), "outputs/")
    assert found, f"{case.name}: no recorded output"
    return found


def numbered(tensors: Mapping[str, Tensor], name: str) -> list[Tensor]:
    """Return `name_0`, `name_1`, ... in their order."""
    count = sum(key.removeprefix(f"{name}_").isdigit() for key in tensors if key.startswith(f"{name}_"))
    return [tensors[f"{name}_{index}"] for index in range(count)]


class RecordedDraws:
    """One request's row of the recorded draws, given out in their order; a draw of another name or shape fails."""

    def __init__(self, normals: Sequence[tuple[str, Tensor]], uniforms: Sequence[float] = ()) -> None:
        self.normals = list(normals)
        self.uniforms = list(uniforms)

    def normal(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return the next recorded tensor."""
        assert self.normals, f"{name} {shape}: every recorded draw is used up"
        recorded, tensor = self.normals.pop(0)
        found = (name, tuple(shape))
        assert found == (recorded, tuple(tensor.shape)), f"drawn {found}, recorded {recorded, tuple(tensor.shape)}"
        return tensor

    def uniform(self, name: str) -> float:
        """Return the next recorded uniform number."""
        assert self.uniforms, f"{name}: every recorded uniform number is used up"
        return self.uniforms.pop(0)

    def finish(self) -> None:
        """Fail if a recorded normal draw was not asked for."""
        assert not self.normals, f"recorded but not drawn: {[name for name, _ in self.normals]}"


def draws(case: Case) -> list[RecordedDraws]:
    """Return the recorded draws, one object per row of the batch; without any, one that has none."""
    stored = _part(case.stored(), "draws/")
    expected = [text.split(" ")[0] for text in case.facts.get("draw_order", ()) if NOT_DRAWN not in text]
    assert sorted(stored) == sorted(expected), f"{case.name}: draw_order and stored draws differ"
    named = [(name.split("_", 1)[1], stored[name]) for name in sorted(stored)]
    uniforms = inputs_of(case).get("uniforms", torch.empty(0)).tolist()
    rows = len(named[0][1]) if named else 1
    return [RecordedDraws([(name, each[row : row + 1]) for name, each in named], uniforms) for row in range(rows)]


def check(found: Tensor, expected: Tensor, name: str, case: Case) -> None:
    """Assert equality of integers and booleans, closeness of floats by the generation cases' measure.

    The measure is the largest absolute difference over max(1, mean absolute expected value), its limit the case's.
    Names that end in uint8 are compared as frames.
    """
    where = f"{case.name} {name}"
    assert tuple(found.shape) == tuple(expected.shape), f"{where}: shape {found.shape}, expected {expected.shape}"
    if expected.dtype == torch.uint8:
        check_frames(found, expected, name, case)
    elif not expected.is_floating_point():
        differing = int((found.to(expected.dtype) != expected).sum())
        assert differing == 0, f"{where}: {differing} of {expected.numel()} differ"
    elif expected.numel():
        new, old = found.detach().cpu().double(), expected.double()
        difference = float((new - old).abs().max() / old.abs().mean().clamp(min=1.0))
        limit = float(case.tolerance.get("limit", 0.002))
        assert difference <= limit, f"{where}: differs by {difference:.3g}, allowed {limit}"


def check_frames(found: Tensor, expected: Tensor, name: str, case: Case) -> None:
    """Assert that 8-bit values differ by at most one level, in at most one of a thousand values."""
    where = f"{case.name} {name}"
    assert found.dtype == expected.dtype == torch.uint8, f"{where}: {found.dtype}, expected uint8"
    assert tuple(found.shape) == tuple(expected.shape), f"{where}: shape {found.shape}, expected {expected.shape}"
    difference = (found.cpu().int() - expected.int()).abs()
    levels, share = int(difference.max()), float((difference > 0).double().mean())
    assert levels <= FRAME_LEVELS, f"{where}: {levels} levels"
    assert share <= FRAME_SHARE, f"{where}: {share:.2%} of the values differ"


def check_all(found: Mapping[str, Tensor], case: Case) -> None:
    """Check every recorded output; one that nothing was computed for fails the case."""
    expected = outputs_of(case)
    unknown = sorted(expected.keys() - found.keys())
    assert not unknown, f"{case.name}: recorded outputs that nothing is compared with: {unknown}"
    for name, tensor in expected.items():
        check(found[name], tensor, name, case)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
