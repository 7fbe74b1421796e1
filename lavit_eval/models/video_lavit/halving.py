"""Batches that did not fit into memory: noted beside the journal before their halves are made.

A run that is killed in such a batch makes it in halves again, though another card might now hold the whole: halves and
whole differ by rounding, and a resume must change no byte.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from lavit_eval.digests import digest_json
from lavit_eval.errors import UsageError
from lavit_eval.files import write_json
from lavit_eval.sample import Request

NOTE = "halved.json"
SIGNS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


def out_of_memory(error: RuntimeError) -> bool:
    """Say whether an error means that memory does not suffice, on the card, in its libraries or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in SIGNS)


def was_halved(requests: Sequence[Request]) -> bool:
    """Say whether this batch was made in halves before."""
    note = _note(requests)
    return note is not None and _key(requests) in _halved(note)


def note_halved(requests: Sequence[Request]) -> None:
    """Note that this batch is made in halves; nothing is noted for requests that make no file."""
    note = _note(requests)
    if note is not None:
        write_json(note, sorted({*_halved(note), _key(requests)}))


def _note(requests: Sequence[Request]) -> Path | None:
    output = requests[0].output
    return None if output is None else Path(output).parent.parent / NOTE


def _key(requests: Sequence[Request]) -> str:
    return digest_json([list(request.key) for request in requests])


def _halved(note: Path) -> list[str]:
    try:
        noted: list[str] = json.loads(note.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UsageError(f"{note} cannot be read ({error}); restore it, or begin the run anew with --fresh.") from error
    return noted
