"""MSRVTT-QA: questions on MSR-VTT's clips, with one-word answers."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.folders import Source
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.benchmarks.xudejing_qa import Layout, read_qa

LAYOUT = Layout(
    source=Source("MSRVTT-QA", "https://github.com/xudejing/video-question-answering", "under the MSR-VTT terms"),
    folders=("MSRVTT-QA", "msrvtt_qa", "MSRVTT_QA", "msrvtt-qa", "MSRVTT", "msrvtt", "MSR-VTT", ""),
    paired_folders=("MSRVTT_Zero_Shot_QA", "MSRVTT-QA", "msrvtt_qa"),
    video_folders=(
        "video",
        "videos",
        "videos/all",
        "TestVideo",
        "MSRVTT/videos/all",
        "MSRVTT/videos",
        "MSRVTT/TestVideo",
        "msrvtt/videos",
        "MSR-VTT/videos",
    ),
    stem="video{}",
    suffix=".mp4",
    has_category=True,
)


class MsrvttQa:
    """MSRVTT-QA, splits `test` (72,821 questions on 2,990 videos), `val`, `train`; each question has one answer.

    Categories: `question_word` and `category`, the number of MSR-VTT's topic (absent in Video-LLaVA's layout).
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        return read_qa(LAYOUT, root, split)
