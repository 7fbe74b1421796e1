"""What lies in a checkpoint folder: every file of the published layout, its content, and what is missing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lavit_eval.digests import cached_digest
from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.checkpoint import UNDERSTANDING_FOLDER, checkpoint_digest, find_root
from lavit_eval.models.video_lavit.config import MotionConfig, TokenSpace, VisualConfig
from lavit_eval.models.video_lavit.generation_loading import READERS, read_part
from lavit_eval.models.video_lavit.generation_sizes import FILE as SIZES_FILE
from lavit_eval.models.video_lavit.loading import Blueprint, read_blueprint
from lavit_eval.models.video_lavit.sizes import Sizes
from lavit_eval.models.video_lavit.weight_files import download_hint, find_weight_files, first_few
from lavit_eval.models.video_lavit.weight_reading import read_facts

UNDERSTANDING = "understanding"
WEIGHTS = "*"
"""Stands for the weight files of a folder, whatever their names."""
LAYOUT: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    UNDERSTANDING: ((UNDERSTANDING_FOLDER, ("config.json", "tokenizer.model", WEIGHTS)),),
    "generation": (
        ("language_model", ("config.json", "tokenizer.model", WEIGHTS)),
        ("visual_tokenizer", ("eva_vitg_psz14.bin", "tokenizer_encoder.bin", "highres_tokenizer_decoder.bin")),
        ("image_detokenizer/unet", ("config.json", WEIGHTS)),
        ("image_detokenizer/vae", ("config.json", WEIGHTS)),
        ("image_detokenizer/scheduler", ("scheduler_config.json",)),
        ("video_detokenizer/unet", ("config.json", WEIGHTS)),
        ("video_detokenizer/vae", ("config.json", WEIGHTS)),
        ("video_detokenizer/scheduler", ("scheduler_config.json",)),
        (".", ("motion_tokenizer.bin",)),
    ),
    "reconstruction": ((".", ("video_3d_unet.bin",)),),
}
"""Purpose -> folders -> files of the published checkpoint."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file of the layout."""

    name: str
    """Relative to the inspected folder."""
    purpose: str
    present: bool
    size: int = 0
    """Bytes."""
    digest: str | None = None
    """SHA-256."""
    tensors: int | None = None
    """None for a file that holds no weights."""
    parameters: int | None = None
    dtypes: Mapping[str, int] = field(default_factory=dict)
    """dtype -> tensors."""
    problem: str | None = None
    """Why the file cannot be read."""


@dataclass(frozen=True, slots=True)
class PartReport:
    """One part of the generating model."""

    name: str
    files: tuple[str, ...] = ()
    """The weight files that its parameters come from."""
    parameters: int = 0
    problems: tuple[str, ...] = ()
    """Why it cannot be loaded."""
    ignored: tuple[str, ...] = ()
    """Tensors that nothing stands for, in files that the published code does not read strictly either."""


@dataclass(frozen=True, slots=True)
class CheckpointReport:
    """What a checkpoint folder holds."""

    root: Path
    files: tuple[FileReport, ...]
    digest: str | None
    """Content digest of the understanding part, None if it is incomplete."""
    blueprint: Blueprint | None
    """Configuration and tensors of the understanding part, None if it cannot be read."""
    problems: tuple[str, ...]
    """What stands in the way of loading the understanding part but for missing files."""
    parts: tuple[PartReport, ...] = ()
    """Those of the generating model; none if the folder of the understanding part alone was named."""

    @property
    def missing(self) -> tuple[FileReport, ...]:
        """The files of the layout that are not there."""
        return tuple(file for file in self.files if not file.present)

    @property
    def usable(self) -> bool:
        """Whether the understanding part can be evaluated."""
        return self.digest is not None and not self.problems

    @property
    def generates(self) -> bool:
        """Whether images and videos can be generated and reconstructed."""
        return bool(self.parts) and not any(part.problems for part in self.parts)


def inspect_checkpoint(path: str | Path) -> CheckpointReport:
    """Look into a checkpoint without loading it: only headers are read, and every file once for its digest.

    Args:
        path: The root of the published layout, its `language_model_sft/` alone, or a hub id in the local cache.

    Raises:
        UsageError: If there is no such folder.
    """
    root = find_root(str(path))
    alone = (root / "config.json").is_file() and not (root / UNDERSTANDING_FOLDER).is_dir()
    folder = root if alone else root / UNDERSTANDING_FOLDER
    files = tuple(_inspect_file(root, name, purpose) for name, purpose in _layout(root, alone))
    blueprint, problems = _inspect_understanding(folder)
    digest = None
    if not any(not file.present for file in files if file.purpose == UNDERSTANDING):
        digest = checkpoint_digest(folder)
    # Of a checkpoint that has none of it, the list of missing files says all.
    begun = not alone and any(file.present and file.purpose != UNDERSTANDING for file in files)
    parts = tuple(_inspect_part(name, root) for name in READERS) if begun else ()
    return CheckpointReport(root, files, digest, blueprint, tuple(problems), parts)


def _layout(root: Path, alone: bool) -> Iterator[tuple[str, str]]:
    """Yield (name, purpose) of every file that the layout asks for."""
    if not alone and (root / SIZES_FILE).is_file():
        yield SIZES_FILE, "generation"
    for purpose, folders in LAYOUT.items():
        if alone and purpose != UNDERSTANDING:
            continue
        for folder, names in folders:
            place = "" if alone or folder == "." else f"{folder}/"
            for name in names:
                found = _weight_names(root / place, folder) if name == WEIGHTS else [name]
                yield from ((f"{place}{each}", purpose) for each in found)


def _weight_names(folder: Path, place: str) -> list[str]:
    """Return the weight files of a folder, shards that its index lists but the folder lacks among them."""
    if place.startswith(("image_detokenizer", "video_detokenizer")):
        # Its `diffusion_pytorch_model` may stand there in both formats, with different content.
        present = [path.name for suffix in ("bin", "safetensors") for path in folder.glob(f"*.{suffix}")]
        return sorted(present) or ["diffusion_pytorch_model.bin"]
    try:
        return list(find_weight_files(folder).names)
    except UsageError:
        return ["model.safetensors"]


def _inspect_file(root: Path, name: str, purpose: str) -> FileReport:
    path = root / name
    if not path.is_file():
        return FileReport(name, purpose, present=False)
    report = FileReport(name, purpose, True, path.stat().st_size, cached_digest(path))
    if path.suffix not in (".safetensors", ".bin"):
        return report
    try:
        facts = read_facts(path)
    except UsageError as error:
        return replace(report, problem=str(error))
    return replace(
        report,
        tensors=len(facts),
        parameters=sum(fact.numel for fact in facts.values()),
        dtypes=dict(Counter(fact.dtype for fact in facts.values())),
    )


def _inspect_part(name: str, root: Path) -> PartReport:
    try:
        plan = read_part(name, root).plan
    except UsageError as error:
        return PartReport(name, problems=(str(error),))
    return PartReport(
        name,
        tuple(path.relative_to(root).as_posix() for path in plan.files),
        sum(math.prod(shape) for shape in plan.expected.values()),
        tuple(plan.problems()),
        tuple(plan.ignored),
    )


def _inspect_understanding(folder: Path) -> tuple[Blueprint | None, list[str]]:
    if not (folder / "config.json").is_file():
        return None, [f"{folder} holds no config.json; fetch it: {download_hint(folder)}."]
    try:
        blueprint = read_blueprint(folder)
        return blueprint, blueprint.compare().sentences()
    except UsageError as error:
        return None, [str(error)]


def render(report: CheckpointReport) -> str:
    """Return a report as plain text."""
    return "\n".join(_lines(report))


def _lines(report: CheckpointReport) -> Iterator[str]:
    yield f"checkpoint  {report.root}"
    yield f"digest      {report.digest or 'none: the understanding part is incomplete'}"
    for purpose in LAYOUT:
        files = [file for file in report.files if file.purpose == purpose]
        if not files:
            continue
        yield ""
        yield purpose
        width = max(len(file.name) for file in files)
        yield from (f"  {file.name:{width}}  {_file_line(file)}" for file in files)
    if report.blueprint is not None:
        yield ""
        yield "configuration"
        yield from (f"  {line}" for line in _configuration(report.blueprint))
    yield ""
    if report.problems:
        yield "the understanding model cannot be loaded:"
        yield from (f"  {problem}" for problem in report.problems)
    elif report.blueprint is not None:
        yield f"the understanding model can be loaded: all {len(report.blueprint.facts)} tensors are as expected"
    if report.parts:
        yield ""
        yield "parts of the generating model"
        yield from (f"  {line}" for part in report.parts for line in _part_lines(part))


def _part_lines(part: PartReport) -> Iterator[str]:
    if part.problems:
        yield f"{part.name} cannot be loaded:"
        yield from (f"  {problem}" for problem in part.problems)
    else:
        yield f"{part.name}  {part.parameters:,} parameters, each from one of {', '.join(part.files)}"
    if part.ignored:
        yield f"  not used: {first_few(part.ignored)}"


def _file_line(file: FileReport) -> str:
    if not file.present:
        return "missing"
    if file.problem is not None:
        return file.problem
    parts = [f"{file.size:,} bytes"]
    if file.tensors is not None and file.parameters is not None:
        dtypes = ", ".join(
            name if len(file.dtypes) == 1 else f"{name} ({count})" for name, count in sorted(file.dtypes.items())
        )
        parts += [f"{file.tensors} tensors", f"{file.parameters:,} parameters", dtypes]
    return "  ".join([*parts, f"sha256 {file.digest}"])


def _configuration(blueprint: Blueprint) -> Iterator[str]:
    config, sizes = blueprint.config, blueprint.sizes
    context = config.get("tokenizer_model_max_length") or config.get("max_position_embeddings", "unstated")
    yield (
        f"language model    {config.get('num_hidden_layers', 'unstated')} layers, width {config.get('hidden_size')}, "
        f"{config.get('num_attention_heads', 'unstated')} heads, vocabulary {config.get('vocab_size')}, "
        f"context {context}"
    )
    visual, motion, tokens = sizes.visual, sizes.motion, sizes.tokens
    yield (
        f"visual tokenizer  {visual.layers} layers, width {visual.width}, {visual.heads} heads, "
        f"{visual.merger_layers} merger layers, {visual.patches} patches of {visual.patch_size} pixels, "
        f"images of {visual.image_size}"
    )
    yield f"motion tokenizer  {motion.blocks} blocks, width {motion.dim}, {motion.heads} heads"
    yield f"ids               {tokens.text} text, {tokens.visual} visual, {tokens.motion} motion"
    yield "sizes             " + ("as published" if _published(sizes) else "not the published ones")


def _published(sizes: Sizes) -> bool:
    """Tell whether sizes are the published ones; the MLP ratio is compared by the width that it gives."""
    visual = VisualConfig()
    same = sizes.visual.mlp_width == visual.mlp_width and replace(sizes.visual, mlp_ratio=visual.mlp_ratio) == visual
    return same and sizes.motion == MotionConfig() and sizes.tokens == TokenSpace()
