"""Generated videos under the names that an official scorer looks for, so that it scores them itself."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lavit_eval.benchmarks.official_names import SUFFIX, unusable
from lavit_eval.digests import digest_file, digest_json
from lavit_eval.errors import MediumError, UsageError
from lavit_eval.files import write_json
from lavit_eval.journal import Entry
from lavit_eval.runs import Run
from lavit_eval.sample import JSON

SCHEMA = 1
RECORD = "export.json"
"""Beside the videos' folder, never in it: VBench takes the suffix of the first file there for that of all."""
VIDEOS = "videos"
PARTS = ".parts"
"""Holds what is being encoded, gone in the end."""
QUALITY = 10
"""libx264's constant rate factor, that of VBench-I2V's own example."""


@dataclass(frozen=True, slots=True)
class Form:
    """How an official scorer wants its files."""

    benchmark: str
    """Whose samples they are."""
    stem: Callable[[str], str | None]
    """Sample id -> the file's name without suffix, None where the scorer has no place for it."""
    scorer: str
    """What to do with the folder."""


def _evalcrafter_stem(sample_id: str) -> str | None:
    prompt, _, turn = sample_id.rpartition("-")
    return prompt if turn == "0" else None


FORMS: Mapping[str, Form] = {
    "vbench": Form("vbench", lambda sample_id: sample_id, "vbench evaluate --videos_path {videos} --dimension NAME"),
    "vbench_i2v": Form(
        "vbench_i2v",
        lambda sample_id: sample_id,
        "python evaluate_i2v.py --videos_path {videos} --ratio {ratio} --dimension NAME",
    ),
    "evalcrafter": Form(
        "evalcrafter", _evalcrafter_stem, "EvalCrafter's own scripts, its folder of videos being {videos}"
    ),
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    videos: Path
    count: int
    """Files that are there now, those of an earlier part included."""
    lacking: int
    """Videos of the task that the run does not have."""
    scorer: str


def export_media(
    run: Run, form_name: str, folder: Path, task: str | None = None, repeat: int = 0, allow_missing: bool = False
) -> Exported:
    """Write a task's videos as H.264 in MP4 at their own frame rate under an official scorer's names.

    The same call goes on where an interrupted one stood. What was exported, from what, stands in `export.json` beside.

    Args:
        run: A run with a task of the form's benchmark.
        form_name: One of `FORMS`.
        folder: Where `videos/` and `export.json` go; empty, or of an earlier call with the same arguments.
        task: Which task, where the run has several that fit.
        repeat: Which repeat.
        allow_missing: Whether videos may be lacking; the scorer leaves them out of its means.

    Raises:
        UsageError: No task fits; videos are lacking; the folder holds something else; a file is damaged.
    """
    form = FORMS[form_name]
    name = _chosen(run, form, form_name, task)
    entries = {key[0]: entry for key, entry in run.entries(name).items() if key[1] == repeat}
    made = {sample: entry for sample, entry in entries.items() if entry.response.medium is not None}
    files = _named(made, form, form_name, name)
    lacking = _official(run, name) - len(files)
    if not files or (lacking and not allow_missing):
        raise UsageError(
            f"Run {run.id} has {len(files):,} of the {_official(run, name):,} videos of {name}; "
            "continue it, or ask again what failed (--retry-failed), or export what is there: --allow-missing"
        )
    fields = run.manifest["tasks"][name]["fields"]
    videos = folder / VIDEOS
    record = {
        "form": form_name,
        "run": run.id,
        "task": name,
        "repeat": repeat,
        "protocol": run.identity["tasks"][name]["protocol"],
        "model": run.identity["model"],
        "lacking": lacking,
        "quality": QUALITY,
        "files": {
            stem + SUFFIX: {"sample_id": sample, "sha256": entry.response.medium_digest}
            for stem, (sample, entry) in sorted(files.items())
        },
    }
    _begin(folder, record)
    todo = [(entry, videos / (stem + SUFFIX)) for stem, (_, entry) in files.items()]
    _write_all(run, folder, [(entry, target) for entry, target in todo if not target.is_file()])
    said = form.scorer.format(videos=videos, ratio=fields.get("options", {}).get("ratio", ""))
    return Exported(videos, len(files), lacking, said)


def _chosen(run: Run, form: Form, form_name: str, task: str | None) -> str:
    """Return the one task whose videos fit (raises UsageError)."""
    fitting = [name for name in run.tasks if run.manifest["tasks"][name]["fields"]["benchmark"] == form.benchmark]
    if task is not None:
        fitting = [name for name in fitting if name == task]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(f"Run {run.id} has several tasks of {form_name}; name one: --task {'|'.join(fitting)}")
    of = f"no task {task}" if task is not None else "no task"
    raise UsageError(
        f"Run {run.id} has {of} of the benchmark {form.benchmark} (it has {', '.join(run.tasks)}); "
        f"run one that has: lavit-eval run --tasks {form_name}"
    )


def _official(run: Run, task: str) -> int:
    """Return how many videos the whole task has, --limit or not."""
    known = run.manifest["counts"].get(task) or run.manifest["tasks"][task]["fields"].get("samples")
    planned = int(run.manifest["plan"][task]["requests"]) // int(run.identity["repeats"])
    return int(known) if known else planned


def _named(made: Mapping[str, Entry], form: Form, form_name: str, task: str) -> dict[str, tuple[str, Entry]]:
    """Return file stem -> (sample id, entry) (raises UsageError for a sample without a place or a usable name)."""
    files: dict[str, tuple[str, Entry]] = {}
    for sample, entry in made.items():
        stem = form.stem(sample)
        if stem is None:
            raise UsageError(
                f"{task} has more videos than {form_name} has places for (first: {sample}); "
                f"run the task that is made for it: lavit-eval run --tasks {form_name}"
            )
        if why := unusable(stem):
            raise UsageError(f"Sample {sample!r} of {task} {why}; {form_name} cannot score it.")
        files[stem] = (sample, entry)
    return files


def _begin(folder: Path, record: Mapping[str, JSON]) -> None:
    """Write the record, unless an equal one is there (raises UsageError for a folder that holds something else)."""
    document = {"schema": SCHEMA, **record}
    path = folder / RECORD
    try:
        if path.is_file():
            if json.loads(path.read_text(encoding="utf-8")) != document:
                raise UsageError(f"{folder} holds another export; name another folder, or remove it first.")
        elif folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty and holds no export; name another folder.")
        (folder / VIDEOS).mkdir(parents=True, exist_ok=True)
        if strange := sorted({one.name for one in (folder / VIDEOS).iterdir()} - set(record["files"])):
            raise UsageError(f"{folder / VIDEOS} holds {strange[0]!r}, which is not of this export; remove it.")
        write_json(path, document)
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} cannot be written or read ({error}); name another folder.") from error


def _write_all(run: Run, folder: Path, todo: Sequence[tuple[Entry, Path]]) -> None:
    """Encode videos, several at once: libav works outside Python's lock."""
    parts = folder / PARTS
    shutil.rmtree(parts, ignore_errors=True)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        jobs = [pool.submit(_write, run, entry, parts, target) for entry, target in todo]
        try:
            for job in jobs:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)
            shutil.rmtree(parts, ignore_errors=True)


def _write(run: Run, entry: Entry, parts: Path, target: Path) -> None:
    from lavit_eval.video.lossless import frame_rate, read_frames, write_h264

    source = run.folder / str(entry.response.medium)
    try:
        if digest_file(source) != entry.response.medium_digest:
            raise UsageError(f"{source} has changed since it was made; run its task again.")
        # A name of its own until it is whole: the scorer's may be as long as the file system allows.
        part = parts / f"{digest_json(target.name)[:16]}{SUFFIX}"
        write_h264(part, read_frames(source), frame_rate(source), QUALITY)
        part.replace(target)
    except FileNotFoundError:
        raise UsageError(
            f"{source} is gone (runs prune, or --keep-media?); a run without its lossless files cannot be exported."
        ) from None
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({error}); make room or name another folder.") from error
    except MediumError as error:
        raise UsageError(
            f"{error} Videos that were made elsewhere need no export: name them as the scorer does."
        ) from error
