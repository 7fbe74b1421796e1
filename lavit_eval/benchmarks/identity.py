"""Ids for entries that have none: from what an entry says, never from where it stands."""

from __future__ import annotations

from collections import Counter

from lavit_eval.digests import digest_json

LENGTH = 12


class ContentIds:
    """Gives each entry an id "<head>/<12 digits of the digest of its content>".

    Entries equal in all their parts get "-2", "-3" and so on: which of them is which makes no difference.
    """

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def of(self, head: str, *parts: object) -> str:
        """Return a new id; `parts` are JSON values that tell the entry from others."""
        base = f"{head}/{digest_json(list(parts))[:LENGTH]}"
        self._seen[base] += 1
        return base if self._seen[base] == 1 else f"{base}-{self._seen[base]}"
