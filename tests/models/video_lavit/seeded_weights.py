"""Weights for small modules: drawn from a seed, none of them special."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from lavit_eval.models.video_lavit.config import VisualConfig

Module = TypeVar("Module", bound=nn.Module)

TINY_VISUAL = VisualConfig(
    image_size=56,
    width=24,
    head_width=6,
    layers=1,
    merger_layers=2,
    n_code=40,
    code_dim=8,
    llm_dim=20,
    head_out=5,
)


def seeded(module: Module, seed: int = 0) -> Module:
    """Fill every parameter from the seed: matrices keep the size of what they map, norms stay near one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                parameter.copy_(0.2 * drawn + (1.0 if "norm" in name and name.endswith("weight") else 0.0))
            else:
                parameter.copy_(drawn * parameter[0].numel() ** -0.5)
    return module.eval()
