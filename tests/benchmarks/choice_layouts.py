"""Writes tiny annotation files of the multiple-choice video benchmarks, with invented content, in official layouts."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.caption_layouts import put
from tests.benchmarks.layouts import Rows, write_json

NEXTQA_HEAD = (
    *("video", "frame_count", "width", "height", "question", "answer", "qid", "type"),
    *("a0", "a1", "a2", "a3", "a4"),
)
NEXTQA_ROWS: Sequence[Sequence[object]] = [
    (9000000001, 369, 640, 480, "why did the boy laugh", 2, 6, "CW", "he fell", "he ran", "dog licked", "rain", "wave"),
    (9000000001, 369, 640, 480, "what came before, at the end", 0, 7, "TP", "a, then b", "b", "c", "d", "e"),
    (9000000002, 10, 640, 480, "how many are there?", 4, 6, "DC", "one", "two", "three", "four", "five"),
]
PERCEPTION: dict[str, Any] = {
    "video_901": {
        "metadata": {"split": "valid", "video_id": "video_901"},
        "mc_question": [
            {
                "id": number,
                "question": f"Is lid {number} open?",
                "options": ["yes", "no", "unknown"],
                "answer_id": number,
                "area": "physics",
                "reasoning": "descriptive",
                "tag": ["part recognition"],
            }
            for number in (0, 1)
        ],
    },
    "video_900": {"metadata": {}, "mc_question": []},
}
EGO_ROWS: Rows = [
    {
        "q_uid": f"0000-{letter}",
        "google_drive_id": "made",
        "question": f"What is {letter} doing?",
        **{f"option {number}": f"C does {number}." for number in range(5)},
    }
    for letter in "abc"
]
MME_VIDEOS: Rows = [
    {
        "video_id": f"90{number}",
        "duration": duration,
        "domain": "Knowledge",
        "sub_category": "Geography",
        "url": f"https://www.youtube.com/watch?v=-bCdEfGhIj{number}",
        "videoID": f"-bCdEfGhIj{number}",
        "questions": [
            {
                "question_id": f"90{number}-{question}",
                "task_type": "OCR Problems",
                "question": f"What word is on sign {question}?",
                "options": ["A. Open.", "B. Shut.", "C. Sale.", "D. Exit."],
                "answer": "ABD"[question - 1],
            }
            for question in (1, 2, 3)
        ],
    }
    for number, duration in ((1, "short"), (2, "long"))
]
MVBENCH_PARTS = {
    "action_sequence": "star/Charades_segment",
    "action_prediction": "star/Charades_segment",
    "action_antonym": "ssv2_video_mp4",
    "fine_grained_action": "Moments_in_Time_Raw/videos",
    "unexpected_action": "FunQA_test/test",
    "object_existence": "clevrer/video_validation",
    "object_interaction": "star/Charades_segment",
    "object_shuffle": "perception/videos",
    "moving_direction": "clevrer/video_validation",
    "action_localization": "sta/sta_video_segment",
    "scene_transition": "scene_qa/video",
    "action_count": "perception/videos",
    "moving_count": "clevrer/video_validation",
    "moving_attribute": "clevrer/video_validation",
    "state_change": "perception/videos",
    "fine_grained_pose": "nturgbd_convert",
    "character_order": "perception/videos",
    "egocentric_navigation": "vlnqa",
    "episodic_reasoning": "tvqa/video_fps3_hq_segment",
    "counterfactual_inference": "clevrer/video_validation",
}
BOUND = {"action_sequence", "action_prediction", "object_interaction", "action_localization", "episodic_reasoning"}


def write_nextqa(folder: Path, rows: Sequence[Sequence[object]] = NEXTQA_ROWS, split: str = "test") -> Path:
    """Write NExT-QA's CSV, its map of videos and the videos by group (`folder` is the data root's nextqa/)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{split}.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([NEXTQA_HEAD, *rows])
    videos = {str(row[0]): f"0101/{row[0]}" for row in rows}
    write_json(folder / "map_vid_vidorID.json", videos)
    put(folder / "NExTVideo", [f"{place}.mp4" for place in videos.values()])
    return path


def write_perception_test(folder: Path, content: dict[str, Any] | None = None) -> Path:
    """Write Perception Test's validation questions and videos (`folder` is the data root's perception_test/)."""
    put(folder / "videos", ["video_901.mp4"])
    return write_json(folder / "mc_question_valid.json", PERCEPTION if content is None else content)


def write_egoschema(folder: Path, answers: dict[str, Any] | None = None) -> Path:
    """Write all questions, the public answers of two and the videos (`folder` is the data root's egoschema/)."""
    put(folder / "videos", [f"{row['q_uid']}.mp4" for row in EGO_ROWS])
    write_json(folder / "questions.json", EGO_ROWS)
    return write_json(folder / "subset_answers.json", {"0000-c": 0, "0000-a": 3} if answers is None else answers)


def write_video_mme(folder: Path, videos: Rows = MME_VIDEOS) -> Path:
    """Write the authors' template, trailing commas included (`folder` is the data root's video_mme/)."""
    put(folder / "data", [f"{video['videoID']}.mp4" for video in videos])
    text = json.dumps([{k: v for k, v in video.items() if k != "videoID"} for video in videos], indent=2)
    path = folder / "output_test_template.json"
    path.write_text(text.replace('"\n      }', '",\n      }').replace("}\n  ]", "},\n  ]"), encoding="utf-8")
    return path


def write_video_mme_parquet(folder: Path, videos: Rows = MME_VIDEOS) -> Path:
    """Write the hub's file."""
    import pandas

    put(folder / "data", [f"{video['videoID']}.mp4" for video in videos])
    rows = [
        {**{key: value for key, value in video.items() if key != "questions"}, **question}
        for video in videos
        for question in video["questions"]
    ]
    path = folder / "videomme" / "test-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pandas.DataFrame(rows).to_parquet(path)
    return path


def mvbench_rows(name: str) -> Rows:
    """Return two questions of a task, with times where a part of the video is asked about."""
    times = {"start": 1.2, "end": 9.0} if name in BOUND else {}
    return [
        {
            "video": f"{number}.mp4",
            "question": f"What is {number}?",
            "candidates": ["ran", "ate"],
            "answer": answer,
            **times,
        }
        for number, answer in ((1, "ran"), (2, "ate"))
    ]


def write_mvbench(folder: Path) -> None:
    """Write the twenty files and the videos of the hub's revision `video` (`folder` is the data root's mvbench/)."""
    for name, place in MVBENCH_PARTS.items():
        write_json(folder / "json" / f"{name}.json", mvbench_rows(name))
        put(folder / place, ["1.mp4", "2.mp4"])


def write_vcg_bench(folder: Path) -> None:
    """Write the three files and the videos (`folder` is the data root's vcg_bench/)."""
    rows = [{"Q": f"What happens {n}?", "A": "A girl skates.", "video_name": "v_AbCdEfGhIjK"} for n in (1, 2)]
    pairs = [{"Q1": "What does she ride?", "Q2": "Which board?", "A": "yes", "video_name": "v_AbCdEfGhIjK"}]
    write_json(folder / "generic_qa.json", rows)
    write_json(folder / "temporal_qa.json", rows)
    write_json(folder / "consistency_qa.json", pairs)
    put(folder / "Test_Videos", ["v_AbCdEfGhIjK.mp4"])
