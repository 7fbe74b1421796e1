"""The stand-ins: seeded, different for each network, sensitive to what they are shown."""

from __future__ import annotations

import pytest
import torch

from lavit_eval.metrics.backbones.demo import CLASSES, FEATURES, DemoNetwork

NAMES = ("i3d", "c3d", "clip", "inception", "lpips")


def clip(frames: int = 6, side: int = 32, seed: int = 1) -> torch.Tensor:
    return torch.rand(3, frames, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def everything(network: DemoNetwork, given: torch.Tensor) -> list[torch.Tensor]:
    return [
        network.clip(given),
        network.probabilities(given),
        network.frames(given),
        network.distances(given, clip(given.shape[1], given.shape[2], seed=2)),
    ]


def test_shapes_and_dtypes() -> None:
    network = DemoNetwork("i3d", 1e-3)
    found = everything(network, clip())
    assert [tuple(one.shape) for one in found] == [(FEATURES,), (CLASSES,), (6, FEATURES), (6,)]
    assert {one.dtype for one in (*found, network.caption("a cat"))} == {torch.float32}
    assert network.caption("a cat").shape == (FEATURES,)
    assert not any(one.requires_grad for one in found)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_comes_out_each_time_whatever_the_global_generator(name: str) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = everything(DemoNetwork(name), clip())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        second = everything(DemoNetwork(name), clip())
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


def test_each_network_has_weights_of_its_own() -> None:
    for kind in range(4):
        found = [everything(DemoNetwork(name), clip())[kind] for name in NAMES]
        for place, one in enumerate(found):
            assert all((one - other).abs().max() > 1e-4 for other in found[:place])


def test_the_eps_is_seen() -> None:
    small, usual = DemoNetwork("i3d", 1e-5).clip(clip()), DemoNetwork("i3d", 1e-3).clip(clip())
    assert (small - usual).abs().max() > 1e-3 * usual.abs().max()
    assert torch.equal(DemoNetwork("i3d").clip(clip()), usual)


def test_probabilities_are_some() -> None:
    found = torch.stack([DemoNetwork("c3d").probabilities(clip(16, seed=seed)) for seed in range(5)])
    assert (found >= 0).all() and torch.allclose(found.sum(dim=1), torch.ones(5), atol=1e-5)
    assert found.std(dim=0).max() > 1e-4


def test_content_order_and_single_frames_are_seen() -> None:
    network, given = DemoNetwork("i3d"), clip(8)
    assert (network.clip(given) - network.clip(given.flip(1))).abs().max() > 1e-3
    changed = given.clone()
    changed[:, 3] = -changed[:, 3]
    frames = network.frames(given), network.frames(changed)
    assert [bool((one != other).any()) for one, other in zip(*frames, strict=True)] == [
        place == 3 for place in range(8)
    ]
    distances = network.distances(given, changed)
    assert (distances[3] > 0) and distances.count_nonzero() == 1


def test_a_frame_does_not_depend_on_the_others() -> None:
    network, given = DemoNetwork("clip"), clip(5)
    torch.testing.assert_close(network.frames(given)[2:3], network.frames(given[:, 2:3]), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 9, 64])
def test_any_number_of_frames_and_any_size_will_do(frames: int) -> None:
    for one in everything(DemoNetwork("i3d"), clip(frames, 12)):
        assert torch.isfinite(one).all()


def test_captions_are_told_apart() -> None:
    network = DemoNetwork("clip")
    assert torch.equal(network.caption("a cat"), network.caption("a cat"))
    assert not torch.equal(network.caption("a cat"), network.caption("a cat."))
    assert torch.isfinite(network.caption("")).all()
