"""A long, large video is never held whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.video.made import moving, write_video

MEASURE = """
import json, resource, sys
from pathlib import Path
import torch
from lavit_eval.video.clips import load_clips
from lavit_eval.video.settings import VideoSettings
torch.set_num_threads(1)
torch.nn.functional.interpolate(torch.zeros(1, 2, 4, 4), (3, 3), mode="bicubic")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
clips = load_clips(Path(sys.argv[1]), VideoSettings())
print(json.dumps({"above": peak() - before, "frames": clips.frames, "clips": len(clips.starts)}))
"""


def repeated(path: Path, times: int, target: Path) -> Path:
    """Write a file's video `times` times over, without coding it again."""
    with av.open(str(target), "w") as written:
        stream = None
        for turn in range(times):
            with av.open(str(path)) as source:
                video = source.streams.video[0]
                stream = stream or written.add_stream_from_template(video)
                for packet in source.demux(video):
                    if packet.size:
                        packet.pts += turn * video.duration
                        packet.dts += turn * video.duration
                        packet.stream = stream
                        written.mux(packet)
    return target


@pytest.mark.slow
def test_three_minutes_of_1080p_stay_under_800_mb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(tmp_path / "digests"))
    options = {"preset": "ultrafast", "crf": "18"}
    short = write_video(tmp_path / "short.mp4", moving(60, 1080, 1920, (5, 3)), rate=10, options=options)
    path = repeated(short, 30, tmp_path / "long.mp4")
    project = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], cwd=project, check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert (found["frames"], found["clips"]) == (1080, 16)
    assert found["above"] < 800
