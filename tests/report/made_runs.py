"""Made runs to report: questions on films of a kind that browsers do not play, generated films, hostile texts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from lavit_eval.evaluate import evaluate
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue
from lavit_eval.report.reading import TaskReading
from lavit_eval.rescoring import Again
from lavit_eval.runs import Run
from lavit_eval.video.lossless import write_lossless
from tests.film_world import film, film_task, ids_of
from tests.tiny_world import msvd_task, write_msvd
from tests.video.made import moving, write_video

HOSTILE = "</script><img src=x onerror=\"window.hurt='yes'\"><!--'\"&amp;\u2028\u2029${1}</textarea>"
HOSTILE_NAME = "video'\"><img src=x onerror=window.hurt=2>.mp4"
VIDEOS, QUESTIONS = 6, 4


def write_questions(root: Path) -> list[str]:
    """Write MSVD-QA's layout with MPEG-4 films in AVI and one hostile question; return the samples' ids."""
    write_msvd(root, VIDEOS, QUESTIONS)
    folder = root / "MSVD-QA"
    for video in range(1, VIDEOS + 1):
        write_video(folder / "video" / f"vid{video}.avi", moving(20, step=(video, 1)), rate=10, codec="mpeg4")
    rows = json.loads((folder / "test_qa.json").read_text())
    rows[0]["question"] = f"what is {HOSTILE}?"
    rows[1]["answer"] = HOSTILE
    (folder / "test_qa.json").write_text(json.dumps(rows))
    return [str(row["id"]) for row in rows]


def answer_questions(tmp_path: Path, run_id: str, answers: dict[str, str], **fields: object) -> Run:
    """Return a run of answers made elsewhere; ids that have none fail."""
    count = len(json.loads((tmp_path / "data" / "MSVD-QA" / "test_qa.json").read_text()))
    task = msvd_task(count, tmp_path / "tasks")
    path = tmp_path / f"{run_id}.jsonl"
    lines = (json.dumps({"sample_id": one, "text": text}) + "\n" for one, text in answers.items())
    path.write_text("".join(lines))
    options = RunOptions(
        model="external",
        tasks=(task,),
        data_root=tmp_path / "data",
        output=tmp_path / "results",
        model_options=ModelOptions(arguments={"answers": str(path)}),
        allow_missing=True,
        run_id=run_id,
        threads=1,
        **{"label": run_id, **fields},  # type: ignore[arg-type]
    )
    return evaluate(options).run


def question_runs(tmp_path: Path) -> tuple[Run, Run]:
    """Return a run with good, bad, hostile and missing answers, and a BASE that always says "cat"."""
    ids = write_questions(tmp_path / "data")
    base = answer_questions(tmp_path, "base", dict.fromkeys(ids, "cat"))
    answers = {one: "dog" if number % 3 else "cat" for number, one in enumerate(ids)}
    answers[ids[2]] = f"I see {HOSTILE}"
    del answers[ids[5]]
    run = answer_questions(tmp_path, "run", answers, label=f"mine {HOSTILE}")
    return run, base


def film_run(tmp_path: Path, count: int = 3) -> Run:
    """Return a run of generated films beside real ones, one of which has a hostile caption."""
    folder = tmp_path / "data" / "MSRVTT"
    (folder / "videos").mkdir(parents=True)
    ids = ids_of(count)
    captions = [f"a {HOSTILE}", *("a patch that moves" for _ in ids[1:])]
    document = {
        "videos": [{"video_id": one, "split": "test", "id": number} for number, one in enumerate(ids)],
        "sentences": [
            {"sen_id": number, "video_id": one, "caption": caption}
            for number, (one, caption) in enumerate(zip(ids, captions, strict=True))
        ],
    }
    (folder / "test_videodatainfo.json").write_text(json.dumps(document))
    made = tmp_path / "made"
    made.mkdir()
    for number, one in enumerate(ids):
        write_lossless(folder / "videos" / f"{one}.mkv", film(number), 6)
        write_lossless(made / f"{one}.mkv", film(100 + number, frames=16), 8)
    task = film_task(tmp_path / "tasks", count, metrics=["well_formed"], primary="well_formed", protocols={})
    options = RunOptions(
        model="external",
        tasks=(task,),
        data_root=tmp_path / "data",
        output=tmp_path / "results",
        model_options=ModelOptions(arguments={"media": str(made)}),
        allow_missing=True,
        run_id="films",
        threads=1,
    )
    return evaluate(options).run


def with_hostile_names(reading: TaskReading) -> TaskReading:
    """Return a task whose media have hostile names, which some benchmarks take from their files."""
    items = []
    for item in reading.items:
        assert item.sample is not None
        shown, real = (
            tuple(replace(medium, name=f"{medium.name}{HOSTILE_NAME}") for medium in media)
            for media in (item.sample.media, item.sample.targets)
        )
        items.append(replace(item, sample=replace(item.sample, media=shown, targets=real)))
    return replace(reading, items=items)


def registered(path: Path) -> Any:
    """Return the value that a data script registers."""
    text = path.read_text()
    assert text.isascii() and not set("<>&") & set(text)
    return json.loads(f"[{text.removeprefix('lavitReport.register(').rstrip().removesuffix(');')}]")[1]


def again(tmp_path: Path) -> Again:
    """Return where the made tasks are looked up."""
    return Again(Catalogue([tmp_path / "tasks"]))
