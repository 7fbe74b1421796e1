"""What a judge must be, and the records that pass between it and the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from lavit_eval.digests import digest_json
from lavit_eval.sample import JSON

Reading = Literal["yes_no_score", "score", "fraction", "option"]
"""What a reply must hold: yes or no with a score of 0 to 5, such a score alone, a number of 0 to 1, or a letter."""
JudgeKind = Literal["endpoint", "transformers"]
OPENAI = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"
Message = Mapping[str, str]
"""{"role": "system" or "user", "content": text}."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to be judged."""

    judgement: str
    """Which template asks for it, e.g. "video_qa"."""
    fields: Mapping[str, str]
    """Placeholder of the template -> text: question, answer, prediction and the like."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a judge said."""

    text: str
    served: str | None = None
    """The model that answered, by its server's own word: an alias moves from one version to the next."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge's reply says, or why there is no verdict."""

    reply: str = ""
    failed: str | None = None
    """Why nothing can be taken from the reply; None for a verdict."""
    missing: bool = False
    """Whether the judge was not asked yet, or did not answer."""
    right: bool | None = None
    """Of "yes_no_score"."""
    score: float | None = None
    """As replied, not truncated."""
    option: str | None = None
    """A capital letter."""


class Busy(Exception):
    """The judge gave no usable answer, but may give one to the same request later.

    Args:
        reason: The end of a sentence about the judge.
        wait: Seconds after which it wants to be asked again, where it says so; this is then meant for all requests.
    """

    def __init__(self, reason: str, wait: float | None = None, slow_down: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.slow_down = wait, slow_down


class Refused(Exception):
    """The judge will not answer this request however often it is asked; other requests may be answered."""


class Judge(Protocol):
    """A language model that is asked with temperature 0."""

    concurrency: int
    """How many requests may be in flight at once."""
    name: str
    """For sentences: what is asked, and where."""

    def identity(self) -> Mapping[str, JSON]:
        """Return all that can change a reply, beside the messages; no address, no key."""
        ...

    def ask(self, messages: Sequence[Message], max_tokens: int) -> Reply:
        """Return the reply (raises Busy, Refused; UsageError where no request can be answered)."""
        ...

    def close(self) -> None:
        """Free connections or memory."""
        ...


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """Which judge is asked, and how; nothing here is secret."""

    model: str
    """A name that the endpoint knows; or a folder, or an id in the hub's local cache."""
    kind: JudgeKind = "endpoint"
    url: str = OPENAI
    """Of an OpenAI-compatible endpoint, without "/chat/completions"."""
    key_variable: str | None = None
    """The environment variable that holds the key; None for an endpoint without one."""
    concurrency: int = 16
    timeout: float = 60.0
    """Seconds for one request, from sending it to the last byte of its answer."""
    attempts: int = 5
    """How often one request is sent at most."""
    max_tokens: int | None = None
    """Of a reply, in the place of what the templates allow."""
    templates: tuple[Path, ...] = ()
    """Files that take the place of shipped templates."""
    prices: tuple[float, float] | None = None
    """Of a million tokens of prompts and of replies, in a currency that the user knows."""
    device: str = "cpu"
    dtype: str = "bfloat16"
    retry_failed: bool = False
    """Ask again where the stored reply could not be read or the request was refused."""


def judge_digest(identity: Mapping[str, JSON]) -> str:
    """Return the SHA-256 that stands for a judge."""
    return digest_json(dict(identity))


def case_key(judge: str, template: str, case: Case) -> str:
    """Return what a judgement is stored under: judge, template and everything that is filled into it.

    Args:
        judge: `judge_digest` of the judge.
        template: The template's content digest.
        case: What is judged.
    """
    return digest_json([judge, template, dict(case.fields)])
