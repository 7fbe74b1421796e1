"""Keyframes from another text-to-image model, whose picture then takes the place of the first keyframe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from lavit_eval.digests import cached_digest, digest_json
from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.generation_error import require_finite

INDEX = "model_index.json"
SUFFIXES = (".json", ".txt", ".model", ".safetensors", ".bin")
"""What files of a pipeline's folder can change a picture."""


def check_pipeline(folder: Path) -> None:
    """Raise UsageError unless a folder holds a text-to-image pipeline of diffusers.

    Pipelines that bring code of their own are refused: nothing in a folder of weights is ever run.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        name = index["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--model-args keyframe_pipeline={folder}: {path} is no index of a diffusers pipeline ({error!r}); give a "
            "folder that `hf download MODEL --local-dir DIR` has filled."
        ) from error
    import diffusers

    if not isinstance(name, str) or not hasattr(diffusers, name):
        raise UsageError(
            f"--model-args keyframe_pipeline={folder}: the class {name!r} is none of diffusers "
            f"{diffusers.__version__}; give another pipeline, or update diffusers: `pip install -U diffusers`."
        )
    if sorted(folder.rglob("*.py")):
        raise UsageError(f"--model-args keyframe_pipeline={folder}: the folder holds code, which is never run.")


def pipeline_digest(folder: Path) -> str:
    """Return the SHA-256 over the sorted (name, SHA-256) of a pipeline's files, wherever it lies."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    return digest_json([[path.relative_to(folder).as_posix(), cached_digest(path)] for path in files])


def load_pipeline(folder: Path, dtype: Any) -> Any:
    """Load a pipeline on the CPU, from local files only; no program in a weight file is run.

    Raises:
        UsageError: If it cannot be loaded.
    """
    from diffusers import DiffusionPipeline

    check_pipeline(folder)
    halves = any(folder.rglob("*.fp16.*")) and not any(folder.glob("unet/diffusion_pytorch_model.[sb]*"))
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            str(folder), local_files_only=True, torch_dtype=dtype, variant="fp16" if halves else None
        )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, AttributeError, ImportError) as error:
        raise UsageError(
            f"--model-args keyframe_pipeline={folder}: the pipeline cannot be loaded ({error}); download it again."
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def make_keyframe(pipeline: Any, text: str, seed: int, width: int, height: int, steps: int, guidance: float) -> Any:
    """Return a picture of the text as a PIL image; raises GenerationError if it holds a value that is no number.

    Each is made in a call of its own with a generator of its own, so that nothing else in a batch changes it.

    Args:
        pipeline: Of `load_pipeline`.
        text: What it shall show.
        seed: Of its noise, which is drawn on the CPU.
        width: In pixels.
        height: In pixels.
        steps: Denoising steps.
        guidance: Scale of the classifier-free guidance.
    """
    import torch

    generator = torch.Generator("cpu").manual_seed(seed)
    made = pipeline(
        prompt=text,
        width=width,
        height=height,
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=generator,
        output_type="np",
    )
    # As a picture of eight bits, a value that is no number would be black.
    values = torch.as_tensor(made.images[:1])
    require_finite(values, "keyframe pipeline")
    return Image.fromarray((values[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()).convert("RGB")
