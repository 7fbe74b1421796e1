"""The network of a protocol, made from the weight file at hand: frames in, features out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lavit_eval.errors import UsageError
from lavit_eval.features.equipment import Equipment
from lavit_eval.metrics.backbones.c3d import C3d
from lavit_eval.metrics.backbones.clip import Clip, Fit
from lavit_eval.metrics.backbones.demo import DemoNetwork
from lavit_eval.metrics.backbones.i3d import SIDE
from lavit_eval.metrics.backbones.i3d_weights import load_i3d
from lavit_eval.metrics.backbones.inception import Inception
from lavit_eval.metrics.backbones.lpips import Lpips
from lavit_eval.metrics.backbones.precision import exact_float32
from lavit_eval.metrics.feature_metric import Features
from lavit_eval.metrics.feature_protocol import FeatureProtocol
from lavit_eval.metrics.video_input import Frames, Resize, first_resized, prepare_clip
from lavit_eval.weights import FoundWeights, git_blob_id, require

FRAMES_AT_ONCE = 64
"""Of one video; a video's features depend on nothing but itself, so no batch holds frames of two."""
I3D_RESIZES: Mapping[str, Resize] = {
    "squash": "squash",
    "squash_tf1": "squash_tf1",
    "short_side_crop": "short_side_crop",
    "none": "none",
}
DEMO_SIDE = 32
DEMO_RESIZES: Mapping[str, Resize] = {
    "squash": "squash",
    "squash_tf1": "squash_tf1",
    "short_side_crop": "short_side_crop",
    "clip_crop": "short_side_crop",
}
"""What stands in for a resize to the published network's size; "squash" for those that are not named."""


class FeatureNetwork(Protocol):
    """Computes what a protocol calls features."""

    def of_frames(self, frames: Frames) -> Features:
        """Return the features of a clip or picture, uint8 RGB `[T, H, W, 3]`: `[D]`, or `[T, D]` of its frames."""
        ...

    def of_caption(self, text: str) -> Features:
        """Return the features of a text, `[D]`."""
        ...

    def of_pair(self, frames: Frames, others: Frames) -> Features:
        """Return the distance of each frame from its partner, `[T]`."""
        ...


def weights_at_hand(protocol: FeatureProtocol, equipment: Equipment) -> FoundWeights | None:
    """Return the weight file that a protocol's features come from, verified; None for demo features.

    Raises UsageError when it is missing, wrong, not the one that the protocol names, or not vouched for.
    """
    if protocol.demo:
        return None
    found = require(protocol.weights, equipment.weights_dir, equipment.trusted)
    wanted = protocol.weights_digest
    if wanted in (None, f"sha256:{found.sha256}") or wanted == f"git:{git_blob_id(found.path)}":
        return found
    # Of a published file, `found.trusted` says nothing: it needs no trust, but for a protocol that names another.
    if found.trusted or found.path.resolve() in equipment.trusted:
        return found
    raise UsageError(
        f"{found.path} is not the file that the protocol {protocol.protocol} names ({wanted}); "
        f"put that one there, or vouch for this one: --trust {found.path}"
    )


def load_network(protocol: FeatureProtocol, equipment: Equipment) -> FeatureNetwork:
    """Return the network of a protocol on the equipment's device (raises UsageError as `weights_at_hand`)."""
    found = weights_at_hand(protocol, equipment)
    if found is None:
        return _Demo(protocol)
    if problem := device_problem(equipment.device):
        raise UsageError(problem)
    device, trust = equipment.device, not found.published
    if protocol.network == "i3d":
        return _I3d(protocol, found, device, trust)
    if protocol.network == "c3d":
        return _C3d(protocol, C3d(found.path, device, trust))
    if protocol.network == "clip":
        return _Clip(protocol, Clip(found.path, found.name, device, trust))
    if protocol.network == "inception":
        antialias = protocol.resize == "inception_antialias"
        return _Inception(protocol, Inception(found.path, device, trust, antialias))
    return _Lpips(protocol, Lpips(found.path, device, trust))


def device_problem(device: str) -> str | None:
    """Return why nothing can be computed on a device; None where it can."""
    if not device.startswith("cuda"):
        return None
    number = int(device.partition(":")[2] or 0)
    if torch.cuda.is_available() and number < torch.cuda.device_count():
        return None
    return f"--device {device}: this machine has {torch.cuda.device_count()} such devices; choose another, or cpu."


class _Network:
    def __init__(self, protocol: FeatureProtocol) -> None:
        self.protocol = protocol

    def of_frames(self, frames: Frames) -> Features:
        raise ValueError(f"{self.protocol.network} has no features of frames")

    def of_caption(self, text: str) -> Features:
        raise ValueError(f"{self.protocol.network} has no features of texts")

    def of_pair(self, frames: Frames, others: Frames) -> Features:
        raise ValueError(f"{self.protocol.network} has no distances of frames")

    def _first(self, frames: Frames) -> Frames:
        return first_resized(frames, self.protocol.first_resize, self.protocol.first_side or 0)


class _I3d(_Network):
    def __init__(self, protocol: FeatureProtocol, found: FoundWeights, device: str, trust: bool) -> None:
        super().__init__(protocol)
        eps = 1e-3 if protocol.batch_norm_eps is None else protocol.batch_norm_eps
        self.dtype = torch.bfloat16 if protocol.compute_dtype == "bfloat16" else torch.float32
        self.device = torch.device(device)
        self.network = load_i3d(found.path, eps, trust).to(self.device, self.dtype)

    def of_frames(self, frames: Frames) -> Features:
        clip = _prepared(self._first(frames), SIDE, I3D_RESIZES[self.protocol.resize])
        features: Tensor = self.network(clip[None].to(self.device, self.dtype))
        return features[0].float().cpu().numpy()


class _C3d(_Network):
    def __init__(self, protocol: FeatureProtocol, network: C3d) -> None:
        super().__init__(protocol)
        self.network = network

    def of_frames(self, frames: Frames) -> Features:
        return self.network.probabilities(torch.from_numpy(self._first(frames))[None])[0].numpy()


class _Clip(_Network):
    def __init__(self, protocol: FeatureProtocol, network: Clip) -> None:
        super().__init__(protocol)
        self.network = network

    def of_frames(self, frames: Frames) -> Features:
        first = self._first(frames)
        fit: Fit = "squash" if self.protocol.resize == "clip_squash" else "crop"
        return _in_parts(lambda some: self.network.images(some, fit), first)

    def of_caption(self, text: str) -> Features:
        return self.network.texts([text])[0].numpy()


class _Inception(_Network):
    def __init__(self, protocol: FeatureProtocol, network: Inception) -> None:
        super().__init__(protocol)
        self.network = network

    def of_frames(self, frames: Frames) -> Features:
        return _in_parts(self.network.features, self._first(frames))


class _Lpips(_Network):
    def __init__(self, protocol: FeatureProtocol, network: Lpips) -> None:
        super().__init__(protocol)
        self.network = network

    def of_pair(self, frames: Frames, others: Frames) -> Features:
        return self.network.distances(self._first(frames), self._first(others)).numpy()


class _Demo(_Network):
    def __init__(self, protocol: FeatureProtocol) -> None:
        super().__init__(protocol)
        self.network = DemoNetwork(protocol.network, protocol.batch_norm_eps)

    def of_frames(self, frames: Frames) -> Features:
        clip = self._clip(self._first(frames))
        if self.protocol.network == "i3d":
            return self.network.clip(clip).numpy()
        if self.protocol.network == "c3d":
            return self.network.probabilities(clip).numpy()
        return self.network.frames(clip).numpy()

    def of_caption(self, text: str) -> Features:
        return self.network.caption(text).numpy()

    def of_pair(self, frames: Frames, others: Frames) -> Features:
        clips = (self._clip(self._first(one)) for one in (frames, others))
        return self.network.distances(*clips).numpy()

    def _clip(self, frames: Frames) -> Tensor:
        return _prepared(frames, DEMO_SIDE, DEMO_RESIZES.get(self.protocol.resize, "squash"))


def _prepared(frames: Frames, side: int, resize: Resize) -> Tensor:
    with exact_float32():
        return prepare_clip(torch.from_numpy(frames), side, resize)


def _in_parts(compute: Callable[[Frames], Tensor], frames: Frames) -> Features:
    parts = [frames[start : start + FRAMES_AT_ONCE] for start in range(0, len(frames), FRAMES_AT_ONCE)]
    return np.concatenate([compute(part).numpy() for part in parts])
