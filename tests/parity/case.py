"""One recorded case of the reference model or of an official scorer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

PROJECT = Path(__file__).resolve().parents[2]
TOKENIZER = "tiny_tokenizer/tokenizer.model"


@dataclass(frozen=True)
class Case:
    """A JSON file that says what the case is, with its tensors beside it."""

    path: Path
    kind: str

    @property
    def name(self) -> str:
        """The file's stem."""
        return self.path.stem

    @property
    def folder(self) -> Path:
        """Where the case and the files it names lie."""
        return self.path.parent

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The JSON as it stands."""
        loaded: dict[str, Any] = json.loads(self.path.read_text())
        return loaded

    @property
    def tolerance(self) -> dict[str, Any]:
        """`atol`, `rtol` and, for some kinds, `relative_to_max`."""
        return {"atol": 1e-4, "rtol": 1e-4, **self.facts.get("tolerance", {})}

    def stored(self) -> dict[str, torch.Tensor]:
        """Every tensor of the case as it is stored."""
        return load_file(self.folder / self.facts.get("file", f"{self.name}.safetensors"))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Inputs, weights and outputs; half-precision weights and inputs are exact float32 values and are upcast."""
        return {
            name: tensor.float() if tensor.dtype == torch.float16 and name.startswith(("w/", "in/")) else tensor
            for name, tensor in self.stored().items()
        }

    def weights(self) -> dict[str, torch.Tensor]:
        """The weights under their checkpoint names."""
        return {name.removeprefix("w/"): tensor for name, tensor in self.tensors().items() if name.startswith("w/")}

    def tokenizer_path(self) -> Path:
        """The SentencePiece model beside the case, else the one of the understanding cases."""
        places = [
            self.folder / TOKENIZER,
            PROJECT / "tests" / "golden" / TOKENIZER,
            PROJECT.parent / "shared" / "golden" / "understanding" / TOKENIZER,
        ]
        return next(place for place in places if place.is_file())


def assert_close(
    found: torch.Tensor, expected: torch.Tensor, case: Case, name: str, relative_to_max: bool = False
) -> None:
    """Assert equality of integers and booleans, closeness of floats within the case's tolerance.

    With `relative_to_max` the allowed difference is 1e-3 (or the case's figure) of the largest expected magnitude.
    """
    assert tuple(found.shape) == tuple(expected.shape), (
        f"{case.name} {name}: shape {tuple(found.shape)}, expected {tuple(expected.shape)}"
    )
    if not expected.is_floating_point():
        differing = int((found.to(expected.dtype) != expected).sum())
        assert differing == 0, f"{case.name} {name}: {differing} of {expected.numel()} differ"
        return
    found, expected = found.double(), expected.double()
    atol, rtol = case.tolerance["atol"], case.tolerance["rtol"]
    if relative_to_max and expected.numel():
        atol, rtol = float(case.tolerance.get("relative_to_max", 1e-3)) * float(expected.abs().max()), 0.0
    torch.testing.assert_close(found, expected, atol=atol, rtol=rtol, msg=lambda text: f"{case.name} {name}: {text}")
