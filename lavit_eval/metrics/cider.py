"""CIDEr of COCO captioning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from lavit_eval.metrics.caption_tokens import Tokenised, tokenise
from lavit_eval.metrics.java import missing_java
from lavit_eval.metrics.protocol import Floats, Measured, mean_of
from lavit_eval.sample import Sample


class Cider:
    """Mean CIDEr-D (1- to 4-grams, sigma 6, times 10) by pycocoevalcap, times 100: the scale of papers, about 0 to 200.

    The weight of an n-gram comes from the references of the images scored, each image counted once however many
    responses it has. So the value of a subset is no part of the value of the whole, and one image alone scores 0.
    """

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "x100"
    bounds: ClassVar[tuple[float, float] | None] = (0.0, 1000.0)

    def skipped_because(self) -> str | None:
        """Return "no Java" when the tokenizer cannot run."""
        return missing_java()

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score captions; a caption's score is in [0, 10] (see `Metric.measure`)."""
        return mean_of(cider_scores(tokenise(samples, texts)), scale=100.0)


def cider_scores(tokens: Tokenised) -> Floats:
    """Return [n] CIDEr-D scores, one per response.

    The scorer takes exactly one caption per image: the responses of an image are scored one round after the other,
    always with all images' references, so that the weights are the same in every round.
    """
    from pycocoevalcap.cider.cider import Cider as Scorer

    scores = np.zeros(len(tokens.hypotheses))
    if not any(caption for captions in tokens.references for caption in captions):
        return scores
    references = {image: list(captions) for image, captions in enumerate(tokens.references)}
    for response_of in rounds(tokens.images):
        captions = {
            image: [tokens.hypotheses[response_of[image]] if image in response_of else ""] for image in references
        }
        _, found = Scorer().compute_score(references, captions)
        for image, response in response_of.items():
            scores[response] = found[image]
    return scores


def rounds(images: Sequence[int]) -> list[dict[int, int]]:
    """Return image -> response index for the first response of each image, then for the second of each, and so on."""
    found: list[dict[int, int]] = []
    times: dict[int, int] = {}
    for response, image in enumerate(images):
        time = times.get(image, 0)
        times[image] = time + 1
        if time == len(found):
            found.append({})
        found[time][image] = response
    return found
