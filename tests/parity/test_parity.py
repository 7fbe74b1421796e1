"""Every recorded case passes within its tolerance; a kind that nobody checks is an error."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tests.parity.case import Case

CHECKS: dict[str, Callable[[Case], None]] = {}
for module in sorted(Path(__file__).parent.glob("checks_*.py")):
    CHECKS.update(import_module(f"tests.parity.{module.stem}").CHECKS)


def test_case(case: Case) -> None:
    """Choose the check by the case's kind and run it."""
    assert case.kind in CHECKS, f"no check for kind {case.kind!r} ({case.path}); known: {', '.join(sorted(CHECKS))}"
    CHECKS[case.kind](case)
