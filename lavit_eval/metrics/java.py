"""The Java programs that pycocoevalcap brings: its tokenizer and METEOR."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from lavit_eval.errors import UsageError

NO_JAVA = "no Java"
OPTIONS = ("-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US")
"""The same bytes on every machine, whatever its locale."""
START_SECONDS = 60
REPORT_LINES = 2


@lru_cache(maxsize=1)
def missing_java() -> str | None:
    """Return "no Java" when no working `java` is on the PATH, else None; it is tried once per process."""
    java = shutil.which("java")
    if java is None:
        return NO_JAVA
    try:
        # On macOS a `java` without a Java behind it is always there: only running it tells.
        done = subprocess.run([java, "-version"], capture_output=True, timeout=START_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return NO_JAVA
    return None if done.returncode == 0 else NO_JAVA


def jar(*parts: str) -> Path:
    """Return the path of a jar in the installed pycocoevalcap; raise UsageError when the package lacks it."""
    found = importlib.util.find_spec("pycocoevalcap")
    for place in (found.submodule_search_locations or []) if found is not None else []:
        path = Path(place).joinpath(*parts)
        if path.is_file():
            return path
    raise UsageError(
        f"pycocoevalcap's {'/'.join(parts)} is not installed: run pip install --force-reinstall pycocoevalcap"
    )


def run_lines(program: str, arguments: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Run `java` with the lines as its input and return as many lines of its output.

    All is written and read at once, standard error too, so that no pipe can fill up and block; the process has ended
    when this returns. No file is written. Half of a surrogate pair becomes "?".

    Args:
        program: Its name, for errors.
        arguments: What follows `java`.
        lines: Input lines, none with a line break in it.

    Raises UsageError when Java is missing, the program fails, or its answer has more or fewer lines than the input.
    """
    if not lines:
        return []
    java = shutil.which("java")
    if java is None:
        raise UsageError(
            f"{program} needs Java: install a Java runtime (for example openjdk 17) and put it on the PATH"
        )
    try:
        done = subprocess.run(
            [java, *OPTIONS, *arguments],
            input="\n".join(lines).encode("utf-8", "replace"),
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise UsageError(f"{program} could not be started ({error}): check that `java -version` works") from error
    report = " / ".join(done.stderr.decode("utf-8", "replace").strip().splitlines()[-REPORT_LINES:])
    if done.returncode != 0:
        raise UsageError(
            f"{program} failed with exit code {done.returncode} ({report}): check the memory and `java -version`"
        )
    output = done.stdout.decode("utf-8").removesuffix("\n").split("\n")
    if len(output) != len(lines):
        raise UsageError(
            f"{program} gave {len(output)} lines for {len(lines)}, so captions cannot be told apart ({report}): "
            "look for unusual characters in the captions"
        )
    return output
