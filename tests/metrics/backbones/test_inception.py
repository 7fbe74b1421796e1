from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from lavit_eval.errors import UsageError
from lavit_eval.metrics.backbones.inception import NAME, Inception
from lavit_eval.metrics.frechet import frechet_distance


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The right names with random values, large enough that the pictures still differ behind 40 layers."""
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    torch.manual_seed(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = theirs.FeatureExtractorInceptionV3("inception", ["2048"])
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    found = tmp_path_factory.mktemp("inception") / NAME
    torch.save(network.state_dict(), found)
    return found


class Planes(Dataset[Tensor]):
    """Pictures as torch-fidelity reads them."""

    def __init__(self, pictures: Tensor) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        return self.pictures[index]


@pytest.fixture(scope="module")
def inception(path: Path) -> Inception:
    return Inception(path, trust=True)


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("weights were to be downloaded")

    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", refuse)


def frames(count: int, height: int = 40, width: int = 56, seed: int = 1, brightness: int = 256) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64(seed))
    return generator.integers(0, brightness, (count, height, width, 3), dtype=np.uint8)


def planes(given: np.ndarray) -> Tensor:
    return torch.from_numpy(given).permute(0, 3, 1, 2).contiguous()


def test_features_are_those_of_torchmetrics_with_either_resize(path: Path, inception: Inception) -> None:
    from torchmetrics.image.fid import NoTrainInceptionV3

    smooth = Inception(path, trust=True, antialias=True)
    theirs = [NoTrainInceptionV3("inception", ["2048"], str(path), antialias) for antialias in (False, True)]
    for height, width in ((40, 56), (340, 310)):
        given = frames(1, height, width)
        found = inception.features(given), smooth.features(given)
        assert found[0].shape == (1, 2048) and found[0].dtype == torch.float32
        assert all(torch.equal(ours, network(planes(given))) for ours, network in zip(found, theirs, strict=True))
        assert (found[0] - found[1]).norm() > 1e-3 * found[0].norm()


@pytest.mark.slow
def test_distances_are_those_of_torchmetrics_and_torch_fidelity(path: Path, inception: Inception) -> None:
    from torch_fidelity import calculate_metrics
    from torchmetrics.image.fid import FrechetInceptionDistance

    first, second = frames(5), frames(4, seed=2, brightness=128)
    found = frechet_distance(inception.features(first).numpy(), inception.features(second).numpy())
    metric = FrechetInceptionDistance(2048, antialias=False, feature_extractor_weights_path=str(path))
    metric.update(planes(first), real=True)
    metric.update(planes(second), real=False)
    told = calculate_metrics(
        input1=Planes(planes(first)), input2=Planes(planes(second)), fid=True, cuda=False, cache=False,
        save_cpu_ram=True, verbose=False, batch_size=8, feature_extractor_weights_path=str(path),
    )  # fmt: skip
    # Theirs are low: they add the roots of 2,048 eigenvalues, of which all but three are rounding errors around 0.
    assert float(metric.compute()) == pytest.approx(found, rel=1e-6)
    assert told["frechet_inception_distance"] == pytest.approx(found, rel=1e-6)


def test_features_do_not_depend_on_the_batch(inception: Inception, monkeypatch: pytest.MonkeyPatch) -> None:
    given = frames(3)
    together = inception.features(given)
    torch.testing.assert_close(together[1:2], inception.features(given[1:2]), atol=1e-5, rtol=1e-5)
    monkeypatch.setattr("lavit_eval.metrics.backbones.inception.BATCH", 2)
    torch.testing.assert_close(together, inception.features(given), atol=1e-5, rtol=1e-5)


def test_another_file_is_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(UsageError, match="not the published weights-inception"):
        Inception(path)
    with pytest.raises(UsageError, match="weights fetch"):
        Inception(tmp_path / "absent.pth")
    page = tmp_path / "page.pth"
    page.write_text("<html>")
    with pytest.raises(UsageError, match="no file of tensors"):
        Inception(page, trust=True)
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(UsageError, match="no weights by name"):
        Inception(tmp_path / "list.pth", trust=True)
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(UsageError, match="no Inception of FID"):
        Inception(tmp_path / "other.pth", trust=True)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "run",)

    torch.save({"weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(UsageError, match="no file of tensors"):
        Inception(tmp_path / "trap.pth", trust=True)
    assert not (tmp_path / "run").exists()


def test_other_frames_are_refused(inception: Inception) -> None:
    for given in (np.zeros((1, 8, 8, 3)), np.zeros((8, 8, 3), dtype=np.uint8), np.zeros((0, 8, 8, 3), dtype=np.uint8)):
        with pytest.raises(UsageError, match="uint8 RGB frames"):
            inception.features(given)
