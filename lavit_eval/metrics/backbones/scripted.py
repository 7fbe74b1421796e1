"""TorchScript files: loaded only when their digest is known or the user vouches for them, since they carry code."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import torch

from lavit_eval.errors import UsageError
from lavit_eval.weights import check, entry


def is_scripted(path: Path) -> bool:
    """Return whether a file is a TorchScript archive (it carries code), not a file of tensors."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.split("/")[1:2] == ["code"] for name in archive.namelist())


def load_scripted(path: Path, name: str, trust: bool) -> torch.jit.ScriptModule:
    """Return the network of a TorchScript file, on the CPU, in evaluation mode.

    Args:
        path: The file.
        name: Its name in the catalogue of weights, against whose digest it is checked first.
        trust: The user vouches for a file whose digest is not known.

    Raises:
        UsageError: The file is missing, has a wrong or unknown digest, or is no TorchScript archive.
    """
    # The file may have changed since its digest was cached; what runs is what is verified.
    check(path, entry(name), trust=trust, read_again=True)
    if not is_scripted(path):
        raise UsageError(f"{path} is no TorchScript archive, which {name} is; get it anew: {entry(name).how_to_get()}")
    try:
        with warnings.catch_warnings():
            # torch announces that TorchScript is on its way out; the published files are what they are.
            warnings.simplefilter("ignore")
            loaded = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise UsageError(f"{path} cannot be read by this torch ({str(error).splitlines()[0]}).") from error
    network: torch.jit.ScriptModule = loaded.eval()
    return network
