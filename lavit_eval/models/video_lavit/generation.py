"""Writes the answers of a batch of spliced prompts, each as if it were alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.beam_search import beam_search
from lavit_eval.models.video_lavit.logits import draw, filter_for_sampling, restrict
from lavit_eval.models.video_lavit.shared_prefix import Past, resumed, row_of, seen_mask
from lavit_eval.models.video_lavit.splice import Spliced
from lavit_eval.models.video_lavit.stopping import StopRule
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from lavit_eval.sample import Settings


def text_only(model: UnderstandingModel) -> range:
    """Return the ids that an answer never contains: image and motion marks and codes.

    Ids above the id space, in a vocabulary that was padded to a round size, are not among them, as in the reference.
    """
    return range(model.tokens.text, model.tokens.total)


@torch.inference_mode()
def generate(
    model: UnderstandingModel,
    spliced: Spliced,
    prompts: Sequence[Sequence[int]],
    settings: Settings,
    stop: StopRule,
    generators: Sequence[torch.Generator | None] | None = None,
    suppressed: range | None = None,
    past: Past | None = None,
) -> list[list[int]]:
    """Return the new ids of each row, without the end id.

    Rows see nothing of each other: padding is masked, positions are each row's own, a row that is complete leaves the
    batch, and every row draws from its own generator. So the ids are those of the row alone, but for near ties that
    another batch size rounds the other way.

    Args:
        model: The model.
        spliced: The batch.
        prompts: Ids of each row's prompt with its placeholder; they count for the repetition penalty, and their
            number for the scores of beam search.
        settings: How text is decoded; with several beams, rows are searched one after the other.
        stop: When a row is complete.
        generators: One CPU generator per row, needed for sampling only.
        suppressed: Ids never written; by default all that are not text.
        past: What was read before `spliced`, which then is the rest of the prompts.

    Raises:
        UsageError: If sampling and several beams are asked for together.
    """
    suppressed = text_only(model) if suppressed is None else suppressed
    if settings.num_beams > 1:
        if settings.do_sample:
            raise UsageError("Sampling and beam search exclude each other: set num_beams: 1 or do_sample: false.")
        rows = [(_alone(spliced, place), row_of(past, place)) for place in range(len(prompts))]
        pairs = zip(rows, prompts, strict=True)
        return [
            list(beam_search(model, row, ids, settings, stop, suppressed, before)[0].ids)
            for (row, before), ids in pairs
        ]
    return _decode(model, spliced, prompts, settings, stop, generators or [None] * len(prompts), suppressed, past)


def _alone(spliced: Spliced, place: int) -> Spliced:
    """Return one row of a batch without its padding."""
    start = spliced.mask.shape[1] - int(spliced.mask[place].sum())
    return Spliced(*(part[place : place + 1, start:] for part in spliced))


def _decode(
    model: UnderstandingModel,
    spliced: Spliced,
    prompts: Sequence[Sequence[int]],
    settings: Settings,
    stop: StopRule,
    generators: Sequence[torch.Generator | None],
    suppressed: range,
    past: Past | None,
) -> list[list[int]]:
    written: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))
    cache = resumed(model, past)
    mask, positions = seen_mask(spliced, past), spliced.positions[:, -1:]
    logits = model.last_logits(spliced.embeds, mask, spliced.positions, cache)
    for new in range(settings.max_new_tokens):
        seen = [[*prompts[row], *written[row]] for row in rows]
        scores = restrict(logits, seen, new, settings, stop.eos, suppressed)
        if settings.do_sample:
            chosen = draw(filter_for_sampling(scores, settings), [generators[row] for row in rows])
        else:
            chosen = scores.argmax(-1).tolist()
        open_places = _write(chosen, rows, prompts, written, stop)
        if not open_places or new + 1 == settings.max_new_tokens:
            break
        if len(open_places) < len(rows):
            kept = torch.tensor(open_places, device=mask.device)
            cache.batch_select_indices(kept)
            mask, positions = mask[kept], positions[kept]
            rows = [rows[place] for place in open_places]
        last = torch.tensor([[written[row][-1]] for row in rows])
        mask, positions = torch.cat([mask, mask.new_ones(len(rows), 1)], 1), positions + 1
        logits = model.last_logits(model.embed(last), mask, positions, cache)
    return written


def _write(
    chosen: Sequence[int],
    rows: Sequence[int],
    prompts: Sequence[Sequence[int]],
    written: Sequence[list[int]],
    stop: StopRule,
) -> list[int]:
    """Append the chosen ids to their rows and return the places within the batch that go on."""
    going_on = []
    for place, (row, token) in enumerate(zip(rows, chosen, strict=True)):
        if token == stop.eos:
            continue
        written[row].append(token)
        if not stop.hit(prompts[row], written[row]):
            going_on.append(place)
    return going_on
