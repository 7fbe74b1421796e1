"""Each network by the way that it is loaded in earnest: a recipe, a folder of weight files, frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from lavit_eval import weights
from lavit_eval.digests import digest_file
from lavit_eval.errors import UsageError
from lavit_eval.features import networks
from lavit_eval.features.equipment import Equipment
from lavit_eval.features.networks import FeatureNetwork, load_network, weights_at_hand
from lavit_eval.metrics.backbones.i3d import I3d
from lavit_eval.metrics.feature_protocol import FeatureProtocol, load_protocol, names
from lavit_eval.metrics.video_input import first_resized, prepare_clip
from lavit_eval.weights import git_blob_id
from tests.conftest import GOLDEN

METRICS = GOLDEN / "metrics"


def frames(count: int = 9, height: int = 40, width: int = 56, seed: int = 1) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def changed(name: str, **fields: object) -> FeatureProtocol:
    return FeatureProtocol.model_validate(load_protocol(name).model_dump() | fields)


def trusting(path: Path) -> Equipment:
    return Equipment(weights_dir=path.parent, trusted=frozenset({path.resolve()}))


def trusted(protocol: FeatureProtocol, path: Path) -> FeatureNetwork:
    return load_network(protocol, trusting(path))


@pytest.fixture(scope="module")
def i3d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("i3d") / "i3d_pretrained_400.pt"
    tensors = {name: tensor for name, tensor in I3d().state_dict().items() if "num_batches" not in name}
    # Small variances, so that it shows what is added to them.
    torch.save({name: t * 1e-3 if "running_var" in name else t for name, t in tensors.items()}, path)
    return path


class Classifier(nn.Module):
    """Stands in for the public C3D: uint8 [B, 3, T, H, W] in, probabilities out."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 101)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.last(x.float().mean(dim=(2, 3, 4)) / 20), dim=1)


@pytest.fixture
def c3d(tmp_path: Path) -> tuple[Path, Classifier]:
    torch.manual_seed(2)
    network, path = Classifier(), tmp_path / "c3d_ucf101.pt"
    torch.jit.script(network).save(str(path))
    return path, network


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    from clip.model import CLIP

    torch.manual_seed(3)
    network = CLIP(16, 32, 1, 64, 16, 77, 49408, 64, 1, 1)
    path = tmp_path_factory.mktemp("clip") / "ViT-B-32.pt"
    tensors = {name: tensor.half().float() for name, tensor in network.state_dict().items()}
    torch.save(tensors, path)
    network.load_state_dict(tensors)
    return path, network.eval()


def test_i3d_gives_the_mean_logits_of_the_prepared_clip(i3d: Path) -> None:
    given = frames()
    network = trusted(changed("tats", frames=9), i3d)
    found = network.of_frames(given)
    assert found.shape == (400,) and found.dtype == np.float32
    ours = I3d(1e-5)
    ours.load_state_dict(torch.load(i3d), strict=False)
    expected = ours(prepare_clip(torch.from_numpy(given), 224, "squash")[None])[0]
    np.testing.assert_array_equal(found, expected.numpy())
    for call in (lambda: network.of_caption("a cat"), lambda: network.of_pair(given, given)):
        with pytest.raises(ValueError, match="i3d has no"):
            call()


class Recorder(nn.Module):
    """Takes the place of a loaded I3D and keeps the clips that come to it."""

    def __init__(self) -> None:
        super().__init__()
        self.clips: list[Tensor] = []

    def forward(self, clips: Tensor) -> Tensor:
        self.clips.append(clips)
        return clips.mean(dim=(2, 3, 4)).repeat(1, 134)[:, :400]


def recorded_by(protocol: FeatureProtocol, path: Path, given: np.ndarray) -> tuple[nn.Module, Tensor]:
    """Return the network that a recipe loads, and the clip that it would be given."""
    network = trusted(protocol, path)
    inner, recorder = network.network, Recorder()  # type: ignore[attr-defined]
    network.network = recorder  # type: ignore[attr-defined]
    found = network.of_frames(given)
    assert found.shape == (400,) and found.dtype == np.float32
    return inner, recorder.clips[0]


def test_i3d_follows_the_recipe(i3d: Path) -> None:
    given = frames(height=48, width=80)
    prepared = prepare_clip(torch.from_numpy(given), 224, "squash")[None]
    for eps in (1e-3, 1e-5):
        inner, clip = recorded_by(changed("tats", frames=9, batch_norm_eps=eps), i3d, given)
        assert {unit.eps for unit in inner.modules() if isinstance(unit, nn.BatchNorm3d)} == {eps}
        assert clip.dtype == torch.float32 and torch.equal(clip, prepared)
    first = changed("tats", frames=9, first_resize="short_side_crop", first_side=256, resize="short_side_crop")
    expected = prepare_clip(torch.from_numpy(first_resized(given, "short_side_crop", 256)), 224, "short_side_crop")
    assert torch.equal(recorded_by(first, i3d, given)[1], expected[None])
    inner, clip = recorded_by(changed("tats", frames=9, compute_dtype="bfloat16"), i3d, given)
    assert {tensor.dtype for tensor in inner.parameters()} == {torch.bfloat16}
    assert torch.equal(clip, prepared.bfloat16())


@pytest.mark.skipif(not (METRICS / "i3d_goldens.npz").is_file(), reason="the recorded I3D features are not here")
def test_i3d_gives_the_recorded_features(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    recorded = json.loads((METRICS / "i3d_goldens.json").read_text())["cases"]
    assert "t9" in recorded
    path = tmp_path / "i3d_pretrained_400.pt"
    torch.save(load_file(METRICS / "i3d_random_weights_f16.safetensors"), path)
    with np.load(METRICS / "i3d_goldens.npz") as stored:
        video = stored["t9_video_uint8_bthwc"][0]
        for protocol, key in (
            (changed("tats", frames=9, batch_norm_eps=1e-3), "t9_squash_logits_eps1e3_mean"),
            (changed("videogpt", frames=9), "t9_shortside_crop_logits_eps1e5"),
        ):
            found = trusted(protocol, path).of_frames(video)
            np.testing.assert_allclose(found, stored[key][0], atol=1e-4, rtol=1e-4, err_msg=key)


def test_every_resize_of_i3d_is_known() -> None:
    for resize in networks.I3D_RESIZES:
        assert changed("tats", resize=resize).resize == resize
    with pytest.raises(ValueError, match=f"one of {', '.join(sorted(networks.I3D_RESIZES))}"):
        changed("tats", resize="inside")


def test_c3d_gives_probabilities_of_frames_as_they_are(c3d: tuple[Path, Classifier]) -> None:
    path, network = c3d
    given = frames(16)
    found = trusted(load_protocol("is-c3d"), path).of_frames(given)
    with torch.no_grad():
        expected = network(torch.from_numpy(given).permute(3, 0, 1, 2)[None])[0]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
    assert found.shape == (101,) and float(found.sum()) == pytest.approx(1, abs=1e-5)
    smaller = trusted(changed("is-c3d", first_resize="squash", first_side=16), path).of_frames(given)
    with torch.no_grad():
        expected = network(torch.from_numpy(first_resized(given, "squash", 16)).permute(3, 0, 1, 2)[None])[0]
    np.testing.assert_allclose(smaller, expected.numpy(), atol=1e-6)


def test_clip_gives_embeddings_of_frames_and_captions(
    clip: tuple[Path, nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    import clip as theirs
    from clip.clip import _transform
    from PIL import Image

    path, network = clip
    given = frames(5)
    ours = trusted(load_protocol("clipsim-vitb32"), path)
    found = ours.of_frames(given)
    with torch.no_grad():
        images = network.encode_image(torch.stack([_transform(32)(Image.fromarray(one)) for one in given]))
        text = network.encode_text(theirs.tokenize(["a cat"]))[0]
    assert found.shape == (5, 16) and found.dtype == np.float32
    np.testing.assert_allclose(found, images.numpy(), atol=1e-5)
    np.testing.assert_allclose(ours.of_caption("a cat"), text.numpy(), atol=1e-5)
    monkeypatch.setattr(networks, "FRAMES_AT_ONCE", 2)
    np.testing.assert_allclose(ours.of_frames(given), found, atol=1e-5)
    with pytest.raises(ValueError, match="clip has no distances"):
        ours.of_pair(given, given)


def test_clip_crops_or_squashes_as_the_recipe_says(clip: tuple[Path, nn.Module]) -> None:
    bars = np.zeros((1, 40, 80, 3), dtype=np.uint8)
    bars[:, :, :16] = 255
    crop, squash = (trusted(changed("clipsim-vitb32", resize=fit), clip[0]) for fit in ("clip_crop", "clip_squash"))
    # The bar lies outside the centre.
    np.testing.assert_array_equal(crop.of_frames(bars), crop.of_frames(np.zeros_like(bars)))
    assert np.abs(squash.of_frames(bars) - squash.of_frames(np.zeros_like(bars))).max() > 1e-3


def test_inception_resizes_as_the_recipe_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network itself has tests of its own; here it is a mean over the picture that it is given."""
    path = tmp_path / "weights-inception-2015-12-05-6726825d.pth"
    torch.save({"weight": torch.zeros(1)}, path)
    made = []

    class Mean:
        def __init__(self, path: Path, device: str, trust: bool, antialias: bool) -> None:
            made.append((path, device, trust, antialias))

        def features(self, some: np.ndarray) -> Tensor:
            return torch.from_numpy(some).float().mean(dim=(1, 2))

    monkeypatch.setattr(networks, "Inception", Mean)
    given = frames(3)
    found = trusted(load_protocol("fid-inception"), path).of_frames(given)
    np.testing.assert_allclose(found, given.mean(axis=(1, 2)), rtol=1e-5)
    large = trusted(load_protocol("fid-30k"), path).of_frames(given)
    np.testing.assert_allclose(large, first_resized(given, "bicubic_squash", 512).mean(axis=(1, 2)), rtol=1e-5)
    trusted(load_protocol("fid-inception-antialias"), path)
    assert made == [(path, "cpu", True, antialias) for antialias in (False, False, True)]


def test_inception_is_loaded_from_its_file(tmp_path: Path) -> None:
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    path = tmp_path / "weights-inception-2015-12-05-6726825d.pth"
    torch.manual_seed(4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.save(theirs.FeatureExtractorInceptionV3("inception", ["2048"]).state_dict(), path)
    found = trusted(load_protocol("fid-inception"), path).of_frames(frames(1))
    assert found.shape == (1, 2048) and found.dtype == np.float32


def test_lpips_compares_frames_at_the_recipes_size(tmp_path: Path) -> None:
    torch.manual_seed(5)
    path = tmp_path / "alexnet-owt-7be5be79.pth"
    kept = torchvision.models.alexnet(weights=None).state_dict()
    torch.save({name: tensor for name, tensor in kept.items() if name.startswith("features.")}, path)
    made, source = frames(2), frames(2, seed=2)
    network = trusted(load_protocol("lpips-alex"), path)
    found = network.of_pair(made, source)
    assert found.shape == (2,) and found.dtype == np.float32 and (found > 0).all()
    assert network.of_pair(made, made).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="lpips has no features of frames"):
        network.of_frames(made)
    smaller = trusted(changed("lpips-alex", first_resize="squash", first_side=32), path)
    expected = network.of_pair(*(first_resized(one, "squash", 32) for one in (made, source)))
    np.testing.assert_array_equal(smaller.of_pair(made, source), expected)


@pytest.mark.parametrize("name", sorted(names()))
def test_a_missing_file_is_told_with_the_command_that_brings_it(tmp_path: Path, name: str) -> None:
    protocol = load_protocol(name)
    with pytest.raises(UsageError, match=rf"{protocol.weights} .*is missing in .*weights fetch {protocol.weights}"):
        load_network(protocol, Equipment(weights_dir=tmp_path))


def test_another_file_is_refused_unless_trusted(i3d: Path, c3d: tuple[Path, Classifier]) -> None:
    for name, path in (("tats", i3d), ("is-c3d", c3d[0])):
        with pytest.raises(UsageError, match=f"{path} .*--trust {path}"):
            weights_at_hand(load_protocol(name), Equipment(weights_dir=path.parent))
        found = weights_at_hand(load_protocol(name), trusting(path))
        assert found is not None and found.trusted and not found.published


def test_a_recipe_of_another_files_digest_is_refused_unless_trusted(
    c3d: tuple[Path, Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = c3d
    known = replace(weights.entry(path.name), sha256=digest_file(path))
    monkeypatch.setattr(weights, "CATALOGUE", (known,))
    published = Equipment(weights_dir=path.parent)
    for digest in (None, f"sha256:{known.sha256}", f"git:{git_blob_id(path)}"):
        found = weights_at_hand(changed("is-c3d", weights_digest=digest), published)
        assert found is not None and found.published
    other = changed("is-c3d", protocol="mine", weights_digest="sha256:" + "0" * 64)
    with pytest.raises(UsageError, match=rf"not the file that the protocol mine names.*--trust {path}"):
        load_network(other, published)
    assert weights_at_hand(other, trusting(path)) is not None
    assert load_network(other, trusting(path)).of_frames(frames(16)).shape == (101,)


def test_a_demo_recipe_needs_no_file(tmp_path: Path) -> None:
    for name in names():
        demo = load_protocol(name).with_demo_features()
        assert weights_at_hand(demo, Equipment(weights_dir=tmp_path)) is None
        network = load_network(demo, Equipment(weights_dir=tmp_path))
        if demo.network == "lpips":
            assert network.of_pair(frames(), frames(seed=2)).shape == (9,)
            continue
        found = network.of_frames(frames(16))
        expected: Mapping[str, tuple[int, ...]] = {"i3d": (16,), "c3d": (101,), "clip": (16, 16), "inception": (16, 16)}
        assert found.shape == expected[demo.network] and found.dtype == np.float32
        np.testing.assert_array_equal(found, network.of_frames(frames(16)))
    assert network.of_caption("a cat").shape == (16,)


def test_demo_features_follow_the_recipes_resizes() -> None:
    given = frames(16, 40, 100)
    found = [
        load_network(changed(name, **fields, demo=True), Equipment()).of_frames(given)
        for name, fields in (
            ("tats", {}),
            ("tats", {"resize": "squash_tf1"}),
            ("tats", {"resize": "short_side_crop"}),
            ("tats", {"first_resize": "squash", "first_side": 16}),
            ("tats", {"batch_norm_eps": 1e-3}),
        )
    ]
    for place, one in enumerate(found):
        assert all(np.abs(one - other).max() > 1e-4 for other in found[:place])
    pair = changed("lpips-alex", demo=True), changed("lpips-alex", demo=True, first_resize="squash", first_side=16)
    distances = [load_network(one, Equipment()).of_pair(given, frames(16, 40, 100, seed=2)) for one in pair]
    assert np.abs(distances[0] - distances[1]).max() > 1e-5


def test_frames_first_come_to_the_resolution_at_which_they_are_compared() -> None:
    given = frames(2, 48, 80)
    assert first_resized(given, "none", 0) is given
    centre = first_resized(given, "short_side_crop", 24)
    expected = functional.interpolate(
        torch.from_numpy(given).permute(0, 3, 1, 2).float(), (24, 40), mode="bilinear", antialias=True
    )[:, :, :, 8:32]
    np.testing.assert_array_equal(centre, expected.permute(0, 2, 3, 1).round().clamp(0, 255).byte().numpy())
    for fit in ("short_side_crop", "squash", "bicubic_squash"):
        found = first_resized(given, fit, 24)  # type: ignore[arg-type]
        assert found.shape == (2, 24, 24, 3) and found.dtype == np.uint8 and found.flags.c_contiguous
        # Each frame for itself.
        np.testing.assert_array_equal(found[1:], first_resized(given[1:], fit, 24))  # type: ignore[arg-type]
