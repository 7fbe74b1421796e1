"""Prints what the metrics of generated video cost: the distances beside other implementations, the feature networks.

Frechet distance: from the same made features to the number, by the package, by `scipy.linalg.sqrtm` (pytorch-fid's
way) and by torchmetrics (the eigenvalues of the product), in turn, in this process; seconds are the least of the
rounds, ratios are to the package's, and so are the differences of the values. With fewer features than dimensions, or
with tiny eigenvalues, both others add up rounding errors.
Feature networks: items per second of wall clock, with random weights of the published sizes, on the CPU and, where
there is one, a GPU; preprocessing from bytes included for pictures, none for clips, which come prepared.
bfloat16, on a GPU alone: I3D's rate against float32, and how far its features move.

Run: python perf/metrics.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from lavit_eval.metrics.backbones import clip, inception  # noqa: E402
from lavit_eval.metrics.backbones.i3d import SIDE, I3d  # noqa: E402
from lavit_eval.metrics.frechet import frechet_distance  # noqa: E402

Floats = npt.NDArray[np.float64]
CASES = (
    (400, 2048, 2048, False, 5),
    (2048, 500, 600, False, 3),
    (2048, 4000, 4000, False, 2),
    (2048, 4000, 4000, True, 2),
)
"""Dimensions, features of either set, whether some eigenvalues are tiny, rounds; --quick takes the first two."""
FRAMES = 16
PICTURE = (320, 576)
"""Height and width of the pictures, before the networks' own resize."""
CLIP_NAME = "ViT-B-32.pt"


def by_scipy(x: Floats, y: Floats) -> float:
    """Return the Frechet distance with the matrix root of the product of the covariances."""
    from scipy.linalg import sqrtm

    step, first, second = x.mean(axis=0) - y.mean(axis=0), np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    return float(step @ step + np.trace(first) + np.trace(second) - 2 * np.trace(sqrtm(first @ second)).real)


def by_torchmetrics(x: Floats, y: Floats) -> float:
    """Return the Frechet distance by torchmetrics."""
    from torchmetrics.image.fid import _compute_fid

    first, second = torch.from_numpy(x), torch.from_numpy(y)
    return float(_compute_fid(first.mean(dim=0), torch.cov(first.T), second.mean(dim=0), torch.cov(second.T)))


SIDES: dict[str, Callable[[Floats, Floats], float]] = {
    "ours": frechet_distance,
    "sqrtm": by_scipy,
    "torchmetrics": by_torchmetrics,
}


def made_features(dimensions: int, n: int, m: int, narrow: bool = False) -> tuple[Floats, Floats]:
    """Return two sets of correlated features whose means and covariances differ.

    Where they are narrow, the least eigenvalues are about 1e-8 of the largest, and those of a product 1e-16.
    """
    generator = np.random.Generator(np.random.PCG64(dimensions + n))
    mixing = generator.standard_normal((dimensions, dimensions)) / dimensions**0.5
    if not narrow:
        mixing = np.eye(dimensions) + 0.5 * mixing
    x = generator.standard_normal((n, dimensions)) @ mixing
    return x, generator.standard_normal((m, dimensions)) @ (mixing + 0.2 * np.eye(dimensions)) + 0.1


def print_distances(quick: bool) -> None:
    """Print tables of seconds, ratios to ours and relative differences of the values."""
    for side in SIDES.values():
        side(*made_features(8, 16, 16))
    for dimensions, n, m, narrow, rounds in CASES[:2] if quick else CASES:
        print(f"D = {dimensions}, {n} and {m} features{', tiny eigenvalues' if narrow else ''}")
        x, y = made_features(dimensions, n, m, narrow)
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in SIDES}
        values = {}
        for _ in range(1 if quick else rounds):
            for name, side in SIDES.items():
                cpu, wall = time.process_time(), time.perf_counter()
                values[name] = side(x, y)
                spent[name].append((time.process_time() - cpu, time.perf_counter() - wall))
        least = {name: [min(each) for each in zip(*pairs, strict=True)] for name, pairs in spent.items()}
        for name, (cpu, wall) in least.items():
            print(
                f"  {name:>12}: {cpu:5.2f} CPU-s ({cpu / least['ours'][0]:5.1f}x), "
                f"{wall:5.2f} s ({wall / least['ours'][1]:5.1f}x), "
                f"differs by {abs(values[name] / values['ours'] - 1):.0e}",
                flush=True,
            )


def randomised(network: nn.Module) -> nn.Module:
    """Fill the convolutions with values that keep the size of their inputs, so that features depend on these."""
    torch.manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return network


def write_inception(folder: Path) -> Path:
    """Write a file of random weights under Inception's names."""
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    network = theirs.FeatureExtractorInceptionV3
    with (
        mock.patch.object(theirs, "load_state_dict_from_url", return_value={}),
        mock.patch.object(network, "load_state_dict"),
    ):
        made = randomised(network("inception", ["2048"]))
    torch.save(made.state_dict(), folder / inception.NAME)
    return folder / inception.NAME


def write_clip(folder: Path) -> Path:
    """Write a file of random weights: ViT-B/32 for pictures, one layer for text, which is not measured."""
    from clip.model import CLIP

    torch.save(CLIP(512, 224, 12, 768, 32, 77, 49408, 64, 1, 1).state_dict(), folder / CLIP_NAME)
    return folder / CLIP_NAME


def made_clips(count: int, device: torch.device) -> torch.Tensor:
    """Return smooth clips in [-1, 1], which differ from each other more than noise would."""
    coarse = torch.rand(count, 3, 4, 7, 7, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return nn.functional.interpolate(coarse, (FRAMES, SIDE, SIDE), mode="trilinear").to(device)


def devices() -> list[torch.device]:
    """Return the CPU and the GPU, if there is one."""
    return [torch.device(name) for name in ("cpu", *(["cuda"] if torch.cuda.is_available() else []))]


def rate(work: Callable[[], torch.Tensor], items: int, rounds: int) -> tuple[float, float]:
    """Return items per second and CPU seconds per item, the best of some rounds after one that is not counted."""
    work().cpu()
    walls, spent = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        work().cpu()
        walls.append(time.perf_counter() - wall)
        spent.append(time.process_time() - cpu)
    return items / min(walls), min(spent) / items


def print_networks(quick: bool) -> None:
    """Print each network's rate on each device."""
    with tempfile.TemporaryDirectory() as name:
        files = write_inception(Path(name)), write_clip(Path(name))
        for device in devices():
            print_rates(device, *files, quick)


def print_rates(device: torch.device, inception_file: Path, clip_file: Path, quick: bool) -> None:
    """Print the networks' rates on one device."""
    rounds = 1 if quick else 3
    clips_count, pictures_count = (16, 48) if device.type == "cuda" else (1, 4 if quick else 16)
    generator = np.random.Generator(np.random.PCG64(0))
    pictures = generator.integers(0, 256, (pictures_count, *PICTURE, 3), dtype=np.uint8)
    clips = made_clips(clips_count, device)
    i3d = randomised(I3d()).to(device)
    print_rate(f"I3D, {FRAMES} x {SIDE} x {SIDE}", device, "clip", clips_count, rounds, lambda: i3d(clips))
    eyes = inception.Inception(inception_file, device, trust=True)
    print_rate("Inception", device, "image", pictures_count, rounds, lambda: eyes.features(pictures))
    sight = clip.Clip(clip_file, CLIP_NAME, device, trust=True)
    print_rate("CLIP ViT-B/32", device, "image", pictures_count, rounds, lambda: sight.images(pictures))


def print_rate(
    title: str, device: torch.device, unit: str, items: int, rounds: int, work: Callable[[], torch.Tensor]
) -> None:
    """Print one network's rate."""
    each, cpu = rate(work, items, rounds)
    print(f"{title}, {device.type}, float32, {items} together: {each:.2f} {unit}s/s, {cpu:.3f} CPU-s each", flush=True)


def print_halves(quick: bool) -> None:
    """Print I3D's rate in float32 and bfloat16 on a GPU and how far the features move."""
    if not torch.cuda.is_available():
        print("no GPU: not measured")
        return
    count, rounds = 16, 1 if quick else 5
    exact = randomised(I3d()).cuda()
    clips = made_clips(count, torch.device("cuda"))
    halved = I3d().cuda()
    halved.load_state_dict(exact.state_dict())
    halved, fewer = halved.bfloat16(), clips.bfloat16()
    before, _ = rate(lambda: exact(clips), count, rounds)
    after, _ = rate(lambda: halved(fewer), count, rounds)
    features, moved = exact(clips).double(), halved(fewer).double()
    spread = features - features.mean(dim=0)
    deviation = float((moved - features).norm())
    print(
        f"I3D, {count} together: float32 {before:.1f} clips/s, bfloat16 {after:.1f} clips/s, {after / before:.2f} times"
    )
    print(
        f"bfloat16 moves the features by {deviation / float(features.norm()):.1e} of their length, "
        f"{deviation / float(spread.norm()):.1e} of the differences between clips"
    )


SECTIONS: tuple[tuple[str, Callable[[bool], None]], ...] = (
    ("Frechet distance", print_distances),
    ("Feature networks, random weights", print_networks),
    ("I3D in bfloat16", print_halves),
)
"""Title and function of each part, in the order in which they are printed; the function takes --quick."""


def main() -> None:
    """Print the command, the machine, and every section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, without the largest distances")
    quick: bool = parser.parse_args().quick
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(f"$ python perf/metrics.py{' --quick' if quick else ''}")
    print(f"torch {torch.__version__.partition('+')[0]}, {torch.get_num_threads()} threads, {accelerator}")
    for title, section in SECTIONS:
        print(f"\n{title}")
        section(quick)


if __name__ == "__main__":
    main()
