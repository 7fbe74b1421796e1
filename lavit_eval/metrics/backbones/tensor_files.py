"""Weight files that hold tensors and nothing else."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lavit_eval.errors import UsageError
from lavit_eval.weights import check, entry


def read_tensors(path: Path, name: str, trust: bool) -> Mapping[str, Tensor]:
    """Return the tensors of a file by name, on the CPU, without running anything in it.

    Args:
        path: The file.
        name: Its name in the catalogue of weights, against whose digest it is checked first.
        trust: Accept a file whose digest is not the catalogue's.

    Raises:
        UsageError: The file is missing, wrong or untrusted, or is no file of tensors.
    """
    check(path, entry(name), trust=trust)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise UsageError(f"{path} is no file of tensors; get it anew: {entry(name).how_to_get()}") from error
    if not isinstance(loaded, Mapping) or not all(isinstance(tensor, Tensor) for tensor in loaded.values()):
        raise UsageError(f"{path} holds no weights by name; get it anew: {entry(name).how_to_get()}")
    return loaded
