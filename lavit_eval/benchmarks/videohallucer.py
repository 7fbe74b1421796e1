"""VideoHallucer: pairs of a basic and a hallucinated question, both answered by yes or no."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lavit_eval.benchmarks.annotations import Record, fault, read_records
from lavit_eval.benchmarks.folders import Source, first_file, known_split, spread
from lavit_eval.benchmarks.identity import ContentIds
from lavit_eval.benchmarks.named_media import NamedMedia, checked_name
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.sample import Sample

SOURCE = Source("VideoHallucer", "https://huggingface.co/datasets/bigai-nlco/VideoHallucer", "MIT")
FOLDERS = ("videohallucer", "videohallucer_datasets", "VideoHallucer", "VideoHallucer/videohallucer_datasets", "")
SUBSETS = {
    "object_relation": "Object-Relation",
    "temporal": "Temporal",
    "semantic_detail": "Semantic Detail",
    "external_factual": "Extrinsic Fact",
    "external_nonfactual": "Extrinsic Non-fact",
}
"""Folder -> column of the authors' table; these five make its "Overall"."""
EXTRA = {"interaction": "Interaction", "fact_detect": "Fact Detect"}
ROLES = ("basic", "hallucination")
ANSWERS = ("yes", "no")


class Videohallucer:
    """VideoHallucer, split `test`: five subsets, 976 pairs, 1,952 questions; each extra subset is a split of its own.

    Categories: `subset` (named as in the authors' table) and `role`. Both questions of a pair carry the same
    `extra["pair"]`; samples that share a pair or its basic question's video are one group. The README speaks of 400
    temporal questions, the file holds 176 pairs.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        known_split(split, ("test", *EXTRA), SOURCE)
        wanted = SUBSETS if split == "test" else {split: EXTRA[split]}
        samples: list[Sample] = []
        files = {}
        for folder, title in wanted.items():
            path = first_file(root, spread(FOLDERS, f"{folder}/{folder}.json"), SOURCE)
            samples += read_subset(root, path, folder, title)
            files[folder] = path
        return Found(tuple(samples), files)


def read_subset(root: Path, path: Path, folder: str, title: str) -> list[Sample]:
    """Return the two samples of each pair of one file, in its order."""
    media = NamedMedia(root, spread(FOLDERS, f"{folder}/videos"), label=f"{folder}/videos")
    ids = ContentIds()
    samples = []
    for index, row in enumerate(read_records(path, {"basic": dict, "hallucination": dict})):
        checked_pair(path, index, row)
        said = [[row[role][key] for key in ("video", "question")] for role in ROLES]
        pair = ids.of(folder, *said)
        for role in ROLES:
            one: Mapping[str, Any] = row[role]
            samples.append(
                Sample(
                    id=f"{pair}/{role}",
                    media=(media.of(one["video"]),),
                    question=one["question"],
                    references=(one["answer"],),
                    categories={"subset": title, "role": role},
                    extra={"pair": pair},
                    group=f"{folder}/{row['basic']['video']}",
                )
            )
    return samples


def checked_pair(path: Path, index: int, row: Record) -> None:
    """Raise UsageError unless both questions of a pair have a video, a text and an answer of yes or no."""
    for role in ROLES:
        one = row[role]
        for key in ("video", "question", "answer"):
            if not isinstance(one.get(key), str):
                fault(path, index, None, None, f'has no text "{key}" in its {role} question')
        checked_name(path, index, row, None, one["video"])
        if one["answer"] not in ANSWERS:
            fault(path, index, None, None, f'has the answer "{one["answer"]}" in its {role} question, not yes or no')
