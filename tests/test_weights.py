from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lavit_eval import weights
from lavit_eval.errors import UsageError
from lavit_eval.weights import CATALOGUE, WeightFile, check, entry, find, git_blob_id

CONTENT = b"weights\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "net.pt"
    found.write_bytes(CONTENT)
    return found


def known(**fields: object) -> WeightFile:
    return replace(WeightFile("net.pt", ("https://example.org/net.pt",), "MIT", "a test"), **fields)  # type: ignore[arg-type]


def test_every_entry_can_be_found_or_is_refused() -> None:
    assert len({file.name for file in CATALOGUE}) == len(CATALOGUE)
    for file in CATALOGUE:
        assert file.refused_because or all(url.startswith("https://") for url in file.urls)
        assert file.refused_because or file.urls
        assert file.licence and file.needed_by
        for digest, length in ((file.sha256, 64), (file.git_blob, 40)):
            assert digest is None or (set(digest) <= set("0123456789abcdef") and len(digest) == length)


def test_a_git_blob_id_is_what_git_says(path: Path) -> None:
    expected = hashlib.sha1(b"blob 8\0" + CONTENT).hexdigest()
    assert git_blob_id(path) == expected
    # What `printf 'weights\n' | git hash-object --stdin` prints, where git is at hand.
    said = subprocess.run(["git", "hash-object", str(path)], capture_output=True, text=True, check=False)
    assert said.returncode != 0 or said.stdout.strip() == expected


def test_files_are_found_in_the_named_folder_then_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LAVIT_EVAL_WEIGHTS", raising=False)
    name = "i3d_torchscript.pt"
    with pytest.raises(UsageError, match=r"lavit-eval weights fetch i3d_torchscript.pt \(from https://"):
        find(name)
    for folder in ("cache/weights", "variable", "option"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_bytes(CONTENT)
    assert find(name) == tmp_path / "cache" / "weights" / name
    monkeypatch.setenv("LAVIT_EVAL_WEIGHTS", str(tmp_path / "variable"))
    assert find(name) == tmp_path / "variable" / name
    assert find(name, tmp_path / "option") == tmp_path / "option" / name


def test_digests_decide(path: Path) -> None:
    right, blob = hashlib.sha256(CONTENT).hexdigest(), hashlib.sha1(b"blob 8\0" + CONTENT).hexdigest()
    right_ones: list[dict[str, str]] = [{"sha256": right}, {"sha256": right[:8]}, {"git_blob": blob}]
    for digests in (*right_ones, {"sha256": right, "git_blob": blob}):
        check(path, known(**digests, carries_code=True))
    for file in (known(sha256="0" * 64), known(git_blob="0" * 40), known(sha256=right, size=9)):
        with pytest.raises(UsageError, match=r"not the published net\.pt: its .* is .*, not .*weights fetch net\.pt"):
            check(path, file)
        assert file.matches(path) is False
        check(path, file, trust=True)


def test_code_without_a_known_digest_needs_trust(path: Path) -> None:
    check(path, known())
    with pytest.raises(UsageError, match="--trust"):
        check(path, known(carries_code=True))
    check(path, known(carries_code=True), trust=True)


def test_a_file_that_must_not_be_used_is_never_accepted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = known(name="wrong.pt", git_blob=git_blob_id(path), refused_because="is another network")
    monkeypatch.setattr(weights, "CATALOGUE", (*CATALOGUE, wrong))
    with pytest.raises(UsageError, match="is another network"):
        check(path, known(), trust=True)


def test_the_imagenet_i3d_is_known_as_wrong() -> None:
    assert entry("rgb_imagenet.pt").refused_because
    with pytest.raises(UsageError, match=r"Did you mean .*i3d_pretrained_400\.pt"):
        entry("i3d_pretrained_40.pt")


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"weights fetch net\.pt"):
        check(tmp_path / "absent.pt", known())
