"""What `lavit-eval tasks` says: the table of all tasks by kind, and the page of one that leads to its data."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from lavit_eval.cards import Archive, Card, DataFile, card_of
from lavit_eval.open_points import open_points
from lavit_eval.published import ANOTHER_SPLIT, Beside, beside, published
from lavit_eval.sample import JSON
from lavit_eval.task import Decoding, Task

ROOT = "DATA"
"""Stands for the data root in what is printed."""
KINDS = {
    ("answer", "image"): "image questions",
    ("answer", "video"): "video questions",
    ("choose", "image"): "image questions",
    ("choose", "video"): "video questions",
    ("caption", "image"): "image captions",
    ("caption", "video"): "video captions",
    ("generate_image", "image"): "text to image",
    ("generate_video", "video"): "text to video",
    ("generate_video", "image"): "image to video",
    ("reconstruct_video", "video"): "reconstruction",
}
"""(What a task asks for, its benchmark's medium) -> the kind of task; in the order in which they are listed."""
NARROWEST, WIDEST = 80, 120
HEAD = ("task", "split", "samples", "primary metric", "paper", "licence")
TreeNode = dict[str, Any]


def kind_of(task: Task) -> str:
    """Return the kind of a task; what it asks for where its benchmark has no card."""
    card = card_of(task)
    return KINDS.get((task.request, card.medium), task.request) if card is not None else task.request


def tasks_by_kind(tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """Return kind -> tasks, the kinds in their order, those that only a user's own task has last."""
    found: dict[str, list[Task]] = {kind: [] for kind in KINDS.values()}
    for task in tasks:
        found.setdefault(kind_of(task), []).append(task)
    return {kind: members for kind, members in found.items() if members}


def paper_number(task: Task) -> Beside | None:
    """Return the paper's number of a task's primary metric, or of another one where the paper has only that."""
    labels = ("demo features",) if task.features == "demo" else ()
    found = beside(task.published_task, task.primary, primary=True, labels=labels)
    if found is None or task.submission is None:
        return found
    # The split whose answers only the server has is the one that the paper's number is of.
    return replace(found, obstacles=tuple(each for each in found.obstacles if not each.startswith(ANOTHER_SPLIT)))


def licence_of(task: Task) -> str:
    """Return a benchmark's licence as its card says it."""
    card = card_of(task)
    return card.licence if card is not None else "?"


def summary_of(task: Task) -> dict[str, JSON]:
    """Return a task's line of the table, for machines."""
    number = paper_number(task)
    return {
        "task": task.task,
        "kind": kind_of(task),
        "split": task.split,
        "samples": task.samples,
        "primary": task.primary,
        "metrics": list(task.metrics),
        "licence": licence_of(task),
        "paper": None
        if number is None
        else {"value": number.value, "comparable": number.comparable, "is": str(number)},
        "hub": None if task.hub is None else task.hub.model_dump(mode="json"),
    }


def page_data(task: Task) -> dict[str, JSON]:
    """Return all that a task's page says, for machines."""
    card = card_of(task)
    return {
        **summary_of(task),
        "fields": task.model_dump(mode="json"),
        "card": None if card is None else card.model_dump(mode="json"),
        "published": [vars_of(number) for number in published(task.published_task)],
        "open_points": [point.model_dump(mode="json") for point in _open(task)],
        "commands": commands_of(task, card),
    }


def vars_of(number: Any) -> dict[str, JSON]:
    """Return a published number's columns."""
    return {name: getattr(number, name) for name in number.__dataclass_fields__}


def _open(task: Task) -> list[Any]:
    found: list[Any] = []
    for metric in task.metrics:
        found += [point for point in open_points(task.published_task, metric) if point not in found]
    return found


def commands_of(task: Task, card: Card | None) -> list[str]:
    """Return the commands that prepare a task's data, check them, and run the task."""
    packed = [archive.name for archive in card.archives_of(task.split) if archive.into] if card is not None else []
    asked = f"--tasks {task.task}"
    model = "--model video-lavit --checkpoint DIR"
    files = " ".join(map(_quoted, packed))
    found = [f"lavit-eval data prepare {task.task} {files} --data-root {ROOT}"] if files else []
    found.append(f"lavit-eval data check {task.task} --data-root {ROOT}")
    found.append(f"lavit-eval run {model} {asked} --data-root {ROOT}")
    if task.hub is not None:
        found.append(f"lavit-eval run {model} {asked} --source hub")
    return found


def _quoted(name: str) -> str:
    return f'"{name}"' if set(name) & set("{} ") else name


def render_page(task: Task) -> str:
    """Return a task's page as text for the terminal."""
    card = card_of(task)
    width = min(max(shutil.get_terminal_size((100, 24)).columns, NARROWEST), WIDEST)
    samples = f"{task.samples:,} samples" if task.samples else "any number of samples"
    title = card.title if card is not None else f"reader {task.benchmark}"
    lines = [f"{task.task}: {title}, split {task.split}, {samples} ({kind_of(task)})", ""]
    lines += _wrapped(
        " ".join(filter(None, [card.about.strip() if card else "", task.description.strip()])), width, "  "
    )
    if card is not None:
        lines += _data_lines(task, card, width)
    else:
        lines += ["", "There is no card of this benchmark: its reader comes with a package of its own."]
    lines += _asking_lines(task, card, width)
    lines += _paper_lines(task, card, width)
    if card is not None and card.traps:
        lines += _listed("Traps", card.traps, width)
    lines += ["", "Commands", *(f"  {command}" for command in commands_of(task, card))]
    if card is not None:
        lines += ["", *_wrapped(f"This card is from: {'; '.join(card.sources)}.", width, "")]
    return "\n".join(lines) + "\n"


def _data_lines(task: Task, card: Card, width: int) -> Iterator[str]:
    yield from ("", f"Files below {ROOT} (--data-root, else $LAVIT_EVAL_DATA, else ./data)")
    yield from (f"  {line}" for line in tree_lines(card.files_of(task.split)))
    yield from ("", "Where to get them")
    for archive in card.archives_of(task.split):
        yield from _wrapped(archive_line(archive), width, "  ", "    ")
    yield from _wrapped(f"Licence: {card.licence}.", width, "")
    if card.gated:
        yield from _wrapped(f"By hand: {card.gated}", width, "")
    yield from _wrapped(_hub_line(task, card), width, "")
    facts = card.facts(task.split, task.samples)
    if facts is not None and facts.counts:
        counted = "; ".join(f"{count.of} {count.count:,} ({count.sure})" for count in facts.counts)
        yield from _wrapped(f"Counts: {counted}.", width, "", "  ")
    if facts is not None and facts.digests:
        known = "; ".join(f"{one.file} {one.algorithm} {one.begins[:12]}... ({one.sure})" for one in facts.digests)
        yield from _wrapped(f"Digests: {known}.", width, "", "  ")


def archive_line(archive: Archive) -> str:
    """Return what an archive holds, where it is and where it goes, in one line."""
    into = f"goes into {ROOT}/{archive.into}/" if archive.into else "unpacked by hand"
    note = f"; {archive.note}" if archive.note else ""
    return f"{archive.name}: {archive.holds}; {archive.url or 'no address'}; {into}{note}"


def _hub_line(task: Task, card: Card) -> str:
    if task.hub is None:
        return f"Hub: no source for this task. {card.no_hub}".strip()
    hub = task.hub
    config = f", configuration {hub.config}" if hub.config else ""
    images = f", images in {hub.images}" if hub.images else ""
    revision = f"revision {hub.revision}" if hub.revision else "today's revision, which is printed and recorded"
    return (
        f"Hub (--source hub): {', '.join(hub.ids)}, tried in this order{config}{images}, split {hub.split}, {revision}."
    )


def tree_lines(files: Sequence[DataFile]) -> list[str]:
    r"""Return the layout as a tree, what each file is beside it.

    >>> print("\n".join(tree_lines([DataFile(path="a/b.json", what="questions"), DataFile(path="a/c/")])))
    DATA/
    └── a/
        ├── b.json   questions
        └── c/
    """
    root: TreeNode = {}
    for file in files:
        node = root
        parts = _split(file.path)
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                break
        node[parts[-1]] = file.what if not file.path.endswith("/") else {"": file.what}
    rows = [(f"{ROOT}/", ""), *_branches(root, "")]
    widest = max(len(drawn) for drawn, what in rows if what) if any(what for _, what in rows) else 0
    return [f"{drawn:{widest}}   {what}".rstrip() if what else drawn for drawn, what in rows]


def _split(path: str) -> list[str]:
    """Return the parts of a path; a "/" within braces is none."""
    parts, depth = [""], 0
    for letter in path.rstrip("/"):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "/" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _branches(node: TreeNode, before: str) -> Iterator[tuple[str, str]]:
    names = [name for name in node if name]
    for number, name in enumerate(names):
        last = number == len(names) - 1
        below = node[name]
        folder = isinstance(below, dict)
        what = below.get("", "") if folder else below
        yield f"{before}{'└── ' if last else '├── '}{name}{'/' if folder else ''}", what
        if folder:
            yield from _branches(below, before + ("    " if last else "│   "))


def _asking_lines(task: Task, card: Card | None, width: int) -> Iterator[str]:
    yield from ("", "How it is asked and scored")
    yield f"  asks for {task.request}; prompt:"
    yield from (f"    {line}" for line in task.prompt.splitlines() or ["(none)"])
    if isinstance(task.generation, Decoding):
        how = "sampled" if task.generation.do_sample else "greedy"
        tokens = f"{task.generation.min_new_tokens} to {task.generation.max_new_tokens} new tokens"
        yield f"  decoding: {how}, beams {task.generation.num_beams}, {tokens}"
    yield from _wrapped(f"metrics: {', '.join(task.metrics)} (primary: {task.primary})", width, "  ", "    ")
    if task.submission is not None:
        yield f"  the server's file is written beside the journal (form {task.submission})"
    if card is not None:
        yield from _wrapped(f"scorer: {' '.join(card.scorer.split())}", width, "  ", "    ")


def _paper_lines(task: Task, card: Card | None, width: int) -> Iterator[str]:
    yield from ("", "What the paper reports")
    main = [number for number in published(task.published_task) if number.target == "main"]
    for number in main:
        note = f" ({number.note})" if number.note else ""
        line = f"{number.value} {number.published_metric}, {number.split}: {number.source}{note}"
        yield from _wrapped(line, width, "  ", "    ")
    if card is not None:
        yield from _wrapped(" ".join(card.paper.split()), width, "  ")
    elif not main:
        yield "  nothing"
    for point in _open(task):
        said = f"open: {point.unknown.strip()} Assumed ({point.confidence}): {point.assumption.strip()}"
        yield from _wrapped(said, width, "  ", "    ")


def _listed(title: str, entries: Sequence[str], width: int) -> Iterator[str]:
    yield from ("", title)
    for entry in entries:
        yield from _wrapped(entry, width, "  - ", "    ")


def _wrapped(text: str, width: int, indent: str, further: str | None = None) -> list[str]:
    later = indent if further is None else further
    text = " ".join(text.split())
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


def table_rows(tasks: Sequence[Task]) -> list[list[str]]:
    """Return the columns task, split, samples, primary metric, the paper's number and licence of some tasks."""
    rows = []
    for task in tasks:
        number = paper_number(task)
        samples = f"{task.samples:,}" if task.samples else "?"
        rows.append([task.task, task.split, samples, task.primary, str(number or "-"), licence_of(task)])
    return rows
