"""Generated images on disk."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lavit_eval.files import write_atomic


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a picture, uint8 RGB `[h, w, 3]`, as PNG, which keeps every byte; atomically.

    Equal pictures make equal files. The folder is made if need be. Raises ValueError for another dtype or shape.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3 or 0 in picture.shape:
        raise ValueError(f"picture {picture.dtype} {picture.shape}, expected uint8 [h, w, 3]")
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    write_atomic(path, buffer.getvalue())
