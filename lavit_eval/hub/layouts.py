"""The rows of each benchmark's hub copy, written as the official layout; one function a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lavit_eval.errors import UsageError
from lavit_eval.hub import image_layouts as images
from lavit_eval.hub import video_layouts as videos
from lavit_eval.hub.folder import Folder

Rows = Iterator[dict[str, Any]]
Writer = Callable[[Folder, Rows, Rows, str], None]
"""Takes the folder to fill, the rows, those of the configuration of images (empty where there is none), the split."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How one benchmark's rows become files."""

    columns: tuple[str, ...]
    """Without these a copy is not understood."""
    write: Writer
    image_columns: tuple[str, ...] = ()
    """Of the configuration that holds the images, where they stand apart."""
    videos: bool = False
    """Whether only the annotations come from the hub and the videos from the data root."""
    version: int = 1
    """Rises when the same rows give other files."""


LAYOUTS: Mapping[str, Layout] = {
    "vqav2": Layout(("question_id", "image_id", "question", "answers", "image"), images.vqav2),
    "okvqa": Layout(("question_id", "question", "answers", "question_type", "image"), images.okvqa),
    "gqa": Layout(("id", "imageId", "question", "answer"), images.gqa, ("id", "image")),
    "vizwiz_vqa": Layout(("question_id", "question", "image"), images.vizwiz),
    "scienceqa_img": Layout(("image", "question", "choices", "answer", "hint", "subject", "grade"), images.scienceqa),
    "mme": Layout(("question_id", "question", "answer", "category", "image"), images.mme),
    "mmbench": Layout(("index", "question", "hint", "answer", "A", "B", "category", "image"), images.mmbench),
    "seed_bench": Layout(
        ("question_id", "question", "answer", "choice_a", "data_id", "data_type", "question_type_id", "image"),
        images.seed_bench,
    ),
    "mmvet": Layout(("question_id", "question", "answer", "capability", "image"), images.mmvet),
    "pope": Layout(("question_id", "question", "answer", "image_source", "category", "image"), images.pope),
    "flickr30k_karpathy_test": Layout(("image", "caption", "filename", "split"), images.flickr30k),
    "activitynet_qa": Layout(
        ("video_name", "question_id", "question", "answer", "type"), videos.activitynet_qa, videos=True
    ),
    "nextqa_mc": Layout(("video", "question", "answer", "qid", "type", "a0", "a4"), videos.nextqa, videos=True),
    "video_mme": Layout(("videoID", "question_id", "question", "options", "answer"), videos.video_mme, videos=True),
    "perception_test_mc": Layout(
        ("video_name", "question_id", "question", "options", "answer_id", "area", "reasoning"),
        videos.perception_test,
        videos=True,
    ),
    "egoschema": Layout(("video_idx", "question", "option", "answer"), videos.egoschema, videos=True),
}
"""Reader -> how its rows are written, for the copies whose columns are known."""


def layout_of(task: str, benchmark: str, why: str) -> Layout:
    """Return how a benchmark's rows are written (raises UsageError: no hub source for this task)."""
    if benchmark not in LAYOUTS:
        raise UsageError(f"{task}: no hub source for this task: use --data-root. {why}".strip())
    return LAYOUTS[benchmark]
