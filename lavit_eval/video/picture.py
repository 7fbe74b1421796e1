"""Still pictures: files and keyframes to the input of the visual encoder."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lavit_eval.digests import digest_bytes
from lavit_eval.errors import MediumError
from lavit_eval.video.settings import PICTURE_SIZE

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

Picture = NDArray[np.uint8]


def squash(picture: Image.Image, size: int = PICTURE_SIZE) -> Picture:
    """Resize an RGB picture to uint8 [size, size, 3] by Pillow's bicubic filter; the aspect ratio is not kept."""
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))


def open_picture(path: Path) -> tuple[Image.Image, str]:
    """Read an image file as RGB picture of its own size, with the SHA-256 of the file.

    An EXIF orientation is not applied: the reference opens and converts the file and does nothing else, so a picture
    that a camera marked as turned is seen turned. Of an animation the first picture is taken.

    Raises:
        MediumError: The file is missing, empty, truncated or no image.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MediumError(f"image {path} cannot be read: {error.strerror}.") from error
    if not content:
        raise MediumError(f"image {path} is empty.")
    try:
        with Image.open(io.BytesIO(content)) as opened:
            picture = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow raises SyntaxError for broken PNG chunks; its messages may name the in-memory stream.
        reason = "it is no image" if isinstance(error, UnidentifiedImageError) else str(error).rstrip(".")
        raise MediumError(f"image {path} cannot be decoded: {reason}.") from error
    return picture, digest_bytes(content)


def load_picture(path: Path, size: int = PICTURE_SIZE) -> tuple[Picture, str]:
    """Read an image file as uint8 RGB [size, size, 3], with the SHA-256 of the file (raises as `open_picture`)."""
    picture, digest = open_picture(path)
    return squash(picture, size), digest


def normalise(pictures: Picture) -> torch.Tensor:
    """Turn uint8 [n, h, w, 3] into float32 [n, 3, h, w] with CLIP's mean and standard deviation per channel.

    The arithmetic is that of torchvision's ToTensor and Normalize, operation by operation: / 255, - mean, / std.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).contiguous().to(torch.float32)
    mean = torch.tensor(CLIP_MEAN, dtype=torch.float32).view(-1, 1, 1)
    std = torch.tensor(CLIP_STD, dtype=torch.float32).view(-1, 1, 1)
    return tensor.div_(255).sub_(mean).div_(std)
