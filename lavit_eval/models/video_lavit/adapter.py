"""Video-LaVIT as a model of the harness."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from lavit_eval.digests import cache_folder
from lavit_eval.errors import UsageError
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.arguments import Arguments
from lavit_eval.models.video_lavit.checkpoint import checkpoint_digest, find_checkpoint
from lavit_eval.sample import JSON, Request, RequestKind, Response, Sample

if TYPE_CHECKING:
    from lavit_eval.models.video_lavit.respondent import Respondent


class VideoLavit:
    """Answers questions about images and videos, and captions them, with a Video-LaVIT understanding checkpoint.

    The model is imported when it is loaded: to identify it, its files suffice.
    """

    capabilities: ClassVar[frozenset[RequestKind]] = frozenset({"answer", "caption"})

    def __init__(self, respondent: Respondent) -> None:
        self.respondent = respondent

    @classmethod
    def identify(cls, options: ModelOptions) -> Mapping[str, JSON]:
        """Return everything that can change an answer: the checkpoint's content and the arguments, not its path.

        The keyframes' size is the checkpoint's. Raises UsageError if the checkpoint or an argument is unusable.
        """
        arguments = Arguments.parse(options.arguments)
        video = {key: value for key, value in arguments.video().protocol().items() if key != "size"}
        return {
            "class": cls.__name__,
            "checkpoint": checkpoint_digest(_folder(options)),
            "dtype": options.dtype,
            "attention": arguments.attention,
            "token_select": arguments.token_select,
            "long_prompt": arguments.long_prompt,
            "video": video,
        }

    @classmethod
    def preflight(cls, options: ModelOptions) -> list[str]:
        """Return what stands in the way; of the weights only the headers are read."""
        from lavit_eval.models.video_lavit.attention import check_backend
        from lavit_eval.models.video_lavit.loading import parse_device, parse_dtype

        checks: list[Callable[[], object]] = [
            lambda: parse_dtype(options.dtype),
            lambda: _check_backend(Arguments.parse(options.arguments)),
            lambda: parse_device(options.device),
            lambda: check_backend(Arguments.parse(options.arguments).attention, parse_device(options.device)),
            lambda: _check_files(_folder(options)),
        ]
        problems: list[str] = []
        for check in checks:
            try:
                check()
            except UsageError as error:
                problems += [str(error)] if str(error) not in problems else []
        return problems

    @classmethod
    def load(cls, options: ModelOptions) -> Self:
        """Load the checkpoint (raises UsageError for whatever `preflight` finds)."""
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
        sight = Sight(model, settings, arguments.token_select == "argmax", cache)
        return cls(Respondent(model, tokenizer, sight, arguments.long_prompt))

    def prepare(self, task: str, samples: Sequence[Sample]) -> None:
        """Need nothing."""

    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Answer a batch; a request whose medium cannot be used fails with the reason.

        Raises ValueError for a request of a kind that the model is not capable of.
        """
        for request in requests:
            if request.kind not in self.capabilities:
                raise ValueError(f"VideoLavit cannot serve a request of kind {request.kind!r}")
        return self.respondent.respond(requests)


def _folder(options: ModelOptions) -> Path:
    if options.checkpoint is None:
        raise UsageError(
            "The model video-lavit needs --checkpoint DIR (or a hub id in the local cache); "
            "for a trial make one: `lavit-eval checkpoint make-tiny DIR`."
        )
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
