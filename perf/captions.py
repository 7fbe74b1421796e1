"""Prints what the caption metrics cost beside pycocoevalcap's own evaluation of the same captions, in turn.

Made captions: images with five references of about ten words each, and one generated caption that shares words with
them. Our side is what a run's scoring does per metric, from texts to per-caption records and sums that intervals are
made of; the other side is pycocoevalcap's tokenizer, BLEU, ROUGE-L and CIDEr, and METEOR with --meteor. Times are of
the whole process tree, since both start Java; the least of the rounds counts. The two must agree on every value.

Run: python perf/captions.py [--images N] [--rounds N] [--meteor]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from lavit_eval.metrics import bleu, caption_tokens, meteor  # noqa: E402
from lavit_eval.registry import find  # noqa: E402
from lavit_eval.sample import Sample  # noqa: E402
from lavit_eval.statistics import total_value  # noqa: E402

METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider")
GOAL = 15.0
"""Seconds for 5,000 images without METEOR."""
WORDS = 3000
REFERENCES = 5

Values = dict[str, float]


def made_captions(images: int) -> tuple[list[Sample], list[str]]:
    """Return images with references and a caption each; words come as often as in English, by Zipf's law."""
    draw = np.random.Generator(np.random.PCG64(0))
    share = 1 / np.arange(1, WORDS + 1)
    words = np.asarray([f"word{number}" for number in range(WORDS)])

    def sentence(topic: np.ndarray) -> str:
        free = draw.choice(words, int(draw.integers(4, 9)), p=share / share.sum())
        said = np.concatenate([draw.choice(topic, 4, replace=False), free])
        draw.shuffle(said)
        return f"A {' '.join(said)}."

    samples, texts = [], []
    for number in range(images):
        topic = draw.choice(words, 6, p=share / share.sum(), replace=False)
        references = tuple(sentence(topic) for _ in range(REFERENCES))
        samples.append(Sample(str(number), (), "", references))
        texts.append(sentence(topic))
    return samples, texts


def ours(samples: list[Sample], texts: list[str], with_meteor: bool) -> Values:
    """Return the metrics' values as scoring computes them, nothing kept from a round before."""
    caption_tokens._tokenise.cache_clear()
    bleu.ngram_counts.cache_clear()
    meteor.alignment_statistics.cache_clear()
    names = (*METRICS, "meteor") if with_meteor else METRICS
    return {name: float(total_value(find("metric", name)().measure(samples, texts)) or 0.0) for name in names}


def theirs(samples: list[Sample], texts: list[str], with_meteor: bool) -> Values:
    """Return the values by pycocoevalcap's tokenizer and scorers, as its COCOEvalCap runs them, times 100."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tokenizer = PTBTokenizer()
    references = tokenizer.tokenize({one.id: [{"caption": text} for text in one.references] for one in samples})
    captions = tokenizer.tokenize({one.id: [{"caption": text}] for one, text in zip(samples, texts, strict=True)})
    found: Values = {}
    orders, _ = Bleu(4).compute_score(references, captions, verbose=0)
    found |= {f"bleu_{order}": 100 * value for order, value in enumerate(orders, start=1)}
    found["rouge_l"] = 100 * float(Rouge().compute_score(references, captions)[0])
    found["cider"] = 100 * float(Cider().compute_score(references, captions)[0])
    if with_meteor:
        found["meteor"] = 100 * float(Meteor().compute_score(references, captions)[0])
    return found


def spent() -> float:
    """Return the processor seconds of this process and of those that it started and that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(use.ru_utime + use.ru_stime for use in map(resource.getrusage, kinds))


def timed(side: Callable[[], Values]) -> tuple[float, float, Values]:
    """Return wall and processor seconds of one side, and its values; what it prints is not shown."""
    wall, cpu = time.perf_counter(), spent()
    with contextlib.redirect_stdout(io.StringIO()):
        values = side()
    return time.perf_counter() - wall, spent() - cpu, values


def main() -> None:
    """Print both sides' times, their ratio, and whether they agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000, help="default 5000")
    parser.add_argument("--rounds", type=int, default=2, help="default 2")
    parser.add_argument("--meteor", action="store_true", help="METEOR too, which takes minutes")
    options = parser.parse_args()
    samples, texts = made_captions(options.images)
    sides = {"ours": ours, "pycocoevalcap": theirs}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    values: dict[str, Values] = {}
    for _ in range(options.rounds):
        for name, side in sides.items():
            wall, cpu, values[name] = timed(partial(side, samples, texts, options.meteor))
            times[name].append((wall, cpu))
    least = {name: [min(each) for each in zip(*pairs, strict=True)] for name, pairs in times.items()}
    print(f"{options.images:,} captions with {REFERENCES} references each{', METEOR too' if options.meteor else ''}")
    for name, (wall, cpu) in least.items():
        ratio = f"{wall / least['ours'][0]:.2f} and {cpu / least['ours'][1]:.2f} times ours"
        goal = f" (goal: {GOAL:g} for 5,000)" if name == "ours" and not options.meteor else f", {ratio}"
        print(f"{name:>14}: {wall:6.2f} s, {cpu:6.2f} CPU-s{goal}")
    apart = max(abs(values["ours"][name] - value) for name, value in values["pycocoevalcap"].items())
    print(f"values differ by {apart:.0e} at most")


if __name__ == "__main__":
    main()
