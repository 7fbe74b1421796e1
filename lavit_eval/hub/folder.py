"""Writing the official layout: annotation files, and images by their content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lavit_eval.benchmarks.packed_images import suffix_of
from lavit_eval.errors import UsageError

OF_READERS = (".jpg", ".png")
"""What readers look for where an annotation names no extension."""


class Folder:
    """A folder that is being filled; paths are relative to it.

    Args:
        root: The folder.
        where: What the rows are of, for errors.
    """

    def __init__(self, root: Path, where: str) -> None:
        self.root, self.where = root, where
        self._sizes: dict[str, int] = {}

    def json(self, path: str, value: Any) -> None:
        """Write a JSON file."""
        self.text(path, json.dumps(value, ensure_ascii=False))

    def lines(self, path: str, values: list[Any]) -> None:
        """Write a file of JSON lines."""
        self.text(path, "".join(f"{json.dumps(value, ensure_ascii=False)}\n" for value in values))

    def text(self, path: str, text: str) -> None:
        """Write a text file in UTF-8."""
        place = self._place(path)
        place.write_bytes(text.encode())

    def image(self, stem: str, image: Any, any_kind: bool = False) -> str:
        """Write an image as it came, under a name without extension; return the file's name.

        The same name twice must be the same image. Raises UsageError for what is no image file, or, unless `any_kind`,
        neither JPEG nor PNG.
        """
        content = self.content(stem, image)
        suffix = suffix_of(content)
        if suffix is None or (suffix not in OF_READERS and not any_kind):
            raise UsageError(
                f"{self.where}: the image of {stem} is no image file, or not JPEG or PNG ({content[:8]!r})"
            )
        place = self._place(stem + suffix)
        if stem in self._sizes:
            if not place.is_file() or place.read_bytes() != content:
                raise UsageError(
                    f"{self.where}: two different images are of {stem}, so that its rows are not understood"
                )
            return place.name
        place.write_bytes(content)
        self._sizes[stem] = len(content)
        return place.name

    def content(self, name: str, image: Any) -> bytes:
        """Return the bytes of an image of a row (raises UsageError when it has none)."""
        content = image.get("bytes") if isinstance(image, dict) else image
        if not isinstance(content, bytes) or not content:
            raise UsageError(f"{self.where}: the row of {name} has no image in it")
        return content

    def _place(self, path: str) -> Path:
        place = self.root / path
        if ".." in Path(path).parts or Path(path).is_absolute() or "\\" in path:
            raise UsageError(f"{self.where}: a row names the file {path!r}, which leads outside the folder")
        place.parent.mkdir(parents=True, exist_ok=True)
        return place
