"""Preprocessing ahead of the model against preprocessing within it: the same run, with `decoders=0` and with N.

Made videos, a few questions on each, the tiny checkpoint, nothing in the cache of preprocessed videos. Once as it is,
on the CPU that the model and the decoders share; once with a device that leaves the CPU free: every batch sleeps for as
long as preprocessing a video takes here, in the place of a card's work. Scores must be equal.

Run: python perf/pipelining.py [--decoders N] [--videos N]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from lavit_eval.costs import costs
from lavit_eval.evaluate import evaluate
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.respondent import Respondent
from lavit_eval.models.video_lavit.tiny import make_tiny
from lavit_eval.prospect import RunOptions
from lavit_eval.runs import Run
from lavit_eval.sample import Request, Response
from lavit_eval.video.clips import load_clips
from lavit_eval.video.settings import VideoSettings
from tests.tiny_world import msvd_task, write_msvd

QUESTIONS = 4
SECONDS = 10


def _write_videos(folder: Path, count: int) -> None:
    for number in range(1, count + 1):
        draw = np.random.default_rng(number)
        with av.open(str(folder / f"vid{number}.avi"), "w") as container:
            stream = container.add_stream("mpeg4", rate=24)
            stream.width, stream.height, stream.pix_fmt = 480, 320, "yuv420p"
            ground = draw.integers(0, 256, (320, 480, 3), dtype=np.uint8)
            for step in range(24 * SECONDS):
                picture = np.roll(ground, step * 2, axis=1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))


def _run(root: Path, name: str, checkpoint: Path, count: int, decoders: int) -> tuple[float, Run]:
    options = RunOptions(
        model="video-lavit",
        tasks=(msvd_task(count, root / "tasks"),),
        data_root=root / "data",
        output=root / name,
        model_options=ModelOptions(
            checkpoint=str(checkpoint), arguments={"video_cache": "off", "decoders": str(decoders)}
        ),
        batch_size=QUESTIONS,
        run_id="r",
        threads=1,
    )
    began = time.perf_counter()
    run = evaluate(options).run
    return time.perf_counter() - began, run


def _both(root: Path, name: str, checkpoint: Path, count: int, decoders: int) -> None:
    _, without = _run(root, f"{name}-0", checkpoint, count, 0)
    _, ahead = _run(root, f"{name}-n", checkpoint, count, decoders)
    assert without.scores_path.read_bytes() == ahead.scores_path.read_bytes()
    sides = [costs(run)["made_qa"] for run in (without, ahead)]
    seconds = [side["device_seconds"] for side in sides]
    waits = [side["waited_seconds"]["preprocess"] for side in sides]
    print(
        f"{name}: {seconds[0]:.1f} s without, {seconds[1]:.1f} s with {decoders} decoders, "
        f"ratio {seconds[0] / seconds[1]:.2f}; waited for media {waits[0]:.1f} s and {waits[1]:.1f} s"
    )


def main() -> None:
    """Run both ways on both devices and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--decoders", type=int, default=2)
    parser.add_argument("--videos", type=int, default=16)
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, {given.videos} videos of {SECONDS} s, {QUESTIONS} questions on each")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        checkpoint = make_tiny(root / "tiny", generation=False)
        count = write_msvd(root / "data", given.videos, QUESTIONS)
        _write_videos(root / "data" / "MSVD-QA" / "video", given.videos)
        began = time.perf_counter()
        load_clips(root / "data" / "MSVD-QA" / "video" / "vid1.avi", VideoSettings())
        one = time.perf_counter() - began
        _both(root, "the model on the CPU", checkpoint, count, given.decoders)
        answer = Respondent.respond

        def on_a_card(self: Respondent, requests: Sequence[Request]) -> list[Response]:
            time.sleep(one)
            return answer(self, requests)

        Respondent.respond = on_a_card  # type: ignore[method-assign]
        _both(root, "the model elsewhere", checkpoint, count, given.decoders)


if __name__ == "__main__":
    main()
