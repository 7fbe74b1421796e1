"""Loads the parts of the generating model, none of their parameters left to chance."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from lavit_eval.digests import cached_digest, digest_json
from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.checkpoint import read_config
from lavit_eval.models.video_lavit.diffusers_files import BIN_FIRST, find_diffusers_files, without_origin
from lavit_eval.models.video_lavit.generation_sizes import FILE, GenerationSizes, read_generation_sizes
from lavit_eval.models.video_lavit.image_detokenizer import build_image_detokenizer
from lavit_eval.models.video_lavit.image_schedule import read_scheduler_config
from lavit_eval.models.video_lavit.loading import IGNORED_SUFFIX, llama_config
from lavit_eval.models.video_lavit.overlay import Purpose, plan_video_weights
from lavit_eval.models.video_lavit.tokenizer import Tokenizer
from lavit_eval.models.video_lavit.tokenizer_decoder import TokenizerDecoder
from lavit_eval.models.video_lavit.video_detokenizer import build_video_detokenizer
from lavit_eval.models.video_lavit.visual_tokenizer import VisualTokenizer
from lavit_eval.models.video_lavit.weight_files import download_hint, find_weight_files, first_few
from lavit_eval.models.video_lavit.weight_plan import WeightPlan, all_in, matrices_in
from lavit_eval.sample import RequestKind

Dtypes = Callable[[torch.dtype, nn.Module], dict[str, torch.dtype]]
PARTS: Mapping[str, tuple[str, ...]] = {
    "generate_image": ("language_model", "visual_tokenizer", "tokenizer_decoder", "image_detokenizer"),
    "generate_video": (
        "language_model",
        "visual_tokenizer",
        "tokenizer_decoder",
        "image_detokenizer",
        "video_detokenizer",
    ),
    "reconstruct_video": ("video_reconstructor",),
}
"""What a request of each kind needs."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the model before its weights are read."""

    name: str
    module: nn.Module
    """On the meta device until `load`."""
    plan: WeightPlan
    configs: tuple[Path, ...]
    """Files that decide it besides its weights."""
    dtypes: Dtypes
    """Which parameter is in half precision if half precision is asked for."""

    def load(self, dtype: torch.dtype) -> nn.Module:
        """Return the module with its weights, on the CPU, ready for inference (raises UsageError)."""
        self.plan.load(self.module, self.dtypes(dtype, self.module))
        for child in self.module.modules():
            if isinstance(child, LlamaForCausalLM):
                # No file holds them, and on the meta device they have no values; they stay float32.
                child.model.rotary_emb = LlamaRotaryEmbedding(child.config).eval()
        return self.module


def needed_parts(kinds: Iterable[RequestKind]) -> list[str]:
    """Return the parts that requests of these kinds need, each once."""
    return list(dict.fromkeys(part for kind in sorted(kinds) for part in PARTS.get(kind, ())))


def read_part(name: str, root: Path) -> Part:
    """Read configuration and headers of a part.

    Raises:
        UsageError: A folder or file is missing, damaged, or describes no such part.
    """
    return READERS[name](root, read_generation_sizes(root))


def generation_digest(root: Path, kinds: Iterable[RequestKind]) -> str:
    """Return the SHA-256 of all that requests of these kinds read of a checkpoint, wherever it lies.

    Taken over the sorted (file name, SHA-256) of configurations and weight files. Raises UsageError for a part that
    cannot be loaded.
    """
    files: set[Path] = set()
    for name in needed_parts(kinds):
        part = read_part(name, root)
        part.plan.check()
        files |= {*part.configs, *part.plan.files}
    return digest_json(sorted([path.relative_to(root).as_posix(), cached_digest(path)] for path in files))


def _language_model(root: Path, sizes: GenerationSizes) -> Part:
    folder = root / "language_model"
    _demand(folder)
    config = read_config(folder)
    vocabulary = config.get("vocab_size")
    if not isinstance(vocabulary, int) or vocabulary < sizes.tokens.total:
        raise UsageError(
            f"{folder / 'config.json'}: vocab_size is {vocabulary}, but text, visual and motion ids need "
            f"{sizes.tokens.total}; fetch it again: {download_hint(folder)}."
        )
    with _described_by(folder / "config.json"):
        llama = llama_config(config)
        llama._attn_implementation = "sdpa"
        with torch.device("meta"):
            module = LlamaForCausalLM(llama)
    plan = WeightPlan("language model for generation", module, root)
    files = find_weight_files(folder)
    if absent := files.missing():
        raise UsageError(
            f"{folder} lacks {len(absent)} of {len(files.names)} weight shards ({first_few(absent)}); "
            f"fetch them: {download_hint(folder)}."
        )
    for name in files.names:
        plan.take(folder / name, lambda stored: None if stored.endswith(IGNORED_SUFFIX) else stored)
    tokenizer = folder / "tokenizer.model"
    _check_tokenizer(tokenizer, sizes.tokens.text)
    configs = (folder / "config.json", tokenizer, *_stated_sizes(root))
    return Part("language_model", module, plan, configs, all_in)


def _visual_tokenizer(root: Path, sizes: GenerationSizes) -> Part:
    folder = root / "visual_tokenizer"
    _demand(folder)
    with _described_by(root / FILE), torch.device("meta"):
        module = VisualTokenizer(sizes.visual)
    # Only understanding uses the projection, and nothing the encoder's last norm and its head.
    del module.vit_proj, module.encoder.norm, module.encoder.head
    children = (*(f"{name}." for name, _ in module.named_children()), "vit_proj.")
    unneeded = ("vit_proj.", "encoder.norm.", "encoder.head.")
    plan = WeightPlan("visual tokenizer", module, root, unneeded)
    plan.take(folder / "eva_vitg_psz14.bin", lambda name: f"encoder.{name}")
    rest = folder / "tokenizer_encoder.bin"
    plan.take(rest, lambda name: name if name.startswith(children) else None)
    plan.ignore(rest, [name for name in plan.facts(rest) if not name.startswith(children)])
    return Part("visual_tokenizer", module, plan, _stated_sizes(root), matrices_in)


def _tokenizer_decoder(root: Path, sizes: GenerationSizes) -> Part:
    with _described_by(root / FILE), torch.device("meta"):
        module = TokenizerDecoder(sizes.tokenizer_decoder)
    plan = WeightPlan("tokenizer decoder", module, root)
    plan.take(root / "visual_tokenizer" / "highres_tokenizer_decoder.bin")
    return Part("tokenizer_decoder", module, plan, _stated_sizes(root), matrices_in)


def _image_detokenizer(root: Path, sizes: GenerationSizes) -> Part:
    folder = root / "image_detokenizer"
    for child in ("unet", "vae", "scheduler"):
        _demand(folder / child)
    mend = download_hint(folder)
    scheduler = read_scheduler_config(folder / "scheduler" / "scheduler_config.json", mend)
    unet, vae = (without_origin(read_config(folder / child)) for child in ("unet", "vae"))
    with _described_by(folder), torch.device("meta"):
        module = build_image_detokenizer(unet, vae, scheduler, str(folder), mend)
    plan = WeightPlan("image detokenizer", module, root)
    for path in find_diffusers_files(folder / "unet", BIN_FIRST):
        plan.take(path, lambda name: f"unet.{name}")
    for path in find_diffusers_files(folder / "vae"):
        plan.take(path, lambda name: f"vae.{name}")
    return Part("image_detokenizer", module, plan, _configs(folder), all_in)


def _video_part(root: Path, sizes: GenerationSizes, purpose: Purpose) -> Part:
    folder = root / "video_detokenizer"
    for child in ("unet", "vae", "scheduler"):
        _demand(folder / child)
    unet, vae = (without_origin(read_config(folder / child)) for child in ("unet", "vae"))
    scheduler = read_video_scheduler(root)
    with _described_by(folder), torch.device("meta"):
        module = build_video_detokenizer(
            unet, vae, scheduler, sizes.motion, sizes.motion_encoder, str(folder), download_hint(folder)
        )
    _check_schedule(module.scheduler, folder / "scheduler" / "scheduler_config.json")
    plan = plan_video_weights(module, root, purpose)
    name = "video_detokenizer" if purpose == "generation" else "video_reconstructor"
    dtypes = _generating if purpose == "generation" else _reconstructing
    return Part(name, module, plan, (*_configs(folder), *_stated_sizes(root)), dtypes)


def _video_detokenizer(root: Path, sizes: GenerationSizes) -> Part:
    return _video_part(root, sizes, "generation")


def _video_reconstructor(root: Path, sizes: GenerationSizes) -> Part:
    return _video_part(root, sizes, "reconstruction")


READERS: Mapping[str, Callable[[Path, GenerationSizes], Part]] = {
    "language_model": _language_model,
    "visual_tokenizer": _visual_tokenizer,
    "tokenizer_decoder": _tokenizer_decoder,
    "image_detokenizer": _image_detokenizer,
    "video_detokenizer": _video_detokenizer,
    "video_reconstructor": _video_reconstructor,
}


def _generating(dtype: torch.dtype, module: nn.Module) -> dict[str, torch.dtype]:
    """Return the dtypes of the video detokenizer: diffusion wholly half, of the motion parts the matrices."""
    return _diffusion(dtype, module, matrices_in(dtype, module))


def _reconstructing(dtype: torch.dtype, module: nn.Module) -> dict[str, torch.dtype]:
    """Return the dtypes as the published notebook has them: diffusion half, the motion parts float32."""
    return _diffusion(dtype, module, all_in(torch.float32, module))


def _diffusion(dtype: torch.dtype, module: nn.Module, others: Mapping[str, torch.dtype]) -> dict[str, torch.dtype]:
    return {name: dtype if name.startswith(("unet.", "vae.")) else kind for name, kind in others.items()}


def read_video_scheduler(root: Path) -> dict[str, Any]:
    """Return the content of the video detokenizer's scheduler_config.json (raises UsageError)."""
    path = root / "video_detokenizer" / "scheduler" / "scheduler_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({error}); fetch it again: {_mend(path)}.") from error
    if not isinstance(config, dict):
        raise UsageError(f"{path} must hold a JSON object; fetch it again: {_mend(path)}.")
    return config


def _check_schedule(scheduler: Any, path: Path) -> None:
    """Raise UsageError for a scheduler that cannot be used."""
    trial = copy.deepcopy(scheduler)
    try:
        trial.set_timesteps(2)
        sound = bool(torch.isfinite(trial.sigmas).all())
    except (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError, IndexError) as error:
        raise UsageError(f"{path} describes no scheduler ({error}); fetch it again: {_mend(path)}.") from error
    if not sound or trial.config.prediction_type not in ("epsilon", "v_prediction", "sample"):
        raise UsageError(f"{path} describes no scheduler that can denoise; fetch it again: {_mend(path)}.")


def _mend(path: Path) -> str:
    return download_hint(path.parent.parent)


def _check_tokenizer(path: Path, text: int) -> None:
    """Raise UsageError for a missing tokenizer, or one that would write into the ids of the visual codes."""
    if not path.is_file():
        raise UsageError(f"{path} is missing; fetch it: {download_hint(path.parent)}.")
    pieces = Tokenizer(path).size
    if pieces > text:
        raise UsageError(
            f"{path} has {pieces} pieces, but the id space has {text} text ids; fetch both again: "
            f"{download_hint(path.parent)}."
        )


class _described_by:
    """Turns what a configuration that fits no model makes the constructors raise into one sentence."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError | TypeError | KeyError | ZeroDivisionError | AttributeError | IndexError):
            raise UsageError(
                f"{self.path} describes no model that can be built ({error}); "
                f"fetch it again: {download_hint(self.path if self.path.is_dir() else self.path.parent)}."
            ) from error


def _demand(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"The checkpoint has no folder {folder}; fetch it: {download_hint(folder)}.")


def _configs(folder: Path) -> tuple[Path, ...]:
    return (
        folder / "unet" / "config.json",
        folder / "vae" / "config.json",
        folder / "scheduler" / "scheduler_config.json",
    )


def _stated_sizes(root: Path) -> tuple[Path, ...]:
    return (root / FILE,) if (root / FILE).is_file() else ()
