"""What identifies a run: protocol, data and model digests; code, packages, seeds, hardware."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lavit_eval.digests import cached_digest, digest_json
from lavit_eval.sample import JSON, Sample

PACKAGES = (
    "torch", "torchvision", "transformers", "diffusers", "av", "sentencepiece", "numpy", "pillow", "safetensors",
    "pycocoevalcap", "torchmetrics", "clip-anytorch", "xformers", "torch-fidelity", "motion-vector-extractor",
    "lavit-eval",
)  # fmt: skip


def code_revision() -> dict[str, JSON]:
    """Return the git revision of this code and whether it was changed since; both None outside a checkout."""
    folder = Path(__file__).resolve().parent
    try:
        revision = _git(folder, "rev-parse", "HEAD")
        # The revision must be ours, not that of a project that happens to hold the virtual environment.
        ours = _git(folder, "ls-files", "--error-unmatch", "__init__.py")
        # A module that git does not know yet changes what runs as well.
        dirty = bool(_git(folder, "status", "--porcelain", "--", ".", "../tasks"))
    except (OSError, subprocess.SubprocessError):
        return {"revision": None, "dirty": None}
    return {"revision": revision if ours else None, "dirty": dirty}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout.strip()


def package_versions() -> dict[str, str | None]:
    """Return the installed version of every package that can change a number; None where it is absent."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def hardware(device: str, threads: int) -> dict[str, JSON]:
    """Return what the run computes on: processor, cores, memory in bytes, threads used, accelerator."""
    import psutil

    described: dict[str, JSON] = {
        "machine": platform.machine(),
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory": psutil.virtual_memory().total,
        "device": device,
    }
    if device.startswith("cuda"):
        import torch

        described["accelerator"] = torch.cuda.get_device_name(device) if torch.cuda.is_available() else None
    return described


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def data_digest(annotations: Mapping[str, Path], samples: Sequence[Sample]) -> str:
    """Return the SHA-256 of the annotation files' contents and of the names and sizes of the samples' media.

    A medium that is absent counts with size None, so that a set with missing files is other data.
    """
    sizes: dict[str, int | None] = {}
    for sample in samples:
        for medium in (*sample.media, *sample.targets):
            if medium.name not in sizes:
                sizes[medium.name] = file_size(medium.path)
    files = {name: cached_digest(path) for name, path in annotations.items()}
    return digest_json({"annotations": files, "media": sorted(sizes.items()), "samples": [s.id for s in samples]})


def file_size(path: str) -> int | None:
    """Return the bytes of a file, or of the files in a folder of pictures; None where there is no such thing."""
    try:
        if os.path.isdir(path):
            with os.scandir(path) as entries:
                return sum(entry.stat().st_size for entry in entries if entry.is_file())
        return os.stat(path).st_size
    except OSError:
        return None
