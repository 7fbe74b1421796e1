"""CLIP embeddings of frames and captions through clip-anytorch, from a file that is already there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from lavit_eval.errors import UsageError
from lavit_eval.metrics.backbones.precision import exact_float32
from lavit_eval.metrics.backbones.scripted import is_scripted, load_scripted
from lavit_eval.metrics.backbones.tensor_files import read_tensors
from lavit_eval.weights import entry

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
Fit = Literal["crop", "squash"]
Frames = npt.NDArray[np.uint8]


class Clip:
    """One of OpenAI's CLIP networks, in float32 on every device.

    OpenAI's loader computes in float16 on a GPU, float32 on a CPU; a cosine differs in the fourth decimal between them.
    """

    def __init__(self, path: Path, name: str, device: torch.device | str = "cpu", trust: bool = False) -> None:
        """Load a network.

        Args:
            path: OpenAI's file (a TorchScript archive, of which only the tensors are used) or a file of tensors.
            name: Its name in the catalogue of weights, e.g. "ViT-B-16.pt".
            device: Where it computes.
            trust: Accept a file whose digest is not the catalogue's.

        Raises:
            UsageError: The file is missing, wrong or untrusted, or holds no CLIP network.
        """
        self.device = torch.device(device)
        try:
            self._network = _build(_tensors(path, name, trust)).float().to(self.device)
        except (KeyError, RuntimeError) as error:
            raise UsageError(f"{path} holds no CLIP network; get it anew: {entry(name).how_to_get()}") from error
        self.side = int(self._network.visual.input_resolution)

    def images(self, frames: Frames, fit: Fit = "crop") -> Tensor:
        """Return the embeddings of frames `[F, H, W, 3]` uint8 RGB, `[F, D]` float32 on the CPU, not normalised."""
        with exact_float32():
            found: Tensor = self._network.encode_image(prepare(frames, self.side, fit).to(self.device))
        return found.float().cpu()

    def texts(self, captions: Sequence[str]) -> Tensor:
        """Return the embeddings of captions, `[N, D]` float32 on the CPU; beyond 77 tokens a caption is cut."""
        import clip

        with exact_float32():
            found: Tensor = self._network.encode_text(clip.tokenize(list(captions), truncate=True).to(self.device))
        return found.float().cpu()


def prepare(frames: Frames, side: int, fit: Fit = "crop") -> Tensor:
    """Return frames as CLIP takes them, `[F, 3, side, side]` float32.

    Each is resized bicubically by Pillow, which smooths when it shrinks. "crop", OpenAI's own way: the short side to
    `side`, then the centre, so the sides of a 16:9 video are not seen. "squash": both sides to `side`.
    """
    prepared = np.stack([_fit(Image.fromarray(frame), side, fit) for frame in frames])
    scaled = torch.from_numpy(prepared).permute(0, 3, 1, 2).float() / 255
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    return (scaled - mean) / deviation


def _fit(picture: Image.Image, side: int, fit: Fit) -> Frames:
    width, height = picture.size
    if fit == "squash":
        size = (side, side)
    elif width <= height:
        size = (side, int(side * height / width))
    else:
        size = (int(side * width / height), side)
    resized = picture.resize(size, Image.Resampling.BICUBIC)
    left, top = (round((length - side) / 2.0) for length in size)
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def _tensors(path: Path, name: str, trust: bool) -> Mapping[str, Tensor]:
    if path.is_file() and is_scripted(path):
        return load_scripted(path, name, trust).state_dict()
    return read_tensors(path, name, trust)


def _build(tensors: Mapping[str, Tensor]) -> Any:
    from clip.model import build_model

    return build_model(dict(tensors)).requires_grad_(False)
