"""Batches that did not fit into memory: noted beside the journal before their halves are made.

A run that is killed in such a batch makes it in halves again, though another card might now hold the whole: halves and
whole differ by rounding, and a resume must change no byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from lavit_eval.digests import digest_json
from lavit_eval.files import write_json
from lavit_eval.sample import Request

NOTES = "halved"
SIGNS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


def out_of_memory(error: RuntimeError) -> bool:
    """Say whether an error means that memory does not suffice, on the card, in its libraries or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in SIGNS)


def was_halved(requests: Sequence[Request]) -> bool:
    """Say whether this batch was made in halves before."""
    note = _note(requests)
    return note is not None and note.is_file()


def note_halved(requests: Sequence[Request]) -> None:
    """Note that this batch is made in halves; nothing is noted for requests that make no file."""
    note = _note(requests)
    if note is not None:
        write_json(note, _keys(requests))


def _note(requests: Sequence[Request]) -> Path | None:
    # A file per batch: several workers may note at once.
    output = requests[0].output
    return None if output is None else Path(output).parent.parent / NOTES / f"{digest_json(_keys(requests))}.json"


def _keys(requests: Sequence[Request]) -> list[list[str | int]]:
    return [list(request.key) for request in requests]
