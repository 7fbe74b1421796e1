"""The sample browser's data: one index of columns per task, and the details in chunks."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavit_eval.journal import Key
from lavit_eval.multiple_choice import LETTERS
from lavit_eval.report.media import Shown
from lavit_eval.report.reading import Item, TaskReading, score_of
from lavit_eval.report.script_data import write_script
from lavit_eval.runs import Run
from lavit_eval.sample import JSON, MAKING, MediumKind

CHUNK = 500
"""Samples whose details one script holds."""
LONGEST = 300
"""Characters of a text in the index; a longer one stands whole in the details."""
OUTCOMES = {"answered": "a", "failed": "f", "skipped": "s"}
NOT_NOTES = frozenset({"score", "answer", "sums", "part"})
"""Fields of a metric's record that the page shows elsewhere, or that only tests of differences read."""
UNITS: Mapping[str, str] = {"percent": "%", "x100": "× 100", "dB": "dB", "nats": "nats"}


@dataclass(frozen=True, slots=True)
class TaskPages:
    """One task of the report."""

    number: int
    """Its place in the run; names its data files."""
    reading: TaskReading
    base: Mapping[Key, Item] | None
    """BASE's items of the same task, None without BASE or where it lacks the task."""

    @property
    def ordering(self) -> str | None:
        """The metric by which samples are ordered."""
        return self.reading.ordering_metric

    @property
    def making(self) -> bool:
        """Whether answers are files."""
        return self.reading.task.request in MAKING

    def pairs(self) -> Iterator[tuple[float | None, float | None]]:
        """Yield the ordering metric's score of every item and of its counterpart in BASE, in the metric's unit."""
        metric = self.ordering
        for item in self.reading.items:
            other = self.base.get(item.key) if self.base is not None else None
            one = self.score(item, metric) if metric is not None else None
            yield one, self.score(other, metric) if metric is not None else None

    def score(self, item: Item | None, metric: str) -> float | None:
        """Return a response's score in the metric's unit, as the score table has it."""
        found = score_of(item.record, metric) if item is not None else None
        return None if found is None else found * self.reading.scales[metric]

    def unit(self, metric: str | None) -> str:
        """Return how a metric's unit is written after its name; empty where nothing is written."""
        return UNITS.get(self.reading.scores["metrics"].get(metric, {}).get("unit", ""), "") if metric else ""


def media_files(pages: TaskPages, run: Run, base: Run | None) -> dict[Path, MediumKind]:
    """Return every file that the samples of a task show."""
    found: dict[Path, MediumKind] = {}
    for item in pages.reading.items:
        other = pages.base.get(item.key) if pages.base is not None else None
        for _, kind, path, _ in _media(item, other, pages, run, base):
            found[path] = kind
    return found


def write_task(
    pages: TaskPages, folder: Path, media: Mapping[Path, Shown], run: Run, base: Run | None, chunk: int = CHUNK
) -> None:
    """Write a task's index and details as script files `data/<number>/`."""
    items = pages.reading.items
    where = folder / "data" / str(pages.number)
    write_script(where / "index.js", f"index/{pages.number}", index_of(pages, chunk))
    for start in range(0, len(items), chunk):
        details = [_details(item, pages, media, run, base) for item in items[start : start + chunk]]
        number = start // chunk
        write_script(where / f"{number}.js", f"details/{pages.number}/{number}", details)


def index_of(pages: TaskPages, chunk: int = CHUNK) -> dict[str, JSON]:
    """Return the columns that list, filter, search and order need, in the order of the chunks."""
    items, metric = pages.reading.items, pages.ordering
    pairs = list(pages.pairs())
    scores: Mapping[str, Any] = pages.reading.scores["metrics"].get(metric, {})
    several = any(item.response.repeat for item in items)
    return {
        "n": len(items),
        "chunk": chunk,
        "metric": metric,
        "unit": pages.unit(metric),
        "higher": bool(scores.get("higher_is_better", True)),
        "ids": [item.response.sample_id for item in items],
        "repeats": [item.response.repeat for item in items] if several else None,
        "outcomes": "".join(OUTCOMES[item.response.outcome] for item in items),
        "scores": [_short(one) for one, _ in pairs],
        "base": [_short(other) for _, other in pairs] if pages.base is not None else None,
        "questions": [_cut(item.sample.question if item.sample else "") for item in items],
        "answers": [_cut(_answer(item, pages)) for item in items],
        "references": [_cut(" · ".join(dict.fromkeys(_all_references(item))), 3 * LONGEST) for item in items],
        "axes": _axes(items),
    }


def _axes(items: Sequence[Item]) -> list[JSON]:
    """Return each axis of categories as its name, the categories, and one code per item (-1: none)."""
    names: dict[str, dict[str, int]] = {}
    for item in items:
        for axis, category in item.sample.categories.items() if item.sample else ():
            codes = names.setdefault(axis, {})
            codes.setdefault(category, len(codes))
    return [
        {
            "axis": axis,
            "names": list(codes),
            "codes": [codes.get(item.sample.categories.get(axis, ""), -1) if item.sample else -1 for item in items],
        }
        for axis, codes in names.items()
    ]


def _details(item: Item, pages: TaskPages, media: Mapping[Path, Shown], run: Run, base: Run | None) -> dict[str, JSON]:
    """Return what the index does not say of one sample; nothing stands in it that is empty."""
    other = pages.base.get(item.key) if pages.base is not None else None
    question, answer = item.sample.question if item.sample else "", _answer(item, pages)
    said: dict[str, JSON] = {
        "question": question if len(question) > LONGEST else "",
        "answer": answer if len(answer) > LONGEST else "",
        "references": [[text, count] for text, count in Counter(_all_references(item)).items()],
        "error": item.response.error,
        "media": [
            [role, kind, shown.source, name, shown.note]
            for role, kind, path, name in _media(item, other, pages, run, base)
            if (shown := media.get(path, Shown(None, "left out"))) is not None
        ],
        "metrics": _metrics(item, other, pages),
        "base": None if other is None else {"answer": _answer(other, pages), "error": other.response.error},
        "facts": _facts(item, pages),
    }
    return {name: value for name, value in said.items() if value}


def _metrics(item: Item, other: Item | None, pages: TaskPages) -> list[JSON]:
    """Return [metric, score, BASE's score, [[what else the record says, its value], ...], unit] in the task's order."""
    found = []
    for metric in pages.reading.task.metrics:
        part = item.record.get(metric)
        if not isinstance(part, Mapping):
            continue
        notes = [[name, _text(value)] for name, value in part.items() if name not in NOT_NOTES]
        counted = part.get("answer")
        if counted is not None and _text(counted) != item.response.text:
            notes.insert(0, ["counted as", _text(counted)])
        scores = [_short(pages.score(one, metric)) for one in (item, other)]
        found.append([metric, *scores, notes, pages.unit(metric)])
    return found


def _media(
    item: Item, other: Item | None, pages: TaskPages, run: Run, base: Run | None
) -> Iterator[tuple[str, MediumKind, Path, str]]:
    """Yield role, kind, file and name of everything to be seen; roles are named as the page names them."""
    kind: MediumKind = "image" if pages.reading.task.request == "generate_image" else "video"
    sample = item.sample
    for medium in sample.media if sample is not None else ():
        part = "" if medium.segment is None else f" (shown: {medium.segment})"
        yield "shown to the model", medium.kind, Path(medium.path), medium.name + part
    if item.response.medium is not None:
        made = run.folder / item.response.medium
        yield "generated", kind, made, made.name
        recorded = made.with_suffix(".source.mkv")
        if pages.reading.task.request == "reconstruct_video" and recorded.is_file():
            yield "real", "video", recorded, recorded.name
    seen = {medium.path for medium in sample.media} if sample is not None else set()
    for medium in sample.targets if sample is not None else ():
        # A recording that is rebuilt is shown to the model and compared with: once is enough.
        if medium.path not in seen:
            yield "real", medium.kind, Path(medium.path), medium.name
    if base is not None and other is not None and other.response.medium is not None:
        theirs = base.folder / other.response.medium
        yield "generated by BASE", kind, theirs, theirs.name


def _facts(item: Item, pages: TaskPages) -> list[JSON]:
    """Return small print: what the reader chose, what a file was made from, counts and times."""
    facts = [[str(name), _text(value)] for name, value in (item.record.get("extra") or {}).items()]
    if pages.making:
        facts += [[name, _text(value)] for name, value in _recipe(item).items() if name != "ids"]
    if (ranked := item.response.likelihoods) is not None:
        # One alone was not chosen among others: it stands for itself.
        named = [f"\u201c{item.response.text}\u201d"] if len(ranked.summed) == 1 else LETTERS
        options = zip(named, ranked.summed, ranked.normalised, strict=False)
        facts += [[f"log-likelihood of {one}", f"{total:.3f}, per token {mean:.3f}"] for one, total, mean in options]
    facts += [[name.replace("_", " "), str(count)] for name, count in item.response.counts.items() if count]
    return facts + [[f"{name} time", f"{seconds:.3g} s"] for name, seconds in item.response.times.items()]


def _recipe(item: Item) -> Mapping[str, JSON]:
    """Return what the model noted of a file that it made; empty where the text is no such note."""
    try:
        found = json.loads(item.response.text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _answer(item: Item, pages: TaskPages) -> str:
    return "" if pages.making else item.response.text or ""


def _all_references(item: Item) -> tuple[str, ...]:
    return item.sample.references if item.sample is not None else ()


def _cut(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _short(score: float | None) -> float | int | None:
    """Return a score with the digits that a person reads, whole ones without a point: the page's size is theirs."""
    if score is None:
        return None
    digits = float(f"{score:.6g}")
    return int(digits) if digits.is_integer() and math.fabs(digits) < 1e9 else digits


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
