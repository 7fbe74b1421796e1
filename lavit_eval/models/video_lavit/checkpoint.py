"""The understanding checkpoint: found, and identified by its content."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lavit_eval.digests import cached_digest, digest_json
from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.weight_files import PUBLISHED, download_hint, find_weight_files, first_few

UNDERSTANDING_FOLDER = "language_model_sft"


def find_root(name: str) -> Path:
    """Return the folder that a name stands for: a folder, or a hub id that is already in the local cache.

    Never uses the network. Raises UsageError with the command that fetches the checkpoint.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise UsageError(f"The checkpoint {name} is a file; give the folder that holds it.")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(name, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError) as error:
            raise UsageError(
                f"The checkpoint {name} is neither a folder nor in the local Hugging Face cache; "
                f"fetch it: `hf download {name}`."
            ) from error
    raise UsageError(
        f"There is no checkpoint folder {name}; fetch the published one (`hf download {PUBLISHED} --local-dir {name}`) "
        f"or make a tiny one (`lavit-eval checkpoint make-tiny {name}`)."
    )


def find_checkpoint(name: str) -> Path:
    """Return the understanding folder (`language_model_sft/`) of a checkpoint.

    Args:
        name: The root of the published layout, its `language_model_sft/` itself, or a hub id in the local cache.

    Raises:
        UsageError: If there is none, with the command that fetches it.
    """
    root = find_root(name)
    for folder in (root / UNDERSTANDING_FOLDER, root):
        if (folder / "config.json").is_file():
            return folder
    raise UsageError(
        f"{root} holds no understanding checkpoint (neither {UNDERSTANDING_FOLDER}/config.json nor config.json); "
        f"fetch it: {download_hint(root)}."
    )


def checkpoint_digest(folder: Path) -> str:
    """Return the SHA-256 of what an understanding folder holds that can change an answer, wherever it lies.

    Taken over the sorted (file name, SHA-256) of config.json, tokenizer.model and the weight files in use.
    Raises UsageError if one of them is missing.
    """
    names = ["config.json", "tokenizer.model", *find_weight_files(folder).names]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise UsageError(f"{folder} lacks {first_few(missing)}; fetch it: {download_hint(folder)}.")
    return digest_json([[name, cached_digest(folder / name)] for name in sorted(names)])


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of a folder's config.json (raises UsageError)."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read as JSON ({error}); fetch it again: {download_hint(folder)}."
        ) from error
    if not isinstance(config, dict):
        raise UsageError(f"{path} must hold a JSON object; fetch it again: {download_hint(folder)}.")
    return config
