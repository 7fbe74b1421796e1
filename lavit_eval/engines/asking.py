"""Asking a model for a batch: which requests it can be asked, where files go, and how reasons read."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from lavit_eval.digests import digest_json
from lavit_eval.models.protocol import Model
from lavit_eval.sample import MAKING, Request, Response

SIGNS_OF_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


def with_output(request: Request, folder: Path) -> Request:
    """Tell a request that makes a file where it goes: a name made of the sample's id, safe on every file system."""
    if request.kind not in MAKING:
        return request
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", request.sample_id)[:40].strip("-")
    name = f"{readable}-{digest_json(request.sample_id)[:8]}-{request.repeat}"
    return dataclasses.replace(request, output=str(folder.resolve() / "media" / name))


def first_missing(request: Request, missing: frozenset[str]) -> str | None:
    """Return the name of the first medium of a request that preflight did not find."""
    return next((medium.name for medium in request.media if medium.name in missing), None)


def without_medium(request: Request, name: str) -> Response:
    """Return the response to a request whose medium is not there."""
    return Response(request.sample_id, request.repeat, "failed", error=f"{name} is missing or empty.")


def media_alone(requests: Sequence[Request]) -> list[Request]:
    """Return what says which media requests will show: no texts, and questions on the same media once."""
    found: dict[object, Request] = {}
    for request in requests:
        if request.media:
            mark = request.kind, request.media, request.seeds.write if request.kind in MAKING else None
            found.setdefault(mark, dataclasses.replace(request, text="", options=()))
    return list(found.values())


def ask(model: Model, requests: Sequence[Request]) -> list[Response]:
    """Return a model's responses in the order of the requests (raises RuntimeError when it left some out)."""
    answered = {
        response.key: _by_name(response, requests) for response in (model.respond(requests) if requests else [])
    }
    if set(answered) != {request.key for request in requests}:
        raise RuntimeError(f"the model answered {len(answered)} of {len(requests)} requests of a batch")
    return [answered[request.key] for request in requests]


def _by_name(response: Response, requests: Sequence[Request]) -> Response:
    """Name media in a reason as the benchmark does: where they lie on this machine says nothing of the result."""
    if response.error is None:
        return response
    error = response.error
    for medium in {medium for request in requests if request.key == response.key for medium in request.media}:
        error = error.replace(medium.path, medium.name)
    return dataclasses.replace(response, error=error)


def out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory does not suffice, on the card, in its libraries or on the CPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS_OF_MEMORY)


def one_line(error: BaseException) -> str:
    """Return what an error says, short and on one line."""
    return " ".join(str(error).split())[:200]


def free_memory() -> None:
    """Give back what a batch that did not fit has left behind."""
    import gc

    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def pin_threads(count: int) -> None:
    """Fix the number of threads, on which rounding depends; a model without torch has none to fix."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)
