from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lavit_eval.errors import UsageError
from lavit_eval.metrics.feature_protocol import FOLDER, FeatureProtocol, load_protocol, names
from lavit_eval.weights import entry

SHIPPED = {
    "video-lavit", "video-lavit-24f6fps", "videopoet", "stylegan-v", "tats", "videogpt", "cd-fvd", "google",
    "freenoise", "is-c3d", "is-c3d-one-split", "clipsim-vitb16", "clipsim-vitb32", "clip-vitl14", "fid-clip",
    "fid-inception", "fid-inception-antialias", "fid-30k", "lpips-alex",
}  # fmt: skip


def changed(name: str, **fields: object) -> FeatureProtocol:
    return FeatureProtocol.model_validate(load_protocol(name).model_dump() | fields)


def test_the_named_protocols_are_there_and_differ() -> None:
    assert set(names()) == SHIPPED
    assert len({load_protocol(name).fingerprint() for name in names()}) == len(SHIPPED)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_each_says_what_it_assumes_and_names_a_known_file(name: str) -> None:
    found = load_protocol(name)
    assert found.protocol == name and not found.demo
    assert all(line.endswith(".") for line in found.assumptions)
    file = entry(found.weights)
    assert not file.refused_because and file.digest == found.weights_digest
    assert found.weights_digest or any("No digest of the published file is known" in line for line in found.assumptions)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_each_has_what_its_network_needs_and_nothing_else(name: str) -> None:
    found = load_protocol(name)
    by_network = {
        "i3d": ("logits", 224), "c3d": ("probabilities", None), "clip": ("embedding", None),
        "inception": ("pool", 299), "lpips": ("distance", None),
    }  # fmt: skip
    assert (found.feature, found.side) == by_network[found.network]
    assert (found.batch_norm_eps is None) == (found.network != "i3d")
    assert (found.splits is None) == (found.network != "c3d")
    assert found.shuffle_seed is None or (found.splits or 0) > 1
    # A covariance is taken of distances between sets, and not of scores of single videos.
    assert (found.covariance_ddof is None) == (found.network in ("c3d", "lpips") or name.startswith("clip"))
    assert found.real is None or found.covariance_ddof is not None
    assert found.compute_dtype == "float32"


def test_the_fingerprint_is_of_what_can_change_the_value() -> None:
    before = load_protocol("tats")
    assert changed("tats", protocol="mine", description="x", assumptions=("y.",)).fingerprint() == before.fingerprint()
    for field, value in {
        "batch_norm_eps": 1e-3, "resize": "squash_tf1", "frames": 17, "stride": 2, "sampling_seed": 1,
        "covariance_ddof": 0, "equal_counts": False, "compute_dtype": "bfloat16", "weights_digest": "git:" + "0" * 40,
        "real": {"videos": 2048, "part": "first"}, "generated": {"videos": 2048, "part": "last"},
    }.items():  # fmt: skip
        assert changed("tats", **{field: value}).fingerprint() != before.fingerprint(), field


def test_the_fingerprint_names_a_file_without_a_digest() -> None:
    other = changed("is-c3d", weights="i3d_torchscript.pt").fingerprint()
    assert other != load_protocol("is-c3d").fingerprint()
    # Of a file with a digest the name is nothing.
    assert changed("tats", weights="mine.pt").fingerprint() == load_protocol("tats").fingerprint()


def test_the_fingerprint_of_scores_and_frames_follows_their_fields() -> None:
    for name, fields in {
        "is-c3d": {"splits": 1, "shuffle_seed": 2020, "span": 64, "first_resize": "squash"},
        "fid-clip": {"resize": "clip_squash", "frames": None, "frames_per_second": 8, "covariance_ddof": 0},
        "fid-30k": {"resize": "inception_antialias", "first_side": 256, "first_resize": "short_side_crop"},
        "lpips-alex": {"span": 24, "first_resize": "squash"},
    }.items():
        before = load_protocol(name).fingerprint()
        for field, value in fields.items():
            more: dict[str, object] = {field: value}
            if field == "first_resize" and load_protocol(name).first_side is None:
                more["first_side"] = 64
            if field == "frames" and value is None:
                more["frames_per_second"] = None
            assert changed(name, **more).fingerprint() != before, (name, field)


def test_demo_features_are_another_recipe() -> None:
    for name in names():
        usual = load_protocol(name)
        demo = usual.with_demo_features()
        assert demo.demo and demo.weights == "demo" and demo.weights_digest is None
        assert demo.fingerprint() != usual.fingerprint()
        assert demo.extraction(demo.generated) | {"demo": False} == usual.extraction(usual.generated)
    assert len({load_protocol(name).with_demo_features().fingerprint() for name in names()}) > 1


def test_every_frame_has_no_part() -> None:
    every = load_protocol("clipsim-vitb16")
    parts = [every.generated.model_copy(update={"part": part}) for part in ("first", "central", "random")]
    assert len({str(every.extraction(part)) for part in parts}) == 1
    some = load_protocol("fid-clip")
    assert len({str(some.extraction(part)) for part in parts}) == 3


def test_features_are_shared_by_protocols_that_only_choose_among_them() -> None:
    one, other = load_protocol("tats"), changed("tats", covariance_ddof=0, sampling_seed=9)
    assert one.extraction(one.generated) == other.extraction(other.generated)
    assert one.extraction(one.real) != other.extraction(other.real)
    assert one.extraction(one.real) != one.extraction(one.generated)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"frames": 8}, "frames"),
        ({"batch_norm_eps": 0.01}, "batch_norm_eps"),
        ({"first_side": 256}, "first_side"),
        ({"frames_per_second": 6, "stride": 2}, "exclude"),
        ({"real": {"videos": 7, "part": "first"}}, "7 real and 2048 generated"),
        ({"colour": "red"}, "colour"),
        ({"feature": "pool"}, "the feature of i3d is 'logits', not 'pool'"),
        ({"resize": "clip_crop"}, "resize for i3d is one of none, short_side_crop, squash, squash_tf1"),
        ({"side": 112}, "side for i3d is 224, not 112"),
        ({"frames": None}, "frames for i3d: 9 or more, not None"),
        ({"batch_norm_eps": None}, "batch_norm_eps belongs to i3d"),
        ({"splits": 10}, "splits belong to c3d"),
        ({"real": None}, "equal_counts needs a real set"),
        ({"span": 0}, "span"),
        ({"span": 15}, "a span of 15 frames has no room for a clip of 16"),
        ({"shuffle_seed": 42}, "shuffle_seed belongs to c3d"),
        ({"covariance_ddof": None}, "needs a covariance_ddof"),
        ({"generated": {"videos": 1, "part": "first"}}, "generated.videos"),
        ({"real": {"videos": 2048, "part": "middle"}}, "real.part"),
    ],
)
def test_a_protocol_file_of_ones_own_is_read_or_refused(tmp_path: Path, fields: dict[str, object], told: str) -> None:
    path = tmp_path / "mine.yaml"
    given = yaml.safe_load((FOLDER / "tats.yaml").read_text())
    path.write_text(yaml.safe_dump(given | {"protocol": "mine"}))
    assert load_protocol(str(path)).fingerprint() == load_protocol("tats").fingerprint()
    path.write_text(yaml.safe_dump(given | fields))
    with pytest.raises(UsageError, match=told):
        load_protocol(str(path))


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        ("is-c3d", {"frames": 24}, "frames for c3d: 16, not 24"),
        ("is-c3d", {"splits": None}, "splits belong to c3d"),
        ("is-c3d", {"batch_norm_eps": 1e-3}, "batch_norm_eps belongs to i3d"),
        ("fid-clip", {"frames": None}, "exclude a stride and frames_per_second"),
        ("clipsim-vitb16", {"stride": 2}, "exclude a stride"),
        ("clipsim-vitb16", {"side": 224}, "side for clip is None"),
        ("fid-inception", {"side": 224}, "side for inception is 299"),
        ("fid-inception", {"compute_dtype": "bfloat16"}, "bfloat16 is for i3d only"),
        ("lpips-alex", {"frames": 16}, r"frames for lpips: null \(all\), not 16"),
        ("lpips-alex", {"resize": "squash"}, "resize for lpips is one of none"),
    ],
)
def test_what_a_network_cannot_do_is_refused(name: str, fields: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        changed(name, **fields)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"Did you mean .*video-lavit"):
        load_protocol("video-lavitt")
