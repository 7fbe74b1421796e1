"""Strict reading of annotation files: what is not as the official layout says is an error that names the entry."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, NoReturn

from lavit_eval.errors import UsageError

Record = dict[str, Any]
Kind = type | tuple[type, ...]
KIND_NAMES = {str: "text", int: "a whole number", list: "a list", dict: "an object", float: "a number"}


def read_json(path: Path, keyed: bool = False) -> Any:
    """Return the content of a JSON file in UTF-8, with or without a byte order mark.

    Args:
        path: The file.
        keyed: Whether the keys of the top object are ids, of which none may come twice: JSON itself keeps the last.

    Raises UsageError with the line when the file is not JSON (a cut-off download, JSON lines, a web page).
    """
    text = json_text(path)
    try:
        return _parsed_with_unique_keys(path, text) if keyed else parse_json(text)
    except json.JSONDecodeError as error:
        raise not_json(path, error) from error
    except RecursionError as error:
        raise UsageError(f"{path} is nested too deeply for an annotation file: download it again") from error


def _parsed_with_unique_keys(path: Path, text: str) -> Any:
    twice: list[str] = []

    def made(pairs: list[tuple[str, Any]]) -> Record:
        found = dict(pairs)
        # The top object is made last, so that what is left here is of it.
        twice[:] = (
            () if len(found) == len(pairs) else (next(k for k, n in Counter(k for k, _ in pairs).items() if n > 1),)
        )
        return found

    with uncollected():
        content = json.loads(text, object_pairs_hook=made)
    if isinstance(content, dict) and twice:
        raise UsageError(f'{path} has the entry "{twice[0]}" twice: is it the official file, unchanged?')
    return content


def json_text(path: Path) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark (raises UsageError)."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): check the file and its permissions") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start}): download it again") from error


def not_json(path: Path, error: json.JSONDecodeError) -> UsageError:
    """Return the error about a file that is no JSON, with the place."""
    at = f"line {error.lineno}, column {error.colno}: {error.msg}"
    return UsageError(f"{path} is not valid JSON ({at}): download it again, it may be cut off")


def parse_json(text: str) -> Any:
    """Return the value of a JSON text (raises json.JSONDecodeError)."""
    with uncollected():
        return json.loads(text)


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector off: none of the millions of objects of a large file is garbage, and it visits all."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def read_records(
    path: Path, fields: Mapping[str, Kind], key: str | None = None, under: str | None = None
) -> list[Record]:
    """Return the entries of an annotation file, each checked.

    Args:
        path: A JSON file that holds a list of objects, or an object that holds the list.
        fields: Fields that every entry must have, with the type of their value; a bool is no number.
        key: The field that identifies an entry; no value of it may come twice.
        under: Where in the top object the list stands; None when the file is the list itself.

    Raises UsageError that names the file and the entry.
    """
    content = read_json(path)
    if under is not None:
        if not isinstance(content, dict) or under not in content:
            raise UsageError(f'{path} must be a JSON object with a list "{under}": is it the right file?')
        content = content[under]
    where = f'"{under}" of {path}' if under is not None else str(path)
    if not isinstance(content, list):
        raise UsageError(f"{where} must be a list of entries, not {kind_of(content)}: is it the right file?")
    if not content:
        raise UsageError(f"{where} holds no entries: download it again")
    check_records(path, content, fields, key)
    return content


def check_records(
    path: Path,
    rows: list[Any],
    fields: Mapping[str, Kind],
    key: str | None,
    start: int = 0,
    named: str | None = None,
) -> None:
    """Raise UsageError for the first entry with a missing or ill-typed field, or with an id seen before.

    Args:
        path: The file, for errors.
        rows: Entries, `start` of which come before them in the file.
        fields: As in `read_records`.
        key: As in `read_records`.
        start: How many entries come before these.
        named: The field by which an error names an entry, where no `key` is given.
    """
    if not all(is_of_kind(rows, name, kind) for name, kind in fields.items()):
        find_fault(path, rows, fields, key or named, start)
    if key is not None:
        refuse_duplicates(path, rows, key)


def is_of_kind(rows: list[Any], name: str, kind: Kind) -> bool:
    """Return whether a field is present and of the right type in every entry, without looking for the one at fault."""
    accepted = set(kind) if isinstance(kind, tuple) else {kind}
    try:
        return set(map(type, map(itemgetter(name), rows))) <= accepted
    except (KeyError, TypeError, IndexError):
        return False


def find_fault(path: Path, rows: list[Any], fields: Mapping[str, Kind], key: str | None, start: int = 0) -> None:
    """Raise UsageError for the first entry that is not an object or has a missing or ill-typed field."""
    for index, row in enumerate(rows, start):
        if type(row) is not dict:
            fault(path, index, None, key, f"is {kind_of(row)}, not an object")
        for name, kind in fields.items():
            if name not in row:
                fault(path, index, row, key, f'has no field "{name}"')
            if type(row[name]) not in (kind if isinstance(kind, tuple) else (kind,)):
                fault(path, index, row, key, f'has {kind_of(row[name])} as "{name}", not {kind_name(kind)}')


def refuse_duplicates(path: Path, rows: list[Record], key: str) -> None:
    """Raise UsageError when two entries have the same id (7 and "7" are the same)."""
    ids = [str(row[key]) for row in rows]
    if len(set(ids)) == len(ids):
        return
    seen: dict[str, int] = {}
    for index, identity in enumerate(ids):
        first = seen.setdefault(identity, index)
        if first != index:
            fault(path, index, rows[index], key, f"has the {key} of entry {first + 1}")


def same_ids(path: Path, ids: Iterable[str], other_path: Path, other_ids: Iterable[str], key: str) -> None:
    """Raise UsageError unless two files speak of the same ids; it counts what is missing and names the first."""
    mine, others = dict.fromkeys(ids), dict.fromkeys(other_ids)
    for lacking, lacks, has in ((other_path, others, mine), (path, mine, others)):
        missing = [identity for identity in has if identity not in lacks]
        if missing:
            holder = path if lacking == other_path else other_path
            raise UsageError(
                f"{lacking} lacks {len(missing)} of the {len(has)} entries of {holder} (first: {key} {missing[0]}): "
                "the two files are of different splits or versions, download both again"
            )


def fault(path: Path, index: int, row: Mapping[str, Any] | None, key: str | None, what: str) -> NoReturn:
    """Raise the UsageError about one entry (counted from 1), named by its id where it has one."""
    named = f" ({key} {row[key]})" if row is not None and key is not None and key in row else ""
    raise UsageError(f"{path}, entry {index + 1}{named} {what}: is it the official file, unchanged?")


def kind_of(value: object) -> str:
    """Return in words what kind of JSON value this is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    return KIND_NAMES.get(type(value), type(value).__name__)


def kind_name(kind: Kind) -> str:
    """Return the words for an accepted type or types."""
    return " or ".join(KIND_NAMES[one] for one in (kind if isinstance(kind, tuple) else (kind,)))
