"""How a command line is parsed: mistakes are said in one sentence."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from lavit_eval.errors import UsageError


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence and leaves with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Report bad usage."""
        raise UsageError(f"{message[:1].upper()}{message[1:]}; see {self.prog} --help")


class WordsAnywhere(Parser):
    """Takes words after options too: argparse gives a positional argument of any length its first run of words only."""

    words: tuple[str, Callable[[str], Any]] | None = None
    """The attribute that takes them, and what each word becomes."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse what is known, and add the words that are left to their attribute."""
        found: Any
        found, rest = super().parse_known_args(args, namespace)
        if self.words is not None:
            name, kind = self.words
            setattr(found, name, [*getattr(found, name), *(kind(word) for word in rest if not word.startswith("-"))])
            rest = [word for word in rest if word.startswith("-")]
        return found, rest
