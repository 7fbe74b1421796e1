"""The commands about weight files: list them, check those that are there, fetch or add those that are not."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lavit_eval import weights
from lavit_eval.digests import cached_digest, digest_file
from lavit_eval.downloads import DownloadError, Progress, Unreachable, download, looks_like_a_page, megabytes
from lavit_eval.errors import UsageError, nearest
from lavit_eval.weights import (
    WeightFile,
    entry,
    folder_option,
    folders,
    is_recorded,
    locate,
    record,
    refusal,
    vouching,
)

STALE_SECONDS = 24 * 3600.0
"""From this age on, a half-written file is taken for one that a killed process left."""
_USABLE = ("present", "trusted", "unverified")


@dataclass(frozen=True, slots=True)
class _State:
    """What this machine has of one file of the catalogue."""

    word: str
    """One of _USABLE, or "wrong digest", "unreadable", "missing", "refused"."""
    path: Path | None = None
    sha256: str = ""
    why: str = ""
    """What is wrong with it, as the end of a sentence."""


def list_weights(named: Path | None) -> int:
    """Print every file of the catalogue with its state on this machine, and where to get those that are missing."""
    width = min(max(shutil.get_terminal_size((100, 24)).columns, 80), 120)
    states = [(file, _state(file, named)) for file in weights.CATALOGUE]
    longest = max(len(file.name) for file in weights.CATALOGUE)
    print(f"{'file':{longest}}  {'state':12}  {'size':>8}  digest")
    for file, state in states:
        print(f"{file.name:{longest}}  {state.word:12}  {_size(file, state):>8}  {_short_digest(file)}")
        for line in _about(file, state):
            _print_wrapped(line, width, "    ")
    print()
    _print_wrapped(f"Looked for in {', then '.join(map(str, folders(named)))}.", width)
    missing = [file for file, state in states if state.word == "missing"]
    if missing:
        _print_wrapped(
            "To get what is missing: lavit-eval weights fetch NAME ... (or --all). Without a network, download it on "
            f"another machine, then here: lavit-eval weights add FILE{folder_option(named)}. The addresses:",
            width,
        )
        for file in missing:
            print(f"  {file.urls[0]}")
    return 0


def _print_wrapped(text: str, width: int, indent: str = "") -> None:
    lines = textwrap.wrap(text, width - len(indent), break_long_words=False, break_on_hyphens=False)
    print("\n".join(indent + line for line in lines))


def _about(file: WeightFile, state: _State) -> Iterator[str]:
    if file.refused_because:
        yield f"must not be used: it {file.refused_because}"
        return
    yield f"for {file.needed_by}; {'' if file.licence.startswith('no licence') else 'licence '}{file.licence}"
    if state.word == "unverified":
        yield _trusting(file, state)
    elif state.why:
        yield f"{state.why}; run: lavit-eval weights fetch {file.name}{folder_option(_folder_of(state))}"


def _size(file: WeightFile, state: _State) -> str:
    if state.path is not None:
        return megabytes(state.path.stat().st_size)
    return "?" if file.size is None else megabytes(file.size)


def _short_digest(file: WeightFile) -> str:
    kind, _, digits = (file.digest or "").partition(":")
    return f"{kind} {digits[:12]}" if digits else "no digest known"


def check_weights(names: Sequence[str], named: Path | None) -> int:
    """Read every file that is there from end to end and say whether it is right; return 2 if one is not, else 0.

    With names, only these, and a missing one counts as wrong. Raises UsageError for a name that no file has.
    """
    files = [entry(name) for name in names] or list(weights.CATALOGUE)
    wrong, missing = False, []
    longest = max(len(file.name) for file in files)
    for file in files:
        state = _state(file, named, digest_file)
        if state.path is None and not names:
            missing += [] if file.refused_because else [file.name]
            continue
        wrong |= state.word not in _USABLE and (bool(names) or not file.refused_because)
        print(f"{file.name:{longest}}  {state.word}{_verdict(file, state)}")
    if missing:
        print(f"Missing: {', '.join(missing)}. To get them: lavit-eval weights fetch --all")
    return 2 if wrong else 0


def _verdict(file: WeightFile, state: _State) -> str:
    if state.word == "unverified":
        return f": {_trusting(file, state)}"
    if state.word in _USABLE:
        return f": sha256 {state.sha256} ({state.path})"
    if file.refused_because:
        return f": {state.why}"
    return f"{': ' if state.why else ''}{state.why}; run: {file.how_to_get(_folder_of(state))}"


def fetch_weights(names: Sequence[str], everything: bool, named: Path | None) -> int:
    """Download files of the catalogue into the weights folder, each verified before it gets its name.

    What is there and not known to be wrong is left alone. Raises UsageError for names that no file has and, after all
    others were fetched, for those that could not be.
    """
    files = _to_fetch(names, everything)
    failures: list[_Unfetched] = []
    silent: dict[str, Unreachable] = {}
    for file in files:
        state = _state(file, named)
        if state.word in _USABLE:
            print(f"{file.name}: already there{_outcome(file, state)}")
            continue
        try:
            replaced = _fetch(file, folders(named)[0], silent)
        except _Unfetched as failure:
            failures.append(failure)
        else:
            print(f"{file.name}: fetched{_outcome(file, _state(file, named))}{replaced}", flush=True)
    if failures:
        raise UsageError(_by_hand(failures, silent, named))
    return 0


def _to_fetch(names: Sequence[str], everything: bool) -> list[WeightFile]:
    if bool(names) == everything:
        raise UsageError("Name the files to fetch, or say --all; lavit-eval weights list shows them.")
    files = [entry(name) for name in dict.fromkeys(names)] or [file for file in weights.CATALOGUE if file.urls]
    for file in files:
        if file.refused_because:
            raise UsageError(f"{file.name} must not be used: it {file.refused_because}; see: lavit-eval weights list")
    return files


class _Unfetched(Exception):
    """No address of a file gave it."""

    def __init__(self, file: WeightFile, reasons: Sequence[str], unreachable: bool) -> None:
        self.file, self.reasons, self.unreachable = file, reasons, unreachable


def _fetch(file: WeightFile, folder: Path, silent: dict[str, Unreachable]) -> str:
    """Bring a file into a folder; return a note on what lay there before. Servers that do not answer go to `silent`."""
    reasons, unreachable = [], True
    with _half_written(folder, file.name) as part:
        for url in file.urls:
            server = urlsplit(url).netloc
            try:
                if server in silent:
                    raise silent[server]
                with Progress(file.name, url, file.size) as progress:
                    sha256 = download(url, part, file.size, progress.told)
                if fault := _unusable(file, part, sha256) or file.difference(part, sha256):
                    raise DownloadError(f"gives another file: {fault}")
            except DownloadError as error:
                if isinstance(error, Unreachable):
                    silent[server] = error
                unreachable &= isinstance(error, Unreachable)
                reasons.append(f"{url} {error}")
                if url != file.urls[-1]:
                    print(f"{file.name}: {reasons[-1]}; trying another address", file=sys.stderr, flush=True)
            else:
                return _put(part, folder / file.name)
    raise _Unfetched(file, reasons, unreachable)


def _by_hand(failures: Sequence[_Unfetched], silent: dict[str, Unreachable], named: Path | None) -> str:
    add = f"lavit-eval weights add FILE{folder_option(named)}"
    if len(failures) > 1 and all(failure.unreachable for failure in failures):
        servers: dict[str, list[str]] = {}
        for server, error in silent.items():
            servers.setdefault(str(error), []).append(server)
        said = "; ".join(f"{', '.join(same)} {error}" for error, same in servers.items())
        return (
            f"None of {', '.join(failure.file.name for failure in failures)} could be fetched: {said}; download them "
            f"on another machine from the addresses in: lavit-eval weights list, then here: {add}"
        )
    return "\n".join(
        f"{failure.file.name} could not be fetched: {'; '.join(failure.reasons)}; download it by hand from "
        f"{failure.file.urls[0]}, then: {add}"
        for failure in failures
    )


def add_weights(source: Path, name: str | None, trust: bool, named: Path | None) -> int:
    """Copy a file that was downloaded elsewhere into the weights folder, under its name in the catalogue.

    Args:
        source: The file, recognised by its digest or else by its name.
        name: What it is, where neither tells.
        trust: The user vouches for this very file although its digest is another or unknown; recorded beside it.
        named: The folder that the user names (`--weights-dir`).

    Raises:
        UsageError: The file is missing or unknown, must not be used, or is not what it should be.
    """
    if not source.is_file():
        raise UsageError(f"There is no file {source}; lavit-eval weights list says where to download it.")
    try:
        sha256 = digest_file(source)
    except OSError as error:
        raise UsageError(f"{source} cannot be read ({error.strerror}); make it readable.") from error
    if reason := refusal(source, sha256):
        raise UsageError(f"{source} must not be used: it {reason}; for others: lavit-eval weights list")
    file = _recognised(source, sha256, name)
    if fault := _unusable(file, source, sha256):
        raise UsageError(f"{source} is not {file.name}: {fault}; run: {file.how_to_get(named)}")
    published, difference = file.matches(source, sha256), file.difference(source, sha256)
    if difference and not trust:
        raise UsageError(
            f"{source} is not the published {file.name}: {difference}; run: {file.how_to_get(named)}, or, if you vouch "
            "for this very file, repeat with --trust"
        )
    path = folders(named)[0] / file.name
    replaced = _copy_in(source, path, sha256)
    if trust and not published:
        record(path, file.name, sha256)
    print(f"{file.name}: added{_outcome(file, _state(file, named))}{replaced}")
    return 0


def _recognised(source: Path, sha256: str, name: str | None) -> WeightFile:
    usable = {file.name: file for file in weights.CATALOGUE if not file.refused_because}
    if name is not None:
        file = entry(name)
        if file.refused_because:
            raise UsageError(f"{name} must not be used: it {file.refused_because}; see: lavit-eval weights list")
        return file
    found = next((file for file in usable.values() if file.matches(source, sha256)), usable.get(source.name))
    if found is None:
        raise UsageError(
            f"{source} (sha256 {sha256}) is no file of the catalogue, by its digest or its name."
            f"{nearest(source.name, list(usable))} If it is one of them, repeat with --as NAME."
        )
    return found


def _unusable(file: WeightFile, path: Path, sha256: str) -> str | None:
    """Return why nobody can vouch for a file: it must not be used, or plainly holds no such weights; None if it may."""
    if reason := refusal(path, sha256):
        return f"it {reason}"
    with open(path, "rb") as stream:
        if looks_like_a_page(stream.read(100)):
            return "it is a web page"
    if file.digest is None and file.carries_code and not zipfile.is_zipfile(path):
        return "it is no TorchScript archive, or only the beginning of one"
    return None


def _state(file: WeightFile, named: Path | None, digest: Callable[[Path], str] = cached_digest) -> _State:
    path = locate(file.name, named)
    if file.refused_because:
        return _State("refused", path, why=f"must not be used: it {file.refused_because}")
    if path is None:
        return _State("missing")
    try:
        sha256 = digest(path)
        if reason := refusal(path, sha256):
            return _State("wrong digest", path, sha256, f"it {reason}")
        published, difference = file.matches(path, sha256), file.difference(path, sha256)
    except OSError as error:
        return _State("unreadable", path, why=f"it cannot be read ({error.strerror})")
    if published:
        return _State("present", path, sha256)
    if is_recorded(path, file.name, sha256):
        return _State("trusted", path, sha256)
    return _State("wrong digest" if difference else "unverified", path, sha256, difference or "")


def _outcome(file: WeightFile, state: _State) -> str:
    if state.word == "unverified":
        return f", unverified ({state.path})\n  {_trusting(file, state)}"
    said = "its digest is the published one" if state.word == "present" else f"trusted, sha256 {state.sha256}"
    return f", {said} ({state.path})"


def _trusting(file: WeightFile, state: _State) -> str:
    known = f"no published digest is known; its sha256 is {state.sha256}"
    if not file.carries_code or state.path is None:
        return known
    return f"{known}; it carries code and is only loaded if you trust it: {vouching(state.path, file.name)}"


def _folder_of(state: _State) -> Path | None:
    return state.path.parent if state.path else None


@contextmanager
def _half_written(folder: Path, name: str) -> Iterator[Path]:
    """Give a temporary name in a folder, gone afterwards unless renamed (raises UsageError for OSError inside)."""
    part = folder / f".{name}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(f".{name}.*.part"):
            with suppress(OSError):
                if time.time() - stale.stat().st_mtime > STALE_SECONDS:
                    stale.unlink()
        yield part
    except OSError as error:
        raise UsageError(
            f"{folder / name} cannot be written ({error.strerror}); free disk space or choose another --weights-dir."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _put(part: Path, final: Path) -> str:
    """Give a whole file its name; another one that lay there is kept beside it, and the note says so."""
    note = ""
    if final.exists():
        aside = final.with_name(f"{final.name}.replaced")
        os.replace(final, aside)
        note = f"\n  the other file that lay there is now {aside}"
    os.replace(part, final)
    return note


def _copy_in(source: Path, final: Path, sha256: str) -> str:
    with _half_written(final.parent, final.name) as part:
        if final.is_file() and digest_file(final) == sha256:
            return ""
        digest = hashlib.sha256()
        with open(source, "rb") as given, open(part, "wb") as stream:
            while chunk := given.read(1 << 20):
                digest.update(chunk)
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())
        if digest.hexdigest() != sha256:
            raise UsageError(f"{source} changed while it was copied; repeat the command when it is whole.")
        return _put(part, final)
