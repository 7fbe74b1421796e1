"""The process that prepares media for a model in another one: `python -m lavit_eval.video.decoder`.

It is told one errand per line of JSON, and answers each by a line of JSON that is followed by the arrays' bytes. It
ends when whoever spawned it closes the pipe, by dying if need be.
"""

from __future__ import annotations

import json
import os
import signal
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from lavit_eval.errors import MediumError
from lavit_eval.sample import JSON
from lavit_eval.video.errand import Errand


def main(preloaded: Sequence[str] = ("lavit_eval.video.loaded",)) -> None:
    """Prepare media until the pipe is closed.

    Args:
        preloaded: Modules that are loaded before it is said that the process is up.
    """
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What a library prints must not be taken for an answer.
    os.dup2(2, 1)
    # An interruption is for the process that spawned this one, which then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    for module in preloaded:
        import_module(module)
    _answer(outgoing, {"ready": True})
    for line in incoming:
        try:
            _answer(outgoing, *_done(Errand.unpacked(json.loads(line))))
        except BrokenPipeError:
            return


def _done(errand: Errand) -> tuple[dict[str, JSON], Sequence[NDArray[Any]]]:
    try:
        module, _, function = errand.target.partition(":")
        prepared = getattr(import_module(module), function)(errand.medium, **errand.arguments)
    except MediumError as error:
        return {"error": str(error)}, ()
    except Exception:
        return {"raised": traceback.format_exc()}, ()
    kinds = [[array.dtype.str, array.shape] for array in prepared.arrays]
    return {"facts": dict(prepared.facts), "arrays": kinds}, prepared.arrays


def _answer(outgoing: BinaryIO, head: dict[str, JSON], arrays: Sequence[NDArray[Any]] = ()) -> None:
    outgoing.write(json.dumps(head).encode() + b"\n")
    for array in arrays:
        outgoing.write(np.ascontiguousarray(array).data)
    outgoing.flush()


if __name__ == "__main__":
    main()
