"""Models without weights: what a score is worth can only be told beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from lavit_eval.errors import UsageError, nearest
from lavit_eval.models.protocol import FactoryMethods, ModelOptions
from lavit_eval.multiple_choice import letters_of
from lavit_eval.sample import JSON, Request, RequestKind, Response, Sample, derive_seed


class Constant(FactoryMethods):
    """Gives the same answer to everything: `--model-args answer=...`, "yes" unless said."""

    prior: ClassVar[bool] = True
    capabilities: ClassVar[frozenset[RequestKind]] = frozenset({"answer", "choose", "caption"})

    def __init__(self, options: ModelOptions) -> None:
        super().__init__(options)
        _refuse_unknown("constant", options, ("answer",))
        self.answer = options.arguments.get("answer", "yes")

    @classmethod
    def identify(cls, options: ModelOptions) -> Mapping[str, JSON]:
        """Return the answer, whether it was said or is the default."""
        return {"class": cls.__name__, "answer": options.arguments.get("answer", "yes")}

    @classmethod
    def preflight(cls, options: ModelOptions) -> list[str]:
        """Return what is wrong with the arguments."""
        return _argument_problems("constant", options, ("answer",))

    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Give the answer to every request."""
        return [_answered(request, self.answer) for request in requests]


class MostCommonAnswer(FactoryMethods):
    """Gives the reference that is most common in the task: the best that a model can do without looking or reading.

    It knows the right answers, so it is a prior to compare with and no competitor. All references of a sample count
    alike; of equally common ones the first in alphabetical order (by code points) is given.
    """

    prior: ClassVar[bool] = True
    capabilities: ClassVar[frozenset[RequestKind]] = frozenset({"answer", "choose", "caption"})

    def __init__(self, options: ModelOptions) -> None:
        super().__init__(options)
        _refuse_unknown("most-common-answer", options, ())
        self.answer: str | None = None

    @classmethod
    def preflight(cls, options: ModelOptions) -> list[str]:
        """Return what is wrong with the arguments."""
        return _argument_problems("most-common-answer", options, ())

    def prepare(self, task: str, samples: Sequence[Sample]) -> None:
        """Count the references of the task's samples; raises UsageError if there are none."""
        counts = Counter(reference for sample in samples for reference in sample.references)
        if not counts:
            raise UsageError(
                f"The task {task} publishes no references to count; use `--model constant` as its baseline."
            )
        self.answer = min(counts, key=lambda reference: (-counts[reference], reference))

    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Give the most common reference of the task last prepared (ValueError if none was)."""
        if self.answer is None:
            raise ValueError("most-common-answer was asked before it was told the task's samples")
        return [_answered(request, self.answer) for request in requests]


class RandomOption(FactoryMethods):
    """Chooses one of a question's options by chance, each alike: what a score on multiple choice is worth at least.

    The choice belongs to the run's seed, the task, the sample and the repeat.
    """

    prior: ClassVar[bool] = True
    capabilities: ClassVar[frozenset[RequestKind]] = frozenset({"choose"})

    def __init__(self, options: ModelOptions) -> None:
        super().__init__(options)
        _refuse_unknown("random-option", options, ())

    @classmethod
    def preflight(cls, options: ModelOptions) -> list[str]:
        """Return what is wrong with the arguments."""
        return _argument_problems("random-option", options, ())

    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Choose for every request."""
        return [_answered(request, self._letter(request)) for request in requests]

    def _letter(self, request: Request) -> str:
        letters = letters_of(request.options)
        return letters[derive_seed("option", str(request.seeds.write)) % len(letters)]


def _answered(request: Request, answer: str) -> Response:
    return Response(request.sample_id, request.repeat, "answered", text=answer)


def _argument_problems(model: str, options: ModelOptions, known: Sequence[str]) -> list[str]:
    choice = ", ".join(known) or "none"
    return [
        f"{model} has no model argument {key!r}; --model-args knows {choice}.{nearest(key, known)}"
        for key in sorted(set(options.arguments) - set(known))
    ]


def _refuse_unknown(model: str, options: ModelOptions, known: Sequence[str]) -> None:
    if problems := _argument_problems(model, options, known):
        raise UsageError(problems[0])
