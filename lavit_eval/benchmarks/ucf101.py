"""UCF-101 for text-to-video: a prompt for each class, and real videos of the class to compare with."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.folders import first_file, known_split, spread
from lavit_eval.benchmarks.plain_text import listed
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.benchmarks.ucf101_files import LISTS, SOURCE, SPLIT_FOLDERS, ClassFolders, find_index, read_list
from lavit_eval.benchmarks.ucf101_prompts import SHIPPED, read_prompts
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium, Sample

ALL = "all"


class Ucf101:
    """UCF-101, split `test`: some videos of each class, each a sample whose question is the prompt of its class.

    Video-LaVIT (appendix A.4) takes 20 videos of each of the 101 classes and writes the prompts as PYoCo does; it says
    neither which videos nor which prompts. Options of a task:

    - `list`: where the videos are drawn from: `all` is every video in the class folders, `testlist01` to `testlist03`
      and `trainlist01` to `trainlist03` are the official lists.
    - `per_class`: how many videos of each class.
    - `sampling_seed`: which: `random.Random(f"{seed}:{class}").sample(sorted(names), per_class)`, then sorted.
    - `prompts`: empty for the sentences shipped with this reader (ours, made from the names of the classes), else a
      file of lines `Class<TAB>prompt`, or of 101 lines in the order of classInd.txt.

    The classes are those of classInd.txt, without it those that have a folder. Sample ids are the videos' names without
    extension, the order is that of (class, name) as ASCII; the real video is the sample's only target.
    """

    version: ClassVar[int] = 1
    file_options: ClassVar[frozenset[str]] = frozenset({"prompts"})
    """Options that name a file, whose content and not whose name counts."""

    def read(
        self,
        root: Path,
        split: str,
        list: str = ALL,
        per_class: int = 20,
        sampling_seed: int = 0,
        prompts: str = "",
    ) -> Found:
        """Read the videos' names under the data root (see `Benchmark.read`).

        Raises UsageError also for a class that has no folder, no prompt, or fewer than `per_class` videos.
        """
        known_split(split, ("test",), SOURCE)
        known_options(list, per_class)
        index = find_index(root)
        folders = ClassFolders(root)
        if index is None or list == ALL:
            folders.require()
        files = {} if index is None else {"classes": index.path}
        names = sorted(index.numbers) if index is not None else folders.present
        if list == ALL:
            pool = _videos_of(folders, names)
        else:
            files["list"] = first_file(root, spread(SPLIT_FOLDERS, f"{list}.txt"), SOURCE)
            pool = read_list(files["list"], index)
        chosen = _drawn({name: pool.get(name, []) for name in names}, per_class, sampling_seed, list)
        files["prompts"] = _prompts_file(prompts)
        said = read_prompts(files["prompts"], None if index is None else [*index.numbers])
        _all_have_prompts(names, said, files["prompts"])
        samples = [_sample(name, video, said[name], folders) for name in names for video in chosen[name]]
        return Found(tuple(samples), files)


def known_options(list: str, per_class: int) -> None:
    """Raise UsageError for an option's value that the reader does not know."""
    if list not in (ALL, *LISTS):
        raise UsageError(
            f"{SOURCE.name}: the option list is one of {', '.join((ALL, *LISTS))}, not {list!r}; mend the task."
        )
    if type(per_class) is not int or per_class < 1:
        raise UsageError(
            f"{SOURCE.name}: the option per_class is a whole number from 1, not {per_class!r}; mend the task."
        )


def _prompts_file(option: str) -> Path:
    path = Path(option) if option else SHIPPED
    if not path.is_file():
        raise UsageError(
            f"{SOURCE.name}: there is no file {path}, which the option prompts names: "
            "mend the task, or leave the option empty for the shipped sentences"
        )
    return path


def _videos_of(folders: ClassFolders, names: Sequence[str]) -> dict[str, list[str]]:
    missing = sorted(set(names) - set(folders.present))
    if missing:
        raise UsageError(
            f"{folders.folder} lacks the folders of {len(missing)} of {len(names)} classes ({listed(missing)}): "
            f"unpack the whole of UCF101.rar ({SOURCE.url}) there"
        )
    return {name: folders.names(name) for name in names}


def _drawn(pool: Mapping[str, Sequence[str]], count: int, seed: int, list: str) -> dict[str, list[str]]:
    """Return class -> the videos drawn for it, sorted."""
    few = [f"{name} has {len(videos)}" for name, videos in pool.items() if len(videos) < count]
    if few:
        where = "in the class folders" if list == ALL else f"in {list}"
        raise UsageError(
            f"{SOURCE.name}: {len(few)} of {len(pool)} classes have fewer than {count} videos {where} ({listed(few)}): "
            "unpack the whole of UCF101.rar, or lower the task's option per_class"
        )
    return {name: sorted(random.Random(f"{seed}:{name}").sample(sorted(pool[name]), count)) for name in pool}


def _all_have_prompts(names: Sequence[str], prompts: Mapping[str, str], path: Path) -> None:
    missing = [name for name in names if name not in prompts]
    if missing:
        raise UsageError(
            f"{path} has no prompt for {len(missing)} of {len(names)} classes ({listed(missing)}): "
            "add a line Class<TAB>prompt for each"
        )


def _sample(name: str, video: str, prompt: str, folders: ClassFolders) -> Sample:
    return Sample(
        id=video,
        media=(),
        question=prompt,
        references=(prompt,),
        categories={"class": name},
        targets=(Medium("video", folders.place(name, video), f"UCF-101/{name}/{video}.avi"),),
    )
