"""The whole harness against lm-evaluation-harness and lmms-eval: 10,000 made questions and a model that does nothing.

Each side is its own command line in a process of its own, in turn, with the model that it ships for this: `constant`
here, `dummy` there. All write every answer to disk and score exact match. CPU seconds are those of the process and its
children. A sample's time is (CPU seconds with all samples - CPU seconds with 10) / (samples - 10), so it includes
reading the annotations, planning, scoring and writing. A first run of 10 that is not counted compiles everyone's
modules. Our side reads MSVD-QA's layout (media are looked up, not opened), checks
and records its data, and draws clustered intervals; theirs read JSON lines without media.

The others are installed by `uv` from the package index, each in an environment of its own with all that it requires,
but torch and torchvision, which are borrowed from this interpreter to spare their download. One that cannot be
installed is named and left out.

Run: python perf/harnesses.py [--envs DIR] [--repeats N] [--samples N]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from overhead import write_questions

import lavit_eval

PINS = {"lm-eval": "0.4.13", "lmms-eval": "0.7.3"}
FEW, TASK, UNKNOWN = 10, "made_qa", "made_qq"
BORROWED = ("torch", "torchvision")
SIZES = {"--help": "--help", "few": f"{FEW} samples", "all": "all samples", "unknown": "an unknown task"}

THEIR_TASK = {
    "task": TASK,
    "dataset_path": "json",
    "test_split": "test",
    "output_type": "generate_until",
    "generation_kwargs": {"until": ["\n"]},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 1},
}
# lm-eval takes templates; lmms-eval wants functions and media, of which a plain question has none.
TEMPLATES = 'doc_to_text: "{{question}}"\ndoc_to_target: "{{answer}}"\n'
FUNCTIONS = "doc_to_text: !function utils.text\ndoc_to_visual: !function utils.visual\ndoc_to_target: answer\n"
UTILS = """def text(doc, lmms_eval_specific_kwargs=None):
    return doc["question"]


def visual(doc, lmms_eval_specific_kwargs=None):
    return []
"""


@dataclass(frozen=True)
class Spent:
    """Seconds that one process took, its exit code and the lines that it said."""

    cpu: float
    wall: float
    code: int
    said: tuple[str, ...]


@dataclass(frozen=True)
class Side:
    """A harness: its name, and the command of a run (inputs' folder, task, output folder) and of its help."""

    name: str
    version: str
    program: Path
    arguments: Callable[[Path, str, Path], list[str]]
    answers: str

    def command(self, what: str, root: Path, output: Path) -> list[str]:
        """Return the command of one of `SIZES`."""
        if what == "--help":
            return [str(self.program), "--help"]
        inputs = root / self.name / ("all" if what == "all" else "few")
        return [str(self.program), *self.arguments(inputs, UNKNOWN if what == "unknown" else TASK, output)]


def our_arguments(inputs: Path, task: str, output: Path) -> list[str]:
    """Return the arguments of a run of `lavit-eval`."""
    where = ["--task-dir", str(inputs / "tasks"), "--data-root", str(inputs), "--output-dir", str(output)]
    return ["run", "--model", "constant", "--tasks", task, *where]


def their_arguments(verb: str) -> Callable[[Path, str, Path], list[str]]:
    """Return a function that gives the arguments of a run of the others, whose command lines are akin."""

    def arguments(inputs: Path, task: str, output: Path) -> list[str]:
        where = ["--include_path", str(inputs), "--output_path", str(output), "--log_samples"]
        return [verb, "--model", "dummy", "--tasks", task, *where]

    return arguments


def install(name: str, envs: Path) -> Path | str:
    """Return the program of a pinned package in its own environment, or why it could not be installed."""
    uv = shutil.which("uv")
    if uv is None:
        return "the command uv was not found: pip install uv"
    folder = envs / f"{name}-{PINS[name]}"
    program = folder / "bin" / name
    if program.exists():
        return program
    excluded = envs / "borrowed.txt"
    excluded.write_text("".join(f'{package} ; python_version < "3"\n' for package in BORROWED))
    steps = [
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [
            *(uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")),
            *("--overrides", str(excluded), f"{name}=={PINS[name]}"),
        ],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["uv said nothing"])[-1].strip()
    # Its own packages come first on the path, so only what it lacks is taken from this interpreter.
    packages = next((folder / "lib").glob("python*/site-packages"))
    (packages / "zz_borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return program


def write_inputs(root: Path, samples: int) -> None:
    """Write the same questions and answers for every side, once all and once few of them."""
    for size, count in (("few", FEW), ("all", samples)):
        ours = root / "lavit-eval" / size
        ours.mkdir(parents=True)
        write_questions(ours, count)
        rows = json.loads((ours / "MSVD-QA" / "test_qa.json").read_text())
        for name, fields in (("lm-eval", TEMPLATES), ("lmms-eval", FUNCTIONS)):
            folder = root / name / size
            folder.mkdir(parents=True)
            questions = folder / "questions.jsonl"
            kept = ({"question": row["question"], "answer": row["answer"]} for row in rows)
            questions.write_text("".join(json.dumps(row) + "\n" for row in kept))
            task = THEIR_TASK | {"dataset_kwargs": {"data_files": {"test": str(questions)}}}
            lines = [f"{key}: {json.dumps(value)}\n" for key, value in task.items()]
            (folder / f"{TASK}.yaml").write_text("".join(lines) + fields)
            (folder / "utils.py").write_text(UTILS)


def spend(command: list[str], root: Path, ours: bool) -> Spent:
    """Run a command to its end, offline, and return what it took."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(root / "hf")}
    if not ours:
        environment.pop("PYTHONPATH", None)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    return Spent(cpu, wall, done.returncode, tuple(line.strip() for line in plain.splitlines() if line.strip()))


def measure(side: Side, what: str, root: Path, samples: int) -> Spent:
    """Run one of `SIZES` and see that it did what it should: a run that failed or lacks answers is no measurement."""
    with tempfile.TemporaryDirectory(dir=root) as name:
        spent = spend(side.command(what, root, Path(name)), root, side.name == "lavit-eval")
        if what == "unknown":
            return spent
        if spent.code:
            raise SystemExit(f"{side.name}, {SIZES[what]}: exit code {spent.code}\n" + "\n".join(spent.said[-20:]))
        if what in ("few", "all"):
            wanted = samples if what == "all" else FEW
            found = sum(len(path.read_text().splitlines()) for path in Path(name).glob(side.answers))
            if found != wanted:
                raise SystemExit(f"{side.name} wrote {found} answers of {wanted}")
        return spent


def row(label: str, values: list[float], digits: int = 2) -> str:
    """Return a line of the table: our value, then each other's with the ratio of ours to it."""
    ours, *others = values
    return f"{label:>28}{ours:16.{digits}f}" + "".join(f"{value:18.{digits}f}{ours / value:8.3f}" for value in others)


def report(sides: list[Side], least: dict[tuple[str, str], Spent], cpu: dict[tuple[str, str], float], n: int) -> None:
    """Print the table and what each says of an unknown task; `least` is by wall, `cpu` the least CPU seconds."""
    head, *others = [f"{side.name} {side.version}" for side in sides]
    print(f"{head:>44}" + "".join(f"{other:>18}{'ratio':>8}" for other in others))
    names = [side.name for side in sides]
    each = [(cpu[name, "all"] - cpu[name, "few"]) / (n - FEW) * 1e3 for name in names]
    print(row("CPU ms a sample", each, 3))
    for what, label in SIZES.items():
        label = f"{n:,} samples" if what == "all" else label
        print(row(f"{label}, CPU-s", [cpu[name, what] for name in names]))
        print(row(f"{label}, wall s", [least[name, what].wall for name in names]))
    for name in names:
        said = least[name, "unknown"]
        lines = list(dict.fromkeys([said.said[0], said.said[-1]])) if said.said else ["(nothing)"]
        print(f"an unknown task, {name}: exit code {said.code}, {len(said.said)} lines: " + " ... ".join(lines))


def main() -> None:
    """Install the others, run every side in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", type=Path, help="folder that keeps the others' environments (default: none are kept)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each command, of which the least counts")
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        envs = (options.envs or root / "envs").absolute()
        envs.mkdir(parents=True, exist_ok=True)
        program = Path(sys.executable).with_name("lavit-eval")
        answers = f"runs/*/tasks/{TASK}/journal.jsonl"
        sides = [Side("lavit-eval", lavit_eval.__version__, program, our_arguments, answers)]
        for other, verb in (("lm-eval", "run"), ("lmms-eval", "eval")):
            found = install(other, envs)
            if isinstance(found, str):
                print(f"{other} {PINS[other]} could not be installed and is left out: {found}")
                continue
            sides.append(Side(other, PINS[other], found, their_arguments(verb), f"**/*samples*{TASK}*.jsonl"))
        write_inputs(root, options.samples)
        least: dict[tuple[str, str], Spent] = {}
        cpu: dict[tuple[str, str], float] = {}
        for side in sides:
            measure(side, "few", root, options.samples)
        for _ in range(options.repeats):
            for what in SIZES:
                for side in sides:
                    spent, key = measure(side, what, root, options.samples), (side.name, what)
                    least[key] = min(spent, least.get(key, spent), key=lambda one: one.wall)
                    cpu[key] = min(spent.cpu, cpu.get(key, spent.cpu))
                    print(f"{side.name}, {SIZES[what]}: {spent.cpu:.2f} CPU-s, {spent.wall:.2f} s", file=sys.stderr)
        report(sides, least, cpu, options.samples)


if __name__ == "__main__":
    main()
