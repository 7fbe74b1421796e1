"""The weight files of a folder that diffusers wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.weight_files import download_hint, first_few, read_index

STEM = "diffusion_pytorch_model"
SAFETENSORS_FIRST = ("safetensors", "bin")
"""How diffusers chooses by itself."""
BIN_FIRST = ("bin", "safetensors")
"""How the published code loads the image UNet."""


def find_diffusers_files(folder: Path, order: tuple[str, ...] = SAFETENSORS_FIRST) -> list[Path]:
    """Return the weight files of a folder in the first format that it has, shards in the order of their names.

    Raises:
        UsageError: There are none, or shards are missing.
    """
    for suffix in order:
        single, index = folder / f"{STEM}.{suffix}", folder / f"{STEM}.{suffix}.index.json"
        if single.is_file():
            return [single]
        if index.is_file():
            names = sorted(set(read_index(index).values()))
            if missing := [name for name in names if not (folder / name).is_file()]:
                raise UsageError(
                    f"{folder} lacks {len(missing)} of {len(names)} weight shards ({first_few(missing)}); "
                    f"fetch them: {download_hint(folder)}."
                )
            return [folder / name for name in names]
    raise UsageError(
        f"{folder} holds no weights (neither {STEM}.{order[0]} nor {STEM}.{order[1]}); "
        f"fetch them: {download_hint(folder)}."
    )


def has_weights(folder: Path) -> bool:
    """Tell whether a folder holds weights in either format."""
    return any((folder / f"{STEM}.{suffix}{index}").is_file() for suffix in BIN_FIRST for index in ("", ".index.json"))


def without_origin(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config.json without the name of the folder that it was once loaded from, a path on another machine."""
    return {key: value for key, value in config.items() if key != "_name_or_path"}
