"""Serves requests for images and videos: reads what they show, has them made in batches, and stores what comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from PIL import Image

from lavit_eval.digests import digest_bytes, digest_json
from lavit_eval.errors import MediumError
from lavit_eval.files import canonical_json
from lavit_eval.generation_settings import GenerationSettings
from lavit_eval.models.video_lavit.arguments import Arguments
from lavit_eval.models.video_lavit.clip_sampling import reconstruct_videos
from lavit_eval.models.video_lavit.draws import SeededDraws
from lavit_eval.models.video_lavit.footage import Drawing, Footage
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.generation_sizes import read_generation_sizes
from lavit_eval.models.video_lavit.halving import out_of_memory
from lavit_eval.models.video_lavit.keyframe_pipeline import load_pipeline, make_keyframe
from lavit_eval.models.video_lavit.made_file import GENERATED_FPS, store_drawing, store_footage
from lavit_eval.models.video_lavit.parts import Parts
from lavit_eval.models.video_lavit.placed_author import PlacedAuthor
from lavit_eval.models.video_lavit.prompts import Picture, Prompt, picture_codes
from lavit_eval.models.video_lavit.recording import RECONSTRUCTION_FPS, Recording, prepare, recording_of
from lavit_eval.models.video_lavit.stages import NO_MEMORY, KeptStages, Stages, StageSizes
from lavit_eval.models.video_lavit.token_selector import gumbel_noise
from lavit_eval.models.video_lavit.tokenizer import Tokenizer
from lavit_eval.sample import Request, RequestKind, Response
from lavit_eval.video.picture import open_picture

if TYPE_CHECKING:
    from lavit_eval.video.decoders import Decoders

Made = TypeVar("Made")
Result = Drawing | Footage | GenerationError


@dataclass(slots=True)
class _Row:
    """A request that is ready to be served."""

    place: int
    """Among the requests of the batch."""
    request: Request
    parts: tuple[str | Picture, ...] = ()
    recording: Recording | None = None
    digests: dict[str, str | list[str]] = field(default_factory=dict)


class Maker:
    """Makes images and videos with the parts of a generation checkpoint.

    What is made depends on the request alone, but for rounding: each has draws of its own, and a batch that does not
    fit into memory gives the same in halves. A batch goes through the stages in batches of their own, and what a stage
    has made is kept in the run's folder until the files are written (`stages`).

    Args:
        root: The checkpoint's folder.
        parts: Its parts.
        arguments: `low_memory`, `token_select`, `encoder_threads`, `keyframe_pipeline`, `keyframe_guidance` and the
            sizes of stages.
        decoders: Who prepares recordings ahead, if anybody.
    """

    def __init__(self, root: Path, parts: Parts, arguments: Arguments, decoders: Decoders | None = None) -> None:
        self.parts = parts
        self.arguments = arguments
        self.decoders = decoders
        self.waited = 0.0
        """Seconds for which the parts waited for media, since somebody last set this to 0."""
        self.tokens = read_generation_sizes(root).tokens
        self.root = root
        self._authors: dict[bool, PlacedAuthor] = {}

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the language model."""
        return Tokenizer(self.root / "language_model" / "tokenizer.model")

    def author(self, videos: bool) -> PlacedAuthor:
        """Return who makes images, or images and videos; the parts are loaded now."""
        if videos not in self._authors:
            low_memory = self.arguments.low_memory == "on"
            self._authors[videos] = PlacedAuthor(self.parts, self.tokens, self.tokenizer, videos, low_memory)
        return self._authors[videos]

    @torch.inference_mode()
    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Serve a batch, in the order given; what fails for one request ends that one with the reason.

        Raises:
            UsageError: For generation settings that cannot be, or a part that cannot be loaded.
        """
        self.parts.begin()
        found: dict[int, Response] = {}
        groups: dict[str, tuple[GenerationSettings, RequestKind, list[_Row]]] = {}
        kinds = [GenerationSettings.parse(request.kind, request.generation) for request in requests]
        pictures: dict[int, list[tuple[Image.Image, str]]] = {}
        # Pictures of all before the codes of any: each part comes to the device once.
        for place, request in enumerate(requests):
            with self._failing(request, place, found):
                pictures[place] = self._in_memory(partial(self._pictures, request, kinds[place]))
        for place, request in enumerate(requests):
            if place not in pictures:
                continue
            with self._failing(request, place, found):
                row = self._in_memory(partial(self._prepare, place, request, kinds[place], pictures[place]))
                key = canonical_json([request.kind, dict(request.generation), dict(request.stages)])
                groups.setdefault(key, (kinds[place], request.kind, []))[2].append(row)
        for settings, kind, rows in groups.values():
            found |= self._serve(rows, settings, kind)
        times = {stage: seconds / len(requests) for stage, seconds in self.parts.seconds.items()}
        peaks = {f"peak_mib_{stage}": size >> 20 for stage, size in self.parts.peaks.items()}
        return [
            replace(found[place], times=times, counts={**found[place].counts, **peaks})
            for place in range(len(requests))
        ]

    @staticmethod
    @contextmanager
    def _failing(request: Request, place: int, found: dict[int, Response]) -> Iterator[None]:
        """Let what is wrong with a request's media end that request with the reason."""
        try:
            yield
        except (MediumError, GenerationError) as error:
            found[place] = Response(request.sample_id, request.repeat, "failed", error=str(error))

    def _in_memory(self, work: Callable[[], Made]) -> Made:
        """Do the work; where the memory does not suffice, once more after the idle parts made room."""
        try:
            return work()
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        self.parts.release()
        try:
            return work()
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise MediumError(f"{NO_MEMORY[0].upper()}{NO_MEMORY[1:]}.") from error

    def _pictures(self, request: Request, settings: GenerationSettings) -> list[tuple[Image.Image, str]]:
        """Return the pictures of a prompt with their digests: those given, or one that the other model makes."""
        if request.kind == "reconstruct_video":
            return []
        pictures = [self._read_picture(medium.kind, Path(medium.path)) for medium in request.media]
        if not request.text.strip() and not pictures:
            raise MediumError("There is neither a text nor a picture to make something from.")
        if self.arguments.keyframe_pipeline and request.kind == "generate_video" and not pictures:
            pictures = [self._make_keyframe(request, settings)]
        return pictures

    def _prepare(
        self, place: int, request: Request, settings: GenerationSettings, pictures: list[tuple[Image.Image, str]]
    ) -> _Row:
        if request.kind == "reconstruct_video":
            return self._prepare_recording(place, request, settings)
        text = [request.text] if request.text.strip() else []
        seen = [Picture(image, self._codes(image, digest, request)) for image, digest in pictures]
        # The order counts: as published, a video's keyframe follows its text, and an image's pictures precede it.
        parts: tuple[str | Picture, ...] = (*text, *seen) if request.kind == "generate_video" else (*seen, *text)
        row = _Row(place, request, parts)
        if pictures:
            row.digests["media"] = [digest for _, digest in pictures]
            row.digests["visual_tokens"] = digest_json([list(picture.codes) for picture in seen])
        return row

    def _prepare_recording(self, place: int, request: Request, settings: GenerationSettings) -> _Row:
        errand = recording_of(request, settings, self.arguments.encoder_threads)
        if errand is None:
            raise MediumError(f"A reconstruction takes one video, not {len(request.media)} media.")
        with self._waiting():
            ahead = None if self.decoders is None else self.decoders.take(errand.key())
            recording = Recording.of(ahead or prepare(errand.medium, **errand.arguments))
        digests: dict[str, str | list[str]] = {
            "keyframes": digest_bytes(recording.frames[:1].numpy().tobytes()),
            "motion": digest_bytes(recording.motion.contiguous().numpy().tobytes()),
        }
        return _Row(place, request, recording=recording, digests=digests)

    def _read_picture(self, kind: str, path: Path) -> tuple[Image.Image, str]:
        if kind != "image":
            raise MediumError(f"{path} is a video, but only pictures can stand in the prompt of an image or video.")
        with self._waiting():
            return open_picture(path)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Count the time of what happens inside as spent on media."""
        began = time.perf_counter()
        try:
            with self.parts.timed("preprocess"):
                yield
        finally:
            self.waited += time.perf_counter() - began

    def _make_keyframe(self, request: Request, settings: GenerationSettings) -> tuple[Image.Image, str]:
        """Return a picture of the text by the other model, with the SHA-256 of its pixels."""
        name = self.keyframe_part()
        with self.parts.at_work("keyframe", name):
            picture = make_keyframe(
                self.parts.get(name).pipeline,
                request.text,
                request.seeds.write,
                settings.width,
                settings.height,
                settings.steps,
                self.arguments.keyframe_guidance,
            )
        return picture, digest_bytes(picture.tobytes())

    def keyframe_part(self) -> str:
        """Return the name of the part that makes first keyframes, loaded now (raises UsageError if it cannot be)."""
        if "keyframe_pipeline" not in self.parts:
            loaded = load_pipeline(Path(self.arguments.keyframe_pipeline), self.parts.dtype)
            self.parts.put("keyframe_pipeline", _Movable(loaded))
        return "keyframe_pipeline"

    def _codes(self, image: Image.Image, digest: str, request: Request) -> tuple[int, ...]:
        """Return the visual codes of a picture, which depend on it and on the seed of what is seen of it."""
        with self.parts.at_work("encode", "visual_tokenizer"), self.parts.autocast():
            tokenizer = self.parts.get("visual_tokenizer")
            noise = None
            if self.arguments.token_select == "gumbel":
                generator = torch.Generator().manual_seed(request.seeds.see(digest))
                noise = gumbel_noise((1, tokenizer.config.patches, 2), generator)
            return tuple(picture_codes(tokenizer, [image], noise)[0])

    def _serve(self, rows: list[_Row], settings: GenerationSettings, kind: RequestKind) -> dict[int, Response]:
        found: dict[int, Response] = {}
        stages = self._stages(rows, settings, kind)
        for row, result in zip(rows, self._make(rows, settings, kind, stages), strict=True):
            with self.parts.timed("store"):
                found[row.place] = self._respond(row, result)
        stages.remove()
        return found

    def _stages(self, rows: Sequence[_Row], settings: GenerationSettings, kind: RequestKind) -> KeptStages:
        planned = {**self.arguments.stage_batches(), **rows[0].request.stages}
        sizes = StageSizes(planned["llm_batch"], planned["image_batch"], planned["video_batch"])
        output = rows[0].request.output
        keys = [kind, canonical_json(dict(rows[0].request.generation)), *(list(row.request.key) for row in rows)]
        return KeptStages(sizes, None if output is None else Path(output).parent.parent, keys, self.parts.release)

    def _make(
        self, rows: list[_Row], settings: GenerationSettings, kind: RequestKind, stages: Stages
    ) -> Sequence[Result]:
        if kind == "reconstruct_video":
            return self._reconstruct(rows, settings, stages)
        author = self.author(kind == "generate_video")
        prompts = [Prompt(row.parts, SeededDraws(row.request.seeds.write)) for row in rows]
        if kind == "generate_video":
            return author.generate_videos(prompts, settings, stages)
        return author.generate_images(prompts, settings, stages)

    def _reconstruct(self, rows: list[_Row], settings: GenerationSettings, stages: Stages) -> Sequence[Result]:
        recordings = [row.recording for row in rows if row.recording is not None]
        draws = []
        for row in rows:
            draws.append(SeededDraws(row.request.seeds.write))
            # What chose the clip is drawn already; a second attempt must go on from the same place.
            draws[-1].uniform("clip_start")
        with self.parts.at_work("video", "video_reconstructor"):
            detokenizer = self.parts.get("video_reconstructor")
            detokenizer.check_size(settings.video_height, settings.video_width)
            low_memory = self.arguments.low_memory == "on"
            return reconstruct_videos(detokenizer, recordings, draws, settings, low_memory, stages)

    def _respond(self, row: _Row, result: Result) -> Response:
        request = row.request
        if isinstance(result, GenerationError):
            return Response(request.sample_id, request.repeat, "failed", error=str(result), digests=row.digests)
        if request.output is None:
            raise ValueError("a request that makes a file must say where it goes")
        output = Path(request.output)
        if isinstance(result, Drawing):
            path = store_drawing(output, result)
        else:
            path = store_footage(output, result, row.recording)
        return Response(
            request.sample_id,
            request.repeat,
            "answered",
            text=canonical_json(self._record(request, result)),
            medium="/".join(path.parts[-4:]),
            medium_digest=digest_bytes(path.read_bytes()),
            digests={**row.digests, **self._digests(result)},
            counts=dict(result.counts),
        )

    @staticmethod
    def _record(request: Request, result: Drawing | Footage) -> Mapping[str, Any]:
        """Return what someone who has only the journal needs to make the file again."""
        record = {"prompt": request.text, "seed": request.seeds.write, "ids": list(result.ids)}
        if isinstance(result, Footage):
            record["fps"] = GENERATED_FPS if request.kind == "generate_video" else RECONSTRUCTION_FPS
        return record

    def _digests(self, result: Drawing | Footage) -> dict[str, str | list[str]]:
        prompt = result.counts.get("prompt_tokens", 0)
        ids, tokens = list(result.ids), self.tokens
        visual = [token for token in ids[prompt:] if tokens.visual_offset <= token < tokens.motion_start]
        motion = [token for token in ids[prompt:] if tokens.motion_offset <= token < tokens.total]
        found: dict[str, str | list[str]] = {}
        if ids:
            found = {"prompt_ids": digest_json(ids[:prompt]), "visual_ids": digest_json(visual)}
        if isinstance(result, Footage):
            found["keyframes"] = digest_bytes(result.keyframes.numpy().tobytes())
            if ids:
                found["motion_ids"] = digest_json(motion)
        return found


class _Movable(torch.nn.Module):
    """A pipeline of diffusers as a module, so that it is moved like the other parts."""

    def __init__(self, pipeline: Any) -> None:
        super().__init__()
        self.pipeline = pipeline
        modules = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
        self.members = torch.nn.ModuleDict(modules)
