"""Prints what answering costs: the reference's way beside ours, and what each part of ours gives.

The same model, questions and videos. The reference's way: one question at a time, the video read, re-encoded and
encoded for each. Ours: questions on one video together; it is read and encoded once, and so is what they begin with.
Between both stand the steps from the one to the other. Answers are compared: batches may move a near tie, no more.

Without arguments a tiny checkpoint with random weights is made, on the CPU. With --checkpoint (and --device cuda
--dtype bfloat16) it is another one, such as random weights of the published sizes.

Run: python perf/reference_way.py [--checkpoint DIR --device D --dtype T] [--batch-size N --questions N --videos N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from lavit_eval.models.protocol import ModelOptions  # noqa: E402
from lavit_eval.models.video_lavit.adapter import VideoLavit  # noqa: E402
from lavit_eval.models.video_lavit.respondent import Respondent  # noqa: E402
from lavit_eval.models.video_lavit.sight import Sight  # noqa: E402
from lavit_eval.models.video_lavit.tiny import make_tiny  # noqa: E402
from lavit_eval.sample import Medium, Request, Response, Seeds, Settings  # noqa: E402

NEW_TOKENS = 16
ASKED = ("what is it?", "is it moving?", "which colour has the square?", "how many are there, and where do they go?")


@dataclass(frozen=True)
class Measured:
    """One way of answering all questions."""

    seconds: float
    responses: list[Response]

    @property
    def tokens(self) -> int:
        """Ids read and written, as the prompts have them: a shared prefix counts for each question."""
        return sum(each.counts["prompt_tokens"] + each.counts["new_tokens"] for each in self.responses)


def write_film(path: Path, seed: int, seconds: int = 8) -> Path:
    """Write an MPEG-4 video of 320 x 240, 24 frames a second, in which a textured square moves."""
    generator = np.random.default_rng(seed)
    ground = generator.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    square = generator.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(24 * seconds):
            picture = ground.copy()
            top, left = number % 176, 2 * number % 256
            picture[top : top + 64, left : left + 64] = square
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def requests_on(films: Sequence[Path], count: int) -> list[Request]:
    """Return questions, those on one film together."""
    asked = []
    for place in range(count):
        film = films[place * len(films) // count]
        text = f"{ASKED[place % len(ASKED)]} {place}"
        medium = Medium("video", str(film), film.name)
        settings = Settings(max_new_tokens=NEW_TOKENS)
        asked.append(Request(str(place), 0, "answer", (medium,), text, settings, Seeds(42, 0, place)))
    return asked


def timed(work: Callable[[], list[Response]], device: torch.device) -> Measured:
    """Answer, and measure until the device is done."""
    start = time.perf_counter()
    responses = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return Measured(time.perf_counter() - start, responses)


def one_at_a_time(held: Respondent, asked: Sequence[Request], keep: bool) -> list[Response]:
    """Answer one question after the other; unless kept, nothing of a video outlives its question."""
    found = []
    fresh = _respondent(held, share=False)
    for request in asked:
        if not keep:
            fresh = _respondent(held, share=False)
        found += fresh.respond([request])
    return found


def in_batches(held: Respondent, asked: Sequence[Request], size: int, share: bool) -> list[Response]:
    """Answer in batches, as planned by the harness."""
    fresh = _respondent(held, share)
    return [each for start in range(0, len(asked), size) for each in fresh.respond(asked[start : start + size])]


def _respondent(held: Respondent, share: bool) -> Respondent:
    sight = Sight(held.model, held.sight.settings, held.sight.argmax, None, held.sight.still)
    return Respondent(held.model, held.tokenizer, sight, held.long_prompt, share)


def main() -> None:
    """Measure all ways and print their ratios to the first."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", help="default: a tiny one with random weights")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--videos", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1) if given.device == "cpu" else None
    with tempfile.TemporaryDirectory() as name:
        root = given.checkpoint or str(make_tiny(Path(name) / "tiny", generation=False))
        films = [write_film(Path(name) / f"{number}.mp4", number) for number in range(given.videos)]
        asked = requests_on(films, given.questions)
        held = VideoLavit.load(ModelOptions(root, given.device, given.dtype)).respondent
        device, size = held.model.device, given.batch_size
        ways: dict[str, Callable[[], list[Response]]] = {
            "the reference's way": lambda: one_at_a_time(held, asked, keep=False),
            "each video read and encoded once": lambda: one_at_a_time(held, asked, keep=True),
            f"and in batches of {size}": lambda: in_batches(held, asked, size, share=False),
            "and what questions share read once": lambda: in_batches(held, asked, size, share=True),
        }
        in_batches(held, asked[:size], size, share=True)
        found = {name: timed(way, device) for name, way in ways.items()}
    report(found, f"{given.questions} questions on {given.videos} videos, {given.device}, {given.dtype}")


def report(found: dict[str, Measured], title: str) -> None:
    """Print a line per way."""
    first = next(iter(found.values()))
    if wrong := [each for each in first.responses if each.outcome != "answered"]:
        sys.exit(f"not answered: {wrong[0].error}")
    prompt = sum(each.counts["prompt_tokens"] for each in first.responses) / len(first.responses)
    print(f"{title}: {prompt:.0f} tokens a prompt")
    for name, measured in found.items():
        pairs = zip(first.responses, measured.responses, strict=True)
        equal = sum(one.text == other.text for one, other in pairs)
        count = len(measured.responses)
        print(
            f"{name:>34}: {measured.seconds:7.1f} s, {count / measured.seconds:7.2f} questions/s, "
            f"{measured.tokens / measured.seconds:8.0f} tokens/s, ratio {first.seconds / measured.seconds:5.2f}, "
            f"{equal} of {count} answers equal"
        )


if __name__ == "__main__":
    main()
