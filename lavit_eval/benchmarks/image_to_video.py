"""The image suite of VBench-I2V: pictures, each with one or more prompts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import fault, read_records
from lavit_eval.benchmarks.folders import IMAGE_SUFFIXES, MediaFolders, Source, first_file, inside, known_split, spread
from lavit_eval.benchmarks.official_names import numbered, unusable
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.benchmarks.vbench import check_number
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium, Sample

SOURCE = Source(
    "VBench-I2V",
    "https://github.com/Vchitect/VBench/tree/master/vbench2_beta_i2v",
    "Apache-2.0; pictures as listed there",
)
FOLDERS = ("vbench2_beta_i2v", "vbench_i2v", "")
RATIOS = ("16-9", "1-1", "7-4", "8-5")


class ImageToVideo:
    """VBench-I2V, split `test`: 1,118 prompts on 355 pictures, in the order of the file.

    Option `ratio`: which of the four crops is shown (width to height). Sample ids are the prompts, which are unique;
    a task decides by its prompt whether the model reads it too (`{question}`) or sees the picture alone (empty).
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str, ratio: str = "16-9") -> Found:
        """Read the suite under the data root (see `Benchmark.read`)."""
        known_split(split, ("test",), SOURCE)
        if ratio not in RATIOS:
            raise UsageError(
                f"{SOURCE.name}: the option ratio is one of {', '.join(RATIOS)}, not {ratio!r}; mend the task."
            )
        path = first_file(root, spread(FOLDERS, "vbench2_i2v_full_info.json"), SOURCE)
        fields = {"prompt_en": str, "image_name": str, "image_type": str}
        rows = read_records(path, fields, key="prompt_en")
        folder = path.parent.relative_to(root).as_posix()
        pictures = MediaFolders(root, [f"{folder}/data/crop/{ratio}", f"{folder}/crop/{ratio}"], IMAGE_SUFFIXES)
        samples = []
        for index, row in enumerate(rows):
            if not inside(row["image_name"]):
                fault(path, index, row, "prompt_en", 'names a picture outside the suite\'s folder as "image_name"')
            stem = Path(row["image_name"]).stem
            place = pictures.find(stem) or pictures.expected(stem)
            picture = Medium("image", place, f"crop/{ratio}/{row['image_name']}")
            sample = Sample(
                id=row["prompt_en"],
                media=(picture,),
                question=row["prompt_en"],
                references=(),
                categories={"image_type": row["image_type"]},
            )
            samples.append(sample)
        return Found(tuple(samples), {path.name: path})


class VbenchI2v:
    """VBench-I2V as its own scorer wants it, split `test`: several videos of each of the 1,118 prompts.

    Sample ids are the stems of the scorer's files, "{prompt}-{index}"; samples of one picture are one cluster.

    Options: `ratio`, the crop (width to height) that is shown, which must be that of the videos and be named to the
    scorer; `videos`, how many of each prompt.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str, ratio: str = "7-4", videos: int = 5) -> Found:
        """Read the suite under the data root (see `Benchmark.read`)."""
        check_number("videos", videos, SOURCE)
        found = ImageToVideo().read(root, split, ratio)
        path = next(iter(found.annotations.values()))
        for index, sample in enumerate(found.samples):
            if why := unusable(numbered(sample.id, videos - 1)):
                fault(path, index, {"prompt_en": sample.id}, "prompt_en", why)
        samples = [
            replace(sample, id=numbered(sample.id, number)) for sample in found.samples for number in range(videos)
        ]
        return Found(tuple(samples), found.annotations)
