"""Normalisation of short answers by the rules of the VQA evaluation scripts, their slips included."""

from __future__ import annotations

import re
from functools import lru_cache

PUNCTUATION = tuple(';/[]"{}()=+\\_->' + "<@`,?!")
"""Deleted or replaced by a space; : ' . $ % & * are not among them."""
DIGITS_WITH_COMMA = re.compile(r"\d,\d")
DIGITS_AROUND_COMMAS = re.compile(r"(?<=\d),+(?=\d)")
PERIOD = re.compile(r"\.(?!\d)")
"""The scripts also mean to keep a period after a digit, but their look-behind is mistyped and never holds."""
PERIODS_REMOVED = 32
"""The scripts pass re.UNICODE, whose value is 32, where `sub` expects the number of replacements."""
NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
NUMBERS = {word: str(number) for number, word in enumerate(NUMBER_WORDS.split())} | {"none": "0"}
LAVIT_NUMBERS = NUMBERS | {"nope": "no"}
ARTICLES = frozenset({"a", "an", "the"})

NOT = """ain aren can couldn didn doesn don hadn hasn haven isn mightn mustn needn oughtn shan shouldn wasn weren won
wouldn"""
HAVE_AFTER_NOT = "couldn hadn mightn shouldn wouldn"
ENDINGS = {
    "ve": "could might must not should they we what where who would you",
    "d": "he how it someone something there they where who you",
    "ll": "how it somebody someone something they what who why you",
    "s": "he how somebody someone that there what when where who why",
    "re": "there they what why you",
}
"""Ending -> words which, written together with it, get the apostrophe: "theyre" becomes "they're"."""
WOULD_HAVE = "he it she somebody someone something there they we who you"
SINGLE = {
    "maam": "ma'am",
    "oclock": "o'clock",
    "ow's'at": "'ow's'at",
    "'ows'at": "'ow's'at",
    "'ow'sat": "'ow's'at",
    "somebody'd": "somebodyd",
    "twas": "'twas",
    "yall": "y'all",
    "yall'll": "y'all'll",
    "y'allll": "y'all'll",
    "yall'd've": "y'all'd've",
    "y'alld've": "y'all'd've",
    "y'all'dve": "y'all'd've",
}
"""What follows no pattern; "somebody'd" loses its apostrophe, as in the scripts."""

LAVIT_UNANSWERABLE = ("i don't know", "i do n't know", "i need to know")
LAVIT_OPENINGS = (
    *("it's ", "it is ", "this is ", "that is ", "she's ", "she 's ", "she is ", "he's ", "he 's ", "he is "),
    *("they are ", "they're ", "very ", "for ", "to ", "in ", "on ", "at ", "a ", "an ", "the "),
)
"""Tried once each, in this order."""


def contractions() -> dict[str, str]:
    """Return word without (all) its apostrophes -> word with them; keys with capitals never match and are left out."""
    words = {f"{stem}t": f"{stem}'t" for stem in NOT.split()}
    for stem in HAVE_AFTER_NOT.split():
        full = f"{stem}'t've"
        words |= {f"{stem}'tve": full, f"{stem}t've": full}
    for ending, stems in ENDINGS.items():
        words |= {f"{stem}{ending}": f"{stem}'{ending}" for stem in stems.split()}
    for stem in WOULD_HAVE.split():
        full = f"{stem}'d've"
        words |= {f"{stem}d've": full, f"{stem}'dve": full}
    return words | SINGLE


CONTRACTIONS = contractions()


@lru_cache(maxsize=65536)
def official(text: str) -> str:
    """Return an answer as processPunctuation, then processDigitArticle of VQA's vqaEval.py leave it.

    >>> official("The two T-shirts, isnt it?")
    "2 t shirts isn't it"
    """
    return without_articles(without_punctuation(one_line(text), DIGITS_WITH_COMMA), NUMBERS)


@lru_cache(maxsize=65536)
def evalai(text: str) -> str:
    """Return an answer as the EvalAI processor (TextVQA, VizWiz; LLaVA's m4c_evaluator.py) leaves it."""
    words = one_line(text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip())
    return without_articles(without_punctuation(words, DIGITS_AROUND_COMMAS), NUMBERS)


@lru_cache(maxsize=65536)
def lavit_prediction(text: str) -> str:
    """Return a prediction as the vqa_eval.py of LaVIT leaves it: "nope" is "no", and openings like "it is " go."""
    return without_opening(without_articles(without_punctuation(one_line(text), DIGITS_WITH_COMMA), LAVIT_NUMBERS))


def without_opening(answer: str) -> str:
    """Return a normalised answer without openings such as "it is "; "i don't know ..." and "" become "unanswerable".

    Of an answer with an opening only what follows the opening's last occurrence is left, as in LaVIT's script.
    """
    if not answer or answer.startswith(LAVIT_UNANSWERABLE):
        answer = "unanswerable"
    for opening in LAVIT_OPENINGS:
        if answer.startswith(opening):
            answer = answer.rpartition(opening)[2]
    return answer


@lru_cache(maxsize=65536)
def lavit_reference(text: str) -> str:
    """Return an annotated answer as LaVIT's script leaves it when the ten differ: punctuation and capitals only."""
    return without_punctuation(text, DIGITS_WITH_COMMA).lower()


def one_line(text: str) -> str:
    """Return the text with newlines and tabs as spaces, without white space at its ends."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def without_punctuation(text: str, commas: re.Pattern[str]) -> str:
    """Return the text without `PUNCTUATION` and periods.

    A mark is deleted if somewhere it stands beside a space, or if `commas` is found anywhere; else it becomes a space.
    """
    number = commas.search(text) is not None
    result = text
    for mark in PUNCTUATION:
        if mark in text:
            beside_space = f"{mark} " in text or f" {mark}" in text
            result = result.replace(mark, "" if number or beside_space else " ")
    return PERIOD.sub("", result, count=PERIODS_REMOVED)


def without_articles(text: str, numbers: dict[str, str]) -> str:
    """Return the lower-case words of a text: number words as digits, no articles, contractions with apostrophes."""
    words = (numbers.get(word, word) for word in text.lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)
