"""GQA's answers are compared by three rules, and they differ."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import pytest

from lavit_eval.metrics import lemmas
from lavit_eval.metrics.exact_match import ExactMatchGqa
from lavit_eval.metrics.gqa import ExactMatchGqaLavit, ExactMatchGqaLmmsEval, _base
from lavit_eval.sample import Sample


def scores(metric: ExactMatchGqa | ExactMatchGqaLavit | ExactMatchGqaLmmsEval, *pairs: tuple[str, str]) -> list[float]:
    samples = [Sample(str(number), (), "?", (gold,)) for number, (_, gold) in enumerate(pairs)]
    return [float(one["score"]) for one in metric.measure(samples, [text for text, _ in pairs]).per_sample]


def test_llava_and_lmms_eval_treat_punctuation_otherwise() -> None:
    pairs = (
        ("Yes.", "yes"),
        ("yes!", "yes"),
        ("t-shirt", "tshirt"),
        ("light-blue", "light blue"),
        ("2 cups", "2 cups"),
    )
    assert scores(ExactMatchGqa(), *pairs) == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert scores(ExactMatchGqaLmmsEval(), *pairs) == [1.0, 1.0, 1.0, 0.0, 1.0]


class Words:
    """Stands for spaCy: says what kind of word each is, and its base form."""

    KINDS: ClassVar = {"dogs": ("NOUN", "dog"), "running": ("VERB", "run"), "his": ("PRON", "he")}

    def __call__(self, text: str) -> list[SimpleNamespace]:
        found = []
        for word in text.split():
            kind, base = self.KINDS.get(word, ("X", word))
            found.append(SimpleNamespace(text=word, pos_=kind, lemma_=base))
        return found


def test_lavit_compares_base_forms_of_nouns_and_verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lemmas, "_reader", Words)
    _base.cache_clear()
    assert lemmas.in_base_form("His  Dogs running") == "his dog run"
    pairs = (("Dogs", "dog"), ("running", "run"), ("it is a dog", "dogs"), ("two dogs", "2 dogs"), ("his", "he"))
    assert scores(ExactMatchGqaLavit(), *pairs) == [1.0, 1.0, 1.0, 1.0, 0.0]
    _base.cache_clear()


@pytest.mark.parametrize(
    ("installed", "said"), [((), "pip install 'lavit-eval[lemmas]'"), (("spacy",), "spacy download en_core_web_sm")]
)
def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], said: str) -> None:
    monkeypatch.setattr(lemmas, "find_spec", lambda name: object() if name in installed else None)
    missing = ExactMatchGqaLavit().skipped_because()
    assert missing is not None and said in missing


def test_nothing_is_missing_where_both_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lemmas, "find_spec", lambda name: object())
    assert ExactMatchGqaLavit().skipped_because() is None
