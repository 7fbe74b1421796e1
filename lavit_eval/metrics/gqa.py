"""GQA's accuracy by the other rules in use: lmms-eval's, and LaVIT's on base forms. LLaVA's is `exact_match_gqa`."""

from __future__ import annotations

import string
from functools import lru_cache
from typing import ClassVar

from lavit_eval.metrics import lemmas, vqa_answers
from lavit_eval.metrics.exact_match import ExactMatch

PUNCTUATION = str.maketrans("", "", string.punctuation)


class ExactMatchGqaLmmsEval(ExactMatch):
    """Percentage of answers equal to GQA's as lmms-eval compares: without case and ASCII punctuation; range 0 to 100.

    Punctuation is deleted wherever it stands, so that "t-shirt" equals "tshirt" and not "t shirt"; spaces count.
    """

    version: ClassVar[int] = 1

    def compared(self, text: str) -> str:
        """Return an answer in the form in which it is compared."""
        return text.lower().translate(PUNCTUATION)

    def expected(self, reference: str) -> str:
        """Return a reference in the form in which it is compared."""
        return self.compared(reference)


class ExactMatchGqaLavit(ExactMatch):
    """Percentage of answers equal to GQA's as LaVIT's evaluation compares them, in base forms; range 0 to 100.

    Nouns and verbs of both take their base form (LaVIT's runner does so with predictions, its script with the
    annotated answers); the prediction is then normalised as in `vqa_accuracy_lavit`. Needs spaCy.
    """

    version: ClassVar[int] = 1

    def skipped_because(self) -> str | None:
        """Return what is missing of spaCy and its English model."""
        return lemmas.missing_lemmas()

    def compared(self, text: str) -> str:
        """Return an answer in the form in which it is compared."""
        return vqa_answers.lavit_prediction(_base(text))

    def expected(self, reference: str) -> str:
        """Return a reference in the form in which it is compared."""
        return _base(reference)


@lru_cache(maxsize=65536)
def _base(text: str) -> str:
    return lemmas.in_base_form(text)
