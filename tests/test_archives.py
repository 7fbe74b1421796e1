"""Archives: what is in them is checked before anything is written, and nothing else is ever overwritten."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from lavit_eval import archives
from lavit_eval.archives import Unpacked, is_archive, place_file, unpack
from lavit_eval.errors import UsageError

FILES = {"MSVD/a.json": b"[]", "MSVD/video/vid1.avi": b"made"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(tmp_path / "cache"))


def write_zip(path: Path, files: Mapping[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def write_tar(path: Path, files: Mapping[str, bytes] = FILES, *extra: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tape:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tape.addfile(info, io.BytesIO(content))
        for info in extra:
            tape.addfile(info)
    return path


def listing(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_the_top_folder_of_the_same_name_is_left_out(name: str, tmp_path: Path) -> None:
    archive = write_zip(tmp_path / name) if name.endswith(".zip") else write_tar(tmp_path / name)
    assert is_archive(archive)
    assert unpack(archive, tmp_path / "data" / "msvd") == Unpacked(2, 0, 0)
    assert listing(tmp_path / "data") == {"msvd/a.json": b"[]", "msvd/video/vid1.avi": b"made"}
    assert unpack(archive, tmp_path / "data" / "msvd") == Unpacked(0, 2, 0)


def test_another_top_folder_stays(tmp_path: Path) -> None:
    unpack(write_zip(tmp_path / "a.zip"), tmp_path / "data")
    assert set(listing(tmp_path / "data")) == set(FILES)


def test_what_macos_adds_is_left_out_and_counted(tmp_path: Path) -> None:
    litter = {"__MACOSX/x": b"", "d/._y": b"", "d/.DS_Store": b""}
    assert unpack(write_zip(tmp_path / "a.zip", {**FILES, **litter}), tmp_path / "data").passed_over == 3


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "name", ["../out", "a/../../out", "/etc/out", "C:\\out", "C:/out", "a\\..\\out", "a\nb", "x" * 300]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_that_lead_outside_are_refused_before_anything_is_written(name: str, kind: str, tmp_path: Path) -> None:
    files = {"fine.txt": b"1", name: b"2"}
    archive = write_zip(tmp_path / "a.zip", files) if kind == "zip" else write_tar(tmp_path / "a.tar", files)
    with pytest.raises(UsageError, match=r"a\.(zip|tar): the member"):
        unpack(archive, tmp_path / "data" / "in")
    assert not (tmp_path / "data").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "member",
    [
        link("a", "/etc/passwd"),
        link("a", "fine.txt"),
        link("a", "fine.txt", tarfile.LNKTYPE),
        link("a", "", tarfile.FIFOTYPE),
        link("a", "", tarfile.CHRTYPE),
    ],
    ids=["link out", "link in", "hard link", "pipe", "device"],
)
def test_links_and_devices_are_refused(member: tarfile.TarInfo, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="never unpacked"):
        unpack(write_tar(tmp_path / "a.tar", FILES, member), tmp_path / "data")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("a")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(entry, "/etc/passwd")
    with pytest.raises(UsageError, match="is a link"):
        unpack(tmp_path / "a.zip", tmp_path / "data")


def test_a_users_own_link_that_leads_outside_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "MSVD").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="leads outside"):
        unpack(write_zip(tmp_path / "a.zip"), tmp_path / "data")
    assert listing(tmp_path / "elsewhere") == {}


def test_a_bomb_is_refused_by_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SMALL", 1000)
    with pytest.raises(UsageError, match="no data set's archive"):
        unpack(write_zip(tmp_path / "a.zip", {"zeros": bytes(1_000_000)}), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_full_disk_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SPARE_BYTES", 1 << 62)
    with pytest.raises(UsageError, match=r"MB are free, a\.zip needs"):
        unpack(write_zip(tmp_path / "a.zip"), tmp_path / "data")


@pytest.mark.parametrize("content", [b"other", b"mode"], ids=["another size", "the same size"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_another_file_is_never_overwritten_and_nothing_else_is_written(
    content: bytes, kind: str, tmp_path: Path
) -> None:
    place = tmp_path / "data" / "MSVD" / "video" / "vid1.avi"
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    archive = write_zip(tmp_path / "a.zip") if kind == "zip" else write_tar(tmp_path / "a.tar")
    with pytest.raises(UsageError, match=r"vid1\.avi: other files than those of .*nothing was overwritten"):
        unpack(archive, tmp_path / "data")
    assert listing(tmp_path / "data") == {"MSVD/video/vid1.avi": content}


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_damaged_archive_leaves_nothing(kind: str, tmp_path: Path) -> None:
    files = {"a.bin": os.urandom(40_000), "b.bin": os.urandom(40_000)}
    archive = tmp_path / f"a.{kind}"
    whole = (write_zip if kind == "zip" else write_tar)(archive, files).read_bytes()
    broken = bytearray(whole)
    broken[30_000:30_100] = bytes(100)
    archive.write_bytes(broken if kind == "zip" else whole[:50_000])
    with pytest.raises(UsageError, match=r"cannot be unpacked|is no|bytes or more"):
        unpack(archive, tmp_path / "data")
    assert listing(tmp_path / "data") == {} if (tmp_path / "data").exists() else True


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "page.zip").write_text("<html>not found</html>")
    assert not is_archive(tmp_path / "page.zip")
    with pytest.raises(UsageError, match="no zip or tar archive"):
        unpack(tmp_path / "page.zip", tmp_path / "data")


def test_a_name_that_comes_twice_and_a_file_that_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stands twice"):
        unpack(write_tar(tmp_path / "a.tar", {"./x": b"1", "x": b"2"}), tmp_path / "data")
    with pytest.raises(UsageError, match="a file and a folder at once"):
        unpack(write_zip(tmp_path / "b.zip", {"x": b"1", "x/y": b"2"}), tmp_path / "data")


def test_it_goes_on_where_a_kill_left_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_zip(tmp_path / "a.zip", {f"{number}.bin": bytes([number]) * 9 for number in range(4)})
    real, count = archives._write, 0

    def dies(*arguments: object) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(archives, "_write", dies)
        with pytest.raises(KeyboardInterrupt):
            unpack(archive, tmp_path / "data")
    assert not (tmp_path / "data" / "0.bin").exists()
    written: list[str] = []
    monkeypatch.setattr(archives, "_write", lambda *given: (written.append(given[2].name), real(*given)))
    assert unpack(archive, tmp_path / "data") == Unpacked(4, 0, 0)
    assert written == ["2.bin", "3.bin"]
    assert set(listing(tmp_path / "data")) == {f"{number}.bin" for number in range(4)}


def test_a_single_file_is_copied_once_and_never_over_another(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("a,b")
    target = tmp_path / "data" / "nextqa" / "test.csv"
    assert place_file(tmp_path / "test.csv", target) and not place_file(tmp_path / "test.csv", target)
    target.write_text("c,d")
    with pytest.raises(UsageError, match="nothing was overwritten"):
        place_file(tmp_path / "test.csv", target)
    assert target.read_text() == "c,d"


def test_a_bad_password_is_no_riddle(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"x": b"1"})
    content = bytearray(archive.read_bytes())
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        at = content.index(mark) + (6 if mark == b"PK\x03\x04" else 8)
        content[at] |= 1
    archive.write_bytes(content)
    with pytest.raises(UsageError, match="is encrypted"):
        unpack(archive, tmp_path / "data")
