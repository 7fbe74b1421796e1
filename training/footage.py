"""The training data: real files in the official layouts, read the real way once, and kept as tensors."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from lavit_eval.demo.drawing import shape_mask
from lavit_eval.demo.events import draw_film
from lavit_eval.demo.layouts import write_msvd_qa
from lavit_eval.demo.world import COLORS, HEIGHT, KINDS, PICTURE, WIDTH, Scene, draw_scene
from lavit_eval.demo.writing import write_picture
from lavit_eval.files import write_atomic
from lavit_eval.registry import find
from lavit_eval.video.clips import load_clips
from lavit_eval.video.picture import load_picture
from lavit_eval.video.settings import VideoSettings
from training.recipe import Recipe

DEV = 48
"""Films and pictures of a split of their own, on which training looks at itself."""
SEED = 1000
"""Added to the recipe's seed, so that no training scene has the seed of the demo data."""


@dataclass(frozen=True, slots=True)
class Footage:
    """Scenes with what the real preprocessing makes of their files."""

    films: list[Scene]
    film_frames: Tensor
    """uint8 [films, 224, 224, 3]."""
    motions: Tensor
    """float32 [films, 2, 24, 20, 36]."""
    pictures: list[Scene]
    picture_frames: Tensor
    """uint8 [pictures, 224, 224, 3]; stills of further films follow the pictures."""


def prepare(folder: Path, recipe: Recipe, split: str) -> Footage:
    """Return the footage of a split, `train` or `dev`; its files are made in `folder` unless they are there already."""
    seed = SEED + recipe.seed
    train = split == "train"
    films = recipe.films if train else min(DEV, 2 * recipe.films)
    pictures, stills = (recipe.pictures, recipe.stills) if train else (min(DEV, 2 * recipe.pictures), 0)
    scenes = [draw_film(seed + (not train), "msvd_qa/train", index) for index in range(films)]
    shown = [draw_scene(seed, f"coco/{split}", index, PICTURE) for index in range(pictures)]
    shown += [draw_film(seed, f"stills/{split}", index) for index in range(stills)]
    kept = folder / f"{split}.safetensors"
    if not kept.is_file():
        root = folder / split
        if not (root / "MSVD-QA" / "train_qa.json").is_file():
            write_msvd_qa(root, seed + (not train), films, "train")
        frames, motions = _read_films(root)
        tensors = {"films": frames, "motions": motions, "pictures": _read_pictures(root / "coco", shown)}
        write_atomic(kept, safetensors.torch.save(tensors))
    held = safetensors.torch.load_file(kept)
    return Footage(scenes, held["films"], held["motions"].float(), shown, held["pictures"])


def _read_films(root: Path) -> tuple[Tensor, Tensor]:
    """Read the videos through the reader of MSVD-QA and the real video path; one clip each."""
    samples = find("benchmark", "msvd_qa")().read(root, "train").samples
    paths = [Path(path) for path in dict.fromkeys(sample.media[0].path for sample in samples)]
    with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        clips = list(pool.map(lambda path: load_clips(path, VideoSettings()), paths))
    if any(len(clip.starts) != 1 for clip in clips):
        raise ValueError("a film of another length than one clip")
    frames = torch.from_numpy(np.concatenate([clip.keyframes for clip in clips]))
    return frames, torch.from_numpy(np.concatenate([clip.motions for clip in clips])).half()


def _read_pictures(folder: Path, scenes: list[Scene]) -> Tensor:
    (folder / "train2014").mkdir(parents=True, exist_ok=True)

    def read(numbered: tuple[int, Scene]) -> Tensor:
        number, scene = numbered
        path = folder / "train2014" / f"COCO_train2014_{number:012d}.jpg"
        write_picture(scene, path)
        return torch.from_numpy(load_picture(path)[0].copy())

    with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        return torch.stack(list(pool.map(read, enumerate(scenes, start=1))))


def patch_labels(scene: Scene, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what each of side x side patches of a scene's first frame shows.

    Returns:
        int64 `[side * side, 3]`: kind and colour (0 is the ground), and whether the patch is clearly one or the other;
        float32 `[side * side, 3]`: edge of the shape over 100 pixels, its centre from the patch's in patches (x, y);
        float32 `[side * side, 16]`: how much of each of its 4 x 4 parts a shape covers.
    """
    owner = np.zeros((HEIGHT, WIDTH), dtype=np.int64)
    for number, shape in enumerate(scene.shapes, start=1):
        x, y = shape.corner(0)
        np.copyto(owner[y : y + shape.size, x : x + shape.size], number, where=shape_mask(shape.kind, shape.size))
    fine = F.adaptive_avg_pool2d(torch.from_numpy(owner > 0).float()[None], 4 * side)[0]
    cover = fine.view(side, 4, side, 4).transpose(1, 2).reshape(side * side, 16)
    rows, columns = np.arange(HEIGHT) * side // HEIGHT, np.arange(WIDTH) * side // WIDTH
    cells = rows[:, None] * side + columns[None]
    groups = len(scene.shapes) + 1
    counts = np.bincount((cells * groups + owner).ravel(), minlength=side * side * groups).reshape(-1, groups)
    shares = counts / counts.sum(1, keepdims=True)
    best = shares[:, 1:].argmax(1)
    covered = shares[np.arange(side * side), best + 1]
    labels, places = np.zeros((side * side, 3), dtype=np.int64), np.zeros((side * side, 3), dtype=np.float32)
    for cell in np.flatnonzero(covered >= 0.25):
        shape = scene.shapes[best[cell]]
        labels[cell, :2] = KINDS.index(shape.kind) + 1, list(COLORS).index(shape.color) + 1
        x, y = shape.corner(0)
        centre = (x + shape.size / 2) * side / WIDTH, (y + shape.size / 2) * side / HEIGHT
        places[cell] = shape.size / 100, centre[0] - cell % side - 0.5, centre[1] - cell // side - 0.5
    labels[:, 2] = (covered >= 0.25) | (covered <= 0.02)
    return torch.from_numpy(labels), torch.from_numpy(places), cover
