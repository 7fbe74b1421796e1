"""Finds tasks, suites, benchmarks, metrics and models: built in, in a user's folder, from entry points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lavit_eval.data_files import data_folder
from lavit_eval.errors import UsageError, nearest

if TYPE_CHECKING:
    from lavit_eval.task import Suite, Task

Kind = Literal["benchmark", "metric", "model"]

BUILT_IN: Mapping[Kind, Mapping[str, str]] = {
    "benchmark": {
        "activitynet_qa": "lavit_eval.benchmarks.activitynet_qa:ActivitynetQa",
        "coco_karpathy_test": "lavit_eval.benchmarks.coco_captions:CocoKarpathyTest",
        "egoschema": "lavit_eval.benchmarks.egoschema:Egoschema",
        "evalcrafter": "lavit_eval.benchmarks.evalcrafter:Evalcrafter",
        "flickr30k_karpathy_test": "lavit_eval.benchmarks.flickr30k:Flickr30kKarpathyTest",
        "gqa": "lavit_eval.benchmarks.gqa:Gqa",
        "image_to_video": "lavit_eval.benchmarks.image_to_video:ImageToVideo",
        "mmbench": "lavit_eval.benchmarks.mmbench:Mmbench",
        "mme": "lavit_eval.benchmarks.mme:Mme",
        "mmvet": "lavit_eval.benchmarks.mmvet:Mmvet",
        "mscoco_t2i": "lavit_eval.benchmarks.coco_text_to_image:CocoTextToImage",
        "msrvtt": "lavit_eval.benchmarks.msrvtt:Msrvtt",
        "msrvtt_caption": "lavit_eval.benchmarks.msrvtt_caption:MsrvttCaption",
        "msrvtt_qa": "lavit_eval.benchmarks.msrvtt_qa:MsrvttQa",
        "msvd_caption": "lavit_eval.benchmarks.msvd_caption:MsvdCaption",
        "msvd_qa": "lavit_eval.benchmarks.msvd_qa:MsvdQa",
        "mvbench": "lavit_eval.benchmarks.mvbench:Mvbench",
        "nextqa_mc": "lavit_eval.benchmarks.nextqa:NextqaMc",
        "nocaps_val": "lavit_eval.benchmarks.nocaps:Nocaps",
        "okvqa": "lavit_eval.benchmarks.okvqa:OkVqa",
        "perception_test_mc": "lavit_eval.benchmarks.perception_test:PerceptionTestMc",
        "pope": "lavit_eval.benchmarks.pope:Pope",
        "scienceqa_img": "lavit_eval.benchmarks.scienceqa:ScienceqaImg",
        "seed_bench": "lavit_eval.benchmarks.seed_bench:SeedBench",
        "tgif_qa_frame": "lavit_eval.benchmarks.tgif_qa:TgifQaFrame",
        "ucf101": "lavit_eval.benchmarks.ucf101:Ucf101",
        "vatex_en": "lavit_eval.benchmarks.vatex:VatexEn",
        "vbench": "lavit_eval.benchmarks.vbench:Vbench",
        "vbench_i2v": "lavit_eval.benchmarks.image_to_video:VbenchI2v",
        "vcg_bench": "lavit_eval.benchmarks.vcg_bench:VcgBench",
        "video_mme": "lavit_eval.benchmarks.video_mme:VideoMme",
        "videohallucer": "lavit_eval.benchmarks.videohallucer:Videohallucer",
        "vizwiz_vqa": "lavit_eval.benchmarks.vizwiz:VizwizVqa",
        "vqav2": "lavit_eval.benchmarks.vqav2:Vqav2",
    },
    "metric": {
        "accuracy": "lavit_eval.metrics.option_accuracy:Accuracy",
        "accuracy_first_letter": "lavit_eval.metrics.option_accuracy:AccuracyFirstLetter",
        "accuracy_scienceqa_lmms_eval": "lavit_eval.metrics.option_accuracy:AccuracyScienceqaLmmsEval",
        "basic_accuracy": "lavit_eval.metrics.paired_answers:BasicAccuracy",
        "bleu_1": "lavit_eval.metrics.bleu:Bleu1",
        "bleu_2": "lavit_eval.metrics.bleu:Bleu2",
        "bleu_3": "lavit_eval.metrics.bleu:Bleu3",
        "bleu_4": "lavit_eval.metrics.bleu:Bleu4",
        "choice_accuracy": "lavit_eval.metrics.option_accuracy:ChoiceAccuracy",
        "choice_accuracy_videomme": "lavit_eval.metrics.option_accuracy:ChoiceAccuracyVideomme",
        "cider": "lavit_eval.metrics.cider:Cider",
        "cider_within_domain": "lavit_eval.metrics.cider_within_domain:CiderWithinDomain",
        "circular_accuracy": "lavit_eval.metrics.option_accuracy:CircularAccuracy",
        "circular_accuracy_judged": "lavit_eval.metrics.judged_options:CircularAccuracyJudged",
        "clipsim_frame_consistency": "lavit_eval.metrics.clip_similarity:ClipsimFrameConsistency",
        "clipsim_vitb16": "lavit_eval.metrics.clip_similarity:ClipsimVitb16",
        "clipsim_vitb32": "lavit_eval.metrics.clip_similarity:ClipsimVitb32",
        "exact_match": "lavit_eval.metrics.exact_match:ExactMatch",
        "exact_match_gqa": "lavit_eval.metrics.exact_match:ExactMatchGqa",
        "exact_match_gqa_lavit": "lavit_eval.metrics.gqa:ExactMatchGqaLavit",
        "exact_match_gqa_lmms_eval": "lavit_eval.metrics.gqa:ExactMatchGqaLmmsEval",
        "exact_match_verbatim": "lavit_eval.metrics.exact_match_verbatim:ExactMatchVerbatim",
        "fid_clip": "lavit_eval.metrics.image_distance:FidClip",
        "fid_clip_by_frame": "lavit_eval.metrics.image_distance:FidClipByFrame",
        "fid_inception": "lavit_eval.metrics.image_distance:FidInception",
        "fid_inception_best_of_4": "lavit_eval.metrics.image_distance:FidInceptionBestOf4",
        "fvd": "lavit_eval.metrics.video_distance:Fvd",
        "fvd_first_last": "lavit_eval.metrics.video_distance:FvdFirstLast",
        "hallucination_accuracy": "lavit_eval.metrics.paired_answers:HallucinationAccuracy",
        "is_c3d": "lavit_eval.metrics.video_inception_score:IsC3d",
        "is_c3d_one_split": "lavit_eval.metrics.video_inception_score:IsC3dOneSplit",
        "judge_accuracy": "lavit_eval.metrics.judged_video_qa:JudgeAccuracy",
        "judge_score": "lavit_eval.metrics.judged_video_qa:JudgeScore",
        "judge_score_untruncated": "lavit_eval.metrics.judged_video_qa:JudgeScoreUntruncated",
        "kvd": "lavit_eval.metrics.video_distance:Kvd",
        "kvd_first_last": "lavit_eval.metrics.video_distance:KvdFirstLast",
        "lpips": "lavit_eval.metrics.perceptual_distance:Lpips",
        "meteor": "lavit_eval.metrics.meteor:Meteor",
        "mme_cognition": "lavit_eval.metrics.mme:MmeCognition",
        "mme_cognition_lmms_eval": "lavit_eval.metrics.mme:MmeCognitionLmmsEval",
        "mme_perception": "lavit_eval.metrics.mme:MmePerception",
        "mme_perception_lmms_eval": "lavit_eval.metrics.mme:MmePerceptionLmmsEval",
        "mmvet_score": "lavit_eval.metrics.judged_mmvet:MmvetScore",
        "mvbench_accuracy": "lavit_eval.metrics.mvbench:MvbenchAccuracy",
        "mvbench_accuracy_official": "lavit_eval.metrics.mvbench:MvbenchAccuracyOfficial",
        "pair_accuracy": "lavit_eval.metrics.paired_answers:PairAccuracy",
        "pair_accuracy_strict": "lavit_eval.metrics.paired_answers:PairAccuracyStrict",
        "pope_accuracy": "lavit_eval.metrics.pope:PopeAccuracy",
        "pope_accuracy_strict": "lavit_eval.metrics.pope:PopeAccuracyStrict",
        "pope_f1": "lavit_eval.metrics.pope:PopeF1",
        "pope_f1_strict": "lavit_eval.metrics.pope:PopeF1Strict",
        "pope_precision": "lavit_eval.metrics.pope:PopePrecision",
        "pope_recall": "lavit_eval.metrics.pope:PopeRecall",
        "pope_yes_ratio": "lavit_eval.metrics.pope:PopeYesRatio",
        "psnr": "lavit_eval.metrics.fidelity:Psnr",
        "ranked_accuracy": "lavit_eval.metrics.ranked_accuracy:RankedAccuracy",
        "ranked_accuracy_summed": "lavit_eval.metrics.ranked_accuracy:RankedAccuracySummed",
        "reference_log_likelihood": "lavit_eval.metrics.reference_likelihood:ReferenceLogLikelihood",
        "rouge_l": "lavit_eval.metrics.rouge:RougeL",
        "ssim": "lavit_eval.metrics.fidelity:Ssim",
        "vcg_consistency": "lavit_eval.metrics.judged_vcg:VcgConsistency",
        "vcg_consistency_untruncated": "lavit_eval.metrics.judged_vcg:VcgConsistencyUntruncated",
        "vcg_context": "lavit_eval.metrics.judged_vcg:VcgContext",
        "vcg_context_untruncated": "lavit_eval.metrics.judged_vcg:VcgContextUntruncated",
        "vcg_correctness": "lavit_eval.metrics.judged_vcg:VcgCorrectness",
        "vcg_correctness_untruncated": "lavit_eval.metrics.judged_vcg:VcgCorrectnessUntruncated",
        "vcg_detail": "lavit_eval.metrics.judged_vcg:VcgDetail",
        "vcg_detail_untruncated": "lavit_eval.metrics.judged_vcg:VcgDetailUntruncated",
        "vcg_temporal": "lavit_eval.metrics.judged_vcg:VcgTemporal",
        "vcg_temporal_untruncated": "lavit_eval.metrics.judged_vcg:VcgTemporalUntruncated",
        "vqa_accuracy": "lavit_eval.metrics.vqa_accuracy:VqaAccuracy",
        "vqa_accuracy_evalai": "lavit_eval.metrics.vqa_accuracy:TextvqaAccuracy",
        "vqa_accuracy_lavit": "lavit_eval.metrics.vqa_accuracy:VqaAccuracyLavit",
        "vqa_accuracy_lavit_two_stages": "lavit_eval.metrics.two_stages:VqaAccuracyLavitTwoStages",
        "well_formed": "lavit_eval.metrics.well_formed:WellFormed",
    },
    "model": {
        "constant": "lavit_eval.models.baselines:Constant",
        "external": "lavit_eval.models.external:External",
        "most-common-answer": "lavit_eval.models.baselines:MostCommonAnswer",
        "random-option": "lavit_eval.models.baselines:RandomOption",
        "video-lavit": "lavit_eval.models.video_lavit.adapter:VideoLavit",
    },
}
"""Kind -> name -> "module:object", imported when first needed."""


@cache
def targets(kind: Kind) -> Mapping[str, str]:
    """Return every known name of a kind with its "module:object", entry points (`lavit_eval.KINDs`) included.

    Raises UsageError when two packages give the same name.
    """
    from importlib.metadata import entry_points

    known = dict(BUILT_IN[kind])
    for point in entry_points(group=f"lavit_eval.{kind}s"):
        if point.name in known:
            raise UsageError(
                f"The {kind} {point.name!r} is defined twice: by {known[point.name]} and by {point.value}; "
                "uninstall one of the packages."
            )
        known[point.name] = point.value
    return known


def find(kind: Kind, name: str) -> Any:
    """Import and return what a name stands for; an unknown name is a UsageError that names the nearest three."""
    known = targets(kind)
    if name not in known:
        raise UsageError(f"Unknown {kind} {name!r}.{nearest(name, sorted(known))}")
    module, _, attribute = known[name].partition(":")
    return getattr(import_module(module), attribute)


def piece_versions(tasks: Sequence[Task]) -> dict[str, int | str]:
    """Return "benchmark:NAME" and "metric:NAME" -> version of every code piece that the tasks name.

    Metrics whose scores a judge gives are left out: their scores carry a protocol of their own, which says who judged.
    Options of a reader that name a file (`file_options`) add "file:OPTION" -> the SHA-256 of its content; raises
    UsageError when it cannot be read.
    """
    names: dict[str, tuple[Kind, str]] = {}
    files: dict[str, int | str] = {}
    for task in tasks:
        names[f"benchmark:{task.benchmark}"] = ("benchmark", task.benchmark)
        unjudged = [metric for metric in task.metrics if not hasattr(find("metric", metric), "measure_judged")]
        names.update({f"metric:{metric}": ("metric", metric) for metric in unjudged})
        for option in getattr(find("benchmark", task.benchmark), "file_options", ()):
            if given := task.options.get(option):
                files[f"file:{option}"] = _content_digest(str(given), task.task, option)
    return {**{label: int(find(kind, name).version) for label, (kind, name) in names.items()}, **files}


def _content_digest(path: str, task: str, option: str) -> str:
    from lavit_eval.digests import digest_file

    try:
        return digest_file(Path(path))
    except OSError as error:
        raise UsageError(
            f"{Path(path).absolute()}, which the option {option} of {task} names, cannot be read ({error.strerror}); "
            "mend the path in the task (a relative one begins at the current folder)."
        ) from error


@cache
def _entry_point_folders() -> tuple[Path, ...]:
    from importlib.metadata import entry_points

    return tuple(Path(str(point.load())) for point in entry_points(group="lavit_eval.tasks"))


class Catalogue:
    """The task and suite files that are known: shipped ones, those of `--task-dir` folders and of entry points.

    Files are found at once and parsed when asked for. A name that two files claim is a UsageError.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self.task_files: dict[str, Path] = {}
        self.suite_files: dict[str, Path] = {}
        for folder in (data_folder("tasks"), *_entry_point_folders(), *folders):
            self._add(folder)

    def _add(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(f"The task folder {folder} does not exist; give an existing one with --task-dir.")
        for path in sorted(folder.rglob("*.yaml")):
            files = self.suite_files if path.parent.name == "suites" else self.task_files
            if path.stem in files:
                raise UsageError(
                    f"{path}: the name {path.stem!r} is taken by {files[path.stem]}; rename the file and its task."
                )
            files[path.stem] = path

    def task(self, name: str) -> Task:
        """Return a task by name (raises UsageError: unknown, or a file that is not a valid task)."""
        from lavit_eval.task import load_task

        if name not in self.task_files:
            raise UsageError(
                f"Unknown task {name!r}.{nearest(name, sorted(self.task_files))} List them: lavit-eval tasks"
            )
        task = load_task(self.task_files[name], self.task_files)
        self._check_name(task.task, name, self.task_files[name])
        return task

    def suite(self, name: str) -> Suite:
        """Return a suite by name (raises UsageError)."""
        from lavit_eval.task import load_suite

        if name not in self.suite_files:
            raise UsageError(
                f"Unknown suite {name!r}.{nearest(name, sorted(self.suite_files))} List them: lavit-eval tasks"
            )
        suite = load_suite(self.suite_files[name])
        self._check_name(suite.suite, name, self.suite_files[name])
        return suite

    def tasks(self) -> list[Task]:
        """Return all tasks in the order of their names."""
        return [self.task(name) for name in sorted(self.task_files)]

    @staticmethod
    def _check_name(said: str, stem: str, path: Path) -> None:
        if said != stem:
            raise UsageError(f"{path}:1: the file is named {stem!r} but says {said!r}; make them equal.")
