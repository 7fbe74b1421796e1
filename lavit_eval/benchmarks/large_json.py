"""Reading a long list in a JSON file entry by entry, so that what an entry holds is gone before the next is made."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping
from itertools import islice
from json.decoder import JSONDecodeError
from pathlib import Path
from typing import Any

from lavit_eval.benchmarks.annotations import Kind, Record, check_records, json_text, kind_of, not_json
from lavit_eval.errors import UsageError

BLOCK = 16
"""Entries that are checked together: as many as stay in the processor's cache; with 512 it takes twice as long."""
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def read_blocks(path: Path, fields: Mapping[str, Kind], key: str, under: str) -> Iterator[tuple[int, list[Record]]]:
    """Yield (number of the first entry, entries) of the list `under` in the top object, each entry checked.

    What is given and raised is as of `annotations.read_records`, save that ids that come twice are the caller's to
    find: no entry is kept here.
    """
    entries, start = _entries(path, under), 0
    while block := list(islice(entries, BLOCK)):
        check_records(path, block, fields, None, start=start, named=key)
        yield start, block
        start += len(block)
    if not start:
        raise UsageError(f'"{under}" of {path} holds no entries: download it again')


def _entries(path: Path, under: str) -> Iterator[Any]:
    text = json_text(path)
    try:
        at = _after_space(text, 0)
        if text[at : at + 1] != "{":
            # Not an object: let the whole be parsed, so that what is no JSON at all is said as such.
            _DECODER.decode(text)
            raise UsageError(f'{path} must be a JSON object with a list "{under}": is it the right file?')
        found = False
        at = _after_space(text, at + 1)
        while text[at : at + 1] != "}":
            name, at = _DECODER.raw_decode(text, at)
            if not isinstance(name, str):
                raise JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
            at = _after_space(text, _past(text, _after_space(text, at), ":"))
            if name != under:
                _, at = _DECODER.raw_decode(text, at)
            elif text[at : at + 1] != "[":
                value, _ = _DECODER.raw_decode(text, at)
                raise UsageError(
                    f'"{under}" of {path} must be a list of entries, not {kind_of(value)}: is it the right file?'
                )
            else:
                found = True
                at = yield from _listed(text, at)
            at = _next(text, at, "}")
        if (end := _after_space(text, at + 1)) != len(text):
            raise JSONDecodeError("Extra data", text, end)
    except JSONDecodeError as error:
        raise not_json(path, error) from error
    except RecursionError as error:
        raise UsageError(f"{path} is nested too deeply for an annotation file: download it again") from error
    if not found:
        raise UsageError(f'{path} must be a JSON object with a list "{under}": is it the right file?')


def _listed(text: str, at: int) -> Generator[Any, None, int]:
    """Yield the values of the list that begins at a place; return the place behind it."""
    at = _after_space(text, at + 1)
    while text[at : at + 1] != "]":
        value, at = _DECODER.raw_decode(text, at)
        yield value
        at = _next(text, at, "]")
    return at + 1


def _next(text: str, at: int, closing: str) -> int:
    """Return the place of the next member, or of the closing bracket."""
    at = _after_space(text, at)
    if text[at : at + 1] == closing:
        return at
    at = _after_space(text, _past(text, at, ","))
    if text[at : at + 1] == closing:
        raise JSONDecodeError("Illegal trailing comma", text, at)
    return at


def _past(text: str, at: int, mark: str) -> int:
    if text[at : at + 1] != mark:
        raise JSONDecodeError(f"Expecting '{mark}' delimiter", text, at)
    return at + 1


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found is not None else at
