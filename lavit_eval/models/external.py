"""What was made elsewhere, as a model like any other: answers in a file, images and videos in a folder or list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from lavit_eval.digests import digest_file
from lavit_eval.errors import UsageError
from lavit_eval.models.external_media import ExternalMedia
from lavit_eval.models.protocol import FactoryMethods, ModelOptions
from lavit_eval.sample import JSON, MAKING, Request, RequestKind, Response

Key = tuple[str, int]


class External:
    """Answers (`answers=FILE`) or images and videos (`media=DIR` or a CSV) that another program made."""

    capabilities: ClassVar[frozenset[RequestKind]] = frozenset(
        {"answer", "choose", "caption", "generate_image", "generate_video"}
    )
    reads_media: ClassVar[bool] = False
    """The media were seen elsewhere; here they may be absent."""
    default_batch_size: ClassVar[int] = 64
    takes_checkpoint: ClassVar[bool] = False

    @classmethod
    def identify(cls, options: ModelOptions) -> Mapping[str, JSON]:
        """Return the digest of what was made: it is the model."""
        return _kind(options).identify(options)

    @classmethod
    def preflight(cls, options: ModelOptions) -> list[str]:
        """Say what is wrong with the file, folder or list, or that it is not what the task needs."""
        kind = _kind(options)
        if unfit := sorted(options.kinds - kind.capabilities):
            wanted = "--media DIR" if unfit[0] in MAKING else "--answers FILE.jsonl"
            return [f"The task asks for {unfit[0]!r}; give {wanted}."]
        return kind.preflight(options)

    @classmethod
    def load(cls, options: ModelOptions) -> ExternalAnswers | ExternalMedia:
        """Read what was made."""
        return _kind(options).load(options)

    @classmethod
    def check_samples(cls, options: ModelOptions, task: str, known: frozenset[str], repeats: int) -> list[str]:
        """Return what is wrong with it for a task."""
        return _kind(options).check_samples(options, task, known, repeats)


def _kind(options: ModelOptions) -> type[ExternalAnswers] | type[ExternalMedia]:
    return ExternalMedia if "media" in options.arguments else ExternalAnswers


class ExternalAnswers(FactoryMethods):
    """Reads one JSON object per line: `sample_id`, `text`, and `repeat` (0 where absent).

    A sample without a line is a failed response; a line without a sample, or a sample twice, is the user's mistake.
    """

    capabilities: ClassVar[frozenset[RequestKind]] = frozenset({"answer", "choose", "caption"})
    reads_media: ClassVar[bool] = False
    """The media were seen elsewhere; here they may be absent."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__(options)
        self._path = _path(options)
        self._answers = read_answers(self._path)

    @classmethod
    def identify(cls, options: ModelOptions) -> Mapping[str, JSON]:
        """Return the digest of the file: the answers are the model."""
        return {"class": cls.__name__, "answers": digest_file(_path(options))}

    @classmethod
    def preflight(cls, options: ModelOptions) -> list[str]:
        """Read the file once and say what is wrong with it."""
        try:
            read_answers(_path(options))
        except UsageError as error:
            return [str(error)]
        return []

    @classmethod
    def load(cls, options: ModelOptions) -> Self:
        """Read the answers."""
        return cls(options)

    @classmethod
    def check_samples(cls, options: ModelOptions, task: str, known: frozenset[str], repeats: int) -> list[str]:
        """Return what is wrong with the answers for a task: ids that it does not have, repeats that are not asked for.

        Answers to samples beyond --limit are no mistake: the score is labelled as limited.
        """
        path = _path(options)
        answers = read_answers(path)
        problems = []
        strange = sorted({sample_id for sample_id, _ in answers} - known)
        if strange:
            problems.append(
                f"{path}: {len(strange)} answers belong to no sample of {task} (first: {strange[0]!r}); "
                "remove them or choose the right --task."
            )
        most = max((repeat for _, repeat in answers), default=0)
        if most >= repeats:
            problems.append(f"{path}: holds answers of repeat {most}; say how many repeats count: --repeats {most + 1}")
        return problems

    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Return the answers of the file."""
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Response:
        text = self._answers.get(request.key)
        if text is None:
            return Response(
                request.sample_id, request.repeat, "failed", error=f"{self._path.name} has no answer to it."
            )
        return Response(request.sample_id, request.repeat, "answered", text=text)


def _path(options: ModelOptions) -> Path:
    if "answers" not in options.arguments:
        raise UsageError(
            "The model 'external' needs a file of answers: lavit-eval score --task TASK --answers FILE.jsonl"
        )
    return Path(options.arguments["answers"])


def read_answers(path: Path) -> dict[Key, str]:
    """Read a file of answers (raises UsageError with file and line)."""
    answers: dict[Key, str] = {}
    try:
        # Only "\n" ends a line: texts may hold other line separators.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); give a JSON-lines file with --answers.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        key, text = _entry(line, f"{path}:{number}")
        if key in answers:
            raise UsageError(f"{path}:{number}: a second answer to sample {key[0]!r}, repeat {key[1]}; keep one.")
        answers[key] = text
    return answers


def _entry(line: str, where: str) -> tuple[Key, str]:
    try:
        entry: Any = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where}: not JSON ({error}); write one object per line.") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("text"), str) or "sample_id" not in entry:
        raise UsageError(f'{where}: expected {{"sample_id": ..., "text": "..."}}.')
    unknown = sorted(set(entry) - {"sample_id", "text", "repeat"})
    repeat = entry.get("repeat", 0)
    if unknown or not isinstance(repeat, int) or isinstance(repeat, bool) or repeat < 0:
        raise UsageError(
            f"{where}: unknown key {unknown[0]!r}." if unknown else f"{where}: repeat must be 0, 1, 2, ..."
        )
    return (str(entry["sample_id"]), repeat), entry["text"]
