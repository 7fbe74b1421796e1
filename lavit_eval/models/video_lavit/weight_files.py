"""The weight files of a folder: which there are, and which are missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lavit_eval.errors import UsageError

PUBLISHED = "rain1011/Video-LaVIT-v1"
PARTS = ("language_model_sft", "language_model", "visual_tokenizer", "image_detokenizer", "video_detokenizer")
"""The folders of the published layout."""
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The weight files that make up one state dict."""

    folder: Path
    format: Literal["safetensors", "bin"]
    names: tuple[str, ...]
    """File names, sorted."""
    index: str | None = None
    """The file that lists which shard holds which tensor."""
    listed: Mapping[str, str] = field(default_factory=dict)
    """Tensor -> shard, as the index states it."""

    def missing(self) -> list[str]:
        """Return the shards that the index lists and the folder lacks."""
        return [name for name in self.names if not (self.folder / name).is_file()]


def download_hint(folder: Path) -> str:
    """Return the command that fetches the published weights into the layout that `folder` is part of."""
    root = next((part.parent for part in (folder, folder.parent) if part.name in PARTS), folder)
    return f"`hf download {PUBLISHED} --local-dir {root}`"


def first_few(names: Sequence[str]) -> str:
    """Return the first five names, and how many there are if more."""
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, ... ({len(names)} in all)"


def find_weight_files(folder: Path) -> WeightFiles:
    """Return the weight files of a folder in the order of preference of Hugging Face: safetensors, then .bin.

    Shards need not exist: see `WeightFiles.missing`. Raises UsageError if there are none or the index is unusable.
    """
    kinds: tuple[tuple[Literal["safetensors", "bin"], str, str], ...] = (
        ("safetensors", "model.safetensors", "*.safetensors"),
        ("bin", "pytorch_model.bin", "pytorch_model*.bin"),
    )
    for kind, single, pattern in kinds:
        index = f"{single}.index.json"
        if (folder / single).is_file():
            return WeightFiles(folder, kind, (single,))
        if (folder / index).is_file():
            listed = read_index(folder / index)
            return WeightFiles(folder, kind, tuple(sorted(set(listed.values()))), index, listed)
        found = sorted(path.name for path in folder.glob(pattern) if path.is_file())
        if len(found) == 1:
            return WeightFiles(folder, kind, (found[0],))
        if found:
            raise UsageError(
                f"{folder} holds {len(found)} weight files ({first_few(found)}) but not their index {index}; "
                f"fetch it: {download_hint(folder)}."
            )
    raise UsageError(
        f"{folder} holds no weights (neither *.safetensors nor pytorch_model*.bin); "
        f"fetch them: {download_hint(folder)}."
    )


def read_index(path: Path) -> dict[str, str]:
    """Return tensor -> shard as an index file states it (raises UsageError if it is unusable)."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        if not listed:
            raise ValueError("its weight_map is empty")
        named = {str(tensor): str(shard) for tensor, shard in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} is not a usable shard index ({error!r}); fetch it again: {download_hint(path.parent)}."
        ) from error
    for shard in named.values():
        if Path(shard).name != shard:
            raise UsageError(f"{path} names the shard {shard!r}, which is not a plain file name in its folder.")
    return named
