"""How much work requests are, in estimated tokens, so that the time left is more than a count of requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lavit_eval.sample import MAKING, MediumKind, Request, RequestKind

CHARACTERS_PER_TOKEN = 4.0
TEMPLATE_TOKENS = 40.0
"""What a chat template adds to a question."""
VISUAL_TOKENS: Mapping[MediumKind, float] = {"image": 100.0, "video": 2_500.0}
"""Of an image about 100 of 256 patches are kept; of a video up to 16 times as many, and 135 motion tokens with each."""
ENCODING: Mapping[MediumKind, float] = {"image": 500.0, "video": 8_000.0}
"""Decoding and encoding a medium that was not seen just before, in tokens that are read in the same time."""
WRITING = 8.0
"""Writing a token takes as long as reading so many: all weights pass through memory for each."""
LIKELY_NEW_TOKENS = 48.0
"""Beyond so many tokens an answer or a caption hardly goes, whatever its limit."""
MAKING_TOKENS: Mapping[RequestKind, float] = {
    "generate_image": 30_000.0,
    "generate_video": 200_000.0,
    "reconstruct_video": 150_000.0,
}
"""Denoising, per image or clip."""


class Workload:
    """Weighs requests in the order in which they are asked.

    A medium is decoded and encoded for the first of the requests in a row that show it.
    """

    def __init__(self) -> None:
        self._shown: tuple[object, ...] = ()

    def weigh(self, request: Request) -> float:
        """Return a request's estimated tokens (more than 0)."""
        work = self._weigh_text(request)
        shown = (*(medium.path for medium in request.media), request.repeat)
        if shown != self._shown:
            work += sum(ENCODING[medium.kind] for medium in request.media)
        self._shown = shown
        return work

    @staticmethod
    def _weigh_text(request: Request) -> float:
        read = len(request.text) / CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS
        work = read + sum(VISUAL_TOKENS[medium.kind] for medium in request.media)
        if request.kind in MAKING:
            return work + MAKING_TOKENS[request.kind] * _clips(request)
        if request.options:
            # Candidates are read, not written.
            return work + sum(len(option) / CHARACTERS_PER_TOKEN for option in request.options)
        return work + WRITING * request.settings.num_beams * min(request.settings.max_new_tokens, LIKELY_NEW_TOKENS)

    def weigh_all(self, requests: Iterable[Request]) -> float:
        """Return the estimated tokens of requests together."""
        return sum(map(self.weigh, requests))

    def weigh_texts(self, requests: Iterable[Request]) -> float:
        """Return the estimated tokens of requests together, without decoding and encoding media."""
        return sum(map(self._weigh_text, requests))


def _clips(request: Request) -> int:
    return int(request.generation.get("clips", 1))
