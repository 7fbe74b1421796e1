"""Annotation files and media are looked for in the accepted folders only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lavit_eval.benchmarks.folders import MediaFolders, Source, first_file, inside, known_split, spread
from lavit_eval.errors import UsageError
from tests.benchmarks.layouts import touch

SOURCE = Source("Toy", "https://example.org/toy", "CC-BY-4.0")


def test_the_first_place_that_holds_the_file_wins(tmp_path: Path) -> None:
    touch(tmp_path, ["b/f.json", "f.json"])
    assert first_file(tmp_path, spread(("a", "b", ""), "f.json"), SOURCE) == tmp_path / "b" / "f.json"


def test_a_missing_file_lists_the_places_the_source_and_its_licence(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        first_file(tmp_path, spread(("a", "b", ""), "f.json"), SOURCE)
    for part in ("Toy", "a/f.json, b/f.json, f.json", SOURCE.url, SOURCE.licence, "--data-root", str(tmp_path)):
        assert part in str(error.value)


def test_a_missing_data_root_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no data folder .*--data-root"):
        first_file(tmp_path / "none", ["f.json"], SOURCE)


def test_an_unknown_split_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no split 'dev': use one of test, val"):
        known_split("dev", ("test", "val"), SOURCE)


def test_extensions_are_tried_in_order_and_letter_case_is_ignored(tmp_path: Path) -> None:
    touch(tmp_path / "v", ["one.mp4", "one.AVI", "two.MP4", "two.txt", "three.txt", "a.b.mp4"])
    videos = MediaFolders(tmp_path, ["missing", "v"], (".avi", ".mp4"))
    assert videos.find("one") == str(tmp_path / "v" / "one.AVI")
    assert videos.find("two") == str(tmp_path / "v" / "two.MP4")
    assert videos.find("a.b") == str(tmp_path / "v" / "a.b.mp4")
    assert videos.find("three") is None


def test_an_absent_medium_is_expected_in_the_first_folder_with_media(tmp_path: Path) -> None:
    assert MediaFolders(tmp_path, ["u", "v"], (".avi",)).expected("x") == str(tmp_path / "u" / "x.avi")
    touch(tmp_path / "v", ["one.avi"])
    assert MediaFolders(tmp_path, ["u", "v"], (".avi",)).expected("x") == str(tmp_path / "v" / "x.avi")


def test_a_folder_is_listed_once_however_many_media_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "v", [f"{number}.avi" for number in range(20)])
    listed: list[str] = []
    scandir = os.scandir

    def counting(folder: str | Path) -> object:
        listed.append(str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", counting)
    videos = MediaFolders(tmp_path, ["v", "v"], (".avi",))
    assert all(videos.find(str(number)) for number in range(20))
    assert listed == [str(tmp_path / "v")]


@pytest.mark.parametrize("name", ["/etc/x.jpg", "../x.jpg", "a/../../x.jpg", "", "a\\..\\x.jpg"])
def test_names_that_lead_outside_are_recognised(name: str) -> None:
    assert not inside(name)


@pytest.mark.parametrize("name", ["x.jpg", "a/b/x.jpg", "-x_1.avi", "_x..y.avi"])
def test_names_that_stay_inside_are_accepted(name: str) -> None:
    assert inside(name)
