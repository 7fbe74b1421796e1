"""MSVD-QA: questions on short YouTube clips, with one-word answers."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.folders import Source
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.benchmarks.xudejing_qa import Layout, read_qa

LAYOUT = Layout(
    source=Source(
        "MSVD-QA", "https://github.com/xudejing/video-question-answering", "derived from MSVD; for research only"
    ),
    folders=("MSVD-QA", "msvd_qa", "MSVD_QA", "msvd-qa", "MSVD", "msvd", ""),
    paired_folders=("MSVD_Zero_Shot_QA", "MSVD-QA", "msvd_qa"),
    video_folders=("video", "videos", "YouTubeClips", "MSVD/YouTubeClips", "MSVD/video", "MSVD/videos", "msvd/videos"),
    stem="vid{}",
    suffix=".avi",
    mappings=("MSVD/youtube_mapping.txt", "msvd/youtube_mapping.txt", "youtube_mapping.txt"),
)


class MsvdQa:
    """MSVD-QA, splits `test` (13,157 questions on 504 videos), `val`, `train`; each question has one answer.

    Category: `question_word`. A video is `vid{video_id}.avi`, or the file that youtube_mapping.txt gives for it.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        return read_qa(LAYOUT, root, split)
