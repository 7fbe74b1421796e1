"""Writes what was trained in the layout of the published checkpoint, in half precision."""

from __future__ import annotations

from pathlib import Path

import torch

from lavit_eval.files import write_atomic
from lavit_eval.models.video_lavit.checkpoint import UNDERSTANDING_FOLDER
from lavit_eval.models.video_lavit.tiny_weights import json_bytes, language_model_files
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from training.recipe import language_config


def write_checkpoint(model: UnderstandingModel, tokenizer: bytes, folder: Path) -> None:
    """Write `folder/language_model_sft`: configuration, tokenizer, and every tensor as float16."""
    weights = {name: value.detach().to(torch.float16).contiguous() for name, value in model.state_dict().items()}
    files = {"config.json": json_bytes(language_config()), "tokenizer.model": tokenizer}
    files |= language_model_files(weights, 1, "safetensors")
    for name, content in files.items():
        write_atomic(folder / UNDERSTANDING_FOLDER / name, content)
