"""Features in true float32: TF32 rounds products to 10 bits, which moves an FVD."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.backends import cuda, cudnn


@contextmanager
def exact_float32() -> Iterator[None]:
    """Run without gradients, autocast and TF32 inside; the process's settings are restored afterwards."""
    before = cuda.matmul.allow_tf32
    cuda.matmul.allow_tf32 = False
    flags = cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    )
    try:
        with torch.no_grad(), flags, torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
    finally:
        cuda.matmul.allow_tf32 = before
