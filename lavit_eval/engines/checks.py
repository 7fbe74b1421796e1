"""Whether a worker has what the driver has: packages, code, files, checkpoint. Clocks are never compared.

A file that the driver writes into the run's folder, and the worker's answer beside it, tell whether both see one.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from lavit_eval.errors import UsageError
from lavit_eval.files import canonical_json, write_atomic
from lavit_eval.provenance import file_size, package_versions
from lavit_eval.runs import differing
from lavit_eval.sample import JSON, Sample

PATIENCE = 10.0
"""Seconds after which a file that another machine wrote is not there: network folders are seen late."""


@cache
def code_digest() -> str:
    """Return the SHA-256 of this package's Python files."""
    folder = Path(__file__).resolve().parents[1]
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        total.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes())
    return total.hexdigest()


def versions_here() -> dict[str, JSON]:
    """Return what must be equal wherever a run's parts are answered."""
    return {**package_versions(), "the code of lavit-eval": code_digest()[:12]}


def check_versions(wanted: Mapping[str, JSON], where: str) -> None:
    """Refuse a worker whose packages or code are others than the driver's (UsageError)."""
    here = versions_here()
    other = sorted(name for name in {*wanted, *here} if wanted.get(name) != here.get(name))
    if other:
        said = ", ".join(f"{name} ({here.get(name)} there, {wanted.get(name)} here)" for name in other[:3])
        raise UsageError(
            f"{where} runs other versions than this machine: {said}; install the same in both places, or leave it out."
        )


def check_identity(wanted: Mapping[str, JSON], found: Mapping[str, JSON], where: str) -> None:
    """Refuse a worker whose checkpoint or other part of the model's identity is another (UsageError)."""
    # What came as a message has lists where the model has tuples.
    names = differing(wanted, json.loads(canonical_json(found)))
    if names:
        raise UsageError(
            f"{where} would answer with another model: it differs in {', '.join(names)}; "
            "give all machines the same checkpoint."
        )


def witnesses(samples: Mapping[str, Sequence[Sample]]) -> list[list[JSON]]:
    """Return path and size of one medium of each task that has any; workers must see the same."""
    found: list[list[JSON]] = []
    for of_task in samples.values():
        present = ((m.path, file_size(m.path)) for sample in of_task for m in sample.media)
        first = next(((path, size) for path, size in present if size), None)
        if first is not None:
            found.append(list(first))
    return found


def check_witnesses(wanted: Sequence[Sequence[JSON]], where: str) -> None:
    """Refuse a worker that does not see the media (UsageError)."""
    for path, size in wanted:
        if file_size(path) != size:
            raise UsageError(
                f"{where} does not see {path} as this machine does; "
                "give a --data-root that lies at the same path on all machines."
            )


class Probe:
    """A file by which workers prove that they see the run's folder; removed on closing."""

    def __init__(self, folder: Path) -> None:
        self._nonce = secrets.token_hex(8)
        self._folder = folder.resolve()
        self._path = self._folder / f".shared-{self._nonce}"
        write_atomic(self._path, self._nonce.encode())

    @property
    def message(self) -> dict[str, str]:
        """What a worker is told."""
        return {"path": str(self._path), "nonce": self._nonce}

    def check(self, worker: str, where: str) -> None:
        """Refuse a worker whose answer is not seen here (UsageError)."""
        answer = _answer_path(self._path, worker)
        if not _seen(answer, self._nonce):
            raise UsageError(_not_shared(self._folder, where))
        answer.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the file, and answers to it that nobody waited for."""
        for path in self._folder.glob(f".shared-{self._nonce}*"):
            path.unlink(missing_ok=True)


def answer_probe(message: Mapping[str, str], worker: str, where: str) -> None:
    """Prove, in a worker, that it sees the run's folder and can write there (raises UsageError)."""
    path = Path(message["path"])
    if not _seen(path, message["nonce"]):
        raise UsageError(_not_shared(path.parent, where))
    write_atomic(_answer_path(path, worker), message["nonce"].encode())


def _answer_path(path: Path, worker: str) -> Path:
    return path.with_name(f"{path.name}-{worker}")


def _seen(path: Path, content: str) -> bool:
    began = time.monotonic()
    while True:
        try:
            return path.read_text() == content
        except OSError:
            if not path.parent.is_dir() or time.monotonic() - began > PATIENCE:
                return False
            time.sleep(0.2)


def _not_shared(folder: Path, where: str) -> str:
    return (
        f"{where} and this machine do not share {folder}; give an --output-dir that lies on a file system "
        "which all of them see at the same path."
    )


def about_here(device: str) -> dict[str, JSON]:
    """Return who a worker is: host, process id, device and accelerator."""
    accelerator = None
    torch = sys.modules.get("torch")
    if torch is not None and device.startswith("cuda") and torch.cuda.is_available():
        accelerator = torch.cuda.get_device_name(device)
    return {"host": socket.gethostname(), "pid": os.getpid(), "device": device, "accelerator": accelerator}
