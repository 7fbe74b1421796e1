"""Reading weight files: what they hold, and their tensors a few at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import safetensors
import torch

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.weight_files import download_hint

_MAPPED_BYTES = 256 << 20
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"} | {
    f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)
}


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """Shape and dtype of a stored tensor."""

    shape: tuple[int, ...]
    dtype: str
    """As torch writes it, without `torch.`."""

    @property
    def numel(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def read_facts(path: Path) -> dict[str, TensorFacts]:
    """Return name -> shape and dtype of every tensor in a .safetensors or .bin file without reading their values.

    Raises UsageError if the file cannot be read as what its name says.
    """
    if path.suffix == ".safetensors":
        try:
            with safetensors.safe_open(path, framework="pt") as stream:
                slices = {name: stream.get_slice(name) for name in stream.keys()}  # noqa: SIM118 - no mapping
                return {
                    name: TensorFacts(tuple(part.get_shape()), _DTYPES.get(part.get_dtype(), part.get_dtype()))
                    for name, part in slices.items()
                }
        except (safetensors.SafetensorError, OSError) as error:
            raise _unreadable(path, error) from error
    return {
        name: TensorFacts(tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for name, value in _load_bin(path).items()
    }


def read_tensors(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (name, tensor) of a .safetensors or .bin file, by name; the tensors lie in a mapping of the file.

    Copy what you keep. The file is mapped anew after every few hundred megabytes, because the pages of a mapping that
    were read count as this process's memory until it ends. Raises UsageError as `read_facts` does.
    """
    if path.suffix != ".safetensors" and not _is_zip(path):
        yield from sorted(_load_bin(path).items())
        return
    group: list[str] = []
    size = 0
    for name, fact in sorted(read_facts(path).items()):
        group.append(name)
        # Eight bytes a value at most.
        size += 8 * fact.numel
        if size > _MAPPED_BYTES:
            yield from _read_some(path, group)
            group, size = [], 0
    yield from _read_some(path, group)


def _read_some(path: Path, names: Sequence[str]) -> Iterator[tuple[str, torch.Tensor]]:
    if path.suffix == ".safetensors":
        try:
            with safetensors.safe_open(path, framework="pt") as stream:
                for name in names:
                    yield name, stream.get_tensor(name)
        except (safetensors.SafetensorError, OSError) as error:
            raise _unreadable(path, error) from error
        return
    loaded = _load_bin(path)
    for name in names:
        yield name, loaded.pop(name)


def _is_zip(path: Path) -> bool:
    """Tell whether a file is in the format of torch >= 1.6, which can be mapped into memory."""
    with open(path, "rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


def _load_bin(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict saved by torch, mapped into memory where its format allows."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, UnpicklingError) as error:
        raise _unreadable(path, error) from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise UsageError(f"{path} does not hold a mapping from names to tensors; fetch it again.")
    return {str(name): value for name, value in loaded.items()}


def _unreadable(path: Path, error: Exception) -> UsageError:
    kind = "safetensors" if path.suffix == ".safetensors" else "torch"
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return UsageError(
        f"{path} cannot be read as a {kind} file (cut short or damaged: {reason}); "
        f"fetch it again: {download_hint(path.parent)}."
    )
