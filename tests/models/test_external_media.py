"""Images and videos that were made elsewhere: found by sample id, each once, and as they were."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lavit_eval.digests import digest_file
from lavit_eval.errors import UsageError
from lavit_eval.features.equipment import Equipment
from lavit_eval.features.extraction import Extraction
from lavit_eval.features.media import Item
from lavit_eval.metrics.feature_metric import Need
from lavit_eval.metrics.feature_protocol import load_protocol
from lavit_eval.models.external import External
from lavit_eval.models.external_media import SUFFIXES, ExternalMedia, find_media
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.progress import Silence
from lavit_eval.sample import Request, RequestKind, Seeds, Settings
from lavit_eval.video.lossless import write_lossless


def options(place: Path, kind: RequestKind = "generate_video", **arguments: str) -> ModelOptions:
    return ModelOptions(arguments={"media": str(place), **arguments}, kinds=frozenset({kind}))


def request(sample_id: str, repeat: int = 0) -> Request:
    return Request(sample_id, repeat, "generate_video", (), "a cat", Settings(), Seeds(42, repeat, 0), output="/run/x")


def fill(folder: Path, *names: str) -> Path:
    """Files of different content; nothing here looks into them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


def listing(path: Path, rows: Sequence[Sequence[str]], encoding: str = "utf-8") -> Path:
    with open(path, "w", newline="", encoding=encoding) as stream:
        csv.writer(stream).writerows(rows)
    return path


def refused(place: Path, told: str) -> None:
    """Assert that a place is refused in one sentence that names it, before a run and in it."""
    with pytest.raises(UsageError, match=told) as caught:
        find_media(place)
    message = str(caught.value)
    assert str(place) in message and "\n" not in message
    assert External.preflight(options(place)) == [message]
    with pytest.raises(UsageError):
        External.load(options(place))


def test_a_folder_of_files_named_by_sample_id(tmp_path: Path) -> None:
    fill(tmp_path, "video1.mp4", "video.2.MKV", "a b.webm", "notes.txt", "video1", ".video3.mp4", ".DS_Store")
    fill(tmp_path / "folder.mp4", "video4.mp4")
    found = find_media(tmp_path)
    assert {key: path.name for key, path in found.items()} == {
        ("video1", 0): "video1.mp4",
        ("video.2", 0): "video.2.MKV",
        ("a b", 0): "a b.webm",
    }


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_known_suffix_is_taken(tmp_path: Path, suffix: str) -> None:
    assert list(find_media(fill(tmp_path, f"a{suffix}", f"b{suffix.upper()}"))) == [("a", 0), ("b", 0)]


def test_two_files_of_one_sample_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "a.mp4", "b.mp4", "a.mkv", "a.png")
    refused(tmp_path, re.escape("holds 3 files of sample 'a' (a.mkv, a.mp4, a.png); keep one."))


def test_a_place_without_media_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "holds no video or image")
    refused(fill(tmp_path / "texts", "a.txt"), "holds no video or image")
    refused(tmp_path / "absent", "neither a folder nor a CSV")


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lavit_eval.models.external_media.os.scandir", locked)
    refused(tmp_path, r"cannot be read \(Permission denied\)")


def test_a_list_of_id_and_path(tmp_path: Path) -> None:
    fill(tmp_path / "lists" / "videos", "1.mp4", "zwei, drei.mp4")
    fill(tmp_path / "elsewhere", "x.bin")
    place = listing(
        tmp_path / "lists" / "all.csv",
        [
            ("path", "id"),
            ("videos/1.mp4", "sample/one"),
            (str(tmp_path / "elsewhere" / "x.bin"), "два"),
            ("videos/zwei, drei.mp4", "3"),
        ],
    )
    found = find_media(place)
    assert list(found) == [("sample/one", 0), ("два", 0), ("3", 0)]
    assert [path.read_bytes() for path in found.values()] == [b"1.mp4", b"x.bin", b"zwei, drei.mp4"]


def test_a_list_with_repeats_a_byte_order_mark_and_empty_lines(tmp_path: Path) -> None:
    fill(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    rows = [("id", "path", "repeat"), ("a", "a.mp4", "0"), (), ("a", "b.mp4", "1"), ("b", "c.mp4", "")]
    place = listing(tmp_path / "list.csv", rows, encoding="utf-8-sig")
    assert place.read_bytes().startswith(b"\xef\xbb\xbf")
    assert {key: path.name for key, path in find_media(place).items()} == {
        ("a", 0): "a.mp4",
        ("a", 1): "b.mp4",
        ("b", 0): "c.mp4",
    }


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("id", "file"), ("a", "a.mp4")], ":1: the columns must be id,path .*not id,file"),
        ([("id", "path", "prompt"), ("a", "a.mp4", "x")], ":1: the columns .*not id,path,prompt"),
        ([("id", " path"), ("a", "a.mp4")], ":1: the columns"),
        ([("id", "path", "path"), ("a", "a.mp4", "b.mp4")], ":1: the columns .*not id,path,path"),
        ([("a", "a.mp4")], ":1: the columns .*not a,a.mp4"),
        ([], ":1: the columns .*not nothing"),
        ([("id", "path")], "lists no file"),
        ([("id", "path"), ("a", "a.mp4"), ("b", "absent.mp4")], r":3: there is no file .*absent\.mp4; mend the path"),
        ([("id", "path"), ("b", ".")], ":2: there is no file"),
        ([("id", "path"), ("a",)], ":2: each line needs an id and a path"),
        ([("id", "path"), ("", "a.mp4")], ":2: each line needs an id and a path"),
        ([("id", "path"), ("a", "")], ":2: each line needs an id and a path"),
        ([("id", "path"), ("a", "a.mp4", "b.mp4")], ":2: each line needs an id and a path"),
        ([("id", "path", "repeat"), ("a", "a.mp4", "-1")], ":2: .*whole number as repeat"),
        ([("id", "path", "repeat"), ("a", "a.mp4", "1.0")], ":2: .*whole number as repeat"),
        ([("id", "path", "repeat"), ("a", "a.mp4", "²")], ":2: .*whole number as repeat"),
        ([("id", "path"), ("a", "a.mp4"), ("a", "b.mp4")], ":3: a second file for sample 'a'; keep one"),
        ([("id", "path", "repeat"), ("a", "a.mp4", "2"), ("a", "b.mp4", "02")], ":3: a second file for sample 'a'"),
    ],
)
def test_a_list_with_a_mistake_is_refused_with_its_line(tmp_path: Path, rows: list[tuple[str, ...]], told: str) -> None:
    fill(tmp_path, "a.mp4", "b.mp4")
    refused(listing(tmp_path / "list.csv", rows), told)


def test_what_is_no_text_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_bytes(b"id,path\n\xff\xfe\x00\n")
    refused(tmp_path / "video.mp4", "cannot be read as CSV")


def test_copies_are_named_unless_they_are_allowed(tmp_path: Path) -> None:
    fill(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4")
    assert External.preflight(options(tmp_path)) == []
    for name in ("c.mp4", "d.mp4"):
        (tmp_path / name).write_bytes(b"a.mp4")
    (tmp_path / "e.mp4").write_bytes(b"b.mp4")
    (problem,) = External.preflight(options(tmp_path))
    assert problem.startswith("3 of the files are copies of others (first: a.mp4 and c.mp4);")
    assert problem.endswith("--allow-partial")
    assert External.preflight(options(tmp_path, copies="allowed")) == []
    twice = listing(tmp_path / "list.csv", [("id", "path"), ("x", "a.mp4"), ("y", "a.mp4")])
    assert External.preflight(options(twice))[0].startswith(
        "1 of the files are copies of others (first: a.mp4 and a.mp4)"
    )


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a.mp4")
    os.symlink(tmp_path / "gone.mp4", tmp_path / "b.mp4")
    (problem,) = External.preflight(options(tmp_path))
    assert f"{tmp_path / 'b.mp4'} cannot be read (No such file or directory)" in problem


def test_files_must_belong_to_samples_of_the_task(tmp_path: Path) -> None:
    fill(tmp_path, "a.mp4", "b.mp4", "z.mp4", "y.mp4")
    (problem,) = External.check_samples(options(tmp_path), "msrvtt_t2v", frozenset("abcd"), 1)
    assert problem.startswith(f"{tmp_path}: 2 files belong to no sample of msrvtt_t2v (first: 'y')")
    assert External.check_samples(options(tmp_path), "msrvtt_t2v", frozenset("abxyz"), 1) == []


def test_repeats_must_be_asked_for(tmp_path: Path) -> None:
    fill(tmp_path, "a.mp4", "b.mp4")
    rows = [("id", "path", "repeat"), ("a", "a.mp4", "0"), ("a", "b.mp4", "3")]
    place = listing(tmp_path / "list.csv", rows)
    (problem,) = External.check_samples(options(place), "fid", frozenset("a"), 3)
    assert problem.endswith("lists files of repeat 3; say how many repeats count: --repeats 4")
    assert External.check_samples(options(place), "fid", frozenset("a"), 4) == []


def test_responses_hold_the_place_and_the_digest_of_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "videos", "a.mp4", "b.mp4")
    rows = [
        ("id", "path", "repeat"),
        ("a", "videos/a.mp4", "0"),
        ("a", "videos/b.mp4", "1"),
        ("b", "videos/b.mp4", "0"),
    ]
    place = listing(tmp_path / "list.csv", rows)
    monkeypatch.chdir(tmp_path)
    for named in (place, Path("list.csv")):
        model = External.load(options(named))
        found = model.respond([request("b"), request("a", 1), request("a"), request("b", 1), request("absent")])
        assert [one.key for one in found] == [("b", 0), ("a", 1), ("a", 0), ("b", 1), ("absent", 0)]
        assert [one.outcome for one in found] == ["answered"] * 3 + ["failed"] * 2
        for one, name in zip(found, ("b.mp4", "b.mp4", "a.mp4"), strict=False):
            assert one.medium == str(tmp_path / "videos" / name)
            assert one.medium_digest == digest_file(tmp_path / "videos" / name)
            assert one.error is None
        assert {one.error for one in found[3:]} == {f"{named} has no file for it: a prompt without one."}


def test_the_files_are_the_model_wherever_they_lie(tmp_path: Path) -> None:
    fill(tmp_path / "one", "a.mp4", "b.mp4", "note.txt")
    before = External.identify(options(tmp_path / "one"))
    (tmp_path / "other").mkdir()
    for name in ("b", "a"):
        (tmp_path / "other" / f"{name}.mkv").write_bytes(f"{name}.mp4".encode())
    rows = [("id", "path"), ("b", "one/b.mp4"), ("a", "one/a.mp4")]
    for place in (tmp_path / "other", listing(tmp_path / "list.csv", rows)):
        assert External.identify(options(place, copies="allowed")) == before
    rows[1:] = [("b", "one/a.mp4"), ("a", "one/b.mp4")]
    swapped = External.identify(options(listing(tmp_path / "list.csv", rows)))
    renamed = External.identify(
        options(listing(tmp_path / "list.csv", [("id", "path"), ("a", "one/a.mp4"), ("c", "one/b.mp4")]))
    )
    (tmp_path / "other" / "a.mkv").write_bytes(b"changed")
    changed = External.identify(options(tmp_path / "other"))
    assert len({str(one) for one in (before, swapped, renamed, changed)}) == 4


def test_a_file_that_changes_after_the_run_is_not_measured(tmp_path: Path) -> None:
    for name, level in (("a", 10), ("b", 20)):
        write_lossless(tmp_path / f"{name}.mkv", np.full((24, 16, 16, 3), level, np.uint8), 6)
    responses = External.load(options(tmp_path)).respond([request("a"), request("b")])
    write_lossless(tmp_path / "a.mkv", np.full((24, 16, 16, 3), 11, np.uint8), 6)
    items = [Item(one.sample_id, str(one.medium_digest), Path(str(one.medium))) for one in responses]
    protocol = load_protocol("fid-clip").with_demo_features()
    extraction = Extraction(Need("made", protocol, protocol.generated), Equipment(), tmp_path / "run")
    found = extraction.run(items, "features", Silence())
    assert list(found.found) == [responses[1].medium_digest]
    assert "a.mkv is not the file that it was" in found.failed[str(responses[0].medium_digest)]


def test_media_and_answers_are_kept_apart(tmp_path: Path) -> None:
    fill(tmp_path, "a.mp4")
    for kind in ("answer", "caption", "reconstruct_video"):
        (problem,) = External.preflight(options(tmp_path, kind))  # type: ignore[arg-type]
        assert problem.startswith(f"The task asks for '{kind}'; give")
    assert External.preflight(options(tmp_path, "generate_video")) == []
    (problem,) = External.preflight(options(tmp_path, "generate_image"))
    assert problem.startswith("The task makes images, but 1 files are none")
    (tmp_path / "answers.jsonl").write_text('{"sample_id": "a", "text": "x"}\n')
    answers = ModelOptions(arguments={"answers": str(tmp_path / "answers.jsonl")}, kinds=frozenset({"generate_video"}))
    assert External.preflight(answers) == ["The task asks for 'generate_video'; give --media DIR."]
    assert isinstance(External.load(options(tmp_path)), ExternalMedia)
    assert External.load(options(tmp_path)).capabilities <= External.capabilities
