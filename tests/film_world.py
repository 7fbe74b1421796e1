"""A small made text-to-video benchmark in MSR-VTT's layout, and videos made elsewhere for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lavit_eval.evaluate import Outcome, evaluate
from lavit_eval.features.equipment import Equipment
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue
from lavit_eval.runs import Run
from lavit_eval.task import Task
from lavit_eval.video.lossless import write_lossless

FIRST = 7010
FRAMES = 24


def ids_of(count: int) -> list[str]:
    """Return the ids of the benchmark's first videos."""
    return [f"video{FIRST + index}" for index in range(count)]


def film(seed: int, frames: int = FRAMES, height: int = 32, width: int = 48) -> np.ndarray:
    """Return a made clip, uint8 `[frames, height, width, 3]`: a coloured patch that moves over noise."""
    draw = np.random.Generator(np.random.PCG64(seed))
    found = draw.integers(0, 120, (frames, height, width, 3), dtype=np.uint8)
    colour, step = draw.integers(120, 256, 3), int(draw.integers(0, 2))
    for index in range(frames):
        left = (int(seed) * 3 + index * step) % (width - 12)
        found[index, 8:20, left : left + 12] = colour
    return found


def write_benchmark(root: Path, count: int = 8, frames: int = FRAMES) -> list[str]:
    """Write captions and real videos; return the samples' ids."""
    folder = root / "MSRVTT"
    (folder / "videos").mkdir(parents=True)
    ids = ids_of(count)
    document = {
        "videos": [{"video_id": one, "split": "test", "id": index} for index, one in enumerate(ids)],
        "sentences": [
            {"sen_id": index, "video_id": one, "caption": f"a patch, number {index}"} for index, one in enumerate(ids)
        ],
    }
    (folder / "test_videodatainfo.json").write_text(json.dumps(document))
    for index, one in enumerate(ids):
        write_lossless(folder / "videos" / f"{one}.mkv", film(index, frames), 6)
    return ids


def write_media(folder: Path, ids: Sequence[str], seed: int = 100, **size: int) -> Path:
    """Write one generated video per id; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, one in enumerate(ids):
        write_lossless(folder / f"{one}.mkv", film(seed + index, **size), 6)
    return folder


def film_task(folder: Path, samples: int, **fields: object) -> Task:
    """Return msrvtt_t2v on the made benchmark, with demo features unless said otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "task": "made_film",
        "extends": "msrvtt_t2v",
        "samples": samples,
        "metrics": ["fvd", "kvd", "clipsim_vitb16", "fid_clip"],
        "primary": "fvd",
        "features": "demo",
        "published_as": "made_film",
        **fields,
    }
    (folder / "made_film.yaml").write_text(json.dumps(document))
    return Catalogue([folder]).task("made_film")


def film_options(tmp_path: Path, task: Task, media: Path, **fields: Any) -> RunOptions:
    """Return the options of a run that scores videos made elsewhere."""
    arguments = {"media": str(media)}
    if fields.get("equipment", Equipment()).allow_partial:
        arguments["copies"] = "allowed"
    base = RunOptions(
        model="external",
        tasks=(task,),
        data_root=tmp_path / "data",
        output=tmp_path / "results",
        model_options=ModelOptions(arguments=arguments),
        allow_missing=True,
        threads=1,
        run_id="r",
    )
    return replace(base, **fields)


def score_films(tmp_path: Path, task: Task, media: Path, **fields: Any) -> tuple[Outcome, dict[str, Any]]:
    """Run the model `external` and return the outcome with the task's scores by metric."""
    outcome = evaluate(film_options(tmp_path, task, media, **fields))
    return outcome, json.loads(outcome.run.scores_path.read_text())["tasks"]["made_film"]["metrics"]


def kept(run: Run, part: str = "central") -> dict[str, np.ndarray]:
    """Return sample id -> the kept I3D features of its generated video."""
    found = {}
    digests = {key[0]: entry.response.medium_digest for key, entry in run.entries("made_film").items()}
    for folder in (run.task_folder("made_film") / "features").iterdir():
        facts = json.loads((folder / "extraction.json").read_text())
        if facts["network"] == "i3d" and facts["part"] == part:
            for one, digest in digests.items():
                path = folder / str(digest)[:2] / f"{digest}.npz"
                if path.exists():
                    found[one] = np.load(path)["features"]
    return found
