"""Video-LaVIT as a model of the harness."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lavit_eval.digests import cache_folder
from lavit_eval.errors import UsageError
from lavit_eval.models.protocol import Demand, Fit, ModelOptions
from lavit_eval.models.video_lavit.arguments import Arguments
from lavit_eval.models.video_lavit.checkpoint import UNDERSTANDING_FOLDER, checkpoint_digest, find_checkpoint, find_root
from lavit_eval.sample import JSON, Request, RequestKind, Response, Sample

if TYPE_CHECKING:
    from lavit_eval.models.video_lavit.foresight import Foresight
    from lavit_eval.models.video_lavit.maker import Maker
    from lavit_eval.models.video_lavit.respondent import Respondent
    from lavit_eval.models.video_lavit.sight import Sight

NO_CHECKPOINT = (
    "The model video-lavit needs --checkpoint DIR (or a hub id in the local cache); "
    "for a trial make one: `lavit-eval checkpoint make-tiny DIR`."
)
ANSWERING: frozenset[RequestKind] = frozenset({"answer", "choose", "caption"})
MOST_DECODERS = 4
"""That are taken where nobody said how many."""
FEWEST_CORES = 4
"""With fewer, decoding ahead takes from the model what it gives (perf/pipelining.py)."""
GENERATING: frozenset[RequestKind] = frozenset({"generate_image", "generate_video", "reconstruct_video"})


class VideoLavit:
    """Answers questions about images and videos, ranks options, captions, and makes images and videos: Video-LaVIT.

    Understanding and generation have weights of their own in a checkpoint; a half that no request needs is neither
    looked for nor loaded, and of the generating half only those parts that requests of these kinds need. The model is
    imported when it is loaded: to identify what answers, its files suffice.
    """

    capabilities: ClassVar[frozenset[RequestKind]] = ANSWERING | GENERATING
    reads_samples: ClassVar[bool] = False
    """Whether it must be told all samples of a task."""

    def __init__(
        self, answering: Callable[[], Respondent], making: Callable[[], Maker], foresight: Foresight | None = None
    ) -> None:
        self._answering = answering
        self._making = making
        self.foresight = foresight
        """Who has media prepared before they are needed, if anybody."""

    @cached_property
    def respondent(self) -> Respondent:
        """Who answers, loaded when first asked."""
        return self._answering()

    @cached_property
    def maker(self) -> Maker:
        """Who makes images and videos; its parts are loaded when they are first needed."""
        return self._making()

    @classmethod
    def identify(cls, options: ModelOptions) -> Mapping[str, JSON]:
        """Return everything that can change a result: the checkpoint's content and the arguments, not its path.

        The keyframes' size is the checkpoint's. Raises UsageError if the checkpoint or an argument is unusable.
        """
        arguments, kinds = Arguments.parse(options.arguments), requested_kinds(options)
        video = {key: value for key, value in arguments.video().protocol().items() if key != "size"}
        identity = {
            "class": cls.__name__,
            "dtype": options.dtype,
            "attention": arguments.attention,
            "token_select": arguments.token_select,
            "long_prompt": arguments.long_prompt,
            "video": video,
        }
        if kinds & ANSWERING:
            identity["checkpoint"] = checkpoint_digest(_folder(options))
            if arguments.motion_tokens == "off":
                # Named only where it is not as published, so that the digests of other runs stay what they were.
                identity["motion_tokens"] = "off"
            if arguments.shared_prefix == "off":
                identity["shared_prefix"] = "off"
        if made := kinds & GENERATING:
            identity |= _generation_identity(options, arguments, made)
        return identity

    @classmethod
    def preflight(cls, options: ModelOptions) -> list[str]:
        """Return what stands in the way; of the weights only the headers are read."""
        from lavit_eval.models.video_lavit.attention import check_backend
        from lavit_eval.models.video_lavit.loading import parse_device, parse_dtype

        kinds = requested_kinds(options)
        checks: list[Callable[[], object]] = [
            lambda: parse_dtype(options.dtype),
            lambda: _check_backend(Arguments.parse(options.arguments)),
            lambda: parse_device(options.device),
            lambda: check_backend(Arguments.parse(options.arguments).attention, parse_device(options.device)),
        ]
        if kinds & ANSWERING:
            checks.append(lambda: _check_files(_folder(options)))
        if made := kinds & GENERATING:
            checks += _generation_checks(options, made)
        problems: list[str] = []
        for check in checks:
            try:
                check()
            except UsageError as error:
                problems += [str(error)] if str(error) not in problems else []
        return problems

    @classmethod
    def check_making(cls, options: ModelOptions, task: str, kind: RequestKind, making: Mapping[str, JSON]) -> list[str]:
        """Return what the checkpoint's parts cannot make of a task's generation settings, by their configurations."""
        from lavit_eval.generation_settings import GenerationSettings
        from lavit_eval.models.video_lavit.authoring import image_settings
        from lavit_eval.models.video_lavit.generation_loading import read_part

        settings, root = GenerationSettings.parse(kind, making), _root(options)
        try:
            if kind != "reconstruct_video":
                images: Any = read_part("image_detokenizer", root).module
                images.check_settings(image_settings(settings))
            if kind != "generate_image":
                part = "video_detokenizer" if kind == "generate_video" else "video_reconstructor"
                videos: Any = read_part(part, root).module
                videos.check_size(settings.video_height, settings.video_width)
        except UsageError as error:
            return [f"{task}: {error}"]
        return []

    @classmethod
    def load(cls, options: ModelOptions) -> Self:
        """Load the checkpoint (raises UsageError for whatever `preflight` finds).

        What answers is loaded now, what generates part by part when it is first needed.
        """
        from lavit_eval.models.video_lavit.loading import parse_device, parse_dtype

        Arguments.parse(options.arguments)
        parse_device(options.device)
        parse_dtype(options.dtype)
        foresight = _load_foresight(options)
        model = cls(lambda: _load_respondent(options, foresight), lambda: _load_maker(options, foresight), foresight)
        _ = model.respondent if requested_kinds(options) & ANSWERING else model.maker
        return model

    @classmethod
    def fit_batches(cls, options: ModelOptions, demands: Sequence[Demand]) -> tuple[list[Fit], Self]:
        """Return how many requests of each demand the device takes together, and the loaded model.

        Images and videos go through stages with sizes of their own. Raises UsageError as `load`.
        """
        from lavit_eval.models.video_lavit.batch_fitting import CudaCard, fit
        from lavit_eval.models.video_lavit.loading import parse_device
        from lavit_eval.models.video_lavit.stage_fitting import fit_stages

        model, clips = cls.load(options), Arguments.parse(options.arguments).max_clips
        card = CudaCard(parse_device(options.device))
        # What makes comes first: its parts then lie on the card, as they will when the same run answers after it made.
        making = {place: each for place, each in enumerate(demands) if each.kind in GENERATING}
        found = {place: fit_stages(model.maker, demand, card) for place, demand in making.items()}
        for place, demand in enumerate(demands):
            if place not in making:
                found[place] = Fit(fit(model.respondent.model, demand, clips, card))
        return [found[place] for place in range(len(demands))], model

    @classmethod
    def stage_batches(cls, options: ModelOptions, fitted: bool) -> dict[str, JSON]:
        """Return what belongs to a run's identity as the batch size does: the sizes of the stages of generation.

        Args:
            options: Of the model.
            fitted: Whether the device decides about those that nobody gave; they are "auto" then.
        """
        if not requested_kinds(options) & GENERATING:
            return {}
        arguments = Arguments.parse(options.arguments)
        sizes: dict[str, JSON] = dict(arguments.stage_batches())
        if fitted:
            sizes = {name: arguments.given_batch(name) or "auto" for name in sizes}
        return {"stage_batches": sizes}

    @classmethod
    def kept_bytes(cls, kind: RequestKind, making: Mapping[str, JSON]) -> int:
        """Return about how many bytes its stages keep of a request until its file is written (raises UsageError)."""
        from lavit_eval.generation_settings import GenerationSettings
        from lavit_eval.models.video_lavit.kept_size import kept_bytes

        return kept_bytes(kind, GenerationSettings.parse(kind, making))

    def prepare(self, task: str, samples: Sequence[Sample]) -> None:
        """Need nothing."""

    @property
    def foresee(self) -> Callable[[Sequence[Request]], None] | None:
        """Who may be told, from any thread, of requests that will probably be made soon; None if nobody would care."""
        return None if self.foresight is None else self.foresight.foresee

    def timings(self) -> Mapping[str, float]:
        """Return the seconds for which the device waited for media to be preprocessed, since this was last asked."""
        waiting: list[Sight | Maker] = []
        if "respondent" in self.__dict__:
            waiting.append(self.respondent.sight)
        if "maker" in self.__dict__:
            waiting.append(self.maker)
        waited = sum(each.waited for each in waiting)
        for each in waiting:
            each.waited = 0.0
        return {"preprocess": waited} if waiting else {}

    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Answer a batch; a request whose medium cannot be used fails with the reason.

        Raises ValueError for a request of a kind that the model is not capable of.
        """
        for request in requests:
            if request.kind not in self.capabilities:
                raise ValueError(f"VideoLavit cannot serve a request of kind {request.kind!r}")
        found: dict[int, Response] = {}
        for kinds, serve in ((ANSWERING, lambda: self.respondent), (GENERATING, lambda: self.maker)):
            places = [place for place, request in enumerate(requests) if request.kind in kinds]
            if places:
                found |= zip(places, serve().respond([requests[place] for place in places]), strict=True)
        return [found[place] for place in range(len(requests))]


def requested_kinds(options: ModelOptions) -> frozenset[RequestKind]:
    """Return the kinds of requests that a run will make; where nobody said, it answers."""
    return options.kinds or ANSWERING


def decoder_count(arguments: Arguments, device: str) -> int:
    """Return how many processes preprocess media ahead: by default none on a CPU or few cores."""
    if arguments.decoders is not None:
        return arguments.decoders
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if device == "cpu" or cores < FEWEST_CORES else MOST_DECODERS


def _load_foresight(options: ModelOptions) -> Foresight | None:
    arguments = Arguments.parse(options.arguments)
    count = decoder_count(arguments, options.device)
    if not count or not requested_kinds(options) & (ANSWERING | {"reconstruct_video"}):
        return None
    from lavit_eval.models.video_lavit.foresight import Foresight
    from lavit_eval.video.decoders import Decoders

    return Foresight(Decoders(count), arguments.encoder_threads)


def _load_respondent(options: ModelOptions, foresight: Foresight | None) -> Respondent:
    from lavit_eval.models.video_lavit.attention import check_backend
    from lavit_eval.models.video_lavit.loading import load_understanding, parse_device, parse_dtype, read_blueprint
    from lavit_eval.models.video_lavit.respondent import Respondent
    from lavit_eval.models.video_lavit.sight import Sight
    from lavit_eval.models.video_lavit.tokenizer import Tokenizer
    from lavit_eval.video.cache import ClipCache

    arguments = Arguments.parse(options.arguments)
    device, dtype = parse_device(options.device), parse_dtype(options.dtype)
    check_backend(arguments.attention, device)
    _check_backend(arguments)
    folder = _folder(options)
    blueprint = read_blueprint(folder)
    tokenizer = Tokenizer(folder / "tokenizer.model")
    blueprint.check_tokenizer(tokenizer.size)
    model = load_understanding(blueprint, device, dtype, arguments.attention)
    cache = ClipCache(cache_folder() / "clips") if arguments.video_cache == "on" else None
    settings = arguments.video(blueprint.sizes.visual.image_size)
    argmax, still = arguments.token_select == "argmax", arguments.motion_tokens == "off"
    decoders = None if foresight is None else foresight.decoders
    sight = Sight(model, settings, argmax, cache, still, decoders)
    if foresight is not None:
        foresight.sight = sight
    return Respondent(model, tokenizer, sight, arguments.long_prompt, arguments.shared_prefix == "on")


def _load_maker(options: ModelOptions, foresight: Foresight | None) -> Maker:
    from lavit_eval.models.video_lavit.loading import parse_device, parse_dtype
    from lavit_eval.models.video_lavit.maker import Maker
    from lavit_eval.models.video_lavit.parts import Parts

    arguments, root = Arguments.parse(options.arguments), _root(options)
    parts = Parts(root, parse_device(options.device), parse_dtype(options.dtype), arguments.offload)
    return Maker(root, parts, arguments, None if foresight is None else foresight.decoders)


def _generation_identity(options: ModelOptions, arguments: Arguments, kinds: frozenset[RequestKind]) -> dict[str, JSON]:
    from lavit_eval.models.video_lavit.generation_loading import generation_digest
    from lavit_eval.models.video_lavit.keyframe_pipeline import pipeline_digest

    pipeline = arguments.keyframe_pipeline
    return {
        "generation": generation_digest(_root(options), kinds),
        "low_memory": arguments.low_memory,
        "keyframe_pipeline": pipeline_digest(Path(pipeline)) if pipeline else "",
        "keyframe_guidance": arguments.keyframe_guidance if pipeline else 0.0,
    }


def _generation_checks(options: ModelOptions, kinds: frozenset[RequestKind]) -> list[Callable[[], object]]:
    """Return one check per part, so that all that is missing is said at once."""
    from lavit_eval.models.video_lavit.generation_loading import needed_parts, read_part
    from lavit_eval.models.video_lavit.keyframe_pipeline import check_pipeline

    def check_part(name: str) -> None:
        read_part(name, _root(options)).plan.check()

    def check_keyframes() -> None:
        pipeline = Arguments.parse(options.arguments).keyframe_pipeline
        if pipeline:
            check_pipeline(Path(pipeline))

    return [*(partial(check_part, name) for name in needed_parts(kinds)), check_keyframes]


def _root(options: ModelOptions) -> Path:
    if options.checkpoint is None:
        raise UsageError(NO_CHECKPOINT)
    root = find_root(options.checkpoint)
    # Whoever names the folder of the answering half means the checkpoint that it lies in.
    return root.parent if root.name == UNDERSTANDING_FOLDER else root


def _folder(options: ModelOptions) -> Path:
    if options.checkpoint is None:
        raise UsageError(NO_CHECKPOINT)
    return find_checkpoint(options.checkpoint)


def _check_backend(arguments: Arguments) -> None:
    if arguments.backend == "mvextractor" and importlib.util.find_spec("mvextractor") is None:
        raise UsageError(
            "--model-args backend=mvextractor needs the package motion-vector-extractor: "
            "`pip install 'lavit-eval[mvextractor]'`, or use backend=pyav."
        )


def _check_files(folder: Path) -> None:
    from lavit_eval.models.video_lavit.loading import read_blueprint
    from lavit_eval.models.video_lavit.tokenizer import Tokenizer

    blueprint = read_blueprint(folder)
    blueprint.check()
    blueprint.check_tokenizer(Tokenizer(folder / "tokenizer.model").size)
