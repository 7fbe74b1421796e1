"""The process that preprocesses media for a model in another one: `python -m lavit_eval.video.decoder`.

It is told the settings, then one medium per line of JSON, and answers each by a line of JSON that is followed by the
arrays' bytes. It ends when whoever spawned it closes the pipe, by dying if need be.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lavit_eval.errors import MediumError
from lavit_eval.sample import JSON, Medium, Segment
from lavit_eval.video.cache import ClipCache
from lavit_eval.video.loaded import Loaded, load_medium
from lavit_eval.video.settings import VideoSettings

Loader = Callable[..., Loaded]


def main(load: Loader = load_medium) -> None:
    """Preprocess media until the pipe is closed."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What a library prints must not be taken for an answer.
    os.dup2(2, 1)
    # An interruption is for the process that spawned this one, which then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.modules["torch"].set_num_threads(1)
    told = json.loads(incoming.readline())
    settings = VideoSettings(**told["settings"])
    cache = None if told["cache"] is None else ClipCache(Path(told["cache"]), told["cache_bytes"])
    answer(outgoing, ({"ready": True}, []))
    for line in incoming:
        medium = json.loads(line)
        try:
            answer(outgoing, _answered(load, unpack_medium(medium), settings, cache))
        except BrokenPipeError:
            return


def _answered(
    load: Loader, medium: Medium, settings: VideoSettings, cache: ClipCache | None
) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    try:
        loaded = load(medium, settings, cache)
    except MediumError as error:
        return {"error": str(error)}, []
    except Exception:
        return {"raised": traceback.format_exc()}, []
    arrays: list[NDArray[Any]] = [loaded.keyframes, *([] if loaded.motions is None else [loaded.motions])]
    digests = [loaded.digest, loaded.file_digest]
    return {"digests": digests, "shapes": [array.shape for array in arrays]}, arrays


def pack_medium(medium: Medium) -> dict[str, JSON]:
    """Return a medium as JSON; times stay exact fractions."""
    segment = None if medium.segment is None else [str(medium.segment.start), str(medium.segment.end)]
    return {"medium": [medium.kind, medium.path, medium.name], "segment": segment, "rate": medium.rate}


def unpack_medium(packed: Mapping[str, JSON]) -> Medium:
    """Return the medium of a line."""
    (kind, path, name), segment = packed["medium"], packed["segment"]
    return Medium(kind, path, name, segment and Segment(*map(Fraction, segment)), packed["rate"])


def answer(outgoing: BinaryIO, said: tuple[dict[str, Any], list[NDArray[Any]]]) -> None:
    """Write a head and its arrays."""
    head, arrays = said
    outgoing.write(json.dumps(head).encode() + b"\n")
    for array in arrays:
        outgoing.write(np.ascontiguousarray(array).data)
    outgoing.flush()


if __name__ == "__main__":
    main()
