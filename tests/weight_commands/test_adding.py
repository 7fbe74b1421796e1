"""Weight files that a user brings or vouches for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.weights import require
from tests.weight_commands.server import (
    CODE_SHA256,
    CONTENT,
    OTHER,
    PAGE,
    REFUSED,
    SCRIPTED,
    SHA256,
    Catalogue,
    Run,
    Server,
    code,
    names,
    net,
)


def test_code_of_unknown_digest_is_stored_and_used_only_when_trusted(
    server: Server, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    catalogue(code(server.gives("code.pt", SCRIPTED)))
    path = folder / "code.pt"
    result, out, _ = run("fetch", "--all")
    assert (result, path.read_bytes() == SCRIPTED) == (0, True)
    for said in ("unverified", CODE_SHA256, f"--trust {path}", f"lavit-eval weights add {path} --trust"):
        assert said in out
    with pytest.raises(UsageError, match=f"lavit-eval weights add {path} --trust"):
        require("code.pt")
    found = require("code.pt", trusted=[path.parent / ".." / "weights" / "code.pt"])
    assert (found.path, found.published, found.trusted) == (path, None, True)
    with pytest.raises(UsageError, match="no digest"):
        require("code.pt", trusted=[folder / "other.pt"])
    result, out, _ = run("add", path, "--trust")
    assert (result, "trusted" in out, names(folder)) == (0, True, ["code.pt", "trusted.json"])
    assert require("code.pt").trusted
    assert "already there, trusted" in run("fetch", "--all")[1]
    path.write_bytes(SCRIPTED + b"more")
    with pytest.raises(UsageError, match="no digest"):
        require("code.pt")


def test_half_an_archive_is_refused_though_no_digest_is_known(
    server: Server, tmp_path: Path, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    half = SCRIPTED[: len(SCRIPTED) // 2]
    catalogue(code(server.gives("code.pt", half)))
    result, _, err = run("fetch", "code.pt")
    assert (result, "only the beginning of one" in err, names(folder)) == (2, True, [])
    (tmp_path / "code.pt").write_bytes(half)
    result, _, err = run("add", tmp_path / "code.pt", "--trust")
    assert (result, "only the beginning of one" in err, names(folder)) == (2, True, [])


def test_a_file_is_recognised_by_its_digest_then_its_name(
    tmp_path: Path, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    catalogue(net(), code())
    source = tmp_path / "download (1).bin"
    source.write_bytes(CONTENT)
    result, out, _ = run("add", source)
    assert (result, "net.pt: added, its digest is the published one" in out) == (0, True)
    assert (folder / "net.pt").read_bytes() == source.read_bytes() == CONTENT
    source.write_bytes(SCRIPTED)
    result, _, err = run("add", source)
    assert (result, "no file of the catalogue" in err, "--as NAME" in err) == (2, True, True)
    result, out, _ = run("add", source, "--as", "code.pt")
    assert (result, "unverified" in out, CODE_SHA256 in out) == (0, True, True)
    assert names(folder) == ["code.pt", "net.pt"]
    source = tmp_path / "code.pt"
    source.write_bytes(SCRIPTED)
    assert run("add", source)[0] == 0
    source = tmp_path / "nett.pt"
    source.write_bytes(b"something")
    result, _, err = run("add", source)
    assert (result, "Did you mean net.pt" in err) == (2, True)
    result, _, err = run("add", source, "--as", "nett.pt")
    assert (result, "Did you mean net.pt" in err) == (2, True)
    result, _, err = run("add", tmp_path / "absent.pt")
    assert (result, "There is no file" in err) == (2, True)


def test_another_file_is_added_only_when_the_user_vouches_for_it(
    tmp_path: Path, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    catalogue(net(), code())
    source = tmp_path / "net.pt"
    source.write_bytes(OTHER)
    other = hashlib.sha256(OTHER).hexdigest()
    result, _, err = run("add", source)
    assert (result, names(folder)) == (2, [])
    assert other in err and SHA256 in err and "--trust" in err
    result, out, _ = run("add", source, "--trust")
    assert (result, f"trusted, sha256 {other}" in out) == (0, True)
    found = require("net.pt")
    assert (found.sha256, found.published, found.trusted) == (other, False, True)
    (tmp_path / "code.pt").write_bytes(SCRIPTED)
    assert run("add", tmp_path / "code.pt", "--trust")[0] == 0
    stored = json.loads((folder / "trusted.json").read_text())
    assert stored == {"schema": 1, "sha256": {"net.pt": other, "code.pt": CODE_SHA256}}
    # The same bytes under a name that nobody vouched for are not trusted.
    catalogue(net(), net(name="net2.pt"))
    (folder / "net2.pt").write_bytes(OTHER)
    with pytest.raises(UsageError, match="not the published"):
        require("net2.pt")


def test_a_published_file_needs_no_record(tmp_path: Path, folder: Path, catalogue: Catalogue, run: Run) -> None:
    catalogue(net())
    (tmp_path / "net.pt").write_bytes(CONTENT)
    assert run("add", tmp_path / "net.pt", "--trust")[0] == 0
    assert names(folder) == ["net.pt"]
    assert not require("net.pt", trusted=[folder / "net.pt"]).trusted


def test_a_file_that_must_not_be_used_is_never_taken(
    tmp_path: Path, server: Server, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    catalogue(net(server.gives("net.pt", REFUSED), size=None))
    source = tmp_path / "net.pt"
    source.write_bytes(REFUSED)
    for more in ([], ["--trust"], ["--as", "net.pt", "--trust"], ["--as", "bad.pt"]):
        result, _, err = run("add", source, *more)
        assert (result, "is another network" in err, names(folder)) == (2, True, [])
    source.write_bytes(OTHER)
    result, _, err = run("add", source, "--as", "bad.pt", "--trust")
    assert (result, "must not be used" in err, names(folder)) == (2, True, [])
    result, _, err = run("fetch", "net.pt")
    assert (result, "is another network" in err, names(folder)) == (2, True, [])
    (folder / "net.pt").write_bytes(REFUSED)
    with pytest.raises(UsageError, match="is another network"):
        require("net.pt", trusted=[folder / "net.pt"])
    with pytest.raises(UsageError, match=r"bad\.pt must not be used: it is another network"):
        require("bad.pt")


def test_a_web_page_is_never_taken(tmp_path: Path, folder: Path, catalogue: Catalogue, run: Run) -> None:
    catalogue(net())
    (tmp_path / "net.pt").write_bytes(PAGE)
    result, _, err = run("add", tmp_path / "net.pt", "--trust")
    assert (result, "it is a web page" in err, names(folder)) == (2, True, [])


def test_a_named_folder_stays_named_in_what_is_advised(
    tmp_path: Path, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    catalogue(code())
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "code.pt").write_bytes(SCRIPTED)
    with pytest.raises(UsageError) as caught:
        require("code.pt", mine)
    advice = str(caught.value).rpartition("lavit-eval weights ")[2].split()
    assert run(*advice)[0] == 0
    assert require("code.pt", mine).trusted
    assert names(folder) == []


def test_a_broken_record_of_trust_is_a_sentence(folder: Path, catalogue: Catalogue, run: Run) -> None:
    catalogue(code())
    folder.mkdir()
    (folder / "code.pt").write_bytes(SCRIPTED)
    for broken in ("", "[]", '{"schema": 1}', '{"schema": 2, "sha256": {}}', '{"schema": 1, "sha256": {"code.pt": 1}}'):
        (folder / "trusted.json").write_text(broken)
        with pytest.raises(UsageError, match=r"trusted\.json cannot be read"):
            require("code.pt")
        assert run("list")[0] == 2
