"""Scores of runs that are shipped: on the demo's data they stand beside a new run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lavit_eval.data_files import data_folder

FOLDER = "demo"
"""Within results/baselines."""


def committed_beside(documents: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the shipped scores of other models on the same data, asked and scored in the same way.

    Of each shipped run only the tasks remain whose data and protocol one of the documents has, too; a run of a model
    that is among the documents is left out.

    Args:
        documents: The content of `scores.json` of runs at hand.
    """
    same = {_comparable(task, scores) for document in documents for task, scores in document["tasks"].items()}
    models = {document["model"]["digest"] for document in documents}
    found = []
    for path in sorted((data_folder("results/baselines") / FOLDER).glob("*.json")):
        shipped: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        tasks = {task: scores for task, scores in shipped["tasks"].items() if _comparable(task, scores) in same}
        if tasks and shipped["model"]["digest"] not in models:
            found.append({**shipped, "tasks": tasks})
    return found


def _comparable(task: str, scores: Mapping[str, Any]) -> tuple[str, str, str, int]:
    return task, scores["data"], scores["protocol"], scores["n"]
