"""A reader that gives other Samples for the same files must have another version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lavit_eval.benchmarks.coco_captions import CocoKarpathyTest
from lavit_eval.benchmarks.coco_text_to_image import CocoTextToImage
from lavit_eval.benchmarks.evalcrafter import Evalcrafter
from lavit_eval.benchmarks.gqa import Gqa
from lavit_eval.benchmarks.image_to_video import ImageToVideo, VbenchI2v
from lavit_eval.benchmarks.mmbench import Mmbench
from lavit_eval.benchmarks.mme import Mme
from lavit_eval.benchmarks.mmvet import Mmvet
from lavit_eval.benchmarks.msrvtt import Msrvtt
from lavit_eval.benchmarks.msrvtt_qa import MsrvttQa
from lavit_eval.benchmarks.msvd_qa import MsvdQa
from lavit_eval.benchmarks.okvqa import OkVqa
from lavit_eval.benchmarks.pope import Pope
from lavit_eval.benchmarks.protocol import Benchmark
from lavit_eval.benchmarks.scienceqa import ScienceqaImg
from lavit_eval.benchmarks.seed_bench import SeedBench
from lavit_eval.benchmarks.ucf101 import Ucf101
from lavit_eval.benchmarks.vbench import Vbench
from lavit_eval.benchmarks.vizwiz import VizwizVqa
from lavit_eval.benchmarks.vqav2 import Vqav2
from lavit_eval.digests import digest_json
from lavit_eval.registry import BUILT_IN
from tests.benchmarks.image_layouts import (
    write_gqa,
    write_mmbench,
    write_mme,
    write_mmvet,
    write_okvqa,
    write_pope,
    write_scienceqa,
    write_seed_bench,
    write_vizwiz,
)
from tests.benchmarks.layouts import (
    write_evalcrafter,
    write_image_to_video,
    write_karpathy,
    write_msrvtt,
    write_msrvtt_qa,
    write_msvd_qa,
    write_text_to_image,
    write_ucf101,
    write_vbench,
    write_vqav2,
)
from tests.benchmarks.video_versions import VIDEO_CASES, VIDEO_KNOWN

KNOWN = {
    **VIDEO_KNOWN,
    "vqav2": (1, "7f21606200f3c2eb"),
    "coco_karpathy_test": (1, "65bd54c2916b7c77"),
    "msvd_qa": (1, "598f2ac2022d6fd3"),
    "msrvtt_qa": (1, "70d607990aa9428a"),
    "msrvtt": (1, "56e70a6dfff8d20b"),
    "image_to_video": (1, "4863b504332db600"),
    "vbench": (1, "5ef4a892ebacf42a"),
    "vbench_i2v": (1, "47768ec185ba7e75"),
    "ucf101": (1, "37db44223c99e129"),
    "mscoco_t2i": (1, "1b26e3eb72d07e15"),
    "evalcrafter": (1, "68931b89964beec7"),
    "pope": (1, "204c87ea8d9e9b0d"),
    "mme": (1, "5e25a3d39edaeb41"),
    "scienceqa_img": (1, "6929e92d362bc881"),
    "gqa": (1, "67866e0c847a518f"),
    "okvqa": (1, "7937674cba49b1e0"),
    "vizwiz_vqa": (1, "70576f3dcf37c6f0"),
    "mmbench": (1, "c4c1c141fd657551"),
    "seed_bench": (1, "25bc450a3bd27965"),
    "mmvet": (1, "8c0aeff685bf20a4"),
}
CASES: dict[str, tuple[Benchmark, Callable[[Path], object], str, str]] = {
    **VIDEO_CASES,
    "vqav2": (Vqav2(), write_vqav2, "vqav2", "val"),
    "coco_karpathy_test": (CocoKarpathyTest(), write_karpathy, "coco", "test"),
    "msvd_qa": (MsvdQa(), write_msvd_qa, "MSVD-QA", "test"),
    "msrvtt_qa": (MsrvttQa(), write_msrvtt_qa, "MSRVTT-QA", "test"),
    "msrvtt": (Msrvtt(), write_msrvtt, "MSRVTT", "test"),
    "image_to_video": (ImageToVideo(), write_image_to_video, "vbench2_beta_i2v", "test"),
    "vbench": (Vbench(), write_vbench, "VBench", "test"),
    "vbench_i2v": (VbenchI2v(), write_image_to_video, "vbench2_beta_i2v", "test"),
    "ucf101": (Ucf101(), write_ucf101, "", "test"),
    "mscoco_t2i": (CocoTextToImage(), write_text_to_image, "coco", "val"),
    "evalcrafter": (Evalcrafter(), write_evalcrafter, "EvalCrafter", "test"),
    "pope": (Pope(), write_pope, "pope", "test"),
    "mme": (Mme(), write_mme, "MME_Benchmark_release_version", "test"),
    "scienceqa_img": (ScienceqaImg(), write_scienceqa, "scienceqa", "test"),
    "gqa": (Gqa(), write_gqa, "gqa", "testdev_balanced"),
    "okvqa": (OkVqa(), write_okvqa, "okvqa", "val"),
    "vizwiz_vqa": (VizwizVqa(), write_vizwiz, "vizwiz", "val"),
    "mmbench": (Mmbench(), write_mmbench, "mmbench", "dev"),
    "seed_bench": (SeedBench(), write_seed_bench, "seed_bench", "all"),
    "mmvet": (Mmvet(), write_mmvet, "mm-vet", "test"),
}


def test_every_reader_is_watched() -> None:
    assert set(CASES) == set(KNOWN) == set(BUILT_IN["benchmark"])


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_version_belongs_to_the_output(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Images that stand in a table are unpacked into the cache.
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(tmp_path / "cache"))
    benchmark, write, folder, split = CASES[name]
    write(tmp_path / folder)
    samples = [
        [
            [sample.id, sample.question, list(sample.references), dict(sample.categories), dict(sample.extra)],
            [[medium.kind, medium.name, Path(medium.path).relative_to(tmp_path).as_posix()] for medium in sample.media],
            *([[medium.name for medium in sample.targets]] if sample.targets else []),
            *([sample.group] if sample.group else []),
        ]
        for sample in benchmark.read(tmp_path, split).samples
    ]
    found = (benchmark.version, digest_json(samples)[:16])
    assert found == KNOWN[name], f"{name} gives other Samples: raise its version and record {found} here"


STEMS = {
    "mmbench": "caac9767d370b0e7",
    "scienceqa_img": "5dd2dfa372fbff28",
    "seed_bench": "fda25d892825e177",
    "egoschema": "40d199b1de84f54b",
    "mvbench": "678391bf29b2004e",
    "nextqa_mc": "40a92dbc4c2a937e",
    "perception_test_mc": "84732dd91d93ca72",
    "video_mme": "1abed8388ce37324",
}
"""Reader of multiple choice -> the digest of its questions without options, which are asked where texts are ranked."""


def test_every_reader_with_options_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(tmp_path / "cache"))
    for name, (benchmark, write, folder, split) in CASES.items():
        write(tmp_path / name / folder)
        samples = benchmark.read(tmp_path / name, split).samples
        stems = [sample.stem for sample in samples]
        assert all(stems) == (name in STEMS) == ("choices" in samples[0].extra), name
        if name in STEMS:
            found = digest_json(stems)[:16]
            assert found == STEMS[name], f"{name} asks otherwise: raise its version and record {found} here"
