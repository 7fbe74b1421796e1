"""Finds the recorded cases: `pytest tests/parity --golden DIR` takes any folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.parity.case import PROJECT, Case

SCORERS = {
    "captions",
    "clipsim",
    "frechet",
    "i3d_goldens",
    "inception_score",
    "mmbench_circular",
    "mme",
    "scienceqa_parse",
    "textvqa_accuracy",
    "vqa_accuracy",
    "vqa_accuracy_lavit",
}
SHARED = PROJECT.parent / "shared" / "golden"
DEFAULTS = (
    PROJECT / "tests" / "golden",
    SHARED / "understanding",
    SHARED / "generation",
    *(SHARED / "metrics" / f"{name}.json" for name in sorted(SCORERS)),
)


def find_cases(folders: list[Path]) -> list[Case]:
    """Return every JSON file with a `kind` under the folders, the first of equal file names, sorted by name."""
    found: dict[str, Case] = {}
    for folder in folders:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*.json")):
            facts = json.loads(path.read_text())
            kind = _kind(path, facts)
            if kind is not None:
                found.setdefault(path.name, Case(path, kind))
    return [found[name] for name in sorted(found)]


def _kind(path: Path, facts: object) -> str | None:
    """Return what a file is a case of; recorded scorers carry it in their name, other files without it hold facts."""
    if isinstance(facts, dict) and "kind" in facts:
        return str(facts["kind"])
    return path.stem if path.parent.name == "metrics" or path.stem in SCORERS else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of every case."""
    if "case" not in metafunc.fixturenames:
        return
    named = metafunc.config.getoption("--golden")
    folders = [Path(folder) for folder in named] if named else [folder for folder in DEFAULTS if folder.exists()]
    absent = [str(folder) for folder in folders if not folder.exists()]
    if absent:
        raise pytest.UsageError(f"no such golden folder: {', '.join(absent)}")
    cases = find_cases(folders)
    if named and not cases:
        raise pytest.UsageError(f"no case in {', '.join(map(str, folders))}")
    metafunc.parametrize("case", cases, ids=[f"{case.kind}:{case.name}" for case in cases])
