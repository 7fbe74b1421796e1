"""Files for the servers that score splits without public answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import get_args

from lavit_eval.errors import UsageError
from lavit_eval.files import write_atomic, write_json
from lavit_eval.journal import Entry, Key
from lavit_eval.multiple_choice import LETTERS, lettered, strict_option
from lavit_eval.preparation import PreparedTask
from lavit_eval.runs import Run
from lavit_eval.sample import JSON, Sample
from lavit_eval.spreadsheet import workbook
from lavit_eval.task import SubmissionForm

FILE_NAME = "submission.json"
TABLE_NAME = "submission.xlsx"
UNDECIDED = -1
"""Stands for an answer that names no option: no option has this number, so that it counts as wrong."""
Pairs = Sequence[tuple[Sample, str]]


@dataclass(frozen=True, slots=True)
class Written:
    """What a server expects."""

    content: JSON
    """What stands in the JSON file; bytes are a workbook."""
    undecided: int = 0
    """Answers in which no option could be read."""


def vqa_entry(sample: Sample, text: str) -> JSON:
    """Return what the VQA server expects of an answer."""
    return {"question_id": int(sample.id), "answer": processed(text)}


def vizwiz_entry(sample: Sample, text: str) -> JSON:
    """Return what VizWiz's server expects of an answer; its questions are named by their image."""
    return {"image": sample.id, "answer": processed(text)}


def nocaps_entry(sample: Sample, text: str) -> JSON:
    """Return what NoCaps's server expects of a caption."""
    return {"image_id": int(sample.id), "caption": text}


def processed(text: str) -> str:
    """Return an answer after the EvalAI processor, through which LLaVA's conversion scripts pass it."""
    # Metrics load numpy, which the command line starts without.
    from lavit_eval.metrics.vqa_answers import evalai

    return evalai(text)


def option_of(sample: Sample, text: str) -> int:
    """Return which option an answer states, from 0, `UNDECIDED` where none (raises UsageError without options)."""
    options = sample.extra.get("choices")
    if not isinstance(options, list | tuple):
        raise UsageError(f"sample {sample.id} has no choices, which this submission is made of; mend the task")
    found = strict_option(text, [str(option) for option in options])
    return UNDECIDED if found is None else LETTERS.index(found)


def listed(entry: Callable[[Sample, str], JSON]) -> Callable[[Pairs], Written]:
    """Return the form that is a list with one entry per answer."""
    return lambda pairs: Written([entry(sample, text) for sample, text in pairs])


def egoschema(pairs: Pairs) -> Written:
    """Return what EgoSchema's server expects: {q_uid: number of the option, from 0}."""
    chosen = {sample.id: option_of(sample, text) for sample, text in pairs}
    return Written(chosen, sum(option == UNDECIDED for option in chosen.values()))


def perception_test(pairs: Pairs) -> Written:
    """Return what Perception Test's server expects: {video: [{"id", "answer_id", "answer"}]}."""
    found: dict[str, list[JSON]] = {}
    undecided = 0
    for sample, text in pairs:
        video, _, number = sample.id.rpartition("_")
        option = option_of(sample, text)
        undecided += option == UNDECIDED
        answer = "" if option == UNDECIDED else sample.extra["choices"][option]
        found.setdefault(video, []).append({"id": int(number), "answer_id": option, "answer": answer})
    return Written(found, undecided)


def mmbench(pairs: Pairs) -> Written:
    """Return the workbook that MMBench's server reads: every rotation with the answer as it was written.

    Which choice an answer means is the server's to say.
    """
    letters = ("A", "B", "C", "D")
    rows: list[list[str | int]] = [["index", "question", *letters, "prediction", "category", "l2-category"]]
    for sample, text in pairs:
        choices = list(sample.extra["choices"])
        asked = sample.question.removesuffix("\n" + lettered(choices))
        cells = [*choices, *[""] * (len(letters) - len(choices))]
        level = sample.categories.get("l2_category", "")
        rows.append([int(sample.id), asked, *cells, text, sample.categories["category"], level])
    return Written(workbook(rows))


FORMS: Mapping[SubmissionForm, Callable[[Pairs], Written]] = {
    "vqa": listed(vqa_entry),
    "vizwiz": listed(vizwiz_entry),
    "nocaps": listed(nocaps_entry),
    "egoschema": egoschema,
    "perception_test": perception_test,
    "mmbench": mmbench,
}
assert set(FORMS) == set(get_args(SubmissionForm))


def write_submission(prepared: PreparedTask, entries: Mapping[Key, Entry], run: Run) -> dict[str, JSON]:
    """Write a task's submission beside its journal, of the first repeat, and return what `scores.json` says of it.

    Returns {"file": path within the run}, with "undecided" where answers named no option, or {"file": None,
    "reason": ...}: a file that lacks answers would be refused by the server or score them as wrong, so none is
    written, and one that stood there is removed.
    """
    task = prepared.task
    assert task.submission is not None
    path = run.task_folder(task.task) / (TABLE_NAME if task.submission == "mmbench" else FILE_NAME)
    responses = [entries[(sample.id, 0)].response for sample in prepared.samples]
    lacking = prepared.official - sum(response.outcome == "answered" for response in responses)
    if lacking:
        with suppress(FileNotFoundError):
            path.unlink()
        return {"file": None, "reason": f"{lacking:,} of {prepared.official:,} questions have no answer"}
    pairs = zip(prepared.samples, responses, strict=True)
    written = FORMS[task.submission]([(sample, response.text or "") for sample, response in pairs])
    if isinstance(written.content, bytes):
        write_atomic(path, written.content)
    else:
        write_json(path, written.content)
    undecided = {"undecided": written.undecided} if written.undecided else {}
    return {"file": path.relative_to(run.folder).as_posix(), **undecided}
