"""VBench's prompts for text-to-video, from the user's clone: what is made of them is scored by VBench itself."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import fault, read_records
from lavit_eval.benchmarks.folders import Source, first_file, known_split, spread
from lavit_eval.benchmarks.official_names import numbered, unusable
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Sample

SOURCE = Source("VBench", "https://github.com/Vchitect/VBench (git clone)", "Apache-2.0")
FOLDERS = ("VBench/vbench", "vbench", "VBench", "vbench/vbench", "")
LIST = "VBench_full_info.json"
FLICKERING = "temporal_flickering"
DIMENSIONS = frozenset(
    {
        *("subject_consistency", "background_consistency", FLICKERING, "motion_smoothness", "dynamic_degree"),
        *("aesthetic_quality", "imaging_quality", "object_class", "multiple_objects", "human_action", "color"),
        *("spatial_relationship", "scene", "temporal_style", "appearance_style", "overall_consistency"),
    }
)


class Vbench:
    """VBench, split `test`: 946 entries with 944 different prompts, each for several videos; there are no real videos.

    Sample ids are the stems of VBench's files, "{prompt}-{index}". An entry that repeats the prompt of an earlier one
    (two do, in other dimensions) has the same files, so that its dimensions are added and nothing is made twice.
    Samples of one prompt are one cluster.

    Options: `videos` (how many of each prompt) and `flickering` (how many where temporal flickering is among its
    dimensions: VBench's filter takes still ones out of 25).
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str, videos: int = 5, flickering: int = 25) -> Found:
        """Read the prompts under the data root (see `Benchmark.read`)."""
        known_split(split, ("test",), SOURCE)
        for name, given in (("videos", videos), ("flickering", flickering)):
            check_number(name, given, SOURCE)
        path = first_file(root, spread(FOLDERS, LIST), SOURCE)
        dimensions: dict[str, set[str]] = {}
        for index, row in enumerate(read_records(path, {"prompt_en": str, "dimension": list})):
            if not row["dimension"]:
                fault(path, index, row, "prompt_en", "has no dimension")
            for name in row["dimension"]:
                if name not in DIMENSIONS:
                    fault(path, index, row, "prompt_en", f"has the dimension {name!r}, which VBench does not have")
            dimensions.setdefault(row["prompt_en"], set()).update(row["dimension"])
            if why := unusable(numbered(row["prompt_en"], max(videos, flickering) - 1)):
                fault(path, index, row, "prompt_en", why)
        samples = [
            Sample(
                id=numbered(prompt, number),
                media=(),
                question=prompt,
                references=(prompt,),
                extra={"dimensions": sorted(named)},
                group=f"prompt {prompt}",
            )
            for prompt, named in dimensions.items()
            for number in range(flickering if FLICKERING in named else videos)
        ]
        return Found(tuple(samples), {LIST: path})


def check_number(name: str, given: object, source: Source) -> None:
    """Raise UsageError unless an option is a whole number from 1."""
    if type(given) is not int or given < 1:
        raise UsageError(f"{source.name}: the option {name} is a whole number from 1, not {given!r}; mend the task.")
