"""Why two runs answered a sample differently: changed input, changed visual selection, or changed weights.

Every response carries digests of what went in. The first stage whose digests differ is the cause; what follows from it
differs as well and says nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lavit_eval.comparability import PREPROCESSING
from lavit_eval.compare_sides import Side
from lavit_eval.errors import UsageError, nearest
from lavit_eval.journal import Entry, entries_of
from lavit_eval.runs import differing
from lavit_eval.sample import JSON, MAKING, Response

Cause = Literal[
    "same answer", "input", "visual selection", "weights", "model settings", "sampling", "arithmetic", "unknown"
]
STAGES: Mapping[str, str] = {
    "media": "the file itself",
    "prompt_ids": "the prompt's token ids",
    "keyframes": "the decoded keyframes",
    "motion": "the motion vectors",
}
SELECTION = "visual_tokens"
WEIGHTS = ("checkpoint", "generation", "keyframe_pipeline", "answers")
"""Fields of a model's identity that are digests of what it was loaded from."""
MADE: Mapping[str, str] = {
    "visual_ids": "the visual tokens that were written",
    "motion_ids": "the motion tokens that were written",
    "keyframes": "the keyframes that were made",
}
"""Digests of what came out on the way to a generated file, in its order."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of one sample."""

    task: str
    sample_id: str
    repeat: int
    cause: Cause
    sentence: str
    stages: tuple[tuple[str, str, str], ...]
    """(digest's name, "same" | "differs" | "unknown", what it is of)."""
    base: str
    """What was answered: a text, a file's digest, or why there is none."""
    new: str


def explain(base: Side, new: Side, sample_id: str, task: str | None = None, repeat: int = 0) -> Explanation:
    """Say why two runs answered a sample differently, from the digests in their journals.

    Args:
        base: A run (a baseline keeps no journal).
        new: The same.
        sample_id: The sample.
        task: Which task it is of; may be left out where only one task of both runs has such a sample.
        repeat: Which repeat.

    Raises:
        UsageError: One of the two is a baseline, or has no such sample.
    """
    task, entries = _found(base, new, sample_id, task, repeat)
    one, other = entries[0].response, entries[1].response
    making = base.kind(task) in MAKING
    stages = _stages(one, other, making)
    cause, sentence = _cause(task, base, new, (one, other), {name: state for name, state, _ in stages})
    return Explanation(task, sample_id, repeat, cause, sentence, tuple(stages), _said(one), _said(other))


def _found(base: Side, new: Side, sample_id: str, task: str | None, repeat: int) -> tuple[str, tuple[Entry, Entry]]:
    runs = []
    for side in (base, new):
        if side.run is None:
            raise UsageError(f"{side.name} keeps no journal; name a run's folder or id.")
        runs.append(side.run)
    shared = [name for name in base.tasks if name in new.tasks]
    if task is not None and task not in shared:
        raise UsageError(f"The runs do not share the task {task!r}.{nearest(task, shared)}")
    held = {}
    for name in [task] if task is not None else shared:
        both = [entries_of(run.task_folder(name), {sample_id}).get((sample_id, repeat)) for run in runs]
        if both[0] is not None and both[1] is not None:
            held[name] = (both[0], both[1])
    if not held:
        where = task or "a task of both runs"
        raise UsageError(f"There is no sample {sample_id!r} (repeat {repeat}) in {where}; samples.jsonl lists the ids.")
    if len(held) > 1:
        raise UsageError(f"The sample {sample_id!r} is one of {', '.join(held)}; choose one with --task.")
    return next(iter(held.items()))


def _stages(one: Response, other: Response, making: bool) -> list[tuple[str, str, str]]:
    """Return what is known of each stage, in the order in which one follows from the other."""
    names = dict(STAGES)
    if making and "visual_ids" in {*one.digests, *other.digests}:
        # What is generated from a text has keyframes on its way out, and its prompt may hold the pictures' tokens.
        names = {
            "media": STAGES["media"],
            SELECTION: "the visual tokens of its pictures",
            "prompt_ids": "the prompt's ids",
        }
        names |= MADE
    else:
        names |= {SELECTION: "the visual tokens that were kept"}
    found = []
    for name, what in names.items():
        mine, theirs = one.digests.get(name), other.digests.get(name)
        if mine is None and theirs is None:
            continue
        found.append((name, "unknown" if None in (mine, theirs) else "same" if mine == theirs else "differs", what))
    return found


def _cause(
    task: str, base: Side, new: Side, responses: tuple[Response, Response], stages: Mapping[str, str]
) -> tuple[Cause, str]:
    one, other = responses
    if _content(one) == _content(other):
        return "same answer", "Both runs gave the same answer."
    making = "visual_ids" in stages or "motion_ids" in stages
    if stages.get("media") == "differs":
        return "input", f"The input changed: {STAGES['media']} is another."
    if making and stages.get(SELECTION) == "differs":
        return _selection(task, base, new)
    if "unknown" in stages.values() or not stages:
        return _without_digests(task, base, new)
    changed = [STAGES[name] for name in STAGES if stages.get(name) == "differs" and not (making and name in MADE)]
    if changed:
        why = [name for name in _changes(task, base, new) if name.split(".")[0] in PREPROCESSING]
        if base.kind(task) in MAKING and base.identity["seed"] != new.identity["seed"]:
            # Which clip of a video is reconstructed is drawn.
            why.append(f"seed {base.identity['seed']} -> {new.identity['seed']}")
        through = f", through {', '.join(why)}" if why else ""
        return "input", f"The input changed: {' and '.join(changed)} differ{through}."
    if stages.get(SELECTION) == "differs":
        return _selection(task, base, new)
    return _computation(task, base, new)


def _selection(task: str, base: Side, new: Side) -> tuple[Cause, str]:
    names = [name for name in ("seed", "visual_noise") if base.identity[name] != new.identity[name]]
    if names:
        moved = " and ".join(f"{name} {base.identity[name]} -> {new.identity[name]}" for name in names)
        also = "; the model changed as well" if _changes(task, base, new) else ""
        return "visual selection", f"Other visual tokens were kept, since they are drawn anew with {moved}{also}."
    changed = _changes(task, base, new)
    if changed:
        return _model(changed), f"Other visual tokens were kept with the same seed: {_named(changed)}."
    return "arithmetic", (
        "Other visual tokens were kept with the same seed and weights: rounding moved a choice "
        f"({_stack(task, base, new)})."
    )


def _computation(task: str, base: Side, new: Side) -> tuple[Cause, str]:
    changed = _changes(task, base, new)
    if changed:
        return _model(changed), f"The same went in: {_named(changed)}."
    if base.identity["seed"] != new.identity["seed"] and _draws(task, base):
        seeds = f"{base.identity['seed']} -> {new.identity['seed']}"
        return "sampling", f"The same went into the same model, and what it writes is drawn anew with seed {seeds}."
    return "arithmetic", (
        f"The same went into the same model: code or rounding moved the answer ({_stack(task, base, new)})."
    )


def _without_digests(task: str, base: Side, new: Side) -> tuple[Cause, str]:
    blind = "the digests of what went in are not known of both runs"
    changed = _changes(task, base, new)
    if changed:
        return _model(changed), f"{_named(changed).capitalize()}; {blind}."
    return "unknown", f"Nothing that identifies the model differs, and {blind}."


def _model(changed: Sequence[str]) -> Cause:
    return "weights" if {"name", "class", *WEIGHTS} & set(changed) else "model settings"


def _named(changed: Sequence[str]) -> str:
    if {"name", "class"} & set(changed):
        return "another model answered"
    return f"the model changed ({', '.join(changed)})"


def _changes(task: str, base: Side, new: Side) -> list[str]:
    """Return the fields in which the models that answered differ."""
    return differing(base.model_for(task), new.model_for(task))


def _draws(task: str, side: Side) -> bool:
    """Say whether what is written depends on a seed: files always, texts where the task samples."""
    if side.kind(task) in MAKING:
        return True
    generation: JSON = side.fields[task]["fields"].get("generation", {})
    return bool(generation.get("do_sample"))


def _stack(task: str, base: Side, new: Side) -> str:
    """Return how the runs differ in what may move a rounding, or that nothing is known to."""
    stacks = []
    for side in (base, new):
        manifest = side.run.manifest if side.run is not None else {}
        hardware = manifest.get("hardware", {})
        stacks.append(
            {
                "batch_size": side.batch_size(task),
                "stage_batches": side.stage_batches(task),
                **{name: hardware.get(name) for name in ("device", "accelerator", "processor", "threads")},
                "code": {"revision": side.code.get("revision"), "dirty": side.code.get("dirty")},
                "packages": manifest.get("packages", {}),
            }
        )
    names = differing(stacks[0], stacks[1])
    return f"the runs differ in {', '.join(names)}" if names else "no other difference is recorded"


def _content(response: Response) -> tuple[str, str | None]:
    return response.outcome, response.text if response.medium_digest is None else response.medium_digest


def _said(response: Response) -> str:
    if response.outcome != "answered":
        return f"{response.outcome}: {response.error}"
    return response.text or "" if response.medium_digest is None else f"file {response.medium_digest[:8]}"
