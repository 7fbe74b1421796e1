"""Files for the servers that score splits without public answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import get_args

from lavit_eval.files import write_json
from lavit_eval.journal import Entry, Key
from lavit_eval.preparation import PreparedTask
from lavit_eval.runs import Run
from lavit_eval.sample import JSON, Sample
from lavit_eval.task import SubmissionForm

FILE_NAME = "submission.json"


def vqa_entry(sample: Sample, text: str) -> JSON:
    """Return what the VQA server expects of an answer."""
    return {"question_id": int(sample.id), "answer": processed(text)}


def vizwiz_entry(sample: Sample, text: str) -> JSON:
    """Return what VizWiz's server expects of an answer; its questions are named by their image."""
    return {"image": sample.id, "answer": processed(text)}


def processed(text: str) -> str:
    """Return an answer after the EvalAI processor, through which LLaVA's conversion scripts pass it."""
    # Metrics load numpy, which the command line starts without.
    from lavit_eval.metrics.vqa_answers import evalai

    return evalai(text)


FORMS: Mapping[SubmissionForm, Callable[[Sample, str], JSON]] = {"vqa": vqa_entry, "vizwiz": vizwiz_entry}
assert set(FORMS) == set(get_args(SubmissionForm))


def write_submission(prepared: PreparedTask, entries: Mapping[Key, Entry], run: Run) -> dict[str, JSON]:
    """Write a task's submission beside its journal, of the first repeat, and return what `scores.json` says of it.

    Returns {"file": path within the run} or {"file": None, "reason": ...}: a file that lacks answers would be refused
    by the server or score them as wrong, so none is written, and one that stood there is removed.
    """
    task = prepared.task
    assert task.submission is not None
    path = run.task_folder(task.task) / FILE_NAME
    responses = [entries[(sample.id, 0)].response for sample in prepared.samples]
    lacking = prepared.official - sum(response.outcome == "answered" for response in responses)
    if lacking:
        with suppress(FileNotFoundError):
            path.unlink()
        return {"file": None, "reason": f"{lacking:,} of {prepared.official:,} questions have no answer"}
    form = FORMS[task.submission]
    pairs = zip(prepared.samples, responses, strict=True)
    write_json(path, [form(sample, response.text or "") for sample, response in pairs])
    return {"file": path.relative_to(run.folder).as_posix()}
