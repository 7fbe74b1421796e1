"""The house keeps its order: imports point one way, the command line starts light, files stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "lavit_eval"

# From the top floor to the ground; a module may import from floors below its own, and from its own.
FLOORS = [
    {"cli"},
    {
        "running",
        "score_commands",
        "listing",
        "checkpoints",
        "command_line",
        "parsers",
        "engine_flags",
        "weight_commands",
        "compare_commands",
        "report_command",
        "judge_commands",
        "data_commands",
        "data_arguments",
    },
    {"task_pages"},
    {"wanted"},
    {"judge_flags"},
    {"sweep", "report"},
    {"rescoring", "selfcheck", "demo", "pruning", "media_export", "data_check", "data_prepare"},
    {"evaluate", "leaderboard", "reproduction_tables", "leaderboard_exports"},
    {"compare_output", "baselines", "explain", "history_chart"},
    {"gate", "history"},
    {"compare_numbers"},
    {"compare"},
    {"comparability"},
    {"compare_sides"},
    {"paired_tests", "paired_samples"},
    {"reproduce"},
    {"open_points"},
    {"judging"},
    {"batch_sizes"},
    {"scoring", "claiming", "answering"},
    {"workers"},
    {"judged_scoring"},
    {"category_scores"},
    {"feature_scoring", "submissions", "features_ahead"},
    {"features_process"},
    {"probing"},
    {"prospect"},
    {"preparation"},
    {"disk_space"},
    {"recipes", "judgements"},
    {"costs"},
    {"engines", "statistics", "provenance"},
    {"subset", "runs", "published", "plan", "progress", "workload", "features", "thresholds", "committed"},
    {"score_file"},
    {"journal", "interruption"},
    {"hub"},
    {"models", "metrics", "benchmarks"},
    {"judges"},
    {"video", "weights"},
    {"registry", "cards"},
    {"task", "data_files"},
    {"generation_settings"},
    {"archives", "missing_media"},
    {"sample", "errors", "digests", "files", "downloads", "multiple_choice", "spreadsheet"},
]
APART = {
    ("models", "metrics"), ("models", "benchmarks"), ("metrics", "benchmarks"), ("models", "registry"),
    ("models", "task"), ("metrics", "registry"), ("metrics", "task"), ("benchmarks", "registry"),
    ("benchmarks", "task"), ("benchmarks", "video"), ("features", "registry"), ("features", "task"),
    ("features", "models"), ("features", "benchmarks"), ("video", "registry"), ("video", "task"),
    ("judges", "registry"), ("judges", "task"), ("judges", "models"), ("judges", "benchmarks"), ("judges", "video"),
}  # fmt: skip


def _room(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("lavit_eval.")}
    return rooms


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name != "__init__.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    here = _room(path)
    assert here in floor, f"{here} has no floor yet: add it to FLOORS"
    for room in _imports(path) - {here, "__version__"}:
        assert floor[here] <= floor[room], f"{path.name} imports {room}, which stands above {here}"
        assert (here, room) not in APART and (room, here) not in APART, f"{here} must not know {room}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < 50, f"{path.name}: {node.name} is too long"


BESIDE = sorted(path for folder in ("tests", "perf", "training") for path in (PACKAGE.parent / folder).rglob("*.py"))


@pytest.mark.parametrize("path", BESIDE, ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_files_beside_the_package_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_no_room_without_a_name() -> None:
    assert not {path.stem for path in SOURCES} & {"utils", "util", "helpers", "misc", "common"}
    assert len((PACKAGE.parent / "run_eval.py").read_text().splitlines()) < 40


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["compare", "--help"],
        ["tasks"],
        ["--version"],
        ["weights", "list"],
        ["run", "--model", "constant", "--tasks", "msvd_qq"],
    ],
    ids=" ".join,
)
def test_the_command_line_starts_without_heavy_imports(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom lavit_eval.cli import main\ncode = 0\n"
        "try:\n    code = main(sys.argv[1:])\nexcept SystemExit as left:\n    code = left.code\n"
        "heavy = {'torch', 'pandas', 'av', 'transformers', 'diffusers', 'datasets', 'numpy'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout, done.stdout[-300:]
