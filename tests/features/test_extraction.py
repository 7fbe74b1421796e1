"""What is kept is read, what is not is computed and kept, and what fails is named."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from lavit_eval import weights
from lavit_eval.digests import digest_bytes, digest_file
from lavit_eval.errors import UsageError
from lavit_eval.features import extraction as module
from lavit_eval.features.equipment import Equipment
from lavit_eval.features.extraction import Extracted, Extraction
from lavit_eval.features.media import Item
from lavit_eval.features.networks import load_network
from lavit_eval.metrics.feature_metric import Features, Need, Role
from lavit_eval.metrics.feature_protocol import FeatureProtocol, load_protocol
from lavit_eval.progress import Silence
from lavit_eval.video.lossless import write_lossless

FRAMES = 12


@dataclass
class Log(Silence):
    """Notes what it is told; `after` media it is interrupted as by Ctrl-C."""

    after: int = 10**6
    told: list[object] = field(default_factory=list)

    def begin(self, task: str, total: int, done: int, what: str = "responses") -> None:
        self.told.append((task, total, done, what))

    def advance(self, by: int) -> None:
        self.told.append(by)
        if self.told.count(1) == self.after:
            raise KeyboardInterrupt

    def end(self) -> None:
        self.told.append("end")


class Counting:
    """A demo network that counts what it computes, or gives something else."""

    def __init__(self, protocol: FeatureProtocol) -> None:
        self.inner = load_network(protocol, Equipment())
        self.computed = 0
        self.instead: Features | None = None

    def of_frames(self, frames: np.ndarray) -> Features:
        self.computed += 1
        return self.inner.of_frames(frames) if self.instead is None else self.instead

    def of_caption(self, text: str) -> Features:
        self.computed += 1
        return self.inner.of_caption(text)

    def of_pair(self, frames: np.ndarray, others: np.ndarray) -> Features:
        self.computed += 1
        return self.inner.of_pair(frames, others)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Counting:
    found = Counting(protocol())
    monkeypatch.setattr(module, "load_network", lambda *_: found)
    return found


def protocol(name: str = "video-lavit", **fields: object) -> FeatureProtocol:
    small = {"frames": 9, "first_resize": "none", "first_side": None} if name == "video-lavit" else {}
    return FeatureProtocol.model_validate(load_protocol(name).with_demo_features().model_dump() | small | fields)


def extraction(folder: Path, of: FeatureProtocol | None = None, role: Role = "made") -> Extraction:
    recipe = of or protocol()
    return Extraction(Need(role, recipe, recipe.generated), Equipment(), folder / "features")


def videos(folder: Path, count: int) -> list[Item]:
    found = []
    for number in range(count):
        path = folder / f"{number}.mkv"
        frames = np.random.default_rng(number).integers(0, 256, (FRAMES, 16, 24, 3), dtype=np.uint8)
        write_lossless(path, frames, 6)
        found.append(Item(f"sample {number}", digest_file(path), path))
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def features(found: Extracted) -> dict[str, list[float]]:
    return {digest: stored.features.tolist() for digest, stored in found.found.items()}


def no_decoder_left() -> bool:
    return all(thread.name != "video-decoder" for thread in threading.enumerate())


def test_each_medium_is_computed_once(tmp_path: Path, network: Counting) -> None:
    items = videos(tmp_path, 3)
    twice = [*items, replace(items[0], sample_id="a copy"), items[1]]
    log = Log()
    first = extraction(tmp_path).run(twice, "fvd", log)
    assert network.computed == 3 and not first.failed
    assert set(first.found) == {item.digest for item in items}
    assert log.told == [("fvd", 3, 0, "media"), 1, 1, 1, "end"]
    stored = first.found[items[0].digest]
    assert stored.features.shape == (16,) and stored.features.dtype == np.float32
    assert (stored.frames, stored.height, stored.width) == (FRAMES, 16, 24)
    again = extraction(tmp_path).run(twice, "fvd", log := Log())
    assert network.computed == 3 and log.told == []
    assert features(again) == features(first)
    assert no_decoder_left()


def test_only_what_is_missing_is_computed(tmp_path: Path, network: Counting) -> None:
    items = videos(tmp_path, 4)
    extraction(tmp_path).run(items[:2], "fvd", Silence())
    log = Log()
    extraction(tmp_path).run(items, "fvd", log)
    assert network.computed == 4 and log.told == [("fvd", 4, 2, "media"), 1, 1, "end"]
    next((tmp_path / "features").rglob(f"{items[3].digest}.npz")).write_bytes(b"damaged")
    extraction(tmp_path).run(items, "fvd", Silence())
    assert network.computed == 5
    extraction(tmp_path, protocol(frames=10)).run(items, "fvd", Silence())
    assert network.computed == 9


def test_the_order_of_items_changes_no_byte(tmp_path: Path) -> None:
    items = videos(tmp_path, 4)
    for name, order in (("one", items), ("other", items[::-1])):
        extraction(tmp_path / name).run(order, "fvd", Silence())
    assert files(tmp_path / "one") == files(tmp_path / "other")


def test_kept_features_need_neither_weights_nor_media(tmp_path: Path) -> None:
    """With a published file that is absent, and media that were pruned."""
    recipe = load_protocol("video-lavit")
    need = Need("made", recipe, recipe.generated)
    items = [Item("a", "0" * 64, tmp_path / "pruned.mkv"), Item("b", "1" * 64, None)]
    here = Extraction(need, Equipment(), tmp_path)
    assert (here.weights, here.verified) == (weights.entry(recipe.weights).digest, True)
    for number, item in enumerate(items):
        here.store.keep(item.digest, module.Stored(np.full(400, number, np.float32), 16, 8, 8))
    found = Extraction(need, Equipment(weights_dir=tmp_path / "nowhere"), tmp_path).run(items, "fvd", Silence())
    assert [found.found[item.digest].features[0] for item in items] == [0.0, 1.0] and not found.failed


def test_absent_weights_are_asked_for_when_a_medium_needs_them(tmp_path: Path) -> None:
    recipe = protocol(**load_protocol("video-lavit").model_dump(include={"demo", "weights", "weights_digest"}))
    gone, *items = videos(tmp_path, 2)
    gone.path.unlink()  # type: ignore[union-attr]
    here = extraction(tmp_path, recipe)
    assert list(here.run([gone], "fvd", Silence()).failed) == [gone.digest]
    log = Log()
    with pytest.raises(UsageError, match=r"lavit-eval weights fetch i3d_torchscript\.pt"):
        here.run(items, "fvd", log)
    assert log.told[-1] == "end" and no_decoder_left()


def test_features_of_a_file_without_a_known_digest_need_the_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"c3d_ucf101\.pt .*weights fetch"):
        extraction(tmp_path, load_protocol("is-c3d"))


def test_features_are_found_by_the_weights_that_they_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, path = load_protocol("video-lavit"), tmp_path / "i3d_torchscript.pt"
    need = Need("made", recipe, recipe.generated)
    path.write_bytes(b"weights")
    equipment = Equipment(weights_dir=tmp_path)
    with pytest.raises(UsageError, match="not the published"):
        Extraction(need, equipment, tmp_path)
    trusting = replace(equipment, trusted=frozenset({path.resolve()}))
    vouched = Extraction(need, trusting, tmp_path)
    assert (vouched.weights, vouched.verified) == (f"sha256:{digest_bytes(b'weights')}", False)
    absent = Extraction(need, Equipment(), tmp_path)
    assert absent.store.folder != vouched.store.folder
    # A file with the catalogue's digest is the one that is meant when it is absent.
    here = replace(weights.entry(path.name), size=7, sha256=digest_bytes(b"weights"), git_blob=None)
    monkeypatch.setattr(weights, "CATALOGUE", (here,))
    published = need.protocol.model_copy(update={"weights_digest": here.digest})
    for given in (equipment, Equipment()):
        found = Extraction(Need("made", published, published.generated), given, tmp_path)
        assert (found.weights, found.verified) == (here.digest, True)


def test_a_recipe_that_names_another_file_does_not_find_the_published_ones_features(tmp_path: Path) -> None:
    recipe = load_protocol("video-lavit")
    published = Extraction(Need("made", recipe, recipe.generated), Equipment(), tmp_path)
    for digest, verified in (("sha256:" + "0" * 64, False), (f"git:{weights.entry(recipe.weights).git_blob}", True)):
        own = recipe.model_copy(update={"weights_digest": digest})
        found = Extraction(Need("made", own, own.generated), Equipment(), tmp_path)
        assert found.verified is verified
        assert (found.store.folder == published.store.folder) is verified


def test_a_medium_that_fails_is_named_and_the_others_go_on(tmp_path: Path, network: Counting) -> None:
    good, changed, gone, short, broken, pathless = videos(tmp_path, 6)
    assert changed.path and gone.path and short.path and broken.path
    write_lossless(changed.path, np.zeros((FRAMES, 16, 24, 3), np.uint8), 6)
    gone.path.unlink()
    write_lossless(short.path, np.zeros((3, 16, 24, 3), np.uint8), 6)
    broken.path.write_bytes(broken.path.read_bytes()[:300])
    items = [
        changed,
        gone,
        replace(short, digest=digest_file(short.path)),
        replace(broken, digest=digest_file(broken.path)),
        replace(pathless, path=None),
        good,
    ]
    log = Log()
    found = extraction(tmp_path).run(items, "fvd", log)
    assert list(found.found) == [good.digest] and network.computed == 1
    assert log.told == [("fvd", 6, 0, "media"), *[1] * 6, "end"]
    reasons = [found.failed[item.digest] for item in items[:5]]
    expected = [
        r"1\.mkv is not the file that it was",
        r"2\.mkv is gone \(removed by --keep-media or runs prune\?\)",
        r"3\.mkv: 3 frames are too few for a clip of 9",
        r"4\.mkv .*(truncated|damaged|opened)",
        r"is gone",
    ]
    for reason, told in zip(reasons, expected, strict=True):
        assert re.search(told, reason) and reason.endswith(".") and "\n" not in reason


def test_a_failure_is_tried_again_the_next_time(tmp_path: Path, network: Counting) -> None:
    (item,) = videos(tmp_path, 1)
    assert item.path
    content = item.path.read_bytes()
    item.path.unlink()
    assert extraction(tmp_path).run([item], "fvd", Silence()).failed
    item.path.write_bytes(content)
    assert not extraction(tmp_path).run([item], "fvd", Silence()).failed and network.computed == 1


def test_a_file_that_cannot_be_read_fails_alone(
    tmp_path: Path, network: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, good = videos(tmp_path, 2)
    digest = module.cached_digest

    def refusing(path: Path) -> str:
        if path == locked.path:
            raise PermissionError(13, "Permission denied", str(path))
        return digest(path)

    monkeypatch.setattr(module, "cached_digest", refusing)
    found = extraction(tmp_path).run([locked, good], "fvd", Silence())
    assert found.failed == {locked.digest: f"{locked.path} cannot be read: Permission denied."}
    assert list(found.found) == [good.digest]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_feature_that_is_not_finite_stops_with_the_files_name_and_is_not_kept(
    tmp_path: Path, network: Counting, value: float
) -> None:
    items = videos(tmp_path, 2)
    network.instead = np.array([1.0, value], dtype=np.float32)
    told = rf"{re.escape(str(items[0].path))}.*not finite.*weights check"
    with pytest.raises(UsageError, match=told) as caught:
        extraction(tmp_path).run(items, "fvd", log := Log())
    # Though the traceback still holds on to what ran.
    assert caught.tb and log.told[-1] == "end" and no_decoder_left()
    assert not list(tmp_path.rglob("*.npz"))


def test_an_interruption_keeps_what_was_done(tmp_path: Path, network: Counting) -> None:
    items = videos(tmp_path, 8)
    log = Log(after=3)
    with pytest.raises(KeyboardInterrupt) as caught:
        extraction(tmp_path).run(items, "fvd", log)
    assert caught.tb and log.told[-1] == "end" and no_decoder_left()
    kept = {path.stem for path in tmp_path.rglob("*.npz")}
    assert kept == {item.digest for item in items[:3]}
    found = extraction(tmp_path).run(items, "fvd", Silence())
    assert network.computed == 8 and len(found.found) == 8


def captions(*texts: str) -> list[Item]:
    return [Item(f"sample {text}", digest_bytes(text.encode()), None, text=text) for text in texts]


def test_texts_need_no_file(tmp_path: Path) -> None:
    items = captions("a cat", "two dogs", "a cat")
    here = extraction(tmp_path, protocol("clipsim-vitb16"), "caption")
    found = here.run(items, "clipsim", log := Log())
    assert log.told == [("clipsim", 2, 0, "media"), 1, 1, "end"] and not found.failed
    stored = found.found[items[0].digest]
    assert (stored.frames, stored.height, stored.width) == (0, 0, 0)
    np.testing.assert_array_equal(stored.features, here.network.of_caption("a cat"))


def pair(folder: Path, made: np.ndarray, source: np.ndarray) -> Item:
    path = folder / "made.mkv"
    write_lossless(path, made, 6)
    write_lossless(path.with_suffix(".source.mkv"), source, 6)
    return Item("a", digest_file(path), path, partner=path.with_suffix(".source.mkv"))


def lpips(folder: Path, items: Sequence[Item]) -> Extracted:
    return extraction(folder, protocol("lpips-alex"), "pair").run(items, "lpips", Silence())


def test_a_reconstruction_is_compared_with_its_source_frame_by_frame(tmp_path: Path) -> None:
    made = np.random.default_rng(1).integers(0, 256, (5, 32, 40, 3), dtype=np.uint8)
    source = made.copy()
    source[3] = 255 - source[3]
    item = pair(tmp_path, made, source)
    found = lpips(tmp_path, [item]).found[item.digest]
    assert found.features.shape == (5,) and found.frames == 5
    assert (found.features[[0, 1, 2, 4]] == 0).all() and found.features[3] > 0


def test_a_source_that_is_gone_or_of_another_size_is_named(tmp_path: Path) -> None:
    made = np.zeros((4, 32, 40, 3), np.uint8)
    item = pair(tmp_path, made, made[:3])
    assert item.partner
    assert "(3, 32, 40, 3): not the same frames." in lpips(tmp_path, [item]).failed[item.digest]
    item.partner.write_bytes(b"")
    assert "made.source.mkv is empty" in lpips(tmp_path, [item]).failed[item.digest]
    item.partner.unlink()
    for one in (item, replace(item, partner=None)):
        assert "made.mkv has no source beside it" in lpips(tmp_path, [one]).failed[item.digest]


def test_nothing_to_do_is_nothing_told(tmp_path: Path) -> None:
    log = Log()
    found = extraction(tmp_path).run([], "fvd", log)
    assert (dict(found.found), dict(found.failed), log.told) == ({}, {}, [])
