"""From a file to the frames that a recipe looks at."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lavit_eval.digests import digest_file
from lavit_eval.errors import MediumError
from lavit_eval.features.media import IMAGE_SUFFIXES, Item, frames_of, partner_frames
from lavit_eval.metrics.feature_metric import Need, Role
from lavit_eval.metrics.feature_protocol import FeatureProtocol, Selection, load_protocol
from lavit_eval.video.lossless import write_lossless
from lavit_eval.video.picture import open_picture
from tests.video.made import moving, texture, write_video


def numbered(count: int) -> np.ndarray:
    """Frames of one level each: their own number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 8, 12, 3)).copy()


def need(role: Role = "made", part: str = "first", **fields: object) -> Need:
    given = {"frames": 4, "generated": {"videos": None, "part": part}, "real": None, "equal_counts": False, **fields}
    protocol = FeatureProtocol.model_validate(
        load_protocol("fid-clip").model_dump() | {"frames_per_second": None} | given
    )
    return Need(role, protocol, protocol.generated)


def video(folder: Path, count: int = 20, fps: int = 12, name: str = "a") -> Item:
    path = folder / f"{name}.mkv"
    write_lossless(path, numbered(count), fps)
    return Item(name, digest_file(path), path)


def places(item: Item, of: Need) -> list[int]:
    found = frames_of(item, of).frames
    assert (found == found[:, :1, :1, :1]).all()
    return [int(frame[0, 0, 0]) for frame in found]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"part": "first"}, [0, 1, 2, 3]),
        ({"part": "central"}, [8, 9, 10, 11]),
        ({"part": "last"}, [16, 17, 18, 19]),
        ({"part": "first", "stride": 5}, [0, 5, 10, 15]),
        ({"part": "last", "stride": 5}, [4, 9, 14, 19]),
        ({"part": "central", "frames": 1}, [9]),
        ({"part": "first", "frames": None}, list(range(20))),
        # Only so many frames count, from the beginning.
        ({"part": "last", "span": 10}, [6, 7, 8, 9]),
        ({"part": "central", "span": 10}, [3, 4, 5, 6]),
        ({"part": "last", "span": 64}, [16, 17, 18, 19]),
        ({"frames": None, "span": 5}, [0, 1, 2, 3, 4]),
        # Of 12 frames a second every second one at 6, each twice at 24, and the one on the screen at 5.
        ({"frames_per_second": 6}, [0, 2, 4, 6]),
        ({"frames_per_second": 24}, [0, 0, 1, 1]),
        ({"frames_per_second": 5}, [0, 2, 4, 7]),
        ({"frames_per_second": 6, "part": "last"}, [13, 15, 17, 19]),
        ({"frames_per_second": 2.5}, [0, 4, 9, 14]),
    ],
)
def test_the_frames_of_a_recipe(tmp_path: Path, fields: dict[str, object], expected: list[int]) -> None:
    item = video(tmp_path)
    assert places(item, need(**fields)) == expected  # type: ignore[arg-type]
    found = frames_of(item, need(**fields))  # type: ignore[arg-type]
    assert (found.total, found.fps) == (20, 12)


def test_a_random_part_depends_on_the_content_and_the_seed_of_the_recipe_alone(tmp_path: Path) -> None:
    items = [video(tmp_path, count=40, fps=fps, name=str(fps)) for fps in range(1, 9)]
    random = need(part="random")
    starts = [places(item, random)[0] for item in items]
    assert len(set(starts)) > 3
    assert all(places(item, random) == list(range(start, start + 4)) for item, start in zip(items, starts, strict=True))
    moved = tmp_path / "elsewhere" / "named-otherwise.mkv"
    moved.parent.mkdir()
    moved.write_bytes(items[0].path.read_bytes())  # type: ignore[union-attr]
    assert places(Item("another sample", items[0].digest, moved), random)[0] == starts[0]
    # Nor do the recipe's name or its statistics move it.
    assert [places(item, need(part="random", protocol="mine", covariance_ddof=0))[0] for item in items] == starts
    assert [places(item, need(part="random", sampling_seed=1))[0] for item in items] != starts


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"frames": 21}, "20 frames are too few for a clip of 21 (every 1), which needs 21"),
        ({"frames": 8, "stride": 3}, "20 frames are too few for a clip of 8 (every 3), which needs 22"),
        ({"frames": 11, "frames_per_second": 6}, "20 frames are too few for a clip of 11 (at 6 a second), which needs"),
    ],
)
def test_a_video_that_is_too_short_is_refused_in_one_sentence(
    tmp_path: Path, fields: dict[str, object], told: str
) -> None:
    item = video(tmp_path)
    with pytest.raises(MediumError, match=re.escape(f"video {item.path}: {told}") + r"[ \d]*\.$"):
        frames_of(item, need(**fields))  # type: ignore[arg-type]


def test_a_rate_needs_a_video_that_says_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = video(tmp_path)
    monkeypatch.setattr("lavit_eval.video.excerpt._rate", lambda path: None)
    assert places(item, need()) == [0, 1, 2, 3]
    with pytest.raises(MediumError, match=r"a\.mkv does not say how many frames a second"):
        frames_of(item, need(frames_per_second=6))


def test_an_ordinary_video_is_read_at_its_own_size(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving(10, 48, 64), rate=6)
    found = frames_of(Item("a", "0", path), need(frames=3, part="central"))
    assert found.frames.shape == (3, 48, 64, 3) and (found.total, found.fps) == (10, 6)


@pytest.mark.parametrize("suffix", [*sorted(IMAGE_SUFFIXES), ".PNG"])
def test_an_image_is_one_frame(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(texture(30, 41)).save(path)
    item = Item("a", digest_file(path), path)
    for frames in (1, None):
        found = frames_of(item, need(frames=frames))
        assert found.frames.dtype == np.uint8 and found.frames.flags.writeable
        np.testing.assert_array_equal(found.frames, np.asarray(open_picture(path)[0])[None])
        assert (found.total, found.fps) == (1, None)
    with pytest.raises(MediumError, match=r"^image .* gives no clip of 2 frames\.$"):
        frames_of(item, need(frames=2))


def test_grey_and_see_through_images_become_rgb(tmp_path: Path) -> None:
    for mode in ("L", "RGBA", "P"):
        Image.fromarray(texture(20, 20)).convert(mode).save(tmp_path / "a.png")
        assert frames_of(Item("a", "0", tmp_path / "a.png"), need(frames=1)).frames.shape == (1, 20, 20, 3)


def test_a_broken_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(MediumError, match="cannot be decoded"):
        frames_of(Item("a", "0", tmp_path / "a.png"), need(frames=1))


def test_a_source_gives_the_same_frames_as_its_reconstruction(tmp_path: Path) -> None:
    item, source = video(tmp_path), video(tmp_path, name="source")
    pair = Item("a", item.digest, item.path, partner=source.path)
    for span, count in ((None, 20), (7, 7)):
        of = need("pair", frames=None, span=span)
        np.testing.assert_array_equal(frames_of(pair, of).frames, partner_frames(pair, of))
        assert len(partner_frames(pair, of)) == count


def test_what_has_no_file_cannot_be_asked_for_frames() -> None:
    with pytest.raises(ValueError, match="no file"):
        frames_of(Item("a", "0", None, text="a cat"), need())
    with pytest.raises(ValueError, match="no source"):
        partner_frames(Item("a", "0", Path("a.mkv")), need("pair", frames=None))


def test_a_selection_says_the_part_and_not_the_recipe(tmp_path: Path) -> None:
    """Long videos are compared with themselves: one recipe, two parts."""
    item, usual = video(tmp_path), need(part="first")
    last = Need("made", usual.protocol, Selection(videos=None, part="last"))
    assert places(item, last) == [16, 17, 18, 19]
