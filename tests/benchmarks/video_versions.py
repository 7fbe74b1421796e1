"""What test_versions.py watches of the captioning and video benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lavit_eval.benchmarks.activitynet_qa import ActivitynetQa
from lavit_eval.benchmarks.egoschema import Egoschema
from lavit_eval.benchmarks.flickr30k import Flickr30kKarpathyTest
from lavit_eval.benchmarks.msrvtt_caption import MsrvttCaption
from lavit_eval.benchmarks.msvd_caption import MsvdCaption
from lavit_eval.benchmarks.mvbench import Mvbench
from lavit_eval.benchmarks.nextqa import NextqaMc
from lavit_eval.benchmarks.nocaps import Nocaps
from lavit_eval.benchmarks.perception_test import PerceptionTestMc
from lavit_eval.benchmarks.protocol import Benchmark
from lavit_eval.benchmarks.tgif_qa import TgifQaFrame
from lavit_eval.benchmarks.vatex import VatexEn
from lavit_eval.benchmarks.vcg_bench import VcgBench
from lavit_eval.benchmarks.video_mme import VideoMme
from lavit_eval.benchmarks.videohallucer import Videohallucer
from tests.benchmarks.caption_layouts import (
    write_flickr30k,
    write_msrvtt_caption,
    write_msvd_caption,
    write_nocaps,
    write_vatex,
)
from tests.benchmarks.choice_layouts import (
    write_egoschema,
    write_mvbench,
    write_nextqa,
    write_perception_test,
    write_vcg_bench,
    write_video_mme,
)
from tests.benchmarks.video_qa_layouts import write_activitynet_qa, write_tgif_qa, write_videohallucer

VIDEO_KNOWN = {
    "nocaps_val": (1, "292ceeefdc59da43"),
    "flickr30k_karpathy_test": (1, "8cc6f35222346f84"),
    "msrvtt_caption": (1, "65dcebd807c05bbe"),
    "msvd_caption": (1, "767f3f67dc4e5006"),
    "activitynet_qa": (1, "a85e0e6f55ee56a2"),
    "tgif_qa_frame": (1, "d2bd3adefcbe2296"),
    "videohallucer": (1, "31aadaf5456795a5"),
    "egoschema": (1, "7dacd86fd2f4b968"),
    "mvbench": (1, "48662ba1451236cb"),
    "nextqa_mc": (1, "db590d137fcf66fc"),
    "perception_test_mc": (1, "23647624299386d5"),
    "vcg_bench": (1, "bbd42f0a78da1387"),
    "video_mme": (1, "10b7a0e935eafaa0"),
    "vatex_en": (1, "59bf56e2940ec75c"),
}
VIDEO_CASES: dict[str, tuple[Benchmark, Callable[[Path], object], str, str]] = {
    "nocaps_val": (Nocaps(), write_nocaps, "nocaps", "val"),
    "flickr30k_karpathy_test": (Flickr30kKarpathyTest(), write_flickr30k, "flickr30k", "test"),
    "msrvtt_caption": (MsrvttCaption(), write_msrvtt_caption, "MSRVTT", "test"),
    "msvd_caption": (MsvdCaption(), write_msvd_caption, "MSVD", "test"),
    "activitynet_qa": (ActivitynetQa(), write_activitynet_qa, "activitynet_qa", "test"),
    "tgif_qa_frame": (TgifQaFrame(), write_tgif_qa, "tgif_qa", "test"),
    "videohallucer": (Videohallucer(), write_videohallucer, "videohallucer", "test"),
    "egoschema": (Egoschema(), write_egoschema, "egoschema", "subset"),
    "mvbench": (Mvbench(), write_mvbench, "mvbench", "test"),
    "nextqa_mc": (NextqaMc(), write_nextqa, "nextqa", "test"),
    "perception_test_mc": (PerceptionTestMc(), write_perception_test, "perception_test", "valid"),
    "vcg_bench": (VcgBench(), write_vcg_bench, "vcg_bench", "test"),
    "video_mme": (VideoMme(), write_video_mme, "video_mme", "test"),
    "vatex_en": (VatexEn(), write_vatex, "vatex", "test"),
}
