"""The whole chain in this process, from files to scores, short enough to be run once per fault."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lavit_eval.demo.language import kind_of
from lavit_eval.digests import digest_json
from lavit_eval.metrics.protocol import Measured
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.adapter import VideoLavit
from lavit_eval.registry import Catalogue, find
from lavit_eval.sample import Request, Response, Sample, Seeds, derive_seed
from lavit_eval.task import Task
from tests.parity.conftest import find_cases
from tests.parity.test_parity import CHECKS

LIKELIHOODS = ("msvd_qa_likelihood", "msrvtt_qa_likelihood", "vqav2_likelihood", "coco_karpathy_test_likelihood")
"""Tasks whose score is in nats; all others are scored in percent or the like."""
TASKS = ("msvd_qa", "msrvtt_qa", "vqav2", "coco_karpathy_test", *LIKELIHOODS)
SEED = 42
BATCH = 48
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SURE = 4.0
"""A difference of scores is seen from so many standard errors on, as means over media; by chance once in 10,000."""
FEWEST = 8
"""Media that a difference must be measured on."""
LEAST, LEAST_NATS = 1e-9, 1e-3
"""A smaller difference is none. Another batch size and number of threads move no likelihood by more than 0.000005."""


@dataclass(frozen=True)
class Outcome:
    """What a run of the chain gave."""

    values: Mapping[str, float]
    """Task -> primary metric."""
    scores: Mapping[str, np.ndarray]
    """Task -> primary metric of each sample alone, [n]."""
    media: Mapping[str, tuple[str, ...]]
    """Task -> the medium of each sample."""
    kinds: Mapping[str, tuple[str, ...]]
    """Task -> the kind of each question on a video, "" elsewhere."""
    digests: Mapping[str, tuple[str, ...]]
    """Task -> digest of what the journal says went in, per sample."""


class Chain:
    """The tasks of the canary suite on demo data.

    Args:
        root: The demo data.
        checkpoint: The trained checkpoint.
        videos: So many videos of each benchmark, and images, from the first.
    """

    def __init__(self, root: Path, checkpoint: Path, videos: int) -> None:
        self.root, self.checkpoint = root, checkpoint
        self.tasks = [Catalogue().task(name) for name in TASKS]
        self.videos = videos

    def run(self, cached: bool) -> Outcome:
        """Read, ask, answer and score everything.

        Args:
            cached: Take preprocessed videos from the cache on disk; not where preprocessing itself is at fault.
        """
        arguments = {"video_cache": "on" if cached else "off"}
        model = VideoLavit.load(ModelOptions(checkpoint=str(self.checkpoint), arguments=arguments))
        values, scores, media, kinds, digests = {}, {}, {}, {}, {}
        for task in self.tasks:
            samples = self._samples(task)
            responses = self._ask(model, task, samples)
            measured = _measured(find("metric", task.primary)(), samples, responses)
            scores[task.task] = np.nan_to_num(measured.reduce(measured.rows))
            values[task.task] = float(measured.reduce(measured.rows.sum(0)))
            media[task.task] = tuple(sample.media[0].name for sample in samples)
            asked = [sample.question if sample.media[0].kind == "video" else "" for sample in samples]
            unit = " (nats)" if task.task in LIKELIHOODS else ""
            kinds[task.task] = tuple(question and kind_of(question) + unit for question in asked)
            digests[task.task] = tuple(digest_json(response.digests) for response in responses)
        return Outcome(values, scores, media, kinds, digests)

    def _samples(self, task: Task) -> list[Sample]:
        samples = find("benchmark", task.benchmark)().read(self.root, task.split, **task.options).samples
        first = set(list(dict.fromkeys(sample.media[0].name for sample in samples))[: self.videos])
        return [sample for sample in samples if sample.media[0].name in first]

    def _ask(self, model: VideoLavit, task: Task, samples: Sequence[Sample]) -> list[Response]:
        requests = [
            Request(
                sample.id,
                0,
                task.kind,
                sample.media,
                task.text(sample),
                task.writing,
                Seeds(SEED, 0, derive_seed("write", str(SEED), task.task, sample.id, "0")),
                task.candidates(sample),
            )
            for sample in samples
        ]
        return [
            response
            for start in range(0, len(requests), BATCH)
            for response in model.respond(requests[start : start + BATCH])
        ]


def _measured(metric: Any, samples: Sequence[Sample], responses: Sequence[Response]) -> Measured:
    """Return what a metric finds, by the likelihoods where it looks at them."""
    texts = [response.text or "" for response in responses]
    if hasattr(metric, "measure_ranked"):
        ranked: Measured = metric.measure_ranked(samples, texts, [response.likelihoods for response in responses])
        return ranked
    found: Measured = metric.measure(samples, texts)
    return found


def seen_in_scores(whole: Outcome, damaged: Outcome) -> str:
    """Return what differs by more than chance, e.g. "msvd_qa -40.2, order -81.2"; empty if nothing does.

    Compared are the tasks and, over both video tasks together, each kind of question; of log-likelihoods likewise.
    """
    groups: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for task, before in whole.scores.items():
        rows = zip(whole.media[task], whole.kinds[task], before, damaged.scores[task], strict=True)
        for medium, kind, old, new in rows:
            groups[task].append((medium, float(old), float(new)))
            if kind:
                groups[kind].append((medium, float(old), float(new)))
    found = []
    for name, rows in groups.items():
        change = damaged.values[name] - whole.values[name] if name in whole.values else _mean_change(rows)
        nats = name in LIKELIHOODS or name.endswith(" (nats)")
        if _sure(rows, LEAST_NATS if nats else LEAST):
            found.append(f"{name} {change:+.{3 if nats else 1}f}")
    return ", ".join(found)


def _mean_change(rows: Sequence[tuple[str, float, float]]) -> float:
    return float(np.mean([new - old for _, old, new in rows]))


def _sure(rows: Sequence[tuple[str, float, float]], least: float) -> bool:
    """Say whether new scores differ from old ones by more than `least`, by the means over each medium."""
    changes: dict[str, list[float]] = defaultdict(list)
    for medium, old, new in rows:
        changes[medium].append(new - old)
    means = np.array([np.mean(each) for each in changes.values()])
    if len(means) < FEWEST:
        return False
    error = means.std(ddof=1) / math.sqrt(len(means))
    return bool(abs(means.mean()) > SURE * error and abs(means.mean()) > least)


def seen_in_digests(whole: Outcome, damaged: Outcome) -> str:
    """Return how many samples had another input by the journal's digests; empty if none."""
    pairs = [pair for task in whole.digests for pair in zip(whole.digests[task], damaged.digests[task], strict=True)]
    differing = sum(before != after for before, after in pairs)
    return f"{differing} of {len(pairs)} inputs" if differing else ""


def seen_in_parity() -> str:
    """Return the first recorded case that fails; empty if all pass."""
    for case in find_cases([GOLDEN]):
        if case.kind in CHECKS:
            try:
                CHECKS[case.kind](case)
            except Exception as error:  # any failure is a sighting
                return f"{case.name} ({type(error).__name__})"
    return ""
