"""Images that an annotation file carries in base64, unpacked once into the cache."""

from __future__ import annotations

import base64
import binascii

from lavit_eval.digests import cache_folder, digest_bytes
from lavit_eval.errors import UsageError
from lavit_eval.files import write_atomic
from lavit_eval.sample import Medium

MAGIC = {b"\xff\xd8\xff": ".jpg", b"\x89PNG\r\n\x1a\n": ".png", b"GIF8": ".gif", b"BM": ".bmp"}
"""How a file of each format begins."""


def unpacked(cell: str, where: str) -> Medium:
    """Return the medium of a base64 text; its file lies in the cache, named by the content's digest.

    Raises UsageError, beginning with `where`, when the text is no base64 or its content no image file.
    """
    try:
        content = base64.b64decode(cell.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError(f"{where} holds an image that is no base64 ({error}): download the file again") from error
    suffix = suffix_of(content)
    if suffix is None:
        raise UsageError(
            f"{where} holds an image that is none: it begins with {content[:8]!r}, not as JPEG, PNG, GIF, BMP or WebP; "
            "download the file again"
        )
    name = f"{digest_bytes(content)[:32]}{suffix}"
    path = cache_folder() / "unpacked" / name[:2] / name
    if not path.is_file() or path.stat().st_size != len(content):
        write_atomic(path, content)
    return Medium("image", str(path), name)


def suffix_of(content: bytes) -> str | None:
    """Return the extension for an image file's first bytes, None where they are of no known image format."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in MAGIC.items() if content.startswith(magic)), None)
