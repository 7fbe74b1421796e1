"""Batches that did not fit into memory are done in halves."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

SIGNS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


def out_of_memory(error: RuntimeError) -> bool:
    """Say whether an error means that memory does not suffice, on the card, in its libraries or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in SIGNS)


def in_halves(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]], release: Callable[[], None]
) -> list[tuple[Result | None, bool]]:
    """Return the work's results and whether they were made in part of the batch.

    Where the memory does not suffice, the halves are done one after the other, and their halves; None stands for an
    item that does not fit even alone.

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
