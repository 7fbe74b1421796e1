"""Which stored tensor becomes which parameter, decided from the headers of the files before a weight is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.weight_files import download_hint, first_few
from lavit_eval.models.video_lavit.weight_reading import TensorFacts, read_facts, read_tensors

FLOATING = ("float64", "float32", "float16", "bfloat16")
OLD_ATTENTION = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
"""Names that diffusers gave the attention of its autoencoders before 2023, which published files may still have."""

Place = Callable[[str], str | None]
"""Stored name -> parameter; None for what is not meant for this component."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the value of a parameter lies."""

    path: Path
    name: str
    """As stored in the file."""


class WeightPlan:
    """Collects, file after file, where every parameter of a component comes from; later files win.

    Args:
        component: What messages call the component.
        module: The component, on the meta device.
        root: The checkpoint's folder, for messages.
        unneeded: Beginnings of names that the files may hold and the component does not need.
    """

    def __init__(self, component: str, module: nn.Module, root: Path, unneeded: tuple[str, ...] = ()) -> None:
        self.component = component
        self.root = root
        self.unneeded = unneeded
        self.expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
        self.origins: dict[str, Origin] = {}
        self.unexpected: list[str] = []
        """Tensors that no parameter stands for; loading is refused."""
        self.ignored: list[str] = []
        """Tensors of files that the published code reads without asking for a match; named by `checkpoint inspect`."""
        self._faults: list[str] = []
        self._facts: dict[Path, dict[str, TensorFacts]] = {}

    def take(self, path: Path, place: Place = lambda name: name, *, gaps_only: bool = False) -> None:
        """Take from a file every tensor that `place` assigns to this component.

        Args:
            path: A .safetensors or .bin file (UsageError if it cannot be read).
            place: Which parameter a stored tensor is meant for.
            gaps_only: Take only what no file before it has, and let the rest be.
        """
        for stored, fact in self.facts(path).items():
            name = self._known(place(stored))
            if name is None or (gaps_only and (name in self.origins or name not in self.expected)):
                continue
            if name in self.expected:
                self._assign(name, fact, Origin(path, stored))
            elif not name.startswith(self.unneeded):
                self.unexpected.append(self._where(path, stored))

    def facts(self, path: Path) -> Mapping[str, TensorFacts]:
        """Return name -> shape and dtype of what a file of the checkpoint holds (UsageError if it is missing)."""
        if path not in self._facts:
            if not path.is_file():
                raise UsageError(f"{path} is missing; fetch it: {download_hint(self.root)}.")
            self._facts[path] = read_facts(path)
        return self._facts[path]

    def ignore(self, path: Path, names: Sequence[str]) -> None:
        """Note tensors of a file that nothing takes."""
        self.ignored += [self._where(path, name) for name in names]

    def missing(self, within: str = "") -> list[str]:
        """Return the parameters, below a child if it is named (`unet.`), that no file has."""
        return sorted(name for name in self.expected if name.startswith(within) and name not in self.origins)

    @property
    def files(self) -> list[Path]:
        """The files that are read, sorted."""
        return sorted({origin.path for origin in self.origins.values()})

    def problems(self) -> list[str]:
        """Return one phrase per kind of difference, naming the first of it; empty if every parameter has its tensor."""
        kinds = {"missing": self.missing(), "unexpected": self.unexpected, "unusable": self._faults}
        return [f"{len(names)} {kind}: {first_few(names)}" for kind, names in kinds.items() if names]

    def check(self) -> None:
        """Raise UsageError, naming the first of each kind, unless every parameter has its tensor."""
        if problems := self.problems():
            raise UsageError(
                f"The {self.component} of {self.root} is not whole ({'; '.join(problems)}); look at it with "
                f"`lavit-eval checkpoint inspect {self.root}` or fetch it again: {download_hint(self.root)}."
            )

    def load(self, module: nn.Module, dtypes: Mapping[str, torch.dtype]) -> None:
        """Give the module its parameters, on the CPU, each in the dtype that `dtypes` states for its name.

        Tensors are converted one at a time from the mapped files. Raises UsageError as `check` does.
        """
        self.check()
        held: dict[str, torch.Tensor] = {}
        for path in self.files:
            wanted = {origin.name: name for name, origin in self.origins.items() if origin.path == path}
            for stored, tensor in read_tensors(path):
                if stored in wanted:
                    # Always a copy: a mapped file that is rewritten in place would change the weights under way.
                    held[wanted[stored]] = tensor.to(dtype=dtypes[wanted[stored]], copy=True)
        module.load_state_dict(held, strict=True, assign=True)
        module.requires_grad_(False).eval()

    def _known(self, name: str | None) -> str | None:
        """Return the present name of a parameter that has an old one."""
        if name is None or name in self.expected:
            return name
        for old, new in OLD_ATTENTION.items():
            if old in name and name.replace(old, new) in self.expected:
                return name.replace(old, new)
        return name

    def _assign(self, name: str, fact: TensorFacts, origin: Origin) -> None:
        where = self._where(origin.path, origin.name)
        # One that is taken from two files counts by the later one, so the fault of the first no longer matters.
        self._faults = [fault for fault in self._faults if not fault.startswith(f"{name} ")]
        if fact.dtype not in FLOATING:
            self._faults.append(f"{name} is {fact.dtype} ({where})")
        elif fact.shape != self.expected[name]:
            self._faults.append(f"{name} is {list(fact.shape)}, not {list(self.expected[name])} ({where})")
        self.origins[name] = origin

    def _where(self, path: Path, name: str) -> str:
        return f"{name} in {path.relative_to(self.root) if path.is_relative_to(self.root) else path}"


def all_in(dtype: torch.dtype, module: nn.Module) -> dict[str, torch.dtype]:
    """Return one dtype for every parameter."""
    return dict.fromkeys(module.state_dict(), dtype)


def matrices_in(dtype: torch.dtype, module: nn.Module) -> dict[str, torch.dtype]:
    """Return `dtype` for weights and biases of linear and convolution layers, float32 for every other parameter.

    So the published code converts its tokenizers: norms, tables of positions, codebooks and the biases of queries and
    values stay, and `torch.autocast` brings both together.
    """
    halved = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    found = dict.fromkeys(module.state_dict(), torch.float32)
    for path, child in module.named_modules():
        if isinstance(child, halved):
            found |= {f"{path}.{name}" if path else name: dtype for name, _ in child.named_parameters(recurse=False)}
    return found
