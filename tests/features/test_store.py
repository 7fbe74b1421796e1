"""Features on disk: whole or not there."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from lavit_eval.errors import UsageError
from lavit_eval.features import store as module
from lavit_eval.features.store import FeatureStore, Stored
from lavit_eval.metrics.feature_metric import Need, Role
from lavit_eval.metrics.feature_protocol import FeatureProtocol, Selection, load_protocol

PROJECT = Path(__file__).resolve().parents[2]
DIGEST = "ab" * 32
OTHER = "cd" * 32


def stored(*shape: int, seed: int = 0) -> Stored:
    values = np.random.Generator(np.random.PCG64(seed)).normal(size=shape).astype(np.float32)
    return Stored(values, 24, 112, 160)


def same(found: Stored | None, expected: Stored) -> bool:
    if found is None or found.features.dtype != np.float32:
        return False
    facts = (found.frames, found.height, found.width) == (expected.frames, expected.height, expected.width)
    return facts and np.array_equal(found.features, expected.features)


@pytest.mark.parametrize("shape", [(400,), (24, 16), (7,), (1, 3)])
def test_what_is_kept_is_found_bit_by_bit(tmp_path: Path, shape: tuple[int, ...]) -> None:
    store, kept = FeatureStore(tmp_path, {"network": "i3d"}), stored(*shape)
    assert store.find(DIGEST) is None
    store.keep(DIGEST, kept)
    assert same(store.find(DIGEST), kept)
    assert same(FeatureStore(tmp_path, {"network": "i3d"}).find(DIGEST), kept)
    assert store.find(OTHER) is None
    newer = stored(*shape, seed=1)
    store.keep(DIGEST, newer)
    assert same(store.find(DIGEST), newer)


def test_other_dtypes_become_float32(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, {})
    store.keep(DIGEST, Stored(np.array([1 / 3, 2.0]), 1, 2, 3))  # type: ignore[arg-type]
    found = store.find(DIGEST)
    assert found is not None and found.features.dtype == np.float32
    assert found.features.tolist() == np.array([1 / 3, 2.0], dtype=np.float32).tolist()


def test_a_file_of_another_dtype_or_without_facts_is_as_if_not_there(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, {})
    store.keep(DIGEST, stored(3))
    path = next(tmp_path.rglob("*.npz"))
    for held in (
        {"features": np.zeros(3), "facts": np.arange(3)},
        {"features": np.zeros(3, np.float32)},
        {"features": np.zeros(3, np.float32), "facts": np.arange(2)},
        {"features": np.array([{}], dtype=object), "facts": np.arange(3)},
    ):
        np.savez(path, **held)  # type: ignore[arg-type]
        assert store.find(DIGEST) is None


def test_damage_anywhere_is_as_if_not_there(tmp_path: Path) -> None:
    store, kept = FeatureStore(tmp_path, {}), stored(2, 3)
    store.keep(DIGEST, kept)
    path = next(tmp_path.rglob("*.npz"))
    content = path.read_bytes()
    unread = 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        found = store.find(DIGEST)
        unread += found is None
        assert found is None or same(found, kept), f"byte {place}"
    # The rest are dates and the like, which nobody reads.
    assert unread > 0.6 * len(content)
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        assert store.find(DIGEST) is None
    store.keep(DIGEST, kept)
    assert same(store.find(DIGEST), kept)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, kept = FeatureStore(tmp_path, {}), stored(4)
    store.keep(DIGEST, kept)
    before = sorted(tmp_path.rglob("*"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    for digest in (DIGEST, "ab" + "0" * 62):
        with pytest.raises(UsageError, match=r"No space left on device.*free disk space"):
            store.keep(digest, stored(4, seed=1))
    assert sorted(tmp_path.rglob("*")) == before
    assert same(store.find(DIGEST), kept)


WRITER = """
import sys
from pathlib import Path
import numpy as np
from lavit_eval.features.store import FeatureStore, Stored
store = FeatureStore(Path(sys.argv[1]), {})
print("ready", flush=True)
for number in range(10**6):
    store.keep(f"{number % 5:064x}", Stored(np.full(30_000, number, np.float32), number, 1, 1))
"""


def test_a_kill_in_the_middle_leaves_whole_files_only(tmp_path: Path) -> None:
    draw = random.Random(7)
    seen = 0
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            deadline = time.monotonic() + 60
            while not any(tmp_path.rglob("*.npz")) and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(draw.uniform(0.05, 0.25))
            process.send_signal(signal.SIGKILL)
        store = FeatureStore(tmp_path, {})
        for path in tmp_path.rglob("*.npz"):
            found = store.find(path.stem)
            assert found is not None
            assert found.features.shape == (30_000,) and (found.features == found.frames).all()
            seen += 1
    assert seen


def test_the_folder_says_what_its_features_are(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, {"network": "clip", "weights": "sha256:0"})
    store.keep(DIGEST, stored(2))
    told = json.loads((store.folder / "extraction.json").read_text())
    assert told == {"version": module.EXTRACTION_VERSION, "network": "clip", "weights": "sha256:0"}


def changed(**fields: object) -> FeatureProtocol:
    return FeatureProtocol.model_validate(load_protocol("stylegan-v").model_dump() | fields)


def place(role: Role, protocol: FeatureProtocol, part: str | None = None, weights: str = "sha256:0") -> str:
    selection = protocol.real if part is None else Selection(videos=None, part=part)  # type: ignore[arg-type]
    assert selection is not None
    extraction = Need(role, protocol, selection).extraction()
    return FeatureStore(Path("folder"), {**extraction, "weights": weights}).folder.name


def test_the_place_changes_with_all_that_decides_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = changed()
    c3d = {"network": "c3d", "feature": "probabilities", "batch_norm_eps": None, "resize": "inside", "side": None}
    one_frame = {"network": "clip", "feature": "embedding", "batch_norm_eps": None, "resize": "clip_crop", "side": None}
    others = [
        changed(**c3d, splits=1),
        changed(**one_frame),
        changed(**one_frame | {"resize": "clip_squash"}),
        changed(**one_frame, frames=None),
        changed(batch_norm_eps=1e-5),
        changed(first_resize="squash", first_side=64),
        changed(first_resize="short_side_crop", first_side=64),
        changed(first_resize="squash", first_side=65),
        changed(resize="squash_tf1"),
        changed(frames=17),
        changed(stride=2),
        changed(frames_per_second=6),
        changed(span=64),
        changed(compute_dtype="bfloat16"),
        changed(demo=True),
        changed(sampling_seed=1),
    ]
    places = [place("real", usual), *(place("real", other) for other in others)]
    places += [place("real", usual, part) for part in ("first", "central", "last")]
    places += [place("pair", usual), place("caption", usual), place("real", usual, weights="sha256:1")]
    monkeypatch.setattr(module, "EXTRACTION_VERSION", 0)
    places.append(place("real", usual))
    assert len(set(places)) == len(places)


def test_the_place_changes_with_nothing_else() -> None:
    usual = changed()
    told = {"protocol": "mine", "description": "x", "assumptions": ("y.",), "covariance_ddof": 1, "equal_counts": False}
    for other in (changed(**told), changed(generated={"videos": 2048, "part": "last"})):
        assert place("real", other) == place("real", usual)
    # The seed draws random parts only, and the part of every frame is none.
    assert place("made", changed(sampling_seed=5), "first") == place("made", usual, "first")
    everything = changed(
        network="clip", feature="embedding", batch_norm_eps=None, resize="clip_crop", side=None, frames=None
    )
    assert len({place("made", everything, part) for part in ("first", "central", "last", "random")}) == 1
    # Generated and real media of one recipe are found in the same place, and so are captions of all its parts.
    assert place("made", usual) == place("real", usual)
    assert place("caption", usual, "first") == place("caption", changed(frames=17), "last")
    assert set(get_args(Role)) == {"made", "real", "caption", "pair"}
