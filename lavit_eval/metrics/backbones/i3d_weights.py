"""Reads the public I3D files into our own network, and refuses those that are another network's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lavit_eval.errors import UsageError
from lavit_eval.metrics.backbones.i3d import CLASSES, TF_HUB_EPS, I3d, checked_clips
from lavit_eval.metrics.backbones.precision import exact_float32
from lavit_eval.metrics.backbones.scripted import is_scripted, load_scripted
from lavit_eval.metrics.backbones.tensor_files import read_tensors
from lavit_eval.weights import entry

PRETRAINED = "i3d_pretrained_400.pt"
SCRIPTED = "i3d_torchscript.pt"
_BRANCHES = {"0": "b0", "1.0": "b1a", "1.1": "b1b", "2.0": "b2a", "2.1": "b2b", "3.1": "b3b"}
_OTHER_UNIT = re.compile(
    r"(?:mixed_(?P<mixed>\d[b-f])\.branch_(?P<branch>[0-3](?:\.[01])?)|(?P<conv>conv3d_\w+))\.(?P<rest>.+)"
)


class ScriptedI3d(nn.Module):
    """The published TorchScript network itself, for a file whose weights do not have names that we know.

    It is fed prepared clips, so its own rescaling and resizing stay off; its batch norm adds 1e-3.
    """

    def __init__(self, network: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.network = network

    def forward(self, clips: Tensor) -> Tensor:
        """Return the features of clips, as `I3d.forward` does and with the same demands."""
        with exact_float32():
            found: Tensor = self.network(checked_clips(clips), rescale=False, resize=False, return_features=True)
        if found.shape != (len(clips), CLASSES):
            raise UsageError(
                f"The network gives features of {list(found.shape)} for {len(clips)} clips: it is not FVD's I3D; "
                f"run: {entry(SCRIPTED).how_to_get()}"
            )
        return found


def load_i3d(path: Path, eps: float = TF_HUB_EPS, trust: bool = False) -> I3d | ScriptedI3d:
    """Return I3D with the weights of `i3d_pretrained_400.pt` or `i3d_torchscript.pt`.

    The first is read as tensors, without running anything in it; the second is a TorchScript archive, of which only the
    tensors are used, unless their names are not known; then, at its own eps of 1e-3, it is run as it is.

    Args:
        path: The file, under whatever name.
        eps: What batch norm adds to a variance: 1e-3 as published, 1e-5 as VideoGPT, TATS and cd-fvd run it.
        trust: Accept a file whose digest is not in the catalogue.

    Raises:
        UsageError: The file is missing, is another network's (`rgb_imagenet.pt`), has an unknown digest, or its names
            or shapes are not I3D's.
    """
    if path.is_file() and is_scripted(path):
        scripted = load_scripted(path, SCRIPTED, trust)
        weights: Mapping[str, Tensor] = scripted.state_dict()
        if eps == TF_HUB_EPS and "logits.conv3d.weight" not in {own_name(name) for name in weights}:
            return ScriptedI3d(scripted)
    else:
        weights = read_tensors(path, PRETRAINED, trust)
    network = I3d(eps)
    fill(network, weights, str(path))
    return network


def fill(network: I3d, weights: Mapping[str, Tensor], source: str) -> None:
    """Put weights into the network, every name once and of the right shape (raises UsageError).

    Accepted are VideoGPT's names, with or without a common prefix, and the lower-case ones of hassony2's conversion;
    `num_batches_tracked` is no weight and may be there or not.
    """
    given = {own_name(name): tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}
    wanted = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    missing, unexpected = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    if missing or unexpected:
        found = {"missing": missing, "unexpected": unexpected}
        parts = [f"{len(names)} {what} (first: {names[0]})" for what, names in found.items() if names]
        raise UsageError(
            f"{source} is not FVD's I3D: of its weights' names, {' and '.join(parts)}; "
            f"get the right file: {entry(PRETRAINED).how_to_get()}"
        )
    for name, tensor in wanted.items():
        if given[name].shape != tensor.shape:
            raise UsageError(
                f"{source} is not FVD's I3D: {name} has shape {list(given[name].shape)}, not {list(tensor.shape)}; "
                f"get the right file: {entry(PRETRAINED).how_to_get()}"
            )
    network.load_state_dict({name: given[name].float() for name in wanted}, strict=False)


def own_name(name: str) -> str:
    """Return a weight's name in our network: a prefix dropped, hassony2's names translated, others as they are."""
    start = re.search(r"(?:Conv3d_|Mixed_|logits\.|conv3d_\d|mixed_\d)", name)
    if start is None:
        return name
    name = name[start.start() :]
    found = _OTHER_UNIT.fullmatch(name)
    if found is None or name.startswith("logits."):
        return name
    rest = found["rest"].replace("batch3d.", "bn.")
    if found["mixed"]:
        return f"Mixed_{found['mixed']}.{_BRANCHES.get(found['branch'], found['branch'])}.{rest}"
    if found["conv"] == "conv3d_0c_1x1":
        return f"logits.{rest}"
    return f"C{found['conv'][1:]}.{rest}"
