"""The stages of a batch of requests: each in batches of its own, kept on disk until the files are made.

Weights come to the device once per stage, not once per request. What a stage has made lies beside the journal, so that
a run that is killed goes on after the last whole batch of a stage; a batch that did not fit into memory is noted there,
and is done in halves again where the whole might now fit, for that could change its rounding.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from torch import Tensor

from lavit_eval.digests import digest_json
from lavit_eval.files import write_atomic
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.halving import out_of_memory
from lavit_eval.models.video_lavit.take import Take, alive

Work = Callable[[Sequence[Take]], None]
StageKind = Literal["llm", "image", "video"]
KEPT = "stages"
NO_MEMORY = (
    "the memory does not suffice, even for one request: give --model-args low_memory=on,offload=on or a larger card"
)


@dataclass(frozen=True, slots=True)
class StageSizes:
    """How many requests go through a stage together; 0 takes all of a batch."""

    llm: int = 0
    image: int = 0
    video: int = 0

    def of(self, kind: StageKind) -> int:
        """Return the size of a kind of stage."""
        sizes: dict[StageKind, int] = {"llm": self.llm, "image": self.image, "video": self.video}
        return sizes[kind]


class Stages:
    """Runs stages in batches and keeps nothing.

    Args:
        sizes: Requests per batch of a stage.
    """

    def __init__(self, sizes: StageSizes | None = None) -> None:
        self.sizes = sizes or StageSizes()

    def run(self, kind: StageKind, name: str, takes: Sequence[Take], work: Work) -> None:
        """Do the work of a stage for all requests that nothing has gone wrong with, batch by batch.

        Which requests share a batch depends on all requests of the stage, not on who failed before.
        """
        size = self.sizes.of(kind) or max(1, len(takes))
        for start in range(0, len(takes), size):
            piece = takes[start : start + size]
            if alive(piece):
                self._do(name, piece, work)

    def number(self, takes: Sequence[Take]) -> None:
        """Be told all requests in their order, before the first stage."""

    def _do(self, name: str, piece: Sequence[Take], work: Work) -> None:
        work(piece)


class KeptStages(Stages):
    """Runs stages of one planned batch, keeps what they make, and halves what does not fit into memory.

    Args:
        sizes: Requests per batch of a stage.
        folder: Where to keep it; None keeps nothing.
        keys: What tells the batch's requests from those of others.
        release: Frees what can be freed after an allocation that failed.
    """

    def __init__(
        self, sizes: StageSizes, folder: Path | None, keys: Sequence[object], release: Callable[[], None]
    ) -> None:
        super().__init__(sizes)
        self.folder = None if folder is None else folder / KEPT / digest_json(list(keys))[:32]
        self.release = release
        self._places: dict[int, int] = {}

    def number(self, takes: Sequence[Take]) -> None:
        """Be told the requests in their order, by whose places what is kept is named."""
        self._places = {id(take): place for place, take in enumerate(takes)}

    def remove(self) -> None:
        """Forget what was kept: its files are made."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            with suppress(OSError):
                # Another batch's may lie there still.
                self.folder.parent.rmdir()

    def _do(self, name: str, piece: Sequence[Take], work: Work, halved: bool = False) -> None:
        path = self._path(name, piece)
        if path is not None and _restored(path, piece):
            return
        note = None if path is None else path.with_suffix(".halved")
        if len(piece) == 1 or note is None or not note.is_file():
            before = [(len(take.keyframes), len(take.clips)) for take in piece]
            if self._fits(name, piece, work, halved):
                if path is not None:
                    write_atomic(path, _sealed(piece, before))
                return
            if note is not None:
                write_atomic(note, b"")
        middle = (len(piece) + 1) // 2
        for half in (piece[:middle], piece[middle:]):
            if alive(half):
                self._do(name, half, work, halved=True)

    def _fits(self, name: str, piece: Sequence[Take], work: Work, halved: bool) -> bool:
        """Do the work and say whether the memory sufficed; a single request for which it does not has failed."""
        for take in piece:
            take.draws.mark()
        try:
            work(piece)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        else:
            for take in piece if halved else ():
                take.counts["batch_halved"] = 1
            return True
        # Only out of the handler is what the failed attempt held really free.
        self.release()
        for take in piece:
            take.draws.rewind()
        if len(piece) == 1:
            piece[0].error = GenerationError(name, (0,), NO_MEMORY)
        return len(piece) == 1

    def _path(self, name: str, piece: Sequence[Take]) -> Path | None:
        if self.folder is None:
            return None
        first, last = (self._places[id(piece[place])] for place in (0, -1))
        return self.folder / f"{name.replace(' ', '-')}-{first}-{last}.kept"


def _sealed(takes: Sequence[Take], before: Sequence[tuple[int, int]]) -> bytes:
    """Return what a stage made of requests as bytes that begin with their own SHA-256.

    Pictures that they had before it, so many keyframes and clips, are kept by the stages that made them.
    """
    tensors: dict[str, Tensor] = {}
    told = []
    for place, (take, (keyframes, clips)) in enumerate(zip(takes, before, strict=True)):
        pictures = {"keyframes": take.keyframes[keyframes:], "clips": take.clips[clips:]}
        told.append(
            {
                "ids": take.ids,
                "image_ids": take.image_ids,
                "counts": dict(take.counts),
                "error": take.error and [take.error.stage, list(take.error.rows), take.error.what],
                **{name: len(parts) for name, parts in pictures.items()},
            }
        )
        tensors[f"{place}.draws"] = take.draws.state()
        if take.codes is not None:
            tensors[f"{place}.codes"] = take.codes
        for name, parts in pictures.items():
            tensors |= {f"{place}.{name}.{number}": part.contiguous() for number, part in enumerate(parts)}
    tensors["told"] = torch.frombuffer(bytearray(json.dumps(told).encode()), dtype=torch.uint8)
    content = safetensors.torch.save(tensors)
    return hashlib.sha256(content).digest() + content


def _restored(path: Path, takes: Sequence[Take]) -> bool:
    """Give requests what was kept of them; say whether there was anything whole."""
    try:
        sealed = path.read_bytes()
    except OSError:
        return False
    if hashlib.sha256(sealed[32:]).digest() != sealed[:32]:
        return False
    tensors = safetensors.torch.load(sealed[32:])
    told: list[dict[str, Any]] = json.loads(tensors["told"].numpy().tobytes())
    for place, (take, known) in enumerate(zip(takes, told, strict=True)):
        take.ids, take.image_ids = known["ids"], known["image_ids"]
        take.counts.clear()
        take.counts.update(known["counts"])
        take.error = None if known["error"] is None else _error(*known["error"])
        take.codes = tensors.get(f"{place}.codes")
        for name, held in (("keyframes", take.keyframes), ("clips", take.clips)):
            held += [tensors[f"{place}.{name}.{number}"] for number in range(known[name])]
        take.draws.restore(tensors[f"{place}.draws"])
    return True


def _error(stage: str, rows: Sequence[int], what: str) -> GenerationError:
    return GenerationError(stage, tuple(rows), what)
