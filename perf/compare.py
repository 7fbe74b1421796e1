"""Prints what `lavit-eval compare` costs: two made runs of 72,821 samples with 10,000 flips.

Three pairs: questions that share 2,990 videos, every sample a cluster of its own with continuous scores, and a corpus
metric (bootstrap of counts). CPU seconds of the whole command, user and system, the start of Python and the reading of
both runs included, the least of the rounds. Run: python perf/compare.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
SAMPLES, VIDEOS = 72_821, 2_990
LIMIT = 5.0
DIGESTS = ("prompt_ids", "keyframes", "visual_tokens", "motion")
CASES = {
    "exact_match, 2,990 videos": ("exact_match", VIDEOS),
    "cider, 72,821 images": ("cider", SAMPLES),
    "bleu_4, 5,000 images": ("bleu_4", 5_000),
}


def made_records(metric: str, clusters: int, seed: int) -> tuple[list[dict[str, Any]], float]:
    """Return made per-sample records and the value that they give."""
    draw = np.random.default_rng(seed)
    where = np.sort(np.random.default_rng(0).integers(0, clusters, SAMPLES))
    ease = np.random.default_rng(1).random(clusters)[where]
    scores = (draw.random(SAMPLES) < ease).astype(float) if metric == "exact_match" else draw.random(SAMPLES)
    records = []
    for place, (cluster, score) in enumerate(zip(where.tolist(), scores.tolist(), strict=True)):
        measured: dict[str, Any] = {"score": score}
        if metric == "exact_match":
            measured["answer"] = "a dog" if score else "a cat"
        if metric == "bleu_4":
            measured["sums"] = [5.0 + score, 3.0, 2.0, 1.0, 9.0, 8.0, 7.0, 6.0, 9.0, 9.0, 1.0]
        named = {"sample_id": str(158_581 + place), "repeat": 0, "cluster": f"video{cluster}.mp4"}
        records.append({**named, metric: measured})
    return records, 100 * float(scores.mean())


def write_run(folder: Path, metric: str, clusters: int, seed: int) -> None:
    """Write the files of a finished run that `compare` reads, journal included."""
    records, value = made_records(metric, clusters, seed)
    task = folder / "tasks" / "msrvtt_qa"
    task.mkdir(parents=True)
    (task / "samples.jsonl").write_text("".join(json.dumps(record, sort_keys=True) + "\n" for record in records))
    lines = []
    for place, record in enumerate(records):
        digests = {"media": ["d" * 64], **dict.fromkeys(DIGESTS, "e" * 64)}
        response = {"sample_id": record["sample_id"], "repeat": 0, "outcome": "answered", "text": "a dog"}
        entry = {"schema": 1, **response, "digests": digests, "attempt": 1, "batch": place, "of": 1}
        lines.append(json.dumps(entry, separators=(",", ":")) + "\n")
    (task / "journal.jsonl").write_text("".join(lines))
    model = {"name": "made", "label": f"made {seed}", "digest": "m" * 64}
    score: dict[str, Any] = {
        "value": value, "interval": None, "n": SAMPLES, "coverage": 1.0, "higher_is_better": True, "skipped": None,
        "unit": "percent" if metric == "exact_match" else "x100", "details": {}, "recipe": {}, "protocol": None,
        "categories": {}, "repeats": [],
    }  # fmt: skip
    scored: dict[str, Any] = {"protocol": "p", "data": "d", "n": SAMPLES, "answered": SAMPLES, "primary": metric}
    scored |= {"failed": 0, "skipped": 0, "failures": [], "labels": [], "metrics": {metric: score}}
    scores = {"schema": 1, "model": model, "seed": seed, "repeats": 1, "demo": False, "tasks": {"msrvtt_qa": scored}}
    (folder / "scores.json").write_text(json.dumps(scores))
    identity = {
        "limit": None, "repeats": 1, "seed": seed, "visual_noise": "per-medium", "batch_size": 8, "demo": False,
        "model": {"name": "made", "digest": "m" * 64}, "tasks": {},
    }  # fmt: skip
    manifest = {
        "schema": 1, "created": "2026-01-01T00:00:00+00:00", "identity": identity, "identity_digest": str(seed),
        "model": {"name": "made", "label": f"made {seed}", "identity": {}}, "plan": {}, "counts": {}, "data_root": ".",
        "tasks": {"msrvtt_qa": {"fields": {"request": "answer"}, "asking": "a"}},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))


def cpu_seconds(folder: Path) -> float:
    """Return the CPU seconds of one comparison in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "lavit_eval.cli", "compare", str(folder / "base"), str(folder / "new"), "--gate"]
    paths = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})
    if "Gate:" not in done.stdout:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Print a line per pair of runs; leave with 1 where one takes longer than the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round instead of three")
    rounds = 1 if parser.parse_args().quick else 3
    worst = 0.0
    for title, (metric, clusters) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            for seed, name in enumerate(("base", "new"), 2):
                write_run(Path(folder) / name, metric, clusters, seed)
            least = min(cpu_seconds(Path(folder)) for _ in range(rounds))
        worst = max(worst, least)
        print(f"compare, two runs of {SAMPLES:,} samples, {title}: {least:.2f} CPU s (limit {LIMIT:.0f})")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
