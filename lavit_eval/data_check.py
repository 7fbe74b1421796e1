"""Whether a task's data are what they should be: files, counts, ids, digests, and media that can be decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from lavit_eval.benchmarks.protocol import Found
from lavit_eval.cards import CERTAIN, Card, Count, FileDigest, card_of
from lavit_eval.digests import cached_digest
from lavit_eval.errors import MediumError, UsageError
from lavit_eval.missing_media import CaseHints
from lavit_eval.preparation import count_problems, read_samples
from lavit_eval.progress import Progress, Silence
from lavit_eval.provenance import file_size
from lavit_eval.sample import Medium, Sample
from lavit_eval.subset import chosen
from lavit_eval.task import Task

IN_FLIGHT = 4
"""Media under way for each thread."""


@dataclass(slots=True)
class Findings:
    """What was found of one task's data."""

    task: Task
    card: Card | None
    problems: list[str] = field(default_factory=list)
    """What stops a run, one sentence each."""
    failures: list[str] = field(default_factory=list)
    """What makes single samples fail in a run that goes on."""
    notes: list[str] = field(default_factory=list)
    """What is worth knowing and stops nothing."""
    facts: list[str] = field(default_factory=list)
    """What was looked at, a line each."""
    absent: bool = False
    """Whether files must be fetched."""

    @property
    def exit_code(self) -> int:
        """2 where a run would stop, 3 where some samples would fail, else 0."""
        return 2 if self.problems else 3 if self.failures else 0


@dataclass(frozen=True, slots=True)
class Thoroughness:
    """How far a check goes."""

    quick: bool = False
    """Whether media are looked for only and not opened."""
    allow_missing: bool = False
    """Whether absent media make samples fail instead of stopping a run."""
    threads: int = 1


def check_task(
    task: Task, root: Path, how: Thoroughness, progress: Progress | None = None, rewritten: bool = False
) -> Findings:
    """Check a task's data under a data root; nothing is raised, all that is wrong stands in the findings.

    The digests of official files do not count where the files were `rewritten` from the hub's rows.
    Counts and digests are those of the benchmark's card where the task has the official number of samples; what is
    known from memory or by inference only gives a note where the files say otherwise.
    """
    found = Findings(task, card_of(task))
    try:
        data = read_samples(task, root)
    except UsageError as error:
        found.problems.append(str(error))
        found.absent = True
        return found
    for name, path in _shortened(data.annotations).items():
        found.facts.append(f"annotations: {name}: {path}")
    found.problems += [problem.removeprefix(f"{task.task}: ") for problem in count_problems(task, data, {})]
    _check_ids(found, data.samples)
    _check_facts(found, data, rewritten)
    taken = data.samples if task.subset is None else chosen(data.samples, task.subset)
    _check_media(found, taken, how, progress or Silence())
    return found


def _shortened(annotations: Mapping[str, Path], most: int = 5) -> dict[str, str]:
    shown = {name: str(path) for name, path in islice(annotations.items(), most)}
    if len(annotations) > most:
        shown[f"and {len(annotations) - most} more"] = str(next(iter(annotations.values())).parent.parent)
    return shown


def _check_ids(found: Findings, samples: Sequence[Sample]) -> None:
    seen: set[str] = set()
    twice = [sample.id for sample in samples if sample.id in seen or seen.add(sample.id)]  # type: ignore[func-returns-value]
    if twice:
        found.problems.append(
            f"{len(twice)} sample ids come more than once (first: {twice[0]}): take the official file, unchanged"
        )


def _check_facts(found: Findings, data: Found, rewritten: bool) -> None:
    facts = found.card.facts(found.task.split, found.task.samples) if found.card else None
    if facts is None:
        found.notes.append(
            f"no counts or digests are known of {found.task.task}, split {found.task.split}, "
            f"with {found.task.samples or 'any number of'} samples: files and media are checked alone"
        )
        return
    for count in facts.counts:
        _check_count(found, count, measured(count.of, data.samples))
    known = {} if rewritten else {digest.file: digest for digest in facts.digests}
    for path in data.annotations.values():
        if path.name in known:
            _check_digest(found, known[path.name], path)


def _check_count(found: Findings, count: Count, have: int) -> None:
    named = f"{count.of}: {have:,}"
    if have == count.count:
        found.facts.append(f"{named}, as it should be ({count.sure})")
    elif count.sure in CERTAIN:
        found.problems.append(
            f"{named}, but the official split has {count.count:,}: take the official files, unchanged"
        )
    else:
        found.notes.append(f"{named}, where {count.count:,} were expected ({count.sure}, so that this may be right)")


def measured(of: str, samples: Iterable[Sample]) -> int:
    """Return what `Count.of` names, counted in the samples.

    >>> measured("answer=yes", [Sample("1", (), "?", ("yes",)), Sample("2", (), "?", ("no",))])
    1
    """
    if of == "samples":
        return sum(1 for _ in samples)
    if of == "media":
        return len({medium.name for sample in samples for medium in sample.media})
    if of == "targets":
        return len({medium.name for sample in samples for medium in sample.targets})
    if of == "references":
        return sum(len(sample.references) for sample in samples)
    axis, _, category = of.partition("=")
    if axis == "answer":
        return sum(sample.references[:1] == (category,) for sample in samples)
    return sum(sample.categories.get(axis) == category for sample in samples)


def _check_digest(found: Findings, known: FileDigest, path: Path) -> None:
    digest = cached_digest(path) if known.algorithm == "sha256" else _md5(path)
    if digest.startswith(known.begins):
        found.facts.append(f"{path.name}: {known.algorithm} {known.begins[:12]}..., as it should be ({known.sure})")
        return
    found.problems.append(
        f"{path} has the {known.algorithm} {digest[:12]}..., the official file {known.begins[:12]}...: "
        "it is another version, or was changed; download it again"
    )


def _md5(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _check_media(found: Findings, samples: Sequence[Sample], how: Thoroughness, progress: Progress) -> None:
    media = {medium.name: medium for sample in samples for medium in (*sample.media, *sample.targets)}
    places = {name: medium.path for name, medium in media.items()}
    missing = [path for path in places.values() if not file_size(path)]
    hints = CaseHints()
    lines = [_missing_line(path, hints) for path in missing]
    (found.failures if how.allow_missing else found.problems).extend(lines)
    found.absent = found.absent or bool(missing)
    there = len(places) - len(missing)
    found.facts.append(f"media: {there:,} of {len(places):,} found")
    if missing:
        gone = set(missing)
        whole = sum(not any(one.path in gone for one in (*each.media, *each.targets)) for each in samples)
        found.notes.append(
            f"{whole:,} of {len(samples):,} samples have all their media; a run with --allow-missing gives a score of "
            "these, labelled partial"
        )
    if how.quick:
        found.facts.append("media were not opened (--quick)")
        return
    absent = set(missing)
    present = list({medium.path: medium for medium in media.values() if medium.path not in absent}.values())
    progress.begin(f"{found.task.task}: opening", len(present), 0, "media")
    broken = []
    for reason in _in_parallel(opening_fault, present, how.threads):
        progress.advance(1)
        if reason is not None:
            broken.append(reason)
    progress.end()
    found.failures += sorted(broken)
    found.facts.append(f"media: {len(present) - len(broken):,} of {len(present):,} open (first picture decoded)")


def _missing_line(path: str, hints: CaseHints) -> str:
    state = "empty" if Path(path).is_file() else "missing"
    other = hints.of(path) if state == "missing" else None
    named = f" (there is {other}, whose name differs in letters' case: rename it)" if other else ""
    return f"{path} is {state}{named}"


def opening_fault(medium: Medium) -> str | None:
    """Return why the first picture of a medium cannot be decoded, None where it can."""
    try:
        if medium.kind == "image":
            from lavit_eval.video.picture import open_picture

            open_picture(Path(medium.path))
            return None
        if Path(medium.path).is_dir():
            return _frames_fault(Path(medium.path))
        from lavit_eval.video.source import VideoFile

        with VideoFile(Path(medium.path)) as video:
            if next(iter(video.frames()), None) is None:
                return f"video {medium.path} holds no picture."
    except MediumError as error:
        return str(error)
    return None


def _frames_fault(folder: Path) -> str | None:
    """Return why the first picture of a folder of frames cannot be decoded, None where it can (raises MediumError)."""
    from lavit_eval.video.picture import open_picture

    first = min((path for path in folder.iterdir() if path.is_file()), default=None)
    if first is None:
        return f"the folder of frames {folder} is empty."
    open_picture(first)
    return None


def _in_parallel(work: Callable[[Medium], str | None], media: Sequence[Medium], threads: int) -> Iterator[str | None]:
    """Yield the result for every medium as it comes, a bounded number of them under way."""
    waiting = iter(media)
    with ThreadPoolExecutor(threads, thread_name_prefix="opening") as pool:
        under_way: set[Future[str | None]] = set()
        while True:
            under_way |= {pool.submit(work, one) for one in islice(waiting, threads * IN_FLIGHT - len(under_way))}
            if not under_way:
                return
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
