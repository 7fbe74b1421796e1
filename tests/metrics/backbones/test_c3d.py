from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lavit_eval.errors import UsageError
from lavit_eval.metrics.backbones.c3d import C3d


class Classifier(nn.Module):
    """Stands in for the public file: uint8 [B, 3, T, H, W] in, probabilities out."""

    def __init__(self, classes: int, softmax: bool) -> None:
        super().__init__()
        self.last = nn.Linear(3, classes)
        self.softmax = softmax

    def forward(self, x: Tensor) -> Tensor:
        found = self.last(x.float().mean(dim=(2, 3, 4)))
        return torch.softmax(found, dim=1) if self.softmax else found


def write(path: Path, classes: int = 101, softmax: bool = True) -> Classifier:
    network = Classifier(classes, softmax)
    torch.jit.script(network).save(str(path))
    return network


def test_frames_go_in_as_they_are(tmp_path: Path) -> None:
    network = write(tmp_path / "c3d.pt")
    clips = torch.randint(0, 256, (2, 16, 12, 20, 3), dtype=torch.uint8)
    found = C3d(tmp_path / "c3d.pt", trust=True).probabilities(clips)
    torch.testing.assert_close(found, network(clips.permute(0, 4, 1, 2, 3)))


def test_code_is_not_run_without_trust(tmp_path: Path) -> None:
    write(tmp_path / "c3d.pt")
    with pytest.raises(UsageError, match="--trust"):
        C3d(tmp_path / "c3d.pt")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "tensors.pt")
    with pytest.raises(UsageError, match="no TorchScript archive"):
        C3d(tmp_path / "tensors.pt", trust=True)


@pytest.mark.parametrize(("classes", "softmax"), [(400, True), (101, False)])
def test_another_network_is_noticed(tmp_path: Path, classes: int, softmax: bool) -> None:
    write(tmp_path / "c3d.pt", classes, softmax)
    network = C3d(tmp_path / "c3d.pt", trust=True)
    with pytest.raises(UsageError, match="not TGANv2's"):
        network.probabilities(torch.full((2, 16, 4, 4, 3), 200, dtype=torch.uint8))


def test_other_clips_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "c3d.pt")
    network = C3d(tmp_path / "c3d.pt", trust=True)
    for clips in (torch.zeros(1, 16, 4, 4, 3), torch.zeros(1, 15, 4, 4, 3, dtype=torch.uint8)):
        with pytest.raises(UsageError, match="16 uint8 RGB frames"):
            network.probabilities(clips)
