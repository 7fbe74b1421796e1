"""Loads the understanding checkpoint without a single key left over or missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig

from lavit_eval.errors import UsageError, nearest
from lavit_eval.models.video_lavit.checkpoint import read_config
from lavit_eval.models.video_lavit.sizes import BLOCK, Sizes, read_sizes
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from lavit_eval.models.video_lavit.weight_files import WeightFiles, download_hint, find_weight_files, first_few
from lavit_eval.models.video_lavit.weight_reading import TensorFacts, read_facts, read_tensors

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
IGNORED_SUFFIX = "rotary_emb.inv_freq"
"""A buffer that old LLaMA files hold and that follows from the configuration."""


def parse_dtype(name: str) -> torch.dtype:
    """Return the torch dtype of `float32`, `bfloat16` or `float16` (else UsageError)."""
    if name not in DTYPES:
        raise UsageError(f"There is no dtype {name!r}; use --dtype {'|'.join(DTYPES)}.{nearest(name, tuple(DTYPES))}")
    return DTYPES[name]


def parse_device(name: str) -> torch.device:
    """Return the device of `cpu`, `cuda` or `cuda:N`; raises UsageError if it is unknown or not in this machine."""
    if name == "cpu":
        return torch.device("cpu")
    if not re.fullmatch(r"cuda(:\d+)?", name):
        raise UsageError(f"There is no device {name!r}; use --device cpu or --device cuda:N.")
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = torch.device(name)
    if (device.index or 0) >= available:
        found = f"only {available} CUDA device(s)" if available else "no usable CUDA device"
        raise UsageError(f"The device {name} was asked for, but this machine has {found}; use --device cpu.")
    return device


@dataclass(frozen=True, slots=True)
class Mismatch:
    """How the tensors of a folder differ from those of the understanding model."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]
    """Name, shape found, shape expected."""
    retyped: tuple[str, ...]
    """Name and dtype of what is no floating-point tensor."""

    def sentences(self) -> list[str]:
        """Return one phrase per kind of difference, naming the first five of it; empty if there is none."""
        kinds = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another shape": self.reshaped,
            "not of floating point": self.retyped,
        }
        return [f"{len(names)} {kind}: {first_few(names)}" for kind, names in kinds.items() if names]

    def refuse(self, folder: Path) -> None:
        """Raise UsageError if there is any difference."""
        if differences := self.sentences():
            raise UsageError(
                f"The tensors of {folder} are not those of the understanding model ({'; '.join(differences)}); "
                f"look at it with `lavit-eval checkpoint inspect {folder}` or fetch it again: {download_hint(folder)}."
            )


@dataclass(frozen=True, slots=True)
class Blueprint:
    """All that an understanding folder says without its weights being read."""

    folder: Path
    config: Mapping[str, Any]
    files: WeightFiles
    facts: Mapping[str, TensorFacts]
    """Every tensor of the folder, but for ignored buffers."""
    sizes: Sizes

    def build(self, attention: str = "sdpa") -> UnderstandingModel:
        """Return the model of these sizes on the meta device, that is without memory for its weights.

        Raises UsageError if config.json describes no model that can be built.
        """
        try:
            return build_empty(self.config, self.sizes, attention)
        except (ValueError, TypeError, KeyError, ZeroDivisionError) as error:
            raise UsageError(
                f"{self.folder / 'config.json'} describes no understanding model ({error}); "
                f"fetch it again: {download_hint(self.folder)}."
            ) from error

    def check_tokenizer(self, pieces: int) -> None:
        """Raise UsageError if a tokenizer of so many pieces would write into the ids of the visual codes."""
        if pieces > self.sizes.tokens.text:
            raise UsageError(
                f"{self.folder / 'tokenizer.model'} has {pieces} pieces, but config.json has {self.sizes.tokens.text} "
                f"text ids; fetch both again: {download_hint(self.folder)}."
            )

    def compare(self) -> Mismatch:
        """Return how the folder's tensors differ from those of the model (raises UsageError as `build` does)."""
        return _compare(self.facts, self.build())

    def check(self) -> None:
        """Raise UsageError, naming the first of each kind, if the folder's tensors are not exactly the model's."""
        self.compare().refuse(self.folder)


def llama_config(config: Mapping[str, Any]) -> LlamaConfig:
    """Return the language model's configuration in the content of a config.json."""
    foreign = ("architectures", "model_type", "torch_dtype", "dtype", "transformers_version", BLOCK)
    return LlamaConfig(**{key: value for key, value in config.items() if key not in foreign})


def build_empty(config: Mapping[str, Any], sizes: Sizes, attention: str = "sdpa") -> UnderstandingModel:
    """Return the model of a config.json and its sizes, all parameters on the meta device.

    Raises ValueError if the sizes contradict each other.
    """
    with torch.device("meta"):
        return UnderstandingModel(llama_config(config), sizes.visual, sizes.motion, sizes.tokens, attention)


def read_blueprint(folder: Path) -> Blueprint:
    """Read configuration and tensor headers of an understanding folder.

    Raises UsageError for a missing or damaged file or shard, and for a tensor that stands in two shards.
    """
    config = read_config(folder)
    files = find_weight_files(folder)
    if absent := files.missing():
        raise UsageError(
            f"{folder} lacks {len(absent)} of {len(files.names)} weight shards ({first_few(absent)}); "
            f"fetch them: {download_hint(folder)}."
        )
    facts: dict[str, TensorFacts] = {}
    for name in files.names:
        for tensor, fact in read_facts(folder / name).items():
            if tensor in facts:
                raise UsageError(f"{folder}: the tensor {tensor} stands in two shards, the second is {name}.")
            if not tensor.endswith(IGNORED_SUFFIX):
                facts[tensor] = fact
    sizes = read_sizes(config, {name: fact.shape for name, fact in facts.items()}, folder / "config.json")
    return Blueprint(folder, config, files, facts, sizes)


def load_understanding(
    blueprint: Blueprint, device: torch.device, dtype: torch.dtype, attention: str = "sdpa"
) -> UnderstandingModel:
    """Load the understanding model, every parameter in `dtype` on `device`, ready for inference.

    Tensors are converted one at a time from the mapped files, so that no second copy of the model exists.

    Raises:
        UsageError: If a tensor is missing, unexpected, of another shape or not of floating point, naming it.
    """
    model = blueprint.build(attention)
    _compare(blueprint.facts, model).refuse(blueprint.folder)
    held: dict[str, torch.Tensor] = {}
    for file in blueprint.files.names:
        for name, tensor in read_tensors(blueprint.folder / file):
            if not name.endswith(IGNORED_SUFFIX):
                # Always a copy: a mapped file that is rewritten in place would change the weights under way.
                held[name] = tensor.to(device=device, dtype=dtype, copy=True)
    model.load_state_dict(held, strict=True, assign=True)
    return model.requires_grad_(False).eval()


def _compare(facts: Mapping[str, TensorFacts], model: UnderstandingModel) -> Mismatch:
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    shared = sorted(set(facts) & set(expected))
    return Mismatch(
        missing=tuple(sorted(set(expected) - set(facts))),
        unexpected=tuple(sorted(set(facts) - set(expected))),
        reshaped=tuple(
            f"{name} is {list(facts[name].shape)}, not {list(expected[name])}"
            for name in shared
            if facts[name].shape != expected[name]
        ),
        retyped=tuple(f"{name} is {facts[name].dtype}" for name in shared if not _floating(facts[name].dtype)),
    )


def _floating(dtype: str) -> bool:
    return dtype in DTYPES or dtype == "float64"
