from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lavit_eval.errors import UsageError
from lavit_eval.metrics.feature_protocol import FOLDER, FeatureProtocol, load_protocol, names
from lavit_eval.weights import entry

SHIPPED = {"video-lavit", "video-lavit-24f6fps", "videopoet", "stylegan-v", "tats", "videogpt", "cd-fvd", "google"}


def changed(name: str, **fields: object) -> FeatureProtocol:
    return FeatureProtocol.model_validate(load_protocol(name).model_dump() | fields)


def test_the_named_protocols_are_there_and_differ() -> None:
    assert set(names()) == SHIPPED
    assert len({load_protocol(name).fingerprint() for name in names()}) == len(SHIPPED)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_each_says_what_it_assumes_and_names_a_known_file(name: str) -> None:
    found = load_protocol(name)
    assert found.protocol == name
    assert all(line.endswith(".") for line in found.assumptions)
    file = entry(found.weights)
    assert found.weights_digest in {file.digest, f"git:{file.git_blob}"}


def test_the_fingerprint_is_of_what_can_change_the_value() -> None:
    before = load_protocol("tats")
    assert changed("tats", protocol="mine", description="x", assumptions=("y.",)).fingerprint() == before.fingerprint()
    for field, value in {
        "batch_norm_eps": 1e-3, "resize": "squash_tf1", "frames": 17, "stride": 2, "sampling_seed": 1,
        "covariance_ddof": 0, "equal_counts": False, "compute_dtype": "bfloat16", "weights_digest": "git:" + "0" * 40,
        "real": {"videos": 2048, "part": "first"}, "generated": {"videos": 2048, "part": "last"},
    }.items():  # fmt: skip
        assert changed("tats", **{field: value}).fingerprint() != before.fingerprint(), field


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


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"Did you mean .*video-lavit"):
        load_protocol("video-lavitt")
