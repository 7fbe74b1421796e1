"""Answers batches of questions about images and videos, each as if it were asked alone."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from lavit_eval.digests import digest_json
from lavit_eval.errors import MediumError
from lavit_eval.models.video_lavit.answer import clean_answer
from lavit_eval.models.video_lavit.context import context_length, fit_clips, published_cut
from lavit_eval.models.video_lavit.generation import generate
from lavit_eval.models.video_lavit.halving import free_cached, in_halves
from lavit_eval.models.video_lavit.ranking import option_log_likelihoods
from lavit_eval.models.video_lavit.shared_prefix import Opening, Past, SharedPrefixes, seen_mask
from lavit_eval.models.video_lavit.sight import Seen, Sight
from lavit_eval.models.video_lavit.splice import PAD, Spliced, splice
from lavit_eval.models.video_lavit.stopping import StopRule
from lavit_eval.models.video_lavit.tokenizer import Tokenizer
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from lavit_eval.multiple_choice import LETTERS
from lavit_eval.sample import Likelihoods, Medium, Request, Response, Settings
from lavit_eval.video.loaded import Loaded

NO_MEMORY = (
    "The memory does not suffice for this question, even alone; take a larger card, a half precision or fewer clips."
)


@dataclass(frozen=True, slots=True)
class Row:
    """A request that is ready for the language model."""

    request: Request
    ids: list[int]
    """The prompt, its placeholder negative."""
    visual: Tensor | None
    """What stands for the placeholder, `[positions, hidden]`."""
    medium: Hashable | None
    """Equal for two rows with equal `visual`; None without a medium."""
    digests: dict[str, str | list[str]]
    counts: dict[str, int]
    options: list[list[int]]
    """Ids of the options that are ranked; none where something is written."""

    @property
    def way(self) -> Settings | None:
        """How it is answered: by writing with these settings, or by ranking options."""
        return None if self.options else self.request.settings


class _Batch:
    """What the requests of one batch share: media, the reason why one cannot be used, and time."""

    def __init__(self) -> None:
        self.loaded: dict[Medium, Loaded | MediumError] = {}
        self.seen: dict[object, Seen] = {}
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


class Respondent:
    """The loaded model with all that it needs to answer.

    Args:
        model: The understanding model.
        tokenizer: Its tokenizer.
        sight: Its eyes.
        long_prompt: `fewer_clips`, or `reference`: all clips, and the prompt's end cut off where the checkpoint's
            config.json says so.
        share: Read what questions on one medium begin with once for all of them; the same but for rounding.
    """

    def __init__(
        self,
        model: UnderstandingModel,
        tokenizer: Tokenizer,
        sight: Sight,
        long_prompt: str = "fewer_clips",
        share: bool = True,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.sight = sight
        self.long_prompt = long_prompt
        self.cut = published_cut(model.config) if long_prompt == "reference" else None
        self.prefixes = SharedPrefixes(model, self.cut) if share else None
        self.stop = StopRule.of(tokenizer)

    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Answer a batch, in the order given; a request whose medium or option cannot be used fails with the reason."""
        if not requests:
            return []
        batch = _Batch()
        found: dict[int, Response] = {}
        groups: dict[Settings | None, list[tuple[int, Row]]] = {}
        for place, request in enumerate(requests):
            try:
                row = self._prepare(request, batch)
            except MediumError as error:
                found[place] = _failure(request, str(error), batch)
            else:
                groups.setdefault(row.way, []).append((place, row))
        for settings, members in groups.items():
            rows = [row for _, row in members]
            with batch.timed("generate"):
                answers = in_halves(rows, partial(self._answer, settings), self._release)
            for (place, row), (answer, halved) in zip(members, answers, strict=True):
                found[place] = _noted(row.request, answer, halved)
        times = {stage: batch.seconds[stage] / len(requests) for stage in ("preprocess", "encode", "generate")}
        return [_with_times(found[place], times) for place in range(len(requests))]

    def _prepare(self, request: Request, batch: _Batch) -> Row:
        if len(request.media) > 1:
            raise MediumError(f"The model takes one image or video per question, not {len(request.media)}.")
        options = self._option_ids(request)
        room = max(map(len, options)) if options else request.settings.max_new_tokens
        if not request.media:
            ids = self.tokenizer.prompt_ids(request.text, "text")
            self._fit([], ids, room)
            counts = {"visual_tokens": 0, "motion_tokens": 0}
            return Row(request, ids, None, None, {"prompt_ids": digest_json(ids)}, counts, options)
        medium = request.media[0]
        loaded = self._load(medium, batch)
        seen = self._see(loaded, request, batch)
        ids = self.tokenizer.prompt_ids(request.text, medium.kind)
        used = self._fit([len(block) for block in seen.blocks], ids, room)
        digests: dict[str, str | list[str]] = {
            "media": [loaded.digest],
            "prompt_ids": digest_json(ids),
            "keyframes": digest_json([seen.keyframe_digests[clip] for clip in used]),
            "visual_tokens": digest_json([seen.selection_digests[clip] for clip in used]),
        }
        if medium.segment is not None:
            digests["files"] = [loaded.file_digest]
        counts = {
            "visual_tokens": sum(seen.kept[clip] for clip in used),
            "motion_tokens": seen.motion_tokens * len(used),
        }
        if medium.kind == "video":
            digests["motion"] = digest_json([seen.motion_digests[clip] for clip in used])
            counts |= {"clips_found": len(seen.blocks), "clips_used": len(used)}
        visual = torch.cat([seen.blocks[clip] for clip in used])
        medium_key = (self.sight.see_key(loaded, request.seeds), used)
        return Row(request, ids, visual, medium_key, digests, counts, options)

    def _option_ids(self, request: Request) -> list[list[int]]:
        """Return the ids of the options: each is tokenised for itself, with the space piece that separates it.

        The prompt ends in a colon, a written answer begins with that piece, and SentencePiece joins nothing across it:
        so these are the ids that follow the prompt's where both are tokenised as one text, whatever the option.
        """
        if request.kind != "choose":
            return []
        found = [self.tokenizer.encode(option) for option in request.options]
        if not 1 <= len(found) <= len(LETTERS):
            raise MediumError(f"The question has {len(found)} options to rank, not 1 to {len(LETTERS)}.")
        if empty := [LETTERS[place] for place, ids in enumerate(found) if not ids]:
            raise MediumError(f"Option {empty[0]} has no text to rank.")
        return found

    def _load(self, medium: Medium, batch: _Batch) -> Loaded:
        if medium not in batch.loaded:
            with batch.timed("preprocess"):
                try:
                    batch.loaded[medium] = self.sight.load(medium)
                except MediumError as error:
                    batch.loaded[medium] = error
        found = batch.loaded[medium]
        if isinstance(found, MediumError):
            raise found
        return found

    def _see(self, loaded: Loaded, request: Request, batch: _Batch) -> Seen:
        key = self.sight.see_key(loaded, request.seeds)
        if key not in batch.seen:
            with batch.timed("encode"):
                batch.seen[key] = self.sight.see(loaded, request.seeds)
        return batch.seen[key]

    def _fit(self, clips: Sequence[int], ids: Sequence[int], room: int) -> tuple[int, ...]:
        """Return which clips to show so that `room` positions are left."""
        if self.long_prompt == "reference":
            return tuple(range(len(clips)))
        text = sum(token > PAD for token in ids)
        return fit_clips(clips, text, room, context_length(self.model.config))

    def _answer(self, settings: Settings | None, rows: Sequence[Row]) -> list[Response]:
        return self._rank(rows) if settings is None else self._write(rows, settings)

    def _release(self) -> None:
        """Free what can be freed after an allocation that failed."""
        if self.prefixes is not None:
            self.prefixes.forget()
        free_cached()

    @torch.inference_mode()
    def _rank(self, rows: Sequence[Row]) -> list[Response]:
        spliced, past = self._spliced(rows)
        sums = option_log_likelihoods(self.model, spliced, [row.options for row in rows], past)
        lengths = seen_mask(spliced, past).sum(1).tolist()
        return [_chosen(row, each, length) for row, each, length in zip(rows, sums, lengths, strict=True)]

    def _spliced(self, rows: Sequence[Row]) -> tuple[Spliced, Past | None]:
        """Return what is to be read of each row, and what is read already."""
        if self.prefixes is not None:
            begun = self.prefixes.begin([Opening(row.ids, row.visual, row.medium) for row in rows])
            if begun is not None:
                return begun
        return splice(self.model, [row.ids for row in rows], [row.visual for row in rows], self.cut), None

    @torch.inference_mode()
    def _write(self, rows: Sequence[Row], settings: Settings) -> list[Response]:
        prompts = [row.ids for row in rows]
        spliced, past = self._spliced(rows)
        generators = None
        if settings.do_sample:
            generators = [torch.Generator().manual_seed(row.request.seeds.write) for row in rows]
        written = generate(self.model, spliced, prompts, settings, self.stop, generators, past=past)
        lengths = seen_mask(spliced, past).sum(1).tolist()
        return [
            Response(
                row.request.sample_id,
                row.request.repeat,
                "answered",
                text=clean_answer(self.tokenizer.decode(ids), settings.truncate_answer),
                digests=row.digests,
                counts={"prompt_tokens": length, "new_tokens": len(ids), **row.counts},
            )
            for row, ids, length in zip(rows, written, lengths, strict=True)
        ]


def _chosen(row: Row, sums: Sequence[float], length: int) -> Response:
    """Return the response to a question whose options have these log-likelihoods."""
    sample, repeat = row.request.key
    digests: dict[str, str | list[str]] = {**row.digests, "options": digest_json(row.options)}
    tokens = [len(ids) for ids in row.options]
    try:
        found = Likelihoods.of(sums, tokens)
    except ValueError as error:
        return Response(sample, repeat, "failed", error=f"The options cannot be ranked: {error}.", digests=digests)
    return Response(
        sample,
        repeat,
        "answered",
        text=LETTERS[Likelihoods.best(found.normalised)] if len(sums) > 1 else row.request.options[0],
        digests=digests,
        counts={"prompt_tokens": length, "option_tokens": sum(tokens), **row.counts},
        likelihoods=found,
    )


def _failure(request: Request, reason: str, batch: _Batch) -> Response:
    known = [batch.loaded.get(medium) for medium in request.media]
    files = [loaded.digest for loaded in known if isinstance(loaded, Loaded)]
    digests: dict[str, str | list[str]] = {"media": files} if files else {}
    return Response(request.sample_id, request.repeat, "failed", error=reason, digests=digests)


def _noted(request: Request, answer: Response | None, halved: bool) -> Response:
    """Return an answer that says whether its batch was done in parts, for that may change its rounding."""
    if answer is None:
        return Response(request.sample_id, request.repeat, "failed", error=NO_MEMORY)
    return replace(answer, counts={**answer.counts, "batch_halved": 1}) if halved else answer


def _with_times(response: Response, times: dict[str, float]) -> Response:
    return replace(response, times=times)
