"""Captions as the Penn Treebank tokenizer of pycocoevalcap sees them; the only tokenizer for caption metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from lavit_eval.metrics.java import jar, run_lines
from lavit_eval.metrics.references import check_references
from lavit_eval.sample import Sample

Captions = tuple[str, ...]

REMOVED = frozenset({"''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", *".?!,:-;", "--", "..."})
"""pycocoevalcap's list. Brackets stay, since the tokenizer writes them in lower case (-lrb-); so do "!!!", "$", "%"."""


@dataclass(frozen=True, slots=True)
class Tokenised:
    """Tokenised captions; tokens are separated by one space, and a caption may be empty."""

    references: tuple[Captions, ...]
    """The reference captions of each image, each image once, in order of first appearance."""
    hypotheses: Captions
    """One caption per response."""
    images: tuple[int, ...]
    """For each response, the index of its image."""


def tokenise(samples: Sequence[Sample], texts: Sequence[str]) -> Tokenised:
    """Tokenise generated captions and, once per image, its references.

    The last results are kept, so that all metrics of one set of captions share one run of the tokenizer. Raises
    UsageError when Java is missing or fails, or when a sample has no references.
    """
    check_references(samples, texts)
    numbers: dict[tuple[str, Captions], int] = {}
    images = tuple(numbers.setdefault((sample.id, sample.references), len(numbers)) for sample in samples)
    return _tokenise(tuple(references for _, references in numbers), tuple(texts), images)


@lru_cache(maxsize=2)
def _tokenise(references: tuple[Captions, ...], hypotheses: Captions, images: tuple[int, ...]) -> Tokenised:
    """Run the tokenizer twice, on all references and on all hypotheses."""
    tokens = iter(tokenise_lines([caption for captions in references for caption in captions]))
    tokenised = tuple(tuple(next(tokens) for _ in captions) for captions in references)
    return Tokenised(tokenised, tuple(tokenise_lines(hypotheses)), images)


def tokenise_lines(captions: Sequence[str]) -> list[str]:
    """Return captions as lower-case tokens without punctuation, by Stanford's PTBTokenizer (CoreNLP 3.4.1).

    White space is made single spaces first: the tokenizer takes carriage returns and Unicode line separators for line
    ends, after which every later caption would be given to the wrong image.
    """
    lines = [" ".join(caption.split()) for caption in captions]
    program = ["-cp", str(jar("tokenizer", "stanford-corenlp-3.4.1.jar")), "edu.stanford.nlp.process.PTBTokenizer"]
    output = run_lines("the PTB tokenizer", [*program, "-preserveLines", "-lowerCase"], lines)
    return [" ".join(token for token in line.rstrip().split(" ") if token not in REMOVED) for line in output]
