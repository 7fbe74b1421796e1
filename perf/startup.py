"""CPU time until the command line answers, each command in a process of its own, beside a bare Python.

Run: python perf/startup.py
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

GOALS = {"--help": 0.2, "tasks": 0.5}
REPEATS = 7


def cpu_seconds(command: list[str]) -> float:
    """Return the least CPU time (user and system) of several runs of a command."""
    found = []
    for _ in range(REPEATS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def main() -> None:
    """Print each command's CPU seconds, its goal, and the ratio to a Python that does nothing."""
    bare = cpu_seconds([sys.executable, "-c", "pass"])
    print(f"python -c pass: {bare:.3f} CPU-s")
    script = Path(sys.executable).with_name("lavit-eval")
    for command, goal in GOALS.items():
        spent = cpu_seconds([str(script), command])
        print(f"lavit-eval {command}: {spent:.3f} CPU-s (goal {goal}), {spent / bare:.1f} times a bare Python")
    unknown = cpu_seconds([str(script), "run", "--model", "constant", "--tasks", "msvd_qq"])
    print(f"an unknown task: {unknown:.3f} CPU-s, {unknown / bare:.1f} times a bare Python")


if __name__ == "__main__":
    main()
