"""The model runs in this process, one batch after the other."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from lavit_eval.digests import digest_json
from lavit_eval.journal import Entry, JournalWriter
from lavit_eval.models.protocol import Model
from lavit_eval.plan import Batch
from lavit_eval.sample import MAKING, Request, Response

Shield = Callable[[], AbstractContextManager[None]]


def answer(
    model: Model,
    batches: Sequence[Batch],
    writer: JournalWriter,
    missing: frozenset[str],
    shielded: Shield,
    on_batch: Callable[[Sequence[Entry]], None],
) -> None:
    """Answer every batch and journal it whole before the next one begins.

    Args:
        model: Answers the requests whose media are there.
        batches: What is still to do, in the order of the plan.
        writer: The task's journal.
        missing: Names of media that preflight did not find; their requests fail without asking the model.
        shielded: A context in which an interruption waits.
        on_batch: Called with the entries of each batch once they are on disk.
    """
    for batch in batches:
        responses = _respond(model, [_with_output(request, writer.path.parent) for request in batch.requests], missing)
        with shielded():
            entries = writer.append(batch.attempt, batch.number, responses)
        on_batch(entries)


def _with_output(request: Request, folder: Path) -> Request:
    """Tell a request that makes a file where it goes: a name made of the sample's id, safe on every file system."""
    if request.kind not in MAKING:
        return request
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", request.sample_id)[:40].strip("-")
    name = f"{readable}-{digest_json(request.sample_id)[:8]}-{request.repeat}"
    return dataclasses.replace(request, output=str(folder.resolve() / "media" / name))


def _respond(model: Model, requests: Sequence[Request], missing: frozenset[str]) -> list[Response]:
    absent = {request.key: name for request in requests if (name := _first_missing(request, missing)) is not None}
    asked = [request for request in requests if request.key not in absent]
    answered = {response.key: _by_name(response, requests) for response in (model.respond(asked) if asked else [])}
    if set(answered) != {request.key for request in asked}:
        raise RuntimeError(f"the model answered {len(answered)} of {len(asked)} requests of a batch")
    return [
        answered[request.key]
        if request.key in answered
        else Response(request.sample_id, request.repeat, "failed", error=f"{absent[request.key]} is missing or empty.")
        for request in requests
    ]


def _by_name(response: Response, requests: Sequence[Request]) -> Response:
    """Name media in a reason as the benchmark does: where they lie on this machine says nothing of the result."""
    if response.error is None:
        return response
    error = response.error
    for medium in {medium for request in requests if request.key == response.key for medium in request.media}:
        error = error.replace(medium.path, medium.name)
    return dataclasses.replace(response, error=error)


def _first_missing(request: Request, missing: frozenset[str]) -> str | None:
    return next((medium.name for medium in request.media if medium.name in missing), None)
