from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from lavit_eval.errors import UsageError
from lavit_eval.metrics.backbones.lpips import NAME, Lpips


@pytest.fixture(scope="module")
def alexnet() -> torch.nn.Module:
    torch.manual_seed(3)
    return torchvision.models.alexnet(weights=None)


@pytest.fixture(scope="module")
def path(alexnet: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AlexNet's convolutions with random values, and of the layers behind them a bias alone."""
    found = tmp_path_factory.mktemp("lpips") / NAME
    tensors = alexnet.state_dict()
    kept = {name: tensor for name, tensor in tensors.items() if name.startswith("features.")}
    torch.save({**kept, "classifier.6.bias": tensors["classifier.6.bias"]}, found)
    return found


@pytest.fixture(scope="module")
def lpips(path: Path) -> Lpips:
    return Lpips(path, trust=True)


def frames(count: int, height: int = 48, width: int = 64, seed: int = 1) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_distances_are_those_of_torchmetrics(
    lpips: Lpips, alexnet: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchmetrics.functional.image.lpips import learned_perceptual_image_patch_similarity

    monkeypatch.setattr(torchvision.models, "alexnet", lambda weights: alexnet)
    found, source = frames(3), frames(3, seed=2)
    pair = (torch.from_numpy(side).permute(0, 3, 1, 2).float() / 127.5 - 1 for side in (found, source))
    theirs = learned_perceptual_image_patch_similarity(*pair, net_type="alex", reduction="none")
    ours = lpips.distances(found, source)
    assert ours.shape == (3,) and ours.dtype == torch.float32 and (ours > 0).all()
    torch.testing.assert_close(ours, theirs, atol=0, rtol=1e-5)


def test_equal_frames_are_at_0_and_the_order_of_the_sides_is_the_same(lpips: Lpips) -> None:
    found, source = frames(2), frames(2, seed=2)
    assert lpips.distances(found, found).tolist() == [0.0, 0.0]
    torch.testing.assert_close(lpips.distances(found, source), lpips.distances(source, found))


def test_distances_do_not_depend_on_the_batch(lpips: Lpips, monkeypatch: pytest.MonkeyPatch) -> None:
    found, source = frames(3), frames(3, seed=2)
    together = lpips.distances(found, source)
    monkeypatch.setattr("lavit_eval.metrics.backbones.lpips.BATCH", 2)
    torch.testing.assert_close(together, lpips.distances(found, source), atol=0, rtol=1e-5)


def test_the_smallest_frames_are_of_31_pixels(lpips: Lpips) -> None:
    assert torch.isfinite(lpips.distances(frames(1, 31, 31), frames(1, 31, 31, seed=2))).all()
    with pytest.raises(UsageError, match="31 x 31 or more, not 31 x 30"):
        lpips.distances(frames(1, 31, 30), frames(1, 31, 30))


def test_other_frames_are_refused(lpips: Lpips) -> None:
    given = frames(2)
    for other in (given.astype(np.float32), given[0], given[..., :1], given[:0]):
        with pytest.raises(UsageError, match="uint8 RGB frames"):
            lpips.distances(given, other)
    with pytest.raises(UsageError, match="frames of one shape"):
        lpips.distances(given, given[:1])


def test_another_file_is_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(UsageError, match="not the published alexnet"):
        Lpips(path)
    with pytest.raises(UsageError, match="weights fetch"):
        Lpips(tmp_path / "absent.pth")
    torch.save({"features.0.weight": torch.zeros(2)}, tmp_path / "short.pth")
    with pytest.raises(UsageError, match="no AlexNet"):
        Lpips(tmp_path / "short.pth", trust=True)
    tensors = torch.load(path, weights_only=True)
    torch.save({**tensors, "features.3.bias": torch.zeros(2)}, tmp_path / "shape.pth")
    with pytest.raises(UsageError, match="no AlexNet"):
        Lpips(tmp_path / "shape.pth", trust=True)
