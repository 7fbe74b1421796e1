"""The media of a report: what browsers play is copied, all else is made playable, and nothing is written twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lavit_eval.progress import Silence
from lavit_eval.report import media
from lavit_eval.report.media import MediaMode, Shown, place_media
from lavit_eval.sample import MediumKind
from lavit_eval.video.lossless import write_lossless, write_preview
from lavit_eval.video.preview import playable_suffix
from tests.film_world import film
from tests.report.made_runs import HOSTILE_NAME
from tests.video.made import moving, write_video


def shown(path: Path, folder: Path, kind: MediumKind = "video", mode: MediaMode = "previews") -> Shown:
    """Place one file."""
    return place_media({path: kind}, folder, mode, Silence())[path]


def file_of(one: Shown, folder: Path) -> Path:
    """Return the file that the page shows; its name is safe in an address and in markup."""
    assert one.source is not None
    assert one.source.startswith("media/") and one.source.removeprefix("media/").replace(".", "").isalnum()
    return folder / one.source


def test_an_avi_becomes_h264_and_a_small_mp4_is_copied(tmp_path: Path) -> None:
    page = tmp_path / "page"
    avi = write_video(tmp_path / f"{HOSTILE_NAME}.avi", moving(12), rate=6, codec="mpeg4")
    assert playable_suffix(file_of(shown(avi, page), page)) == ".mp4"
    lossless = tmp_path / "made.mkv"
    write_lossless(lossless, film(1), 8)
    assert playable_suffix(file_of(shown(lossless, page), page)) == ".mp4"
    mp4 = write_video(tmp_path / "real.mp4", moving(12))
    assert file_of(shown(mp4, page), page).read_bytes() == mp4.read_bytes()


def test_a_large_video_shrinks_unless_whole_files_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "SMALL_VIDEO", 100)
    mp4 = write_video(tmp_path / "real.mp4", moving(12, height=400, width=720))
    small = file_of(shown(mp4, tmp_path / "small"), tmp_path / "small")
    assert small.stat().st_size < mp4.stat().st_size
    whole = file_of(shown(mp4, tmp_path / "whole", mode="copy"), tmp_path / "whole")
    assert whole.read_bytes() == mp4.read_bytes()


def test_a_generated_films_own_preview_is_taken(tmp_path: Path) -> None:
    made = tmp_path / "one.mkv"
    write_lossless(made, film(1), 8)
    write_preview(tmp_path / "one.preview.mp4", film(1), 8)
    page = tmp_path / "page"
    assert file_of(shown(made, page), page).read_bytes() == (tmp_path / "one.preview.mp4").read_bytes()
    made.unlink()
    assert shown(made, page).source is not None


def test_nothing_is_written_twice_and_what_changed_is(tmp_path: Path) -> None:
    page = tmp_path / "page"
    avi = write_video(tmp_path / "one.avi", moving(12), rate=6, codec="mpeg4")
    first = file_of(shown(avi, page), page)
    stamp = first.stat().st_mtime_ns
    assert file_of(shown(avi, page), page) == first
    assert first.stat().st_mtime_ns == stamp
    write_video(avi, moving(18), rate=6, codec="mpeg4")
    second = file_of(shown(avi, page), page)
    assert second != first
    assert [path.name for path in (page / "media").iterdir()] == [second.name]


def test_what_cannot_be_shown_says_why(tmp_path: Path) -> None:
    page = tmp_path / "page"
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"no film at all")
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    cut = tmp_path / "cut.jpg"
    Image.fromarray(np.zeros((900, 900, 3), dtype=np.uint8)).save(tmp_path / "whole.jpg")
    cut.write_bytes((tmp_path / "whole.jpg").read_bytes()[:400])
    found = place_media(
        {broken: "video", empty: "image", cut: "image", tmp_path / "gone.mp4": "video"}, page, "previews", Silence()
    )
    assert [one.source for one in found.values()] == [None] * 4
    notes = [one.note for one in found.values()]
    assert "cannot be opened" in notes[0]
    assert "damaged" in notes[1] and "damaged" in notes[2]
    assert notes[3] == "the file is not there any more"
    assert not any(str(tmp_path) in note for note in notes)
    assert list((page / "media").iterdir()) == []


def test_images_are_scaled_turned_upright_and_kept_when_small(tmp_path: Path) -> None:
    page = tmp_path / "page"
    large = tmp_path / "large.png"
    Image.fromarray(np.zeros((700, 1400, 3), dtype=np.uint8)).save(large)
    with Image.open(file_of(shown(large, page, "image"), page)) as scaled:
        assert scaled.size == (640, 320)
    turned = tmp_path / "turned.tif"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((60, 90, 3), dtype=np.uint8)).save(turned, exif=exif)
    with Image.open(file_of(shown(turned, page, "image"), page)) as upright:
        assert (upright.format, upright.size) == ("JPEG", (60, 90))
    small = tmp_path / "small.png"
    Image.fromarray(np.zeros((60, 90, 3), dtype=np.uint8)).save(small)
    assert file_of(shown(small, page, "image"), page).read_bytes() == small.read_bytes()


def test_without_media_nothing_is_written(tmp_path: Path) -> None:
    avi = write_video(tmp_path / "one.avi", moving(4), codec="mpeg4")
    assert shown(avi, tmp_path / "page", mode="none") == Shown(None, "left out (--media none)")
    assert not (tmp_path / "page").exists()
