"""Prints how long the leaderboard over many runs takes: the whole command, as a process of its own.

Run: python perf/leaderboard.py [--runs 500]
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
GOAL = 2.0


def make_runs(output: Path, count: int) -> None:
    """Make one real run of a made task and copy it under other names, with another seed each."""
    sys.path.insert(0, str(PROJECT))
    from lavit_eval.digests import digest_json
    from tests.tiny_world import msvd_task, write_msvd

    msvd_task(write_msvd(output / "data"), output / "tasks")
    command = [sys.executable, "run_eval.py", "--model", "constant", "--tasks", "made_qa", "--run-id", "0"]
    command += ["--task-dir", str(output / "tasks"), "--data-root", str(output / "data"), "--output-dir", str(output)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    first = output / "runs" / "0"
    manifest, scores = (json.loads((first / name).read_text()) for name in ("manifest.json", "scores.json"))
    for number in range(1, count):
        folder = output / "runs" / str(number)
        shutil.copytree(first, folder)
        manifest["identity"]["seed"] = scores["seed"] = number
        manifest["identity_digest"] = digest_json(manifest["identity"])
        scores["tasks"]["made_qa"]["metrics"]["exact_match"]["value"] = number / count * 100
        (folder / "manifest.json").write_text(json.dumps(manifest))
        (folder / "scores.json").write_text(json.dumps(scores))


def main() -> None:
    """Make the runs, print the table over them, and say what that cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    count = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        output = Path(name)
        make_runs(output, count)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "lavit_eval.cli", "leaderboard", "--output-dir", str(output)]
        done = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lines = sum("seed" in line for line in done.stdout.splitlines())
    print(f"leaderboard over {count} runs: {spent:.2f} CPU-s (goal {GOAL:g}), {lines} rows printed")


if __name__ == "__main__":
    main()
