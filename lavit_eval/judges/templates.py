"""What a judge is told: the shipped templates, and files that take their place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lavit_eval.digests import digest_json
from lavit_eval.errors import UsageError, nearest
from lavit_eval.judges.protocol import Case, Message, Reading

FOLDER = Path(__file__).resolve().parent / "prompts"
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z_0-9]*)\}")
ESCAPING_VERSION = 1
"""Rises when the same text would be filled in otherwise."""
READINGS: Mapping[str, Reading] = {
    "video_qa": "yes_no_score",
    "vcg_correctness": "score",
    "vcg_detail": "score",
    "vcg_context": "score",
    "vcg_temporal": "score",
    "vcg_consistency": "score",
    "mmvet": "fraction",
    "mmbench_option": "option",
}
"""Judgement -> what its replies must hold."""
PLACEHOLDERS: Mapping[str, frozenset[str]] = {
    name: frozenset({"question", "answer", "prediction"}) for name in READINGS
} | {
    "vcg_consistency": frozenset({"question_1", "question_2", "answer", "prediction_1", "prediction_2"}),
    "mmbench_option": frozenset({"question", "options", "prediction"}),
}


class Template(BaseModel):
    """The messages that ask for one kind of judgement."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\-]*$")]
    version: Annotated[int, Field(ge=1)]
    judgement: str
    """What it asks for: a key of `READINGS`."""
    description: str = ""
    system: str = ""
    """The first message; left out where empty."""
    user: str
    max_tokens: Annotated[int, Field(ge=1)] = 64
    """Of the reply."""
    fences: tuple[Annotated[str, Field(pattern=r"^[a-z_0-9]+$")], ...] = ()
    """Tags between which the template puts texts: a filled-in text cannot close one of them."""
    table_row: bool = False
    """Whether texts stand in a row of a Markdown table: "|" is escaped, and line breaks become spaces."""

    @model_validator(mode="after")
    def _consistent(self) -> Template:
        if self.judgement not in READINGS:
            raise ValueError(f"there is no judgement {self.judgement!r}.{nearest(self.judgement, sorted(READINGS))}")
        wanted, found = PLACEHOLDERS[self.judgement], set(PLACEHOLDER.findall(self.system + self.user))
        if strange := sorted(found - wanted):
            raise ValueError(
                f"the placeholder {{{strange[0]}}} is unknown; {self.judgement} has "
                f"{', '.join(f'{{{name}}}' for name in sorted(wanted))}"
            )
        if lacking := sorted(wanted - found):
            raise ValueError(f"the placeholder {{{lacking[0]}}} is missing: the judge would not see it")
        for tag in self.fences:
            if f"<{tag}>" not in self.user or f"</{tag}>" not in self.user:
                raise ValueError(f"the fence {tag!r} is not in the user's message as <{tag}> and </{tag}>")
        return self

    @property
    def reading(self) -> Reading:
        """What a reply must hold."""
        return READINGS[self.judgement]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that reaches the judge, of how texts are made harmless, and of the version."""
        return digest_json({**self.model_dump(mode="json", exclude={"description"}), "escaping": ESCAPING_VERSION})

    def messages(self, case: Case) -> list[Message]:
        """Return what the judge is told about a case; placeholders within the filled-in texts stay as they are."""
        texts = {name: self._harmless(text) for name, text in case.fields.items()}

        def filled(message: str) -> str:
            return PLACEHOLDER.sub(lambda found: texts[found[1]], message)

        first = [{"role": "system", "content": filled(self.system)}] if self.system else []
        return [*first, {"role": "user", "content": filled(self.user)}]

    def _harmless(self, text: str) -> str:
        """Return a text that cannot end the place it is put into."""
        for tag in self.fences:
            text = re.sub(rf"<(?=\s*/?\s*{tag}(?:[\s>/]|$))", "&lt;", text, flags=re.IGNORECASE)
        if self.table_row:
            text = " ".join(text.splitlines()).replace("|", r"\|")
        return text

    def about(self) -> dict[str, str | int]:
        """Return what stands beside a score."""
        return {"template": self.template, "version": self.version, "digest": self.digest}


def load_template(path: Path) -> Template:
    """Read one template (raises UsageError that names the file and what is wrong)."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read ({error}); name a template's YAML file with --judge-template"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{where} is no valid YAML; see docs/judges.md for a template's form") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} is no mapping of keys and values; see docs/judges.md for a template's form")
    try:
        return Template.model_validate(document)
    except ValidationError as error:
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{path}: unknown key {key!r}.{nearest(key, sorted(Template.model_fields))}") from error
        said = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{path}: {f'{key}: ' if key else ''}{said}; mend the file.") from error


def templates_for(judgements: Iterable[str], files: Iterable[Path] = ()) -> dict[str, Template]:
    """Return judgement -> template: that of a file where one asks for it, else the shipped one.

    Raises UsageError for a bad file, for two files that ask for the same, and for one that nothing here asks for.
    """
    own: dict[str, Template] = {}
    wanted = sorted(set(judgements))
    for path in files:
        template = load_template(path)
        if template.judgement in own:
            raise UsageError(f"{path}: another --judge-template asks for {template.judgement}, too; leave out one.")
        if wanted and template.judgement not in wanted:
            raise UsageError(
                f"{path} asks for {template.judgement}, but these tasks are judged by {', '.join(wanted)}; "
                "leave it out, or mend its judgement."
            )
        own[template.judgement] = template
    return {name: own.get(name) or load_template(FOLDER / f"{name}.yaml") for name in wanted}
