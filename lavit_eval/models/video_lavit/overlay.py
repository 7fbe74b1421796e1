"""Where the weights of the video detokenizer come from: several files, one laid over the other."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from torch import nn

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.diffusers_files import STEM, find_diffusers_files, has_weights
from lavit_eval.models.video_lavit.weight_files import download_hint
from lavit_eval.models.video_lavit.weight_plan import WeightPlan

Purpose = Literal["generation", "reconstruction"]
CHILDREN = ("unet.", "motion_encoder.", "motion_tokenizer.", "vae.")
"""How the names in an overlay begin."""
MOTION_TOKENIZER = "motion_tokenizer.bin"
RECONSTRUCTION = "video_3d_unet.bin"


def plan_video_weights(module: nn.Module, root: Path, purpose: Purpose) -> WeightPlan:
    """Return where each parameter of the video detokenizer comes from.

    First come the folders that diffusers wrote and `motion_tokenizer.bin`. Then a file is laid over them, whose names
    begin with those of the children: `video_detokenizer/unet/diffusion_pytorch_model.bin` for generation,
    `video_3d_unet.bin` for reconstruction. The former is at the same time a file of diffusers if it holds names of the
    bare UNet and no .safetensors file lies beside it. It holds the motion encoder, or else the latter does.

    The published code lets whatever no file holds keep its random initial values. Here nothing is left to chance: see
    `WeightPlan.check`.

    Args:
        module: Holds the children `unet`, `vae`, `motion_tokenizer` and `motion_encoder`, on the meta device.
        root: The checkpoint's folder.
        purpose: What is laid over the folders.

    Raises:
        UsageError: If a file is missing or cannot be read.
    """
    folder = root / "video_detokenizer"
    plan = WeightPlan(f"video detokenizer for {purpose}", module, root)
    overlay = overlay_file(root, purpose)
    covered = _covers_unet(plan, overlay)
    if has_weights(folder / "unet") or not covered:
        for path in find_diffusers_files(folder / "unet"):
            _take_bare(plan, path)
    for path in find_diffusers_files(folder / "vae"):
        plan.take(path, lambda name: f"vae.{name}")
    plan.take(root / MOTION_TOKENIZER, lambda name: f"motion_tokenizer.{name}")
    plan.take(overlay, lambda name: name if name.startswith(CHILDREN) else None)
    # The published code lets bare names of an overlay be, since it lays them over an object that has no such names.
    plan.take(overlay, lambda name: None if name.startswith(CHILDREN) else f"unet.{name}", gaps_only=True)
    plan.ignore(overlay, [name for name in plan.facts(overlay) if not _known(plan, name)])
    if purpose == "generation" and len(plan.missing("motion_encoder.")) == _count(plan, "motion_encoder."):
        _borrow_motion_encoder(plan, root)
    return plan


def overlay_file(root: Path, purpose: Purpose) -> Path:
    """Return the file that is laid over the others."""
    if purpose == "reconstruction":
        return root / RECONSTRUCTION
    return root / "video_detokenizer" / "unet" / f"{STEM}.bin"


def _take_bare(plan: WeightPlan, path: Path) -> None:
    """Take a UNet as diffusers stored it; a .bin file may hold an overlay besides, whose turn comes later."""
    lenient = path.suffix == ".bin"

    def place(name: str) -> str | None:
        if lenient and (name.startswith(CHILDREN) or f"unet.{name}" not in plan.expected):
            return None
        return f"unet.{name}"

    plan.take(path, place)


def _borrow_motion_encoder(plan: WeightPlan, root: Path) -> None:
    other = root / RECONSTRUCTION
    if not other.is_file():
        raise UsageError(
            f"{overlay_file(root, 'generation')} holds no motion_encoder.*, and {other}, which could, is missing; "
            f"fetch it: {download_hint(root)}."
        )
    plan.take(other, lambda name: name if name.startswith("motion_encoder.") else None)


def _covers_unet(plan: WeightPlan, overlay: Path) -> bool:
    held = plan.facts(overlay)
    return all(name in held for name in plan.expected if name.startswith("unet."))


def _known(plan: WeightPlan, name: str) -> bool:
    """Tell whether a name of an overlay is meant for the video detokenizer, rightly or not."""
    return name.startswith(CHILDREN) or f"unet.{name}" in plan.expected


def _count(plan: WeightPlan, child: str) -> int:
    return sum(name.startswith(child) for name in plan.expected)
