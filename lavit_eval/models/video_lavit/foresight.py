"""Media of requests to come, prepared in other processes before the model needs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from lavit_eval.errors import UsageError
from lavit_eval.generation_settings import GenerationSettings
from lavit_eval.models.video_lavit.recording import recording_of
from lavit_eval.sample import MAKING, Request
from lavit_eval.video.decoders import Decoders
from lavit_eval.video.errand import Errand

if TYPE_CHECKING:
    from lavit_eval.models.video_lavit.sight import Sight


class Foresight:
    """Has decoders prepare what is seen and what is reconstructed, in the order of the requests.

    Args:
        decoders: Who prepares.
        encoder_threads: Of re-encoding a video that is reconstructed.
    """

    def __init__(self, decoders: Decoders, encoder_threads: int) -> None:
        self.decoders = decoders
        self.encoder_threads = encoder_threads
        self.sight: Sight | None = None
        """Who sees the media of questions, once that is loaded."""

    def foresee(self, requests: Sequence[Request]) -> None:
        """Have the media of requests prepared that will probably be made; may be called from any thread."""
        errands = [errand for request in requests for errand in self._errands(request)]
        self.decoders.foresee([(errand.key(), errand) for errand in errands])

    def _errands(self, request: Request) -> Iterator[Errand]:
        if request.kind == "reconstruct_video":
            # Settings that cannot be are said when the request is made.
            with suppress(UsageError):
                settings = GenerationSettings.parse(request.kind, request.generation)
                errand = recording_of(request, settings, self.encoder_threads)
                if errand is not None:
                    yield errand
        elif request.kind not in MAKING and self.sight is not None:
            for medium in request.media:
                errand = self.sight.errand(medium)
                if errand is not None:
                    yield errand
