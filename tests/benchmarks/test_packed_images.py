"""Base64 images: unpacked once under the cache, and refused when they are none."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from lavit_eval.benchmarks.packed_images import unpacked
from lavit_eval.errors import UsageError
from tests.benchmarks.image_layouts import RED, packed


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("GIF", ".gif"), ("WEBP", ".webp")])
def test_the_file_is_the_image(kind: str, suffix: str, cache: Path) -> None:
    medium = unpacked(f" {packed(RED, kind)}\n", "line 1")
    path = Path(medium.path)
    assert path.is_relative_to(cache)
    assert path.suffix == suffix
    assert path.read_bytes() == base64.b64decode(packed(RED, kind))


def test_equal_images_are_one_file_that_is_written_once() -> None:
    first = unpacked(packed(RED), "line 1")
    stamp = Path(first.path).stat().st_mtime_ns
    assert unpacked(packed(RED), "line 2") == first
    assert Path(first.path).stat().st_mtime_ns == stamp
    Path(first.path).write_bytes(b"cut")
    assert Path(unpacked(packed(RED), "line 3").path).read_bytes() == base64.b64decode(packed(RED))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("not base64!", "line 7 holds an image that is no base64"),
        ("abc", "no base64"),
        ("\u00e9" * 4, "no base64"),
        (base64.b64encode(b"<html>gone</html>").decode(), "holds an image that is none: it begins with b'<html>go'"),
        ("", "holds an image that is none"),
    ],
)
def test_what_is_no_image_is_refused(cell: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        unpacked(cell, "table.tsv, line 7")
