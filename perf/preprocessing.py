"""Prints what turning a video into the model's input costs, against the reference's way of doing it.

The reference's way is written out here: the ffmpeg command re-encodes to a file, motion-vector-extractor decodes every
frame of it, each frame's vectors fill a float64 map of the whole picture, all maps and pictures are kept, and torch
pools and resizes them. Where the ffmpeg command or motion-vector-extractor is missing, PyAV stands in and
the table says so.
Each side runs in a process of its own, twice; the mean of CPU seconds (children included) and the peak
memory above that of the imports are compared, and the tensors must be equal bit by bit.

    python perf/preprocessing.py [--quick]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

CLIPS = {"240p": (240, 320, 14), "720p": (720, 1280, 10), "1080p": (1080, 1920, 10)}
"""Height, width, seconds."""
EMPTY = -10000.0


def make_video(path: Path, height: int, width: int, seconds: int) -> None:
    """Write H.264 at 30 per second: two layers of smooth texture that move, with some noise."""
    import av
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)

    def layer(cell: int) -> np.ndarray:
        coarse = rng.integers(0, 256, (height // cell + 2, width // cell + 2, 3), dtype=np.uint8)
        return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))

    back, front = layer(40), layer(16)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "23", "bf": "3"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(30 * seconds):
            picture = np.roll(back, (index, 2 * index), axis=(0, 1))
            left = (3 * index) % (width // 2)
            picture[height // 4 : height // 2, left : left + width // 3] = front[: height // 4, : width // 3]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def ours(path: Path) -> tuple[Any, Any]:
    """Return keyframes and motions by the package."""
    from lavit_eval.video.clips import load_clips
    from lavit_eval.video.settings import VideoSettings

    clips = load_clips(path, VideoSettings())
    return clips.keyframes, clips.motions


def reference(path: Path) -> tuple[Any, Any]:
    """Return keyframes and motions by the reference's way: everything decoded, dense, and kept."""
    import numpy as np
    import torch
    from PIL import Image

    from lavit_eval.video.selection import select_clips

    with tempfile.TemporaryDirectory() as folder:
        coded = Path(folder) / "a.mp4"
        reencode_by_command(path, coded)
        kinds, pictures, maps = [], [], []
        for picture, vectors, kind in decoded(coded):
            height, width, _ = picture.shape
            dense = np.ones((height, width, 2)) * EMPTY
            moves = vectors[:, 0:1] * vectors[:, 7:9] / vectors[:, 9:10] / np.array([width, height])
            x, y = np.clip(vectors[:, 5], 0, width - 1), np.clip(vectors[:, 6], 0, height - 1)
            dense[y, x] = moves / (np.array([0.0993703, 0.1130276]) / 10)
            kinds.append(kind)
            pictures.append(picture)
            maps.append(dense)
    keyframes, motions = [], []
    for start in select_clips("".join(kinds), 16):
        chosen = [each.transpose(2, 0, 1) for each in maps[start : start + 24]]
        chosen += [np.ones_like(chosen[0]) * EMPTY] * (24 - len(chosen))
        motion = torch.from_numpy(np.stack(chosen)).float()
        below, beside = -motion.shape[2] % 16, -motion.shape[3] % 16
        motion = torch.nn.functional.pad(motion, (0, beside, 0, below), value=EMPTY)
        motion = torch.nn.functional.max_pool2d(motion, 16)
        motion[motion < -1000] = 0
        motion[12] = 0.5 * motion[11] + 0.5 * motion[13]
        motion = torch.nn.functional.interpolate(motion, (20, 36), mode="bicubic", antialias=False)
        motions.append(motion.permute(1, 0, 2, 3).numpy())
        keyframes.append(np.asarray(Image.fromarray(pictures[start]).resize((224, 224), Image.Resampling.BICUBIC)))
    return np.stack(keyframes), np.stack(motions)


def reencode_by_command(path: Path, target: Path) -> None:
    """Re-encode by the ffmpeg command with 16 encoder threads, or by PyAV where it is missing."""
    if shutil.which("ffmpeg"):
        command = ["ffmpeg", "-loglevel", "error", "-threads", "8", "-y", "-i", str(path), "-vf", "fps=6"]
        command += ["-c:v", "mpeg4", "-b:v", "8000k", "-threads", "16", "-f", "rawvideo", str(target)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return
    from lavit_eval.video.reencode import reencode
    from lavit_eval.video.settings import VideoSettings

    with reencode(path, VideoSettings()) as stream, open(target, "wb") as file:
        stream.write(file)


def decoded(path: Path) -> Any:
    """Yield (RGB picture, vectors, type) of every frame, by motion-vector-extractor or PyAV."""
    import numpy as np

    try:
        from mvextractor.videocap import VideoCap
    except ImportError:
        from lavit_eval.video.stream import read_stream

        with read_stream(path) as stream:
            for frame in stream.frames():
                yield frame.picture, frame.vectors, frame.kind
        return
    reader = VideoCap()
    reader.open(str(path))
    while True:
        found, picture, vectors, kind, *_ = reader.read()
        if not found:
            return
        yield np.ascontiguousarray(picture[:, :, ::-1]), vectors, kind


def measure(side: str, path: Path) -> dict[str, Any]:
    """Run one side in this process; return its costs and the digests of its tensors."""
    import av
    import numpy as np
    import PIL.Image
    import torch

    torch.set_num_threads(2)
    torch.nn.functional.interpolate(torch.zeros(1, 2, 4, 4), (3, 3), mode="bicubic")
    np.asarray(PIL.Image.new("RGB", (8, 8)).resize((4, 4)))
    assert av.library_versions
    base, cpu, wall = peak(), cpu_seconds(), time.perf_counter()
    keyframes, motions = {"ours": ours, "reference": reference}[side](path)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": cpu_seconds() - cpu,
        "memory": peak() - base,
        "clips": len(keyframes),
        "keyframes": hashlib.sha256(keyframes.tobytes()).hexdigest(),
        "motions": hashlib.sha256(motions.tobytes()).hexdigest(),
    }


def cached(path: Path) -> dict[str, Any]:
    """Return the CPU seconds of a load without and with a filled cache, in one process."""
    import torch

    from lavit_eval.video.cache import ClipCache
    from lavit_eval.video.clips import load_clips
    from lavit_eval.video.settings import VideoSettings

    torch.set_num_threads(2)
    settings, cache = VideoSettings(), ClipCache(path.with_suffix(".cache"))
    load_clips(path, settings)
    begin = time.process_time()
    load_clips(path, settings, cache)
    fresh, rounds = time.process_time() - begin, 20
    begin = time.process_time()
    for _ in range(rounds):
        load_clips(path, settings, cache)
    return {"fresh": fresh, "again": (time.process_time() - begin) / rounds}


def cpu_seconds() -> float:
    """CPU seconds of this process and its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak() -> float:
    """Peak resident megabytes of this process (not of its children)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def in_own_process(side: str, path: Path) -> dict[str, Any]:
    """Measure one side in a fresh process."""
    environment = {**os.environ, "LAVIT_EVAL_CACHE": str(path.parent / "digests")}
    command = [sys.executable, __file__, "--side", side, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(name: str, path: Path, rounds: int) -> bool:
    """Print one line of the table; return whether the tensors are equal."""
    runs: dict[str, list[dict[str, Any]]] = {"reference": [], "ours": []}
    for _ in range(rounds):
        for side, results in runs.items():
            results.append(in_own_process(side, path))

    def middle(side: str, what: str) -> float:
        return float(statistics.median(run[what] for run in runs[side]))

    cpu, wall, memory = ((middle("reference", what), middle("ours", what)) for what in ("cpu", "wall", "memory"))
    motions, keyframes = (
        len({run[what] for each in runs.values() for run in each}) == 1 for what in ("motions", "keyframes")
    )
    cache = in_own_process("cached", path)
    print(
        f"{name:>6} {runs['ours'][0]['clips']:>5}  {cpu[0]:>6.2f} {cpu[1]:>6.2f} {cpu[0] / cpu[1]:>5.1f}x"
        f"  {wall[0]:>6.2f} {wall[1]:>6.2f} {wall[0] / wall[1]:>5.1f}x"
        f"  {memory[0]:>6.0f} {memory[1]:>6.0f} {memory[0] / max(memory[1], 1):>5.1f}x"
        f"  {'equal' if motions else 'DIFFER':>7} {'equal' if keyframes else 'DIFFER':>9}"
        f"  {cache['fresh'] / cache['again']:>6.0f}x",
        flush=True,
    )
    return motions and keyframes


def main() -> int:
    """Make the clips, compare the sides, print the table; 1 if any tensor differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round instead of two")
    parser.add_argument("--side", nargs=2, metavar=("SIDE", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        side, file = arguments.side
        print(json.dumps(cached(Path(file)) if side == "cached" else measure(side, Path(file))))
        return 0
    try:
        import mvextractor  # noqa: F401

        reader = "motion-vector-extractor"
    except ImportError:
        reader = "PyAV (motion-vector-extractor is not installed)"
    command = "the ffmpeg command" if shutil.which("ffmpeg") else "PyAV (the ffmpeg command is not installed)"
    print(
        f"reference: {command}, {reader}, dense float64 maps; CPU and wall in seconds, memory in MB above the imports"
    )
    print("  clip clips  CPU ref   ours ratio wall ref   ours ratio  MB ref   ours ratio  motions keyframes   cache")
    with tempfile.TemporaryDirectory() as folder:
        equal = []
        for name, (height, width, seconds) in CLIPS.items():
            path = Path(folder) / f"{name}.mp4"
            make_video(path, height, width, seconds)
            equal.append(compare(name, path, 1 if arguments.quick else 2))
    return 0 if all(equal) else 1


if __name__ == "__main__":
    raise SystemExit(main())
