"""What a run cost: device seconds, speed, memory and energy per task, from the times that its batches took."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavit_eval.engines.gauges import merged_use
from lavit_eval.errors import UsageError
from lavit_eval.files import write_json
from lavit_eval.runs import Run, mending
from lavit_eval.sample import JSON
from lavit_eval.score_file import CostFile, wrong_in

FILE = "costs.json"
SCHEMA = 1


def costs(run: Run) -> dict[str, dict[str, Any]]:
    """Return task -> what answering it took so far; a task whose times were not kept is absent.

    Per task: `responses` (retries and what two writers answered included), `workers`, `device_seconds` (sum over
    batches of the seconds that a worker had its device for one; a batch whose worker died is not in it),
    `waited_seconds` (what for -> seconds; `work`, the wait for the next batch, comes on top of the device seconds, the
    rest lies within them), `samples_per_second` and `new_tokens_per_second` (per device second; None where nothing
    counts tokens), `tokens` (name of a count -> sum), `peak_memory_bytes` of `peak_memory_of` ("cuda": torch's
    allocations; "process": all of it), and `joules`, None with the reason in `energy_unknown`.
    """
    return {task: found for task in run.tasks if (found := _cost(run, task)) is not None}


def write_costs(run: Run) -> None:
    """Write `costs.json` into the run's folder; nothing where no times were kept."""
    found = costs(run)
    if found:
        write_json(run.folder / FILE, {"schema": SCHEMA, "tasks": found})


def written_costs(run: Run) -> dict[str, dict[str, Any]]:
    """Return what `costs.json` holds, as `costs` has it; nothing where none was written.

    Raises:
        UsageError: The file is damaged or of another version.
    """
    path, mend = run.folder / FILE, mending(run)
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({error}); {mend}") from error
    wrong = wrong_in(CostFile, document)
    if wrong is not None:
        raise UsageError(f"{path} is damaged or of another version ({wrong}); {mend}")
    tasks: dict[str, dict[str, Any]] = document["tasks"]
    return tasks


@dataclass(frozen=True, slots=True)
class CostRow:
    """What a task cost, as people read it; "-" stands for what is not known."""

    task: str
    responses: str
    device_seconds: str
    waited: str
    samples_per_second: str
    tokens_per_second: str
    memory: str
    energy: str

    @classmethod
    def of(cls, task: str, cost: Mapping[str, Any]) -> CostRow:
        """Return the row of one task of `costs`."""
        memory, joules, tokens = cost["peak_memory_bytes"], cost["joules"], cost["new_tokens_per_second"]
        of = "" if cost["peak_memory_of"] == "cuda" else " of the process"
        return cls(
            task=task,
            responses=f"{cost['responses']:,}",
            device_seconds=f"{cost['device_seconds']:,.1f}",
            waited=", ".join(f"{what} {seconds:,.1f}" for what, seconds in cost["waited_seconds"].items()) or "-",
            samples_per_second=f"{cost['samples_per_second']:,.2f}" if cost["samples_per_second"] else "-",
            tokens_per_second=f"{tokens:,.1f}" if tokens else "-",
            memory=f"{memory / 1e9:,.2f} GB{of}" if memory else "-",
            energy=f"{joules / 3600:,.3f} Wh" if joules is not None else "-",
        )


def energy_reasons(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return why the energy of tasks is not known, each reason once."""
    return list(dict.fromkeys(cost["energy_unknown"] for cost in found.values() if cost.get("energy_unknown")))


def _cost(run: Run, task: str) -> dict[str, Any] | None:
    lines = [line for path in sorted(run.task_folder(task).glob("times*.jsonl")) for line in _lines(path)]
    if not lines:
        return None
    seconds, responses = sum(line["seconds"] for line in lines), sum(line["requests"] for line in lines)
    waited: Counter[str] = Counter()
    for line in lines:
        waited.update(line["waited"])
    tokens: Counter[str] = Counter()
    for entry in run.all_entries(task):
        tokens.update({name: n for name, n in entry.response.counts.items() if name.endswith("_tokens")})
    # Times of an earlier version say nothing of memory.
    uses = [line["used"] for line in lines if line.get("used")]
    used = merged_use(uses) if len(uses) == len(lines) else {}
    per_second = (lambda count: round(count / seconds, 4)) if seconds > 0 else (lambda count: None)
    return {
        "responses": responses,
        "workers": len({line["worker"] for line in lines}),
        "device_seconds": round(seconds, 3),
        "waited_seconds": {name: round(value, 3) for name, value in sorted(waited.items())},
        "samples_per_second": per_second(responses),
        "new_tokens_per_second": per_second(tokens["new_tokens"]) if "new_tokens" in tokens else None,
        "tokens": dict(sorted(tokens.items())),
        "peak_memory_bytes": used.get("memory_bytes"),
        "peak_memory_of": used.get("memory_of"),
        "joules": used.get("joules"),
        "energy_unknown": used.get("no_energy") if used else "an earlier version kept no count",
    }


def _lines(path: Path) -> Iterator[Mapping[str, JSON]]:
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            # What a kill tore stands without its end, or before the next line's beginning.
            if line.endswith("\n"):
                with suppress(ValueError):
                    yield json.loads(line)
