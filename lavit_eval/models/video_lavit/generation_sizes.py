"""The sizes of a generation checkpoint: the published ones, or those that a file in its root states."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.config import MotionConfig, TokenSpace, VisualConfig
from lavit_eval.models.video_lavit.motion_encoder import MotionEncoderConfig
from lavit_eval.models.video_lavit.sizes import refuse_unknown, stated
from lavit_eval.models.video_lavit.tokenizer_decoder import DecoderConfig
from lavit_eval.models.video_lavit.weight_files import download_hint

FILE = "lavit_eval.json"
"""States other sizes than the published ones, e.g. of a tiny checkpoint; the published checkpoint has no such file."""


@dataclass(frozen=True, slots=True)
class GenerationSizes:
    """The sizes of all parts whose folders hold no configuration of their own."""

    visual: VisualConfig = field(default_factory=VisualConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    tokens: TokenSpace = field(default_factory=TokenSpace)
    tokenizer_decoder: DecoderConfig = field(default_factory=DecoderConfig)
    motion_encoder: MotionEncoderConfig = field(default_factory=MotionEncoderConfig)

    def content(self) -> dict[str, dict[str, Any]]:
        """Return what the file holds."""
        return asdict(self)


def read_generation_sizes(root: Path) -> GenerationSizes:
    """Return the sizes of a checkpoint.

    They are never counted from the tensors: a file that lacks its last layer is broken, not smaller.

    Raises:
        UsageError: The file cannot be read, or states something that is no size.
    """
    path = root / FILE
    if not path.is_file():
        return GenerationSizes()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read as JSON ({error}); mend it, or fetch {download_hint(root)}."
        ) from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} must hold a JSON object.")
    kinds: Mapping[str, type[Any]] = {
        "visual": VisualConfig,
        "motion": MotionConfig,
        "tokens": TokenSpace,
        "tokenizer_decoder": DecoderConfig,
        "motion_encoder": MotionEncoderConfig,
    }
    refuse_unknown(content, tuple(item.name for item in fields(GenerationSizes)), path, "sizes")
    return GenerationSizes(
        **{name: stated(kind, {}, content.get(name, {}), path, name, "sizes") for name, kind in kinds.items()}
    )
