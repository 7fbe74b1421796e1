"""A comparison as text for the terminal, Markdown, JSON and JUnit XML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from xml.etree import ElementTree

from lavit_eval.compare import Flip, RunComparison, TaskComparison
from lavit_eval.compare_numbers import (
    NOTHING,
    difference,
    interval,
    number,
    percent,
    scale_name,
    sight,
    signed,
    unit_of,
    whole,
)
from lavit_eval.gate import Failure, tested
from lavit_eval.sample import JSON

SCHEMA = 1
HEAD = ("task", "metric", "BASE", "NEW", "difference", "95 % interval", "p (Holm)", "could see", "verdict")
LONGEST_ANSWER = 60


def render_terminal(found: RunComparison, failed: Sequence[Failure], most: int) -> str:
    """Return the comparison as plain text, with the `most` worst samples of each task."""
    lines = [f"BASE  {found.base}", f"      {found.base_from}", f"NEW   {found.new}", f"      {found.new_from}"]
    lines += [f"Waived: {', '.join(found.waived)}"] if found.waived else []
    lines += ["", *_columns([HEAD, *(_row(one, failed) for one in found.tasks)]), ""]
    lines += [sight(one) for one in found.tasks]
    lines += _common(found)
    for one in found.tasks:
        lines += _worst(one, most)
    if failed:
        lines += ["", *(f"{failure.kind.upper()}: {failure.sentence}" for failure in failed)]
    return "\n".join(plain(line) for line in lines) + "\n"


def render_markdown(found: RunComparison, failed: Sequence[Failure], most: int) -> str:
    """Return the comparison as Markdown, e.g. for the summary of a CI job."""
    lines = ["# Comparison", "", f"BASE {markdown(found.base)}, {markdown(found.base_from)}  "]
    lines += [f"NEW {markdown(found.new)}, {markdown(found.new_from)}", ""]
    lines += [f"- **{failure.kind}**: {markdown(failure.sentence)}" for failure in failed]
    if any(one.adjusted is not None for one in found.tasks) and all(one.kind != "regression" for one in failed):
        lines += ["- No regression was found."]
    lines += [f"- {markdown(tested(found))}."]
    lines += ["", _markdown_row(HEAD), "|" + "---|" * len(HEAD)]
    lines += [_markdown_row([markdown(cell) for cell in _row(one, failed)]) for one in found.tasks]
    lines += [""]
    lines += [f"- {markdown(sight(one))}" for one in found.tasks]
    lines += [f"- {markdown(line)}" for line in _common(found) if line]
    lines += [f"- Waived: {markdown(', '.join(found.waived))}"] if found.waived else []
    for one in found.tasks:
        worst = _fell(one)[:most]
        if worst:
            head = f"{markdown(one.task)}: {one.worse} samples fell, {one.better} rose; the worst"
            lines += ["", head, "", _markdown_row(_flip_head(one)), "|---|---|---|---|---|"]
            lines += [_markdown_row([markdown(cell) for cell in _flip(flip)]) for flip in worst]
    return "\n".join(lines) + "\n"


def as_json(found: RunComparison, failed: Sequence[Failure], code: int) -> dict[str, JSON]:
    """Return everything that was found, with what was waived and which rules failed."""
    tasks = []
    for one in found.tasks:
        record = asdict(one)
        record["threshold"] = {**one.threshold.model_dump(), "size": one.size}
        record |= {"difference": difference(one), "interval": interval(one), "regression": one.is_regression}
        tasks.append(record)
    return {
        "schema": SCHEMA,
        "base": found.base,
        "base_from": found.base_from,
        "new": found.new,
        "new_from": found.new_from,
        "waived": list(found.waived),
        "absent": list(found.absent),
        "added": list(found.added),
        "tasks": tasks,
        "failures": [asdict(failure) for failure in failed],
        "exit_code": code,
    }


def junit(found: RunComparison, failed: Sequence[Failure]) -> bytes:
    """Return JUnit XML with one case per task.

    A regression is a failure, what cannot be compared an error, and what could not be tested is skipped.
    """
    suite = ElementTree.Element("testsuite", name="lavit-eval compare")
    if found.waived:
        properties = ElementTree.SubElement(suite, "properties")
        ElementTree.SubElement(properties, "property", name="waived", value=plain(", ".join(found.waived)))
    cases = {}
    for task in [*(one.task for one in found.tasks), *found.absent]:
        cases[task] = ElementTree.SubElement(suite, "testcase", classname="lavit_eval.compare", name=plain(task))
    for failure in failed:
        if failure.task is not None:
            tag = "failure" if failure.kind == "regression" else "error"
            said = plain(failure.sentence)
            ElementTree.SubElement(cases[failure.task], tag, type=failure.kind, message=said).text = said
    for one in found.tasks:
        case = cases[one.task]
        if len(case) == 0 and one.untested is not None:
            ElementTree.SubElement(case, "skipped", message=plain(one.untested))
        elif len(case) == 0 and one.cannot_tell is not None:
            ElementTree.SubElement(case, "skipped", message=plain(f"cannot tell: {one.cannot_tell}"))
        ElementTree.SubElement(case, "system-out").text = plain(sight(one))
    for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases.values())))
    suite.set("tests", str(len(cases)))
    ElementTree.indent(suite)
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))


def plain(text: str) -> str:
    """Return the text with every control, format or line-breaking character spelled out as its escape."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def markdown(text: str) -> str:
    """Return the text as Markdown shows it literally within a table's cell."""
    return re.sub(r"[\\`*\[\]<>|#~&$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", plain(text))


def _row(one: TaskComparison, failed: Sequence[Failure]) -> list[str]:
    ends = interval(one)
    return [
        one.task,
        f"{one.metric} {'↑' if one.higher_is_better else '↓'}",
        number(one.base, one),
        number(one.new, one),
        signed(difference(one), one),
        f"[{number(ends[0], one)}, {number(ends[1], one)}]" if ends else NOTHING,
        percent(one.adjusted),
        NOTHING if one.detectable is None else number(one.detectable, one) + unit_of(one),
        _verdict(one, failed),
    ]


def _verdict(one: TaskComparison, failed: Sequence[Failure]) -> str:
    kinds = [failure.kind for failure in failed if failure.task == one.task]
    if kinds:
        return ", ".join(kinds)
    if one.cannot_tell is not None:
        return "cannot tell"
    if one.adjusted is None:
        return "not tested"
    return "no regression" if one.adjusted >= one.threshold.significance else "below threshold"


def _common(found: RunComparison) -> list[str]:
    """Return what else is to know: parts compared, waivers, what differs besides, tasks that only one run has."""
    lines = [line for one in found.tasks if (line := whole(one)) is not None]
    waived = dict.fromkeys(
        f"{difference} (waived)" for one in found.tasks for difference in one.differences if difference.waived
    )
    lines += [f"Differs all the same: {'; '.join(waived)}"] if waived else []
    others = dict.fromkeys(str(difference) for one in found.tasks for difference in one.beside)
    lines += [f"Differs besides: {'; '.join(others)}"] if others else []
    lines += [f"Only in NEW: {', '.join(found.added)}"] if found.added else []
    lines += [f"Only in BASE: {', '.join(found.absent)}"] if found.absent else []
    return ["", *lines] if lines else []


def _fell(one: TaskComparison) -> list[Flip]:
    sign = 1 if one.higher_is_better else -1
    return [flip for flip in one.flips if sign * (flip.base - flip.new) > 0]


def _worst(one: TaskComparison, most: int) -> list[str]:
    worst = _fell(one)[:most]
    if not worst:
        return []
    head = f"{one.task}: {one.worse} of {one.n} samples fell, {one.better} rose; the worst:"
    return ["", head, *(f"  {line}" for line in _columns([_flip_head(one), *(_flip(flip) for flip in worst)]))]


def _flip_head(one: TaskComparison) -> list[str]:
    scale = scale_name(one)
    return ["sample", f"BASE{scale}", f"NEW{scale}", "BASE's answer", "NEW's answer"]


def _flip(flip: Flip) -> list[str]:
    answers = [NOTHING if one is None else _short(one) for one in (flip.base_answer, flip.new_answer)]
    return [flip.sample_id, f"{flip.base:.4g}", f"{flip.new:.4g}", *answers]


def _short(text: str) -> str:
    one_line = plain(" ".join(text.split()))
    return one_line if len(one_line) <= LONGEST_ANSWER else f"{one_line[: LONGEST_ANSWER - 1]}…"


def _columns(rows: Iterable[Sequence[str]]) -> list[str]:
    table = [list(map(plain, row)) for row in rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))] if table else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
