"""Batches that did not fit into memory are done in halves; where files are made, that is noted beside the journal.

A run that is killed in such a batch makes it in halves again, though another card might now hold the whole: halves and
whole differ by rounding, and a resume must change no byte.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch

from lavit_eval.digests import digest_json
from lavit_eval.files import write_json
from lavit_eval.sample import Request

Item = TypeVar("Item")
Result = TypeVar("Result")

NOTES = "halved"
SIGNS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


def out_of_memory(error: RuntimeError) -> bool:
    """Say whether an error means that memory does not suffice, on the card, in its libraries or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in SIGNS)


def in_halves(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]], release: Callable[[], None]
) -> list[tuple[Result | None, bool]]:
    """Return the work's results and whether they were made in part of the batch.

    Where the memory does not suffice, the halves are done one after the other, and their halves; None stands for an item
    that does not fit even alone.

    Args:
        items: The batch.
        work: Returns one result per item; what it raises for lack of memory must leave nothing behind.
        release: Frees what can be freed after a failed attempt.
    """
    try:
        return [(result, False) for result in work(items)]
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    # Only out of the handler is what the failed attempt held really free.
    release()
    if len(items) == 1:
        return [(None, False)]
    middle = (len(items) + 1) // 2
    halves = (items[:middle], items[middle:])
    return [(result, True) for half in halves for result, _ in in_halves(half, work, release)]


def free_cached() -> None:
    """Give memory that nothing uses back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


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
