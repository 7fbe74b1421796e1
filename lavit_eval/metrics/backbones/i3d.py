"""I3D (Carreira & Zisserman 2017) with the Kinetics-400 weights whose logits are FVD's features."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from lavit_eval.errors import UsageError
from lavit_eval.metrics.backbones.precision import exact_float32

SIDE = 224
LEAST_FRAMES = 9
"""Eight frames leave one time step before the pooling over two."""
CLASSES = 400
TF_HUB_EPS = 1e-3
"""Added to every variance in the published graph (TF-Hub deepmind/i3d-kinetics-400/1)."""
VIDEOGPT_EPS = 1e-5
"""PyTorch's default, which VideoGPT, TATS and cd-fvd run the same weights with."""

Triple = tuple[int, int, int]
MIXED: dict[str, tuple[int, tuple[int, int, int, int, int, int]]] = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
"""Channels in, and those of the branches 0, 1a, 1b, 2a, 2b, 3b."""
STAGES = (
    "Conv3d_1a_7x7", "MaxPool3d_2a_3x3", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "MaxPool3d_3a_3x3", "Mixed_3b", "Mixed_3c",
    "MaxPool3d_4a_3x3", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f", "MaxPool3d_5a_2x2", "Mixed_5b",
    "Mixed_5c",
)  # fmt: skip


def pad_same(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Pad `[B, C, T, H, W]` with zeros as TensorFlow's SAME does: the odd one goes behind.

    The total is what makes the output ceil(size / stride) long: for 224, kernel 7 and stride 2 it is 2 in front and 3
    behind, where `padding=3` would be wrong by one pixel.
    """
    amounts: list[int] = []
    for size, window, step in reversed(list(zip(x.shape[2:], kernel, stride, strict=True))):
        total = max((-(-size // step) - 1) * step + window - size, 0)
        amounts += [total // 2, total - total // 2]
    return functional.pad(x, amounts) if any(amounts) else x


class Unit3d(nn.Module):
    """SAME-padded convolution, batch norm, ReLU; or, as the last layer, a biased convolution alone."""

    def __init__(
        self, channels: int, out: int, kernel: Triple, stride: Triple = (1, 1, 1), eps: float | None = TF_HUB_EPS
    ) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(channels, out, kernel, stride, bias=eps is None)
        self.bn = None if eps is None else nn.BatchNorm3d(out, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, T, H, W]`."""
        found: Tensor = self.conv3d(pad_same(x, self.kernel, self.stride))
        return found if self.bn is None else functional.relu(self.bn(found))


class MaxPool3d(nn.Module):
    """SAME-padded maximum; zeros are as good as minus infinity, since every input comes from a ReLU."""

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, T, H, W]`."""
        return functional.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Four branches side by side: 1x1x1; 1x1x1 then 3x3x3, twice; maximum then 1x1x1."""

    def __init__(self, channels: int, outs: tuple[int, int, int, int, int, int], eps: float) -> None:
        super().__init__()
        one, three = (1, 1, 1), (3, 3, 3)
        self.b0 = Unit3d(channels, outs[0], one, eps=eps)
        self.b1a = Unit3d(channels, outs[1], one, eps=eps)
        self.b1b = Unit3d(outs[1], outs[2], three, eps=eps)
        self.b2a = Unit3d(channels, outs[3], one, eps=eps)
        self.b2b = Unit3d(outs[3], outs[4], three, eps=eps)
        self.b3a = MaxPool3d(three, one)
        self.b3b = Unit3d(channels, outs[5], one, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, T, H, W]` to the branches' channels in order."""
        branches = [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))]
        return torch.cat(branches, dim=1)


class I3d(nn.Module):
    """The RGB network; parameters are named as in VideoGPT's conversion (`i3d_pretrained_400.pt`)."""

    def __init__(self, eps: float = TF_HUB_EPS) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {
            "Conv3d_1a_7x7": Unit3d(3, 64, (7, 7, 7), (2, 2, 2), eps),
            "MaxPool3d_2a_3x3": MaxPool3d((1, 3, 3), (1, 2, 2)),
            "Conv3d_2b_1x1": Unit3d(64, 64, (1, 1, 1), eps=eps),
            "Conv3d_2c_3x3": Unit3d(64, 192, (3, 3, 3), eps=eps),
            "MaxPool3d_3a_3x3": MaxPool3d((1, 3, 3), (1, 2, 2)),
            "MaxPool3d_4a_3x3": MaxPool3d((3, 3, 3), (2, 2, 2)),
            "MaxPool3d_5a_2x2": MaxPool3d((2, 2, 2), (2, 2, 2)),
        }
        layers |= {name: Mixed(channels, outs, eps) for name, (channels, outs) in MIXED.items()}
        for name in STAGES:
            self.add_module(name, layers[name])
        self.logits = Unit3d(1024, CLASSES, (1, 1, 1), eps=None)
        self.eval().requires_grad_(False)

    def stages(self, clips: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield the name and output of each stage in turn, at last "pool" `[B, 1024, T', 1, 1]`."""
        for name in STAGES:
            clips = self.get_submodule(name)(clips)
            yield name, clips
        yield "pool", functional.avg_pool3d(clips, (2, 7, 7), stride=(1, 1, 1))

    def pooled(self, clips: Tensor) -> Tensor:
        """Return the features before the last layer, `[B, 1024, T']`, T' = ceil(T / 8) - 1 overlapping windows."""
        with exact_float32():
            *_, (_, last) = self.stages(checked_clips(clips))
        return last[..., 0, 0]

    def forward(self, clips: Tensor) -> Tensor:
        """Return FVD's features: the logits averaged over time, without a softmax, `[B, 400]` float32.

        Args:
            clips: `[B, 3, T, 224, 224]` float32 RGB in [-1, 1], T >= 9.

        Raises:
            UsageError: For another size, fewer frames or values outside [-1, 1]: the network would give features of
                another length or none.
        """
        return self.logits_over_time(clips).mean(dim=2)

    def logits_over_time(self, clips: Tensor) -> Tensor:
        """Return the logits of each window, `[B, 400, T']`."""
        pooled = self.pooled(clips)
        with exact_float32():
            found: Tensor = self.logits(pooled[..., None, None])
        return found[..., 0, 0]


def checked_clips(clips: Tensor) -> Tensor:
    """Return clips that are `[B, 3, T >= 9, 224, 224]` in [-1, 1]; raises UsageError for others."""
    if clips.ndim != 5 or clips.shape[1] != 3 or clips.shape[3:] != (SIDE, SIDE):
        raise UsageError(f"I3D takes clips of [B, 3, T, {SIDE}, {SIDE}], not {list(clips.shape)}; resize them first.")
    if clips.shape[2] < LEAST_FRAMES:
        raise UsageError(f"I3D needs {LEAST_FRAMES} frames or more, not {clips.shape[2]}; name a protocol with more.")
    if clips.numel() and not bool(clips.abs().amax() <= 1.001):
        raise UsageError("I3D takes values in [-1, 1]; these are larger or not finite.")
    return clips
