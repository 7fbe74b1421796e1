"""MVBench: twenty tasks, one JSON file each; of some videos only the segment that is asked about is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from lavit_eval.benchmarks.annotations import fault, read_records
from lavit_eval.benchmarks.choice_samples import checked_options, choice_sample
from lavit_eval.benchmarks.folders import Source, first_file, known_split, spread
from lavit_eval.benchmarks.identity import ContentIds
from lavit_eval.benchmarks.named_media import NamedMedia, checked_name
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium, Sample, Segment

SOURCE = Source(
    "MVBench",
    "https://huggingface.co/datasets/OpenGVLab/MVBench (revision video)",
    "MIT; the videos keep the licences of their own data sets",
)
ROOTS = ("mvbench", "MVBench", "mvbench/video", "MVBench/video")
TSV = "MVBench.tsv"


@dataclass(frozen=True, slots=True)
class Part:
    """One of the twenty tasks."""

    title: str
    folders: tuple[str, ...]
    """Where its videos may lie, relative to one of `ROOTS`; the first is that of the hub's revision `video`."""
    whole: tuple[str, ...] = ()
    """Where the whole videos may lie of which `folders` hold segments."""
    frames: str = ""
    """Where folders of their pictures may lie instead, `FRAMES_PER_SECOND` each."""


CHARADES = ("star/Charades_segment", "data0613/star/Charades_segment")
CHARADES_WHOLE = ("star/Charades_v1_480", "data0613/star/Charades_v1_480")
CLEVRER = ("clevrer/video_validation", "data0613/clevrer/video_validation")
PERCEPTION = ("perception/videos",)
PARTS = {
    "action_sequence": Part("Action Sequence", CHARADES, CHARADES_WHOLE),
    "action_prediction": Part("Action Prediction", CHARADES, CHARADES_WHOLE),
    "action_antonym": Part("Action Antonym", ("ssv2_video_mp4", "ssv2_video")),
    "fine_grained_action": Part("Fine-grained Action", ("Moments_in_Time_Raw/videos",)),
    "unexpected_action": Part("Unexpected Action", ("FunQA_test/test",)),
    "object_existence": Part("Object Existence", CLEVRER),
    "object_interaction": Part("Object Interaction", CHARADES, CHARADES_WHOLE),
    "object_shuffle": Part("Object Shuffle", PERCEPTION),
    "moving_direction": Part("Moving Direction", CLEVRER),
    "action_localization": Part("Action Localization", ("sta/sta_video_segment",), ("sta/sta_video",)),
    "scene_transition": Part("Scene Transition", ("scene_qa/video",)),
    "action_count": Part("Action Count", PERCEPTION),
    "moving_count": Part("Moving Count", CLEVRER),
    "moving_attribute": Part("Moving Attribute", CLEVRER),
    "state_change": Part("State Change", PERCEPTION),
    "fine_grained_pose": Part("Fine-grained Pose", ("nturgbd_convert", "nturgbd")),
    "character_order": Part("Character Order", PERCEPTION),
    "egocentric_navigation": Part("Egocentric Navigation", ("vlnqa",)),
    "episodic_reasoning": Part("Episodic Reasoning", ("tvqa/video_fps3_hq_segment",), frames="tvqa/frames_fps3_hq"),
    "counterfactual_inference": Part("Counterfactual Inference", CLEVRER),
}
"""In the order of the official notebook. Five of them ask about a part of a video (`start`, `end`)."""
FRAMES_PER_SECOND = 3
"""Of the folders of pictures; their names say so."""
NOT_SHIPPED = "fine_grained_pose"
"""Its 320 videos of NTU RGB+D come from the ROSE lab, after a request."""


class Mvbench:
    """MVBench, split `test`: 20 tasks of 200 questions.

    Categories: `task`, and `shipped` over the 19 tasks whose videos come with the benchmark. Questions have no ids in
    the files: a sample's id is its task and a digest of video, times and question. Where a question is about a part of
    a video (`start`, `end`, in seconds), the segments that the hub's revision `video` holds are shown as they are, or,
    where such a file is absent, that part of the whole video: a file, or of Episodic Reasoning a folder of frames at 3
    a second, the first of which is taken to be at time 0.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read the split under the data root (see `Benchmark.read`)."""
        known_split(split, ("test",), SOURCE)
        refuse_tsv(root)
        samples: list[Sample] = []
        files = {}
        for name, part in PARTS.items():
            path = first_file(root, spread([f"{place}/json" for place in ROOTS[:2]], f"{name}.json"), SOURCE)
            samples += read_part(root, path, name, part)
            files[name] = path
        return Found(tuple(samples), files)


def refuse_tsv(root: Path) -> None:
    """Raise UsageError where only VLMEvalKit's table lies there: it leaves out questions whose videos were missing."""
    tables = [root / place for place in spread(ROOTS, TSV) if (root / place).is_file()]
    if tables and not any((root / place / "json").is_dir() for place in ROOTS):
        raise UsageError(
            f"{tables[0]} holds only questions whose videos were found when it was made: get json/ from {SOURCE.url} "
            f"and put it at {root / ROOTS[0] / 'json'}"
        )


def read_part(root: Path, path: Path, name: str, part: Part) -> list[Sample]:
    """Return the samples of one task, in its file's order, whether their videos exist or not."""
    media = NamedMedia(
        root, [place for folder in part.folders for place in spread(ROOTS, folder)], label=part.folders[0]
    )
    whole = (
        NamedMedia(root, [place for folder in part.whole for place in spread(ROOTS, folder)], label=part.whole[0])
        if part.whole
        else None
    )
    ids = ContentIds()
    samples = []
    categories = {"task": part.title, **({} if name == NOT_SHIPPED else {"shipped": "19 tasks"})}
    fields = {"video": str, "question": str, "candidates": list, "answer": str}
    for index, row in enumerate(read_records(path, fields)):
        video = checked_name(path, index, row, "video", row["video"])
        options = checked_options(path, index, row, "video", row["candidates"])
        if row["answer"] not in options:
            fault(path, index, row, "video", f'has the answer "{row["answer"]}", which is none of its candidates')
        identity = ids.of(name, video, row.get("start"), row.get("end"), row["question"], options)
        question = f"Question: {row['question']}\nOptions:"
        place = len(options) - 1 - options[::-1].index(row["answer"])  # the last of equal ones, as the notebook
        form = "({letter}) {option}"
        medium = media.of(video)
        if whole is not None and not media.has(video) and whole.has(video):
            medium = replace(whole.of(video), segment=segment_of(path, index, row))
        elif not media.has(video) and (folder := frames_of(root, part, video)) is not None:
            name = f"{part.frames}/{video}"
            medium = Medium("video", str(folder), name, segment_of(path, index, row), FRAMES_PER_SECOND)
        samples.append(
            choice_sample(identity, medium, question, options, place, categories, form, stem=row["question"])
        )
    return samples


def frames_of(root: Path, part: Part, video: str) -> Path | None:
    """Return the folder that holds a video's pictures, None where there is none."""
    places = [root / place / video for place in spread(ROOTS, part.frames)] if part.frames else []
    return next((place for place in places if place.is_dir()), None)


def segment_of(path: Path, index: int, row: Mapping[str, Any]) -> Segment:
    """Return the part of a whole video that is asked about; raise UsageError that names the entry without such times.

    A start before the video's own begins with the video, as in the official notebook.
    """
    start: Any = row.get("start")
    end: Any = row.get("end")
    if any(type(time) not in (int, float) for time in (start, end)) or not max(0, start) < end < math.inf:
        fault(path, index, row, "video", f'has no times in seconds, "start" before "end", but {start!r} and {end!r}')
    return Segment.seconds(max(0, start), end)
