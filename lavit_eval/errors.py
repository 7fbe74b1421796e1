"""What can go wrong by a user's hand, said in one sentence with the command that mends it."""

from __future__ import annotations

from collections.abc import Sequence


class UsageError(Exception):
    """A mistake that the user can mend: bad usage, bad input, a missing file (exit code 2).

    `str(error)` is the whole message: what is wrong, where, and what to do, without a stack trace.
    """


class MediumError(Exception):
    """One video or image cannot be used; the sample that needs it fails, the run goes on (exit code 3)."""


class PreflightError(UsageError):
    """Everything that stands in the way of a run, found before the model is loaded.

    Args:
        problems: One sentence each, every one with its mending command.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


SHORT_LIST = 25


def nearest(name: str, known: Sequence[str], most: int = 3) -> str:
    """Return " Did you mean a, b or c?" for the names nearest to `name`; if none is near, a short list in full."""
    import difflib

    near = difflib.get_close_matches(name, known, n=most, cutoff=0.5)
    if not near:
        return f" Known: {', '.join(known)}." if 0 < len(known) <= SHORT_LIST else ""
    if len(near) == 1:
        return f" Did you mean {near[0]}?"
    return f" Did you mean {', '.join(near[:-1])} or {near[-1]}?"
