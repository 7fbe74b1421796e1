"""One set of generated videos under every protocol that its frames allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lavit_eval.errors import UsageError, nearest
from lavit_eval.features.extraction import Memo
from lavit_eval.files import write_json
from lavit_eval.metrics.feature_protocol import FeatureProtocol, load_protocol, names
from lavit_eval.preparation import PreparedTask
from lavit_eval.progress import Silence
from lavit_eval.rescoring import Again, prepare_again, today, under
from lavit_eval.runs import Run
from lavit_eval.sample import Score
from lavit_eval.scoring import score_features

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 1
DISTANCES = ("fvd", "kvd", "fvd_first_last", "kvd_first_last")
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class SweepRow:
    """A task's distances under one protocol, or why there are none."""

    protocol: FeatureProtocol
    scores: Mapping[str, Score]
    """Metric -> score."""
    refused: str | None = None
    """Why nothing could be computed."""

    @property
    def why(self) -> str:
        """What is to be said of the row: why it has no value, or what its values are labelled with."""
        reasons = [score.skipped for score in self.scores.values() if score.skipped]
        labels = dict.fromkeys(label for score in self.scores.values() for label in score.labels)
        return self.refused or (reasons[0] if reasons else ", ".join(labels))


def sweep(run: Run, task: str, again: Again, files: Sequence[str] = ()) -> list[SweepRow]:
    """Compute a task's video distances under every shipped protocol and those of `files`.

    Features that are kept are taken as they are; others are extracted from the lossless files.

    Args:
        run: A run whose every request of the task is answered.
        task: One of its tasks; one without distances gets FVD and KVD all the same.
        again: As in `score_again`. Of a demo run, sets may lack videos.
        files: YAML files of further protocols.

    Raises:
        UsageError: The run has no such task, it makes no videos, or its data are others.
    """
    if task not in run.tasks:
        raise UsageError(f"Run {run.id} has no task {task!r}.{nearest(task, run.tasks)}")
    found = today(run, task, again.catalogue)
    if found.kind not in ("generate_video", "reconstruct_video"):
        raise UsageError(f"{task} makes no videos; a sweep is over tasks that do.")
    missing = tuple(name for name in DISTANCES[:2] if name not in found.metrics)
    (prepared,) = prepare_again(run, [found.model_copy(update={"metrics": (*found.metrics, *missing)})], again)
    if run.identity["demo"]:
        again = replace(again, equipment=replace(again.equipment, allow_partial=True))
    rows = []
    memo: Memo = {}
    for name in [*names(), *files]:
        protocol = load_protocol(name)
        fitting = under(prepared.task, protocol, name) if protocol.network == "i3d" else None
        if fitting is None:
            continue
        if protocol.real is None or all(sample.targets for sample in prepared.samples):
            rows.append(_row(run, replace(prepared, task=fitting), protocol, fitting.metrics, again, memo))
    if not rows:
        raise UsageError(f"{task} has no real videos to compare with; a sweep needs a task whose videos have some.")
    return rows


def _row(
    run: Run, prepared: PreparedTask, protocol: FeatureProtocol, metrics: Sequence[str], again: Again, memo: Memo
) -> SweepRow:
    entries, repeats = run.entries(prepared.task.task), int(run.identity["repeats"])
    absent = len(prepared.samples) * repeats - len(entries)
    if absent:
        raise UsageError(
            f"Run {run.id} has no response to {absent} requests of {prepared.task.task} yet; "
            "continue it with the command that began it."
        )
    scores = {}
    try:
        for name in metrics:
            progress = again.progress or Silence()
            scores[name] = score_features(name, prepared, entries, repeats, run, again.equipment, progress, memo)
    except UsageError as error:
        return SweepRow(protocol, {}, str(error))
    return SweepRow(protocol, scores)


def write_sweep(rows: Sequence[SweepRow], path: Path) -> None:
    """Write the rows as JSON, atomically: protocols with their assumptions, scores, refusals."""
    records = [
        {
            "protocol": row.protocol.model_dump(mode="json"),
            "fingerprint": row.protocol.fingerprint(),
            "scores": {name: asdict(score) for name, score in row.scores.items()},
            "refused": row.refused,
        }
        for row in rows
    ]
    write_json(path, {"schema": SCHEMA, "rows": records})


def render_sweep(rows: Sequence[SweepRow], width: int, extrapolate: bool = False) -> str:
    """Return the rows as a table for a terminal of that many columns; what could not be computed says why."""
    from rich.console import Console
    from rich.text import Text

    console = Console(width=width, highlight=False, legacy_windows=False)
    table = _table(extrapolate)
    for row in rows:
        protocol = row.protocol
        rate = f"{protocol.frames_per_second:g}/s" if protocol.frames_per_second else "native"
        cells = [protocol.protocol, f"{protocol.frames} {rate}", *_sizes(row)]
        for place, name in enumerate(DISTANCES[:2]):
            score = row.scores.get(name) or row.scores.get(f"{name}_first_last")
            cells += _value(score, extrapolate and place == 0)
        table.add_row(*map(Text, [*cells, row.why]))
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _table(extrapolate: bool) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for name in ("protocol", "frames"):
        table.add_column(name, no_wrap=True)
    for name in ("videos", "FVD ↓", "95 % interval", *(["FVD∞"] if extrapolate else []), "KVD ↓", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="fold", ratio=1)
    return table


def _sizes(row: SweepRow) -> list[str]:
    counts = {score.n for score in row.scores.values() if score.value is not None}
    return [str(max(counts)) if counts else NOTHING]


def _value(score: Score | None, extrapolate: bool) -> list[str]:
    if score is None or score.value is None:
        return [NOTHING] * (3 if extrapolate else 2)
    decimals = 2 if abs(score.value) >= 1 else 4
    ends = (
        NOTHING if score.interval is None else f"[{score.interval[0]:.{decimals}f}, {score.interval[1]:.{decimals}f}]"
    )
    limit = (score.details.get("extrapolated") or {}).get("limit")
    extra = [NOTHING if limit is None else f"{limit:.{decimals}f}"] if extrapolate else []
    return [f"{score.value:.{decimals}f}", ends, *extra]
