"""A metric that gives another value for the same texts must have another version."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from lavit_eval.digests import digest_json
from lavit_eval.metrics import lemmas
from lavit_eval.metrics.bleu import Bleu1, Bleu2, Bleu3, Bleu4
from lavit_eval.metrics.cider import Cider
from lavit_eval.metrics.clip_similarity import ClipsimFrameConsistency, ClipsimVitb16, ClipsimVitb32
from lavit_eval.metrics.exact_match import ExactMatch, ExactMatchGqa
from lavit_eval.metrics.feature_metric import FeatureMetric, FeatureRows, Need, SetMeasured
from lavit_eval.metrics.feature_protocol import load_protocol
from lavit_eval.metrics.fidelity import Psnr, Ssim
from lavit_eval.metrics.gqa import ExactMatchGqaLavit, ExactMatchGqaLmmsEval, _base
from lavit_eval.metrics.image_distance import FidClip, FidClipByFrame, FidInception, FidInceptionBestOf4
from lavit_eval.metrics.java import missing_java
from lavit_eval.metrics.meteor import Meteor
from lavit_eval.metrics.mme import MmeCognition, MmeCognitionLmmsEval, MmePerception, MmePerceptionLmmsEval
from lavit_eval.metrics.option_accuracy import (
    Accuracy,
    AccuracyFirstLetter,
    AccuracyScienceqaLmmsEval,
    CircularAccuracy,
)
from lavit_eval.metrics.perceptual_distance import Lpips
from lavit_eval.metrics.pope import (
    PopeAccuracy,
    PopeAccuracyStrict,
    PopeF1,
    PopeF1Strict,
    PopePrecision,
    PopeRecall,
    PopeYesRatio,
)
from lavit_eval.metrics.protocol import FileMetric, Made, Metric
from lavit_eval.metrics.ranked_accuracy import RankedAccuracy, RankedAccuracySummed
from lavit_eval.metrics.reference_likelihood import ReferenceLogLikelihood
from lavit_eval.metrics.rouge import RougeL
from lavit_eval.metrics.two_stages import VqaAccuracyLavitTwoStages
from lavit_eval.metrics.video_distance import Fvd, FvdFirstLast, Kvd, KvdFirstLast
from lavit_eval.metrics.video_inception_score import IsC3d, IsC3dOneSplit
from lavit_eval.metrics.vqa_accuracy import TextvqaAccuracy, VqaAccuracy, VqaAccuracyLavit
from lavit_eval.metrics.well_formed import WellFormed
from lavit_eval.registry import BUILT_IN
from lavit_eval.sample import Response, Sample
from lavit_eval.video.lossless import write_lossless
from tests.metrics.captions import TEXTS, samples, total
from tests.metrics.choices import choice_set, mme_set, pope_set, ranked_set, stage_set
from tests.metrics.rows import normal, rows
from tests.metrics.test_judged import JUDGED_KNOWN
from tests.metrics.test_video_qa_versions import VIDEO_METRICS

ANSWERS = ["Yes.", "two dogs", "it is a T-shirt, 1,000", "", "a man", "6:30", "isnt", "dog's", "Im", "5...", "(cat)"]
PEOPLE = [
    *(["yes"] * 10, ["2 dogs"] * 4 + ["two dogs"] * 6, ["t shirt 1000"] * 3 + ["T-shirt"] * 7, ["unanswerable"] * 10),
    *(["a man"] * 9 + ["man"], ["6 30"] * 5 + ["6:30"] * 5, ["isn't"] * 2 + ["no"] * 8, ["dog"] * 5 + ["dog's"] * 5),
    *(["im"] * 9 + ["I"], ["5"] * 10, ["cat"] * 10),
]
KNOWN: dict[type[Metric], tuple[int, str]] = {
    ExactMatch: (1, "fe3324be90ec5cd3"),
    VqaAccuracy: (1, "94df91ec4574997d"),
    VqaAccuracyLavit: (1, "c741d8586242a377"),
    TextvqaAccuracy: (1, "a330d5648a57bf81"),
    ExactMatchGqa: (1, "d90f1f04dc50a1d8"),
    ExactMatchGqaLmmsEval: (1, "103fad57d4d9bdaf"),
    ExactMatchGqaLavit: (1, "38cc9f9cd87555db"),
    VqaAccuracyLavitTwoStages: (1, "6035f12ed55feecf"),
    MmePerception: (1, "0c8bf50a52e9b33b"),
    MmeCognition: (1, "f3788446b939253a"),
    MmePerceptionLmmsEval: (1, "fa5564805f8c5644"),
    MmeCognitionLmmsEval: (1, "6578d07c6e63ea7c"),
    Accuracy: (1, "9c4982e8bc56974b"),
    AccuracyFirstLetter: (1, "16ed240ceaf30970"),
    AccuracyScienceqaLmmsEval: (1, "1b6981b8f1c3877c"),
    CircularAccuracy: (1, "08d5143d7c0ce7c5"),
    RankedAccuracy: (1, "46be425b6438ad40"),
    RankedAccuracySummed: (1, "4f1cf345942b9d6f"),
    ReferenceLogLikelihood: (1, "4aeb05339a2c24fe"),
    PopeAccuracy: (1, "b17401c8c18165af"),
    PopePrecision: (1, "de3f22b4b30634d6"),
    PopeRecall: (1, "aef2c50784f62418"),
    PopeF1: (1, "7ff1eb8b92144274"),
    PopeYesRatio: (1, "c2782860de3e9736"),
    PopeAccuracyStrict: (1, "44c01e30c6087d4d"),
    PopeF1Strict: (1, "10c3530557322acd"),
    Bleu1: (1, "1c80cd1e4677c9fb"),
    Bleu2: (1, "c7a9b5e582149168"),
    Bleu3: (1, "a093d39202d34fdf"),
    Bleu4: (1, "06ed7ec2467b4f47"),
    RougeL: (1, "8cd9b6011ebbbd36"),
    Cider: (1, "b3c66a40706e92a9"),
    Meteor: (1, "88420dc27bdf914e"),
}


FILE_KNOWN: dict[type[FileMetric], tuple[int, str]] = {
    WellFormed: (1, "5790304413f843fe"),
    Psnr: (1, "25bbd9b969af6508"),
    Ssim: (1, "fe7b0269a0340cfa"),
}


FEATURE_KNOWN: dict[type[FeatureMetric], tuple[int, str]] = {
    Fvd: (1, "3a747ff44241514f"),
    FvdFirstLast: (1, "530b170d575cd8f7"),
    Kvd: (1, "2a1bd50f32a6239c"),
    KvdFirstLast: (1, "fbb1a0be59124402"),
    FidClip: (1, "56a5ba66933aa99b"),
    FidClipByFrame: (1, "be840cf19e1f9ec8"),
    FidInception: (1, "bfa813da9c84b6f4"),
    FidInceptionBestOf4: (1, "8faeab78e3666332"),
    IsC3d: (1, "abc9865a85a2869f"),
    IsC3dOneSplit: (1, "007ba88a42bc41c7"),
    ClipsimVitb16: (1, "5be4911b423e1106"),
    ClipsimVitb32: (1, "5be4911b423e1106"),
    ClipsimFrameConsistency: (1, "a9a03310b965b690"),
    Lpips: (1, "4ce7a67bdfb33264"),
}


def features_of(name: str, need: Need, repeats: int) -> FeatureRows:
    """Made features of 60 samples in 20 groups, as the need's network shapes them."""
    count, seed = 60, int(digest_json([name, need.role, need.protocol.network])[:8], 16)
    asked = repeats if need.role == "made" else 1
    if need.role == "caption":
        return rows(
            np.concatenate([normal(seed, count, 8)] * repeats), np.tile(np.arange(count) % 20, repeats), repeats
        )
    shapes = {"i3d": (9,), "c3d": (7,), "clip": (3, 8), "inception": (1, 8), "lpips": (3,)}
    drawn = normal(seed, asked * count, *shapes[need.protocol.network], shift=0.3 * (need.role == "made"))
    if need.protocol.network == "c3d":
        exponents = np.exp(drawn.astype(np.float64))
        drawn = (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)
    return rows(drawn, np.tile(np.arange(count) % 20, asked), asked)


@pytest.mark.parametrize("kind", list(FEATURE_KNOWN), ids=lambda kind: kind.__name__)
def test_the_version_belongs_to_the_output_of_features(kind: type[FeatureMetric]) -> None:
    protocol = load_protocol(kind.default_protocol)
    repeats = 4 if kind.chooses_among_repeats else 1
    gathered = {name: features_of(name, need, repeats) for name, need in kind().needs(protocol).items()}
    measured = kind().measure_features(protocol, gathered)
    if isinstance(measured, SetMeasured):
        values = [measured.value, *measured.left_out]
        assert len(values) == 21
    else:
        values = [total(measured), *(float(record["score"]) for record in measured.per_sample)]
        assert len(values) == 61
    assert kind.bounds is None or all(kind.bounds[0] <= value <= kind.bounds[1] for value in values)
    found = (kind.version, digest_json([f"{value:.7g}" for value in values])[:16])
    assert found == FEATURE_KNOWN[kind], (
        f"{kind.__name__} gives other values: raise its version and record {found} here"
    )


def test_every_metric_is_watched() -> None:
    every = (*KNOWN, *VIDEO_METRICS, *FILE_KNOWN, *FEATURE_KNOWN, *JUDGED_KNOWN)
    watched = {f"{kind.__module__}:{kind.__name__}" for kind in every}
    assert set(BUILT_IN["metric"].values()) <= watched


@pytest.mark.parametrize("kind", list(FILE_KNOWN), ids=lambda kind: kind.__name__)
def test_the_version_belongs_to_the_output_of_files(kind: type[FileMetric], tmp_path: Path) -> None:
    draw = np.random.Generator(np.random.PCG64(5))
    made = []
    for number in range(2):
        source = draw.integers(0, 256, (2, 24, 32, 3), dtype=np.uint8)
        one = Made(
            tmp_path / f"{number}.mkv", Response(str(number), 0, "answered", counts={"missing_image_end": number})
        )
        write_lossless(one.source, source, 6)
        write_lossless(one.path, source // 2 + 40, 6)
        made.append(one)
    measured = kind().measure_files([Sample("s", (), "", ())] * 2, made)
    # SSIM convolves in the order of the machine's kernels: six digits are the same everywhere.
    scores = [f"{float(record['score']):.6g}" for record in measured.per_sample]
    found = (kind.version, digest_json([f"{total(measured):.6g}", *scores])[:16])
    assert found == FILE_KNOWN[kind], f"{kind.__name__} gives other values: raise its version and record {found} here"


def made_for(kind: type[Metric]) -> tuple[list[Sample], list[str]] | None:
    """Made questions for metrics that need more than references."""
    sets = {"mme": mme_set, "pope": pope_set, "option_accuracy": choice_set, "two_stages": stage_set}
    made = sets.get(kind.__module__.rpartition(".")[2])
    return None if made is None else made()


@pytest.mark.parametrize("kind", list(KNOWN), ids=lambda kind: kind.__name__)
def test_the_version_belongs_to_the_output(kind: type[Metric], monkeypatch: pytest.MonkeyPatch) -> None:
    metric = kind()
    if kind is ExactMatchGqaLavit:
        # Our rules are watched, not spaCy's: base forms are made here by cutting an s off.
        monkeypatch.setattr(lemmas, "in_base_form", lambda text: text.lower().removesuffix("s"))
        _base.cache_clear()
    elif metric.skipped_because() is not None:
        pytest.skip(str(missing_java()))
    made = made_for(kind)
    if isinstance(metric, RankedAccuracy):
        measured = metric.measure_ranked(*ranked_set())
    elif isinstance(metric, ReferenceLogLikelihood):
        asked, texts, ranked = ranked_set()
        known = [place for place, one in enumerate(ranked) if one is not None]
        measured = metric.measure_ranked(
            [asked[place] for place in known], [texts[place] for place in known], [ranked[place] for place in known]
        )
    elif made is not None:
        measured = metric.measure(*made)
    elif metric.unit == "percent":
        asked = [Sample(str(number), (), "", tuple(people)) for number, people in enumerate(PEOPLE)]
        measured = metric.measure(asked, ANSWERS)
    else:
        measured = metric.measure(samples(), TEXTS)
    scores = [f"{float(record['score']):.9g}" for record in measured.per_sample]
    found = (metric.version, digest_json([f"{total(measured):.9g}", *scores])[:16])
    assert found == KNOWN[kind], f"{kind.__name__} gives other values: raise its version and record {found} here"


@pytest.mark.parametrize("kind", list(KNOWN), ids=lambda kind: kind.__name__)
def test_values_lie_within_the_bounds(kind: type[Metric]) -> None:
    if kind is ReferenceLogLikelihood:
        assert kind.bounds == (-math.inf, 0.0)
        return
    assert kind.bounds is not None
    low, high = kind.bounds
    assert low == 0.0
    greatest = {Cider: 1000.0, MmePerception: 2000.0, MmeCognition: 800.0}
    assert high == next((greatest[one] for one in kind.__mro__ if one in greatest), 100.0)
    assert kind.higher_is_better == (kind is not PopeYesRatio)
