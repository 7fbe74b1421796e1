"""A cache that forgets what was used longest ago."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Keeps values until their sizes together exceed a limit; then the least recently used go.

    Args:
        limit: In bytes; a value larger than that is not kept at all.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        """Bytes of all values kept."""
        self._entries: OrderedDict[Hashable, tuple[int, Value]] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        """Return whether a value is kept, without using it."""
        return key in self._entries

    def get(self, key: Hashable) -> Value | None:
        """Return the value of a key, or None if it was never kept or is forgotten."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][1]

    def put(self, key: Hashable, value: Value, size: int) -> None:
        """Keep a value of `size` bytes."""
        if key in self._entries:
            self.held -= self._entries.pop(key)[0]
        if size > self.limit:
            return
        self._entries[key] = (size, value)
        self.held += size
        while self.held > self.limit:
            _, (gone, _) = self._entries.popitem(last=False)
            self.held -= gone
