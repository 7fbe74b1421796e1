"""What two runs must share before their scores are compared: one small class per rule."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lavit_eval.compare_sides import Side
from lavit_eval.errors import UsageError, nearest
from lavit_eval.runs import differing
from lavit_eval.sample import JSON

PREPROCESSING = ("video", "token_select", "long_prompt", "motion_tokens")
"""Fields of a model's identity that say how a medium becomes what the model reads."""
OF_VIDEOS = ("motion_tokens",)
"""Those that only a task with videos meets."""
SILENT = ("description", "samples", "subset", "published_as")
"""Fields of a task that are no part of its protocol: what samples it took shows in the data."""
LONG = 60
DIGEST = re.compile("[0-9a-f]{40,64}")
ABSENT = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which two runs differ."""

    field: str
    """Dotted; `--waive` takes it, or any beginning of it."""
    base: JSON
    new: JSON
    waived: bool = False

    def __str__(self) -> str:
        return f"{self.field}: {_short(self.base)} -> {_short(self.new)}"


class Rule:
    """What one task of two runs must share."""

    root: ClassVar[str]
    """First part of the fields' names."""
    refuses: ClassVar[bool] = True
    """Whether a difference makes the scores incomparable, or the comparison incomplete."""

    def __init__(self, task: str, base: Side, new: Side, waived: Sequence[str] = ()) -> None:
        self.task, self.base, self.new, self.waived = task, base, new, waived

    def pairs(self) -> Iterable[tuple[str, JSON, JSON]]:
        """Yield (field below the root, value of BASE, value of NEW) where they differ."""
        raise NotImplementedError

    def differences(self) -> list[Difference]:
        """Return the fields that differ, those that were waived marked."""
        found = []
        for below, base, new in self.pairs():
            field = f"{self.root}.{below}" if below else self.root
            found.append(Difference(field, base, new, any(_covers(name, field) for name in self.waived)))
        return found

    def fails(self) -> str | None:
        """Return the sentence to print, None where the rule holds or its differences were waived."""
        left = [difference for difference in self.differences() if not difference.waived]
        if not left:
            return None
        wrong = "not comparable" if self.refuses else "incomplete"
        flags = " ".join(f"--waive {difference.field}" for difference in left)
        return f"{self.task} is {wrong}: {'; '.join(map(str, left))}. To compare all the same: {flags}"


class SameProtocol(Rule):
    """Both were asked and scored the same way."""

    root = "protocol"

    def pairs(self) -> Iterable[tuple[str, JSON, JSON]]:
        """Yield the task's fields that differ, or that only versions of code do."""
        base, new = self.base.task(self.task), self.new.task(self.task)
        mine, theirs = self.base.score(self.task), self.new.score(self.task)
        if base["protocol"] != new["protocol"]:
            stored, wanted = self.base.fields[self.task], self.new.fields[self.task]
            found = list(_differing(_counting(stored["fields"]), _counting(wanted["fields"])))
            yield from found
            if not found:
                asked = stored.get("asking") == wanted.get("asking")
                yield "scoring_version" if asked else "reader_version", base["protocol"][:8], new["protocol"][:8]
        elif mine.get("protocol") != theirs.get("protocol"):
            found = [(f"recipe.{name}", a, b) for name, a, b in _differing(mine["recipe"], theirs["recipe"])]
            if not found and _judge(mine) != _judge(theirs):
                # Said by `SameJudge`.
                return
            yield from found or [("recipe", str(mine.get("protocol"))[:8], str(theirs.get("protocol"))[:8])]


class SameData(Rule):
    """Both saw the same annotations and media."""

    root = "data"

    def pairs(self) -> Iterable[tuple[str, JSON, JSON]]:
        """Yield the digests."""
        base, new = self.base.task(self.task)["data"], self.new.task(self.task)["data"]
        if base != new:
            yield "", base[:8], new[:8]


class SameLimit(Rule):
    """Both took the same part of the samples."""

    root = "limit"

    def pairs(self) -> Iterable[tuple[str, JSON, JSON]]:
        """Yield the numbers of samples where a limit made them differ."""
        base, new = self.base.identity["limit"], self.new.identity["limit"]
        if base != new and self.base.task(self.task)["data"] != self.new.task(self.task)["data"]:
            yield "", base, new


class SameSubset(Rule):
    """Both took the same subset of the samples, where their tasks or suites take one."""

    root = "subset"

    def pairs(self) -> Iterable[tuple[str, JSON, JSON]]:
        """Yield the fields of the subset that differ."""
        base, new = (side.fields[self.task]["fields"].get("subset") or {} for side in (self.base, self.new))
        if self.base.task(self.task)["data"] != self.new.task(self.task)["data"]:
            yield from _differing(base, new)


class SameRepeats(Rule):
    """Both asked every sample equally often; where repeats are candidates, the best of four is another score."""

    root = "repeats"

    def pairs(self) -> Iterable[tuple[str, JSON, JSON]]:
        """Yield the numbers of repeats."""
        base, new = self.base.identity["repeats"], self.new.identity["repeats"]
        if base != new:
            yield "", base, new


class SameJudge(Rule):
    """Both were judged by the same model and template."""

    root = "judge"

    def pairs(self) -> Iterable[tuple[str, JSON, JSON]]:
        """Yield the fields of the judge that differ."""
        sides = [_judge(side.score(self.task)) for side in (self.base, self.new)]
        yield from _differing(*({"name": one} if isinstance(one, str) else one for one in sides))


class SamePreprocessing(Rule):
    """Media became tokens the same way, where both models are of one kind."""

    root = "preprocessing"

    def pairs(self) -> Iterable[tuple[str, JSON, JSON]]:
        """Yield the fields of the model's identity that differ."""
        base, new = self.base.model_for(self.task), self.new.model_for(self.task)
        if (base["name"], base.get("class")) == (new["name"], new.get("class")):
            fields = _preprocessing(self.task, self.base, self.new)
            yield from _differing(*({name: one[name] for name in fields if name in one} for one in (base, new)))


class SameCoverage(Rule):
    """Both answered every sample; what is missing may have been the hard ones."""

    root = "coverage"
    refuses = False

    def pairs(self) -> Iterable[tuple[str, JSON, JSON]]:
        """Yield how many samples were answered and scored, of how many."""
        both = [self._count(side) for side in (self.base, self.new)]
        if any(lacking for _, lacking in both):
            yield "", both[0][0], both[1][0]

    def _count(self, side: Side) -> tuple[str, bool]:
        scored, score = side.task(self.task), side.score(self.task)
        if score.get("incomplete"):
            return f"held back ({score['skipped']})", True
        judged = (score.get("details") or {}).get("judgements") or {}
        if judged.get("failed"):
            return f"{judged['wanted'] - judged['failed']} of {judged['wanted']} judged", True
        return f"{scored['answered']} of {scored['n']}", scored["answered"] < scored["n"]


class SameMetric(Rule):
    """Both have a value of the primary metric, or neither could."""

    root = "value"
    refuses = False

    def pairs(self) -> Iterable[tuple[str, JSON, JSON]]:
        """Yield why one of the two has no value."""
        base, new = self.base.score(self.task), self.new.score(self.task)
        if (base["value"] is None) != (new["value"] is None) and not (base.get("incomplete") or new.get("incomplete")):
            yield "", _value(base), _value(new)


RULES: tuple[type[Rule], ...] = (
    SameProtocol, SameData, SameLimit, SameSubset, SameRepeats, SameJudge, SamePreprocessing, SameCoverage, SameMetric,
)  # fmt: skip
TASKS = "tasks"
"""What `--waive` calls a task that NEW lacks."""


def check_waivers(waived: Sequence[str]) -> None:
    """Raise UsageError for a field that no rule looks at: a misspelt waiver would waive nothing."""
    roots = [*(rule.root for rule in RULES), TASKS]
    for name in waived:
        if name.split(".")[0] not in roots:
            raise UsageError(f"--waive {name}: there is no such field.{nearest(name.split('.')[0], roots)}")


def beside(task: str, base: Side, new: Side) -> list[Difference]:
    """Return what differs and is no obstacle: it is what the comparison is about, or may move a score by chance."""
    names = ("seed", "visual_noise")
    found = [(name, base.identity.get(name), new.identity.get(name)) for name in names]
    found.append(("stage_batches", base.stage_batches(task), new.stage_batches(task)))
    found.append(("batch_size", base.batch_size(task), new.batch_size(task)))
    looked_at = _preprocessing(task, base, new)
    found += [(f"code.{name}", base.code.get(name), new.code.get(name)) for name in ("revision", "dirty")]
    models = [
        {name: value for name, value in side.model_for(task).items() if name not in looked_at} for side in (base, new)
    ]
    if models[0]["name"] != models[1]["name"]:
        # Models of different kinds share no field.
        models = [{"name": one["name"]} for one in models]
    found += [(f"model.{name}", one, other) for name, one, other in _differing(*models)]
    return [Difference(name, one, other) for name, one, other in found if one != other]


def _preprocessing(task: str, base: Side, new: Side) -> list[str]:
    """Return the fields of preprocessing that a task's media meet; all where it is not known what it shows."""
    shown = [kinds for side in (base, new) if (kinds := side.task(task).get("shows")) is not None]
    videos = not shown or any("video" in kinds for kinds in shown)
    return [name for name in PREPROCESSING if videos or name not in OF_VIDEOS]


def _covers(waived: str, field: str) -> bool:
    return field == waived or field.startswith(f"{waived}.")


def _counting(fields: Mapping[str, JSON]) -> dict[str, JSON]:
    return {name: value for name, value in fields.items() if name not in SILENT}


def _differing(base: Mapping[str, JSON], new: Mapping[str, JSON]) -> Iterable[tuple[str, JSON, JSON]]:
    for name in differing(base, new):
        yield name, _at(base, name), _at(new, name)


def _at(document: Any, name: str) -> JSON:
    """Return the value under a dotted name, whose parts may hold dots themselves."""
    if not isinstance(document, Mapping):
        return ABSENT
    if name in document:
        return document[name]
    for key in document:
        if name.startswith(f"{key}."):
            return _at(document[key], name[len(key) + 1 :])
    return ABSENT


def _judge(score: Mapping[str, Any]) -> Mapping[str, JSON] | str:
    found: Mapping[str, JSON] | str = (score.get("details") or {}).get("judge") or {}
    return found


def _value(score: Mapping[str, Any]) -> str:
    return f"none ({score['skipped']})" if score["value"] is None else f"{score['value']:.6g}"


def _short(value: JSON) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if DIGEST.fullmatch(text):
        return text[:8]
    return text if len(text) <= LONG else f"{text[: LONG - 1]}…"
