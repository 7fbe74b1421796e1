from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lavit_eval import weights as catalogue
from lavit_eval.errors import UsageError
from lavit_eval.metrics.backbones.i3d import I3d, Unit3d, pad_same
from lavit_eval.metrics.backbones.i3d_weights import ScriptedI3d, fill, load_i3d, own_name
from lavit_eval.weights import WeightFile, git_blob_id


@pytest.fixture(scope="module")
def network() -> I3d:
    torch.manual_seed(1)
    return I3d()


@pytest.fixture(scope="module")
def tensors(network: I3d) -> Mapping[str, Tensor]:
    return {name: tensor for name, tensor in network.state_dict().items() if "num_batches" not in name}


class Holder(nn.Module):
    """Carries weights under I3D's names, and a forward that is nobody's business."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "front", "back"),
    [(224, 7, 2, 2, 3), (9, 3, 2, 1, 1), (8, 2, 2, 0, 0), (14, 3, 1, 1, 1), (7, 7, 2, 3, 3)],
)
def test_padding_is_tensorflows(size: int, kernel: int, stride: int, front: int, back: int) -> None:
    found = pad_same(torch.ones(1, 1, size, 1, 1), (kernel, 1, 1), (stride, 1, 1))[0, 0, :, 0, 0]
    assert found.tolist() == [0.0] * front + [1.0] * size + [0.0] * back


def test_a_unit_by_hand() -> None:
    unit = Unit3d(1, 1, (1, 1, 1), eps=0.5).eval()
    assert unit.bn is not None and unit.bn.running_mean is not None and unit.bn.running_var is not None
    nn.init.constant_(unit.conv3d.weight, 3.0)
    nn.init.constant_(unit.bn.running_mean, 1.0)
    nn.init.constant_(unit.bn.running_var, 3.5)
    # (3 * 2 - 1) / sqrt(3.5 + 0.5); negative values become 0.
    assert unit(torch.tensor([2.0, 0.0]).view(1, 1, 2, 1, 1)).flatten().tolist() == pytest.approx([2.5, 0.0])


def test_the_parameters_are_the_published_ones(tensors: Mapping[str, Tensor]) -> None:
    assert len(tensors) == 287
    learned = [tensor.numel() for name, tensor in tensors.items() if "running" not in name]
    assert sum(learned) == 12_697_264


def test_features_are_the_mean_over_time(network: I3d) -> None:
    clips = torch.rand(1, 3, 17, 224, 224) * 2 - 1
    over_time = network.logits_over_time(clips)
    assert over_time.shape == (1, 400, 2)
    torch.testing.assert_close(network(clips), over_time.mean(dim=2))


@pytest.mark.parametrize(
    ("shape", "value", "told"),
    [
        ((1, 3, 16, 256, 256), 0.0, "224"),
        ((1, 3, 8, 224, 224), 0.0, "9 frames or more, not 8"),
        ((1, 16, 3, 224, 224), 0.0, "224"),
        ((1, 3, 9, 224, 224), 1.5, r"\[-1, 1\]"),
        ((1, 3, 9, 224, 224), float("nan"), r"\[-1, 1\]"),
    ],
)
def test_other_clips_are_refused(network: I3d, shape: tuple[int, ...], value: float, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        network(torch.full(shape, value))


def test_a_file_of_tensors_is_read_with_trust_and_refused_without(
    tmp_path: Path, tensors: Mapping[str, Tensor]
) -> None:
    path = tmp_path / "i3d_pretrained_400.pt"
    torch.save(dict(tensors), path)
    with pytest.raises(UsageError, match=r"not the published i3d_pretrained_400\.pt"):
        load_i3d(path)
    found = load_i3d(path, eps=1e-5, trust=True)
    assert torch.equal(found.logits.conv3d.weight, tensors["logits.conv3d.weight"])
    assert {unit.eps for unit in found.modules() if isinstance(unit, nn.BatchNorm3d)} == {1e-5}


def test_a_scripted_file_gives_its_tensors_to_our_network(
    tmp_path: Path, network: I3d, tensors: Mapping[str, Tensor]
) -> None:
    path = tmp_path / "i3d_torchscript.pt"
    torch.jit.trace(Holder(network), torch.zeros(1)).save(str(path))  # type: ignore[no-untyped-call]
    with pytest.raises(UsageError, match="--trust"):
        load_i3d(path)
    found = load_i3d(path, trust=True).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


class Foreign(nn.Module):
    """Has the published file's arguments, but names that nobody knows."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.last = nn.Linear(3, classes)

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        found = self.last(x.mean(dim=(2, 3, 4)))
        return found if return_features and not rescale and not resize else found * 0.0


def test_a_scripted_file_of_unknown_names_is_run_as_it_is(tmp_path: Path) -> None:
    foreign, path = Foreign(400), tmp_path / "i3d_torchscript.pt"
    torch.jit.script(foreign).save(str(path))
    clips = torch.rand(1, 3, 9, 224, 224)
    found = load_i3d(path, trust=True)
    assert isinstance(found, ScriptedI3d)
    torch.testing.assert_close(found(clips), foreign(clips, False, False, True))
    with pytest.raises(UsageError, match="224"):
        found(clips[..., :100])
    with pytest.raises(UsageError, match="not FVD's I3D"):
        load_i3d(path, eps=1e-5, trust=True)
    torch.jit.script(Foreign(600)).save(str(path))
    with pytest.raises(UsageError, match="not FVD's I3D"):
        load_i3d(path, trust=True)(clips)


def test_the_imagenet_network_is_refused_under_any_name(
    tmp_path: Path, tensors: Mapping[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "i3d_pretrained_400.pt"
    torch.save(dict(tensors), path)
    wrong = catalogue.entry("rgb_imagenet.pt")
    fake = WeightFile("x", (), "", "", git_blob=git_blob_id(path), refused_because=wrong.refused_because)
    monkeypatch.setattr(catalogue, "CATALOGUE", (*catalogue.CATALOGUE, fake))
    with pytest.raises(UsageError, match="ImageNet"):
        load_i3d(path, trust=True)


def test_other_names_shapes_and_files_are_refused(tmp_path: Path, network: I3d, tensors: Mapping[str, Tensor]) -> None:
    short = dict(tensors)
    del short["Mixed_5c.b0.conv3d.weight"]
    with pytest.raises(UsageError, match=r"1 missing \(first: Mixed_5c.b0.conv3d.weight\)"):
        fill(network, short, "file")
    with pytest.raises(UsageError, match=r"1 unexpected \(first: Mixed_6a"):
        fill(network, {**tensors, "Mixed_6a.b0.conv3d.weight": torch.zeros(1)}, "file")
    with pytest.raises(UsageError, match=r"logits.conv3d.bias has shape \[600\], not \[400\]"):
        fill(network, {**tensors, "logits.conv3d.bias": torch.zeros(600)}, "file")
    path = tmp_path / "page.pt"
    path.write_text("<html>")
    with pytest.raises(UsageError, match="no file of tensors"):
        load_i3d(path, trust=True)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("Mixed_4f.b2b.bn.bias", "Mixed_4f.b2b.bn.bias"),
        ("model.i3d.Conv3d_1a_7x7.conv3d.weight", "Conv3d_1a_7x7.conv3d.weight"),
        ("conv3d_1a_7x7.conv3d.weight", "Conv3d_1a_7x7.conv3d.weight"),
        ("conv3d_2b_1x1.batch3d.running_var", "Conv3d_2b_1x1.bn.running_var"),
        ("mixed_3b.branch_0.conv3d.weight", "Mixed_3b.b0.conv3d.weight"),
        ("mixed_5c.branch_2.1.batch3d.bias", "Mixed_5c.b2b.bn.bias"),
        ("mixed_5c.branch_3.1.conv3d.weight", "Mixed_5c.b3b.conv3d.weight"),
        ("conv3d_0c_1x1.conv3d.bias", "logits.conv3d.bias"),
        ("net.logits.conv3d.bias", "logits.conv3d.bias"),
        ("something.else", "something.else"),
    ],
)
def test_names_of_other_conversions_are_ours(name: str, own: str) -> None:
    assert own_name(name) == own
