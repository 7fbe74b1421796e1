"""What is said of the weight files that are there and those that are missing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lavit_eval import weights
from lavit_eval.weights import require
from tests.weight_commands.server import CONTENT, OTHER, REFUSED, SCRIPTED, SHA256, Catalogue, Run, code, net


def test_check_reads_what_is_there_and_tells_by_its_exit_code(
    tmp_path: Path, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    catalogue(net(), code(), net(name="far.pt"))
    result, out, _ = run("check")
    assert (result, "Missing: net.pt, code.pt, far.pt." in out) == (0, True)
    result, out, _ = run("check", "far.pt")
    assert (result, "missing" in out, "lavit-eval weights fetch far.pt" in out) == (2, True, True)
    assert run("check", "fra.pt")[0] == 2
    folder.mkdir()
    (folder / "net.pt").write_bytes(CONTENT)
    (folder / "code.pt").write_bytes(SCRIPTED)
    (folder / "bad.pt").write_bytes(REFUSED)
    result, out, _ = run("check")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert (result, sorted(lines)) == (0, ["Missing:", "bad.pt", "code.pt", "net.pt"])
    assert "present" in lines["net.pt"] and "unverified" in lines["code.pt"]
    assert "must not be used" in lines["bad.pt"]
    assert run("check", "bad.pt")[0] == 2
    assert run("check", "net.pt", "code.pt")[0] == 0
    # Damage that leaves size and times as they were is found: the content is read, not remembered.
    require("net.pt")
    times = (folder / "net.pt").stat()
    (folder / "net.pt").write_bytes(OTHER)
    os.utime(folder / "net.pt", ns=(times.st_atime_ns, times.st_mtime_ns))
    result, out, _ = run("check")
    assert (result, hashlib.sha256(OTHER).hexdigest() in out, "lavit-eval weights fetch net.pt" in out) == (
        2,
        True,
        True,
    )
    result, out, _ = run("check", "code.pt")
    assert (result, "net.pt" in out) == (0, False)


def test_the_list_shows_every_state_at_100_columns(
    tmp_path: Path, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    files = {name: net(name=f"{name}.pt") for name in ("right", "wrong", "absent", "other")}
    catalogue(*files.values(), code())
    folder.mkdir()
    (folder / "right.pt").write_bytes(CONTENT)
    (folder / "wrong.pt").write_bytes(OTHER)
    (folder / "code.pt").write_bytes(SCRIPTED)
    (tmp_path / "other.pt").write_bytes(OTHER)
    assert run("add", tmp_path / "other.pt", "--trust")[0] == 0
    result, out, _ = run("list")
    assert result == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line and not line.startswith(" ")}
    for name, state in [
        ("right.pt", "present"),
        ("wrong.pt", "wrong digest"),
        ("absent.pt", "missing"),
        ("other.pt", "trusted"),
        ("code.pt", "unverified"),
        ("bad.pt", "refused"),
    ]:
        assert f" {state} " in rows[name], rows[name]
    assert "0.3 MB" in rows["absent.pt"] and SHA256[:12] in rows["absent.pt"]
    assert "must not be used: it is another network" in out
    assert "for a test; licence MIT" in out
    assert out.rstrip().splitlines()[-1] == "  https://example.org/net.pt", "only where to get what is missing"
    assert all(len(line) <= 100 for line in out.splitlines() if " " in line.strip())


def test_the_list_of_the_real_catalogue_names_all_files(folder: Path, run: Run) -> None:
    result, out, _ = run("list")
    assert result == 0
    for file in weights.CATALOGUE:
        assert any(line.startswith(f"{file.name} ") for line in out.splitlines())
        assert file.refused_because or f"  {file.urls[0]}" in out.splitlines()
    assert all(len(line) <= 100 for line in out.splitlines() if " " in line.strip())
