"""Prints whether ways of answering faster are worth their code: at least 1.3 times is the bar.

Prefix: questions on one medium whose positions are read once, against once for each question. Sorted: how much of a
batch's prompt positions is padding, with questions on one video in the order of their length and as they come.
Compaction: complete rows leave the batch, against rows that wait for the last one. Static cache and torch.compile: one
step of decoding with keys and values in one fixed block, without and with compilation of the step, against a cache that
grows. On a CPU the seconds are those of the processor, since other work may share it; both sides run in turn.

Two random models: the size of the tiny checkpoint, and one of 8 layers of 768 channels.

Run: python perf/decoding.py [--compile] [--device D]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache, LlamaConfig, StaticCache

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from lavit_eval.models.video_lavit.config import MotionConfig, TokenSpace, VisualConfig  # noqa: E402
from lavit_eval.models.video_lavit.generation import generate  # noqa: E402
from lavit_eval.models.video_lavit.shared_prefix import Opening, SharedPrefixes  # noqa: E402
from lavit_eval.models.video_lavit.splice import splice  # noqa: E402
from lavit_eval.models.video_lavit.stopping import StopRule  # noqa: E402
from lavit_eval.models.video_lavit.understanding import UnderstandingModel  # noqa: E402
from lavit_eval.sample import Settings  # noqa: E402

BAR = 1.3
ROWS, PROMPT = 8, 256
LENGTHS = {"answers": (1, 2, 2, 3, 3, 4, 6, 12), "captions": (9, 10, 11, 12, 12, 13, 15, 24)}
"""Ids that the rows of a batch write."""
STEPS = 24
SIZES = {"tiny": (64, 176, 2, 4), "middle": (768, 2048, 8, 12)}
"""Channels, inner channels, layers, heads."""


@dataclass(frozen=True, slots=True)
class Counted(StopRule):
    """Ends each row after as many ids as its prompt's last id says."""

    def hit(self, prompt: Sequence[int], generated: Sequence[int]) -> bool:
        """Return whether the row is complete."""
        return len(generated) >= prompt[-1] - 100


@dataclass(frozen=True, slots=True)
class Together(Counted):
    """Ends all rows together, after as many ids as the longest writes: no row leaves the batch before."""

    longest: int = 0

    def hit(self, prompt: Sequence[int], generated: Sequence[int]) -> bool:
        """Return whether the longest row is complete."""
        return len(generated) >= self.longest


def build(size: str, device: torch.device) -> UnderstandingModel:
    """Return a random model."""
    hidden, inner, layers, heads = SIZES[size]
    tokens = TokenSpace(text=640, visual=256, motion=128)
    config = LlamaConfig(
        vocab_size=tokens.total,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=4096,
    )
    torch.manual_seed(0)
    visual = VisualConfig(width=48, head_width=24, layers=1, merger_layers=1, n_code=256, code_dim=8, llm_dim=hidden)
    motion = MotionConfig(dim=32, heads=2, n_code=128, code_dim=8, blocks=4)
    return UnderstandingModel(config, visual, motion, tokens).to(device)


def now(device: torch.device) -> float:
    """Return seconds: of the processor on a CPU, of the clock once a card is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def medians(works: Sequence[Callable[[], object]], device: torch.device, repeats: int = 5) -> list[float]:
    """Return the median seconds of works that run in turn, after one round that does not count."""
    found: list[list[float]] = [[] for _ in works]
    for number in range(repeats + 1):
        for work, seconds in zip(works, found, strict=True):
            start = now(device)
            work()
            if number:
                seconds.append(now(device) - start)
    return [statistics.median(seconds) for seconds in found]


def said(ratio: float) -> str:
    """Return a ratio with the verdict."""
    return f"ratio {ratio:.2f}, {'reaches' if ratio >= BAR else 'misses'} {BAR}"


def measure_padding() -> None:
    """Print the share of padding of prompts with 20 questions on each of 200 videos, in batches of 8."""
    generator = torch.Generator().manual_seed(0)
    for name, low, high in (("short questions", 4, 16), ("questions with options", 20, 200)):
        shares = []
        for ordered in (False, True):
            read = kept = 0
            for _ in range(200):
                lengths = torch.randint(low, high, (20,), generator=generator).tolist()
                lengths = sorted(lengths) if ordered else lengths
                for start in range(0, 20, ROWS):
                    batch = lengths[start : start + ROWS]
                    read += len(batch) * max(batch)
                    kept += sum(batch)
            shares.append(1 - kept / read)
        print(f"padding behind the shared prefix, {name}: {shares[0]:.1%} as they come, {shares[1]:.1%} by length")


def measure_compaction(model: UnderstandingModel, size: str, device: torch.device) -> None:
    """Print seconds with and without compaction, the reading of the prompts included."""
    for name, lengths in LENGTHS.items():
        prompts = [[1, *range(3, PROMPT + 1), 100 + length] for length in lengths]
        batch = splice(model, prompts, [None] * len(prompts))
        settings = Settings(max_new_tokens=max(lengths))
        endless = model.tokens.total - 1
        rules = (Counted(eos=endless), Together(eos=endless, longest=max(lengths)))
        works = [partial(generate, model, batch, prompts, settings, rule) for rule in rules]
        ours, plain = medians(works, device)
        print(f"{size}, {name}, complete rows leave: {ours:.3f} s, wait: {plain:.3f} s, {said(plain / ours)}")


def measure_prefix(model: UnderstandingModel, size: str, device: torch.device) -> None:
    """Print seconds of a batch of questions on one medium, with its positions read once and for each question."""
    visual = torch.randn(PROMPT * 4, model.config.hidden_size, generator=torch.Generator().manual_seed(0)).to(device)
    prompts = [[1, 5, 6, -200, *range(10, 26), 100 + length] for length in LENGTHS["answers"]]
    rule, settings = Counted(eos=model.tokens.total - 1), Settings(max_new_tokens=max(LENGTHS["answers"]))

    def each() -> list[list[int]]:
        return generate(model, splice(model, prompts, [visual] * ROWS), prompts, settings, rule)

    def once() -> list[list[int]]:
        begun = SharedPrefixes(model).begin([Opening(ids, visual, "medium") for ids in prompts])
        assert begun is not None
        return generate(model, begun[0], prompts, settings, rule, past=begun[1])

    ours, plain = medians([once, each], device, 3)
    equal = sum(one == other for one, other in zip(once(), each(), strict=True))
    print(f"{size}, {ROWS} questions on {len(visual)} positions, read once: {ours:.3f} s, for each: {plain:.3f} s, "
          f"{said(plain / ours)}; {equal} of {ROWS} answers equal")  # fmt: skip


@torch.inference_mode()
def measure_caches(model: UnderstandingModel, size: str, device: torch.device, compiled: bool) -> None:
    """Print milliseconds per step of decoding with each kind of cache."""
    llama: Any = model.model
    ids = torch.randint(3, 600, (ROWS, PROMPT), generator=torch.Generator().manual_seed(0)).to(device)
    step = ids[:, :1]

    def seconds(make: Callable[[], Any], forward: Callable[..., Any]) -> float:
        cache = make()
        llama(input_ids=ids, past_key_values=cache, use_cache=True)
        found = []
        for number in range(STEPS):
            places = torch.full((ROWS, 1), PROMPT + number, device=device)
            start = now(device)
            states = forward(input_ids=step, past_key_values=cache, use_cache=True, position_ids=places)
            model.lm_head(states.last_hidden_state)
            found.append(now(device) - start)
        return statistics.median(found)

    def static() -> StaticCache:
        return StaticCache(config=model.config, max_cache_len=PROMPT + STEPS)

    growing = seconds(lambda: DynamicCache(config=model.config), llama)
    fixed = seconds(static, llama)
    print(f"{size}, a step with a growing cache: {growing * 1e3:.1f} ms, static: {fixed * 1e3:.1f} ms, "
          f"{said(growing / fixed)}")  # fmt: skip
    if compiled:
        fast = seconds(static, torch.compile(llama))
        print(f"{size}, a compiled step with a static cache: {fast * 1e3:.1f} ms, {said(growing / fast)}")


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.set_num_threads(1)
    measure_padding()
    for size in SIZES:
        model = build(size, device)
        measure_prefix(model, size, device)
        measure_compaction(model, size, device)
        measure_caches(model, size, device, given.compile)


if __name__ == "__main__":
    main()
