"""Prints what it brings that media are decoded in a thread of their own while the network computes.

The same made films (576x320, H.264) go through the same I3D with random weights, their central 16 frames, in turn:
decoded one after the other between the network's turns, and a few ahead of it as in a run; the features are compared.

Run: python perf/extraction.py [--films 8]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from unittest import mock

import torch

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from lavit_eval.demo.world import VIDEO, draw_scene  # noqa: E402
from lavit_eval.demo.writing import write_video  # noqa: E402
from lavit_eval.digests import digest_file  # noqa: E402
from lavit_eval.features import extraction  # noqa: E402
from lavit_eval.features.equipment import Equipment  # noqa: E402
from lavit_eval.features.media import Item  # noqa: E402
from lavit_eval.metrics.backbones.i3d import I3d  # noqa: E402
from lavit_eval.metrics.feature_metric import Need  # noqa: E402
from lavit_eval.metrics.feature_protocol import load_protocol  # noqa: E402
from lavit_eval.progress import Silence  # noqa: E402
from lavit_eval.video.ahead import run_ahead  # noqa: E402


def make_films(folder: Path, count: int) -> list[Item]:
    """Write made films and return them as items."""
    items = []
    for index in range(count):
        path = folder / f"{index}.mp4"
        write_video(draw_scene(0, "perf", index, VIDEO), path)
        items.append(Item(str(index), digest_file(path), path))
    return items


def one_by_one(items: Generator[object, None, None]) -> Generator[object, None, None]:
    """Stand in for `run_ahead`: everything in one thread."""
    yield from items


def extract(items: list[Item], weights: Path, folder: Path, ahead: bool) -> tuple[float, dict[str, bytes]]:
    """Return the wall-clock seconds of an extraction without its loading, and the kept features."""
    protocol = load_protocol("tats").model_copy(update={"generated": load_protocol("video-lavit").generated})
    equipment = Equipment(weights_dir=weights.parent, trusted=frozenset({weights.resolve()}))
    work = extraction.Extraction(Need("made", protocol, protocol.generated), equipment, folder)
    assert work.network
    began = time.perf_counter()
    with mock.patch.object(extraction, "run_ahead", run_ahead if ahead else one_by_one):
        found = work.run(items, "films", Silence())
    return time.perf_counter() - began, {digest: one.features.tobytes() for digest, one in found.found.items()}


def main() -> None:
    """Run both ways twice, in turn, and print the better time of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=8)
    count = parser.parse_args().films
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items, weights = make_films(folder, count), folder / "i3d_pretrained_400.pt"
        torch.manual_seed(0)
        torch.save(I3d(1e-5).state_dict(), weights)
        times: dict[bool, list[float]] = {False: [], True: []}
        kept = []
        for number, ahead in enumerate((False, True, False, True)):
            seconds, features = extract(items, weights, folder / str(number), ahead)
            times[ahead].append(seconds)
            kept.append(features)
    alone, overlapped = min(times[False]), min(times[True])
    equal = all(each == kept[0] for each in kept)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {count} films of 8 to 10 s")
    print(f"decoded in between: {count / alone:.2f} videos/s; decoded ahead: {count / overlapped:.2f} videos/s")
    print(f"ratio {alone / overlapped:.2f}; features {'equal' if equal else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
