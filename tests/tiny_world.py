"""A small made benchmark and model, to run the loop in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from lavit_eval.models.protocol import FactoryMethods, ModelOptions
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue
from lavit_eval.sample import Request, RequestKind, Response
from lavit_eval.task import Task


def write_msvd(root: Path, videos: int = 6, questions: int = 4) -> int:
    """Write MSVD-QA's official layout with made annotations and placeholder videos; return the number of samples."""
    folder = root / "MSVD-QA"
    (folder / "video").mkdir(parents=True, exist_ok=True)
    rows = []
    for video in range(1, videos + 1):
        (folder / "video" / f"vid{video}.avi").write_bytes(b"made" * video)
        for number in range(questions):
            rows.append(
                {
                    "id": video * 100 + number,
                    "question": f"what is number {number}?",
                    "answer": "cat" if number % 2 else "dog",
                    "video_id": video,
                }
            )
    (folder / "test_qa.json").write_text(json.dumps(rows))
    return len(rows)


def msvd_task(samples: int, folder: Path, **fields: object) -> Task:
    """Return msvd_qa with another sample count and other fields, through a task file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"task": "made_qa", "extends": "msvd_qa", "samples": samples, **fields}
    (folder / "made_qa.yaml").write_text(json.dumps(document))
    return Catalogue([folder]).task("made_qa")


class Echo(FactoryMethods):
    """Answers "cat", counts what it is asked, and fails or dies where told."""

    capabilities: ClassVar[frozenset[RequestKind]] = frozenset({"answer", "caption"})
    default_batch_size: ClassVar[int] = 3
    asked: ClassVar[list[tuple[str, int]]] = []
    fails: ClassVar[set[str]] = set()
    dies_at: ClassVar[str | None] = None

    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Answer a batch."""
        responses = []
        for request in requests:
            if request.sample_id == Echo.dies_at:
                raise RuntimeError("made to die")
            Echo.asked.append(request.key)
            if request.sample_id in Echo.fails:
                responses.append(Response(request.sample_id, request.repeat, "failed", error="made to fail."))
            else:
                responses.append(
                    Response(request.sample_id, request.repeat, "answered", text="cat", times={"generate": 0.1})
                )
        return responses

    @classmethod
    def reset(cls) -> None:
        """Forget what was asked and told."""
        cls.asked, cls.fails, cls.dies_at = [], set(), None


def options_for(task: Task, root: Path, output: Path, **fields: object) -> RunOptions:
    """Return the options of a run of the registered model `echo` on one task."""
    base: dict[str, object] = {
        "model": "echo",
        "tasks": (task,),
        "data_root": root,
        "output": output,
        "model_options": ModelOptions(),
        "threads": 1,
    }
    return RunOptions(**{**base, **fields})  # type: ignore[arg-type]
