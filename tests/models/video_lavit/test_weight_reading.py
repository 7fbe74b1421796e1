from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from lavit_eval.models.video_lavit.weight_reading import TensorFacts, read_facts, read_tensors

TENSORS = {f"t{number:03d}": torch.full((1024, 1024), float(number)) for number in range(64)}
MEASURE = """
import sys
from pathlib import Path
import torch
from lavit_eval.models.video_lavit.weight_reading import read_tensors
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
before = peak()
held = {name: tensor.to(torch.float32, copy=True) for name, tensor in read_tensors(Path(sys.argv[1]))}
print(len(held), peak() - before)
"""


def write(path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(TENSORS, path)
    else:
        torch.save(TENSORS, path)
    return path


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_headers_and_values(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"weights.{suffix}")
    assert read_facts(path) == dict.fromkeys(TENSORS, TensorFacts((1024, 1024), "float32"))
    assert {name: float(value[0, 0]) for name, value in read_tensors(path)} == {
        name: float(number) for number, name in enumerate(sorted(TENSORS))
    }


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_no_second_copy_lies_in_memory(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"weights.{suffix}")
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    count, megabytes = done.stdout.split()
    assert int(count) == 64
    assert 256 <= float(megabytes) < 400
