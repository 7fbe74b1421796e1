"""Puts official archives and annotation files where the readers look for them; nothing is ever downloaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lavit_eval.archives import Told, is_archive, place_file, unpack
from lavit_eval.cards import Archive, Card
from lavit_eval.errors import UsageError, nearest

BY_HAND = (".rar", ".7z")


@dataclass(frozen=True, slots=True)
class Errand:
    """One given file and the folder that it belongs in."""

    source: Path
    into: Path
    packed: bool
    """Whether it is an archive to unpack, or a file to copy."""


def errands(card: Card | None, given: Sequence[Path], root: Path, into: str | None) -> list[Errand]:
    """Return what is to be done with every given file (raises UsageError for the first that is not known).

    Args:
        card: Of the benchmark; None where it has none, which needs `into`.
        given: Archives or annotation files.
        root: The data root.
        into: A folder below the data root for files that the card does not name.
    """
    if into is not None and (Path(into).is_absolute() or ".." in Path(into).parts):
        raise UsageError(f"--into {into}: name a folder below the data root")
    found = []
    for source in given:
        if not source.is_file():
            raise UsageError(f"{source} does not exist or is a folder; give archives or annotation files")
        known = archive_named(card, source.name)
        folder = into if into is not None else known.into if known is not None else None
        if source.suffix.lower() in BY_HAND:
            note = known.note if known is not None else ""
            raise UsageError(f"{source} is packed in a form that is not unpacked here; do it by hand. {note}".strip())
        if folder is None or (known is not None and not known.into and into is None):
            names = [archive.name for archive in card.archives] if card is not None else []
            raise UsageError(
                f"{source.name} is none of the files of this benchmark; rename it to its official name, or say where "
                f"it belongs with --into FOLDER.{nearest(source.name, names)}"
            )
        found.append(Errand(source, root / folder, is_archive(source)))
    return found


def archive_named(card: Card | None, name: str) -> Archive | None:
    """Return the card's entry of a file name; a name with {01..20} stands for any number there."""
    for archive in card.archives if card is not None else ():
        pattern = ".+".join(re.escape(part) for part in re.split(r"\{[^}]*\}", archive.name))
        if re.fullmatch(pattern, name, re.IGNORECASE):
            return archive
    return None


def run_errand(errand: Errand, told: Told = lambda _: None) -> str:
    """Do it; return a line that says what was done (raises UsageError)."""
    if not errand.packed:
        target = errand.into / errand.source.name
        return f"{target}: {'copied' if place_file(errand.source, target) else 'there already, the same'}"
    came = unpack(errand.source, errand.into, told)
    present = f", {came.present:,} were there already" if came.present else ""
    litter = f", {came.passed_over:,} of macOS or Windows left out" if came.passed_over else ""
    return f"{errand.into}: {came.written:,} files out of {errand.source.name}{present}{litter}"
