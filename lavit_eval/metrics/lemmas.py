"""Base forms of the nouns and verbs of an answer, by the spaCy model that LaVIT's evaluation names."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

MODEL = "en_core_web_sm"
CHANGED = ("NOUN", "VERB")


def missing_lemmas() -> str | None:
    """Return what is missing to find base forms, with the commands that mend it; None when nothing is."""
    if find_spec("spacy") is None:
        return f"no spaCy: `pip install 'lavit-eval[lemmas]'`, then `python -m spacy download {MODEL}`"
    if find_spec(MODEL) is None:
        return f"no spaCy model {MODEL}: `python -m spacy download {MODEL}`"
    return None


def in_base_form(text: str) -> str:
    """Return a text in lower case, its nouns and verbs in their base form, words apart by single spaces.

    As the published runner's `lemmatize` (model_spec 2.4.6); raises OSError where spaCy has no such model.
    """
    return " ".join(token.lemma_ if token.pos_ in CHANGED else token.text for token in _reader()(text.lower()))


@lru_cache(maxsize=1)
def _reader() -> Callable[[str], Any]:
    loaded: Callable[[str], Any] = import_module("spacy").load(MODEL)
    return loaded
