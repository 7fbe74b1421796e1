"""MSVD captioning, in the text files of its authors; the pickle of retrieval papers is never loaded."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.folders import Source, first_file, inside, known_split, spread
from lavit_eval.benchmarks.named_media import NamedMedia
from lavit_eval.benchmarks.plain_text import read_lines
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium, Sample

SOURCE = Source(
    "MSVD",
    "https://www.cs.utexas.edu/users/ml/clamp/videoDescription/",
    "Microsoft Research licence, for research only; check before use",
)
FOLDERS = ("MSVD", "msvd", "MSVD-QA", "msvd_qa", "annotations", "")
CAPTIONS = "AllVideoDescriptions.txt"
PICKLE = "raw-captions.pkl"
MAPPING = "youtube_mapping.txt"
LISTS = {"train": "train_list.txt", "val": "val_list.txt", "test": "test_list.txt"}
RANGES = {"train": range(1, 1201), "val": range(1201, 1301), "test": range(1301, 1971)}
"""The split of Venugopalan et al. by the numbers of youtube_mapping.txt: 1,200, 100 and 670 videos."""
VIDEO_FOLDERS = (
    *("MSVD/YouTubeClips", "MSVD/videos", "MSVD/video", "msvd/YouTubeClips", "msvd/videos", "YouTubeClips"),
    *("MSVD-QA/video", "videos", "video"),
)


class MsvdCaption:
    """MSVD captioning, splits `test` (670 videos), `val` (100) and `train` (1,200), about 41 captions a video.

    Sample ids are the videos' names on YouTube with start and end, as the caption file has them. The split comes from
    youtube_mapping.txt, else from CLIP4Clip's {split}_list.txt.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        known_split(split, tuple(RANGES), SOURCE)
        path = captions_file(root)
        captions = read_captions(path)
        listing = first_file(root, [*spread(FOLDERS, MAPPING), *spread(FOLDERS, LISTS[split])], SOURCE)
        videos = read_mapping(listing, split) if listing.name == MAPPING else read_list(listing)
        media = NamedMedia(root, VIDEO_FOLDERS, (".avi", ".mp4", ".mkv", ".webm"), label="YouTubeClips")
        samples = []
        for name, number in videos.items():
            if name not in captions:
                raise UsageError(f"{path} has no caption of {name}, which {listing} puts in the split {split}")
            samples.append(Sample(name, (medium_of(media, name, number),), "", tuple(captions[name])))
        return Found(tuple(samples), {"captions": path, "split": listing})


def captions_file(root: Path) -> Path:
    """Return the text file of captions; raise UsageError, and say so where only a pickle lies there."""
    places = spread(FOLDERS, CAPTIONS)
    pickles = [root / place for place in spread(FOLDERS, PICKLE) if (root / place).is_file()]
    if pickles and not any((root / place).is_file() for place in places):
        raise UsageError(
            f"{pickles[0]} is a pickle, which can run any program when it is loaded: get {CAPTIONS} from {SOURCE.url} "
            f"({SOURCE.licence}) and put it at {root / places[0]}"
        )
    return first_file(root, places, SOURCE)


def read_captions(path: Path) -> dict[str, list[str]]:
    """Return video name -> captions; lines are "# comment" or "<name> <caption>"."""
    captions: dict[str, list[str]] = {}
    for number, line in read_lines(path):
        if line.startswith("#"):
            continue
        name, space, caption = line.partition(" ")
        if not space or not inside(name):
            raise UsageError(f'{path}, line {number} is not "<video> <caption>": is it the official file, unchanged?')
        captions.setdefault(name, []).append(caption.strip())
    if not captions:
        raise UsageError(f"{path} holds no captions: download it again")
    return captions


def read_mapping(path: Path, split: str) -> dict[str, str]:
    """Return name -> vidN of the split's videos, in the order of N, from lines "<name> <vidN>"."""
    names: dict[str, str] = {}
    for number, line in read_lines(path):
        words = line.split()
        if len(words) != 2 or not words[1].removeprefix("vid").isdigit() or words[1] in names or not inside(words[0]):
            raise UsageError(f'{path}, line {number} is not "<name> <vidN>" with a new vidN: get the file again')
        names[words[1]] = words[0]
    wanted = [f"vid{number}" for number in RANGES[split]]
    return {names[video]: video for video in wanted if video in names}


def read_list(path: Path) -> dict[str, str]:
    """Return name -> "" of the lines of a list of names."""
    found: dict[str, str] = {}
    for number, line in read_lines(path):
        if line in found or not inside(line):
            raise UsageError(f"{path}, line {number} is no new name of a video: get the file again")
        found[line] = ""
    return found


def medium_of(media: NamedMedia, name: str, number: str) -> Medium:
    """Return the medium of a video, which may be named as on YouTube or by its number."""
    medium = media.of(name)
    if not number or media.has(name) or not media.has(number):
        return medium
    return Medium(medium.kind, media.of(number).path, medium.name)
