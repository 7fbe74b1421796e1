"""Multiple choice: how options are shown, and which of them a written answer names, by the rules that are in use.

A reading takes a text and the options and returns a letter, or None where it cannot tell. Each is somebody's:

| reading | whose | of |
|---|---|---|
| `strict` | ours | any benchmark |
| `exact` | LLaVA | SEED-Bench |
| `first` | lmms-eval | SEED-Bench |
| `scienceqa` | LLaVA | ScienceQA |
| `scienceqa-lmms-eval` | lmms-eval | ScienceQA |
| `vlmevalkit` | official | MMBench |
| `video-mme` | official | Video-MME |

MVBench's comparison reads no letter: it asks whether a text and the right option agree (`mvbench_hit`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from string import ascii_uppercase

from lavit_eval.errors import UsageError

LETTERS = ascii_uppercase
ENDS = " \t\r\n.,;:!?\"'`"
PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",
    "Best answer:Best option:",
)
"""What Video-MME's official parser strips; two entries lack a comma in its source and so match nothing. Kept."""
LEADING_LETTER = re.compile(r"^\(?([A-Z])(?:[.):]\s*|\s+|$)(.*)$", re.DOTALL)
NO_OPTION = "Z"
"""What VLMEvalKit takes for "none of the options"; never right."""
SCIENCEQA_LETTERS = "ABCDE"
SCIENCEQA_SENTENCE = re.compile(r"The answer is ([A-Z]).")
"""The last dot stands for any character, as in LLaVA's script: a reply that ends at the letter is not understood."""
SEPARATORS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
LAST_WORDS = 5
REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
NO_ANSWER = "Failed to obtain answer via API"


def lettered(options: Sequence[str], form: str = "{letter}. {option}") -> str:
    """Return the options one a line, each in `form`; raises UsageError for fewer than 2 or more than 26."""
    if not 2 <= len(options) <= len(LETTERS):
        raise UsageError(f"a question needs 2 to {len(LETTERS)} options, not {len(options)}")
    return _lines(options, form)


def _lines(options: Sequence[str], form: str) -> str:
    pairs = zip(LETTERS, options, strict=False)
    return "\n".join(form.replace("{letter}", letter).replace("{option}", option) for letter, option in pairs)


def with_options(question: str, options: Sequence[str]) -> str:
    r"""Return a question with its options below it, one a line, as LLaVA-1.5 asks.

    >>> with_options("Which?", ["one", "two"])
    'Which?\nA. one\nB. two'
    """
    return f"{question}\n{_lines(options, '{letter}. {option}')}"


def without_letter(option: str, index: int) -> str:
    """Return an option without the letter of its place in front, as in "B. Shut." of Video-MME."""
    return re.sub(rf"^\(?{LETTERS[index]}[.):]\s*", "", option)


def letters_of(choices: Sequence[str]) -> tuple[str, ...]:
    """Return the letters of the choices: A, B and so on."""
    return tuple(LETTERS[: len(choices)])


def plain(text: str) -> str:
    """Return a text in lower case with single spaces, without punctuation at its ends."""
    return " ".join(text.lower().split()).strip(ENDS)


def strict_option(text: str, options: Sequence[str]) -> str | None:
    """Return the letter of the option that an answer states, and nothing else, or None.

    It states one by its letter ("B", "(B)", "B.", "b)"), by its letter and its text, or by its text where only one
    option has it; case, white space and punctuation at the ends do not count. A letter alone is the letter, also where
    it is an option's text. A letter that contradicts the text after it, a second option or a sentence around the
    letter make the answer none.
    """
    letters = letters_of(options)
    bare = text.strip(ENDS + "()").upper()
    if bare in letters:
        return bare
    texts = [plain(option) for option in options]
    said = plain(text)
    by_text = [index for index, option in enumerate(texts) if option and option == said]
    if len(by_text) == 1:
        return letters[by_text[0]]
    found = LEADING_LETTER.match(text.strip())
    if found is None:
        return None
    letter, rest = found[1], plain(found[2])
    return letter if letter in letters and rest in ("", texts[letters.index(letter)]) else None


def exact_option(text: str, choices: Sequence[str]) -> str | None:
    """Return the letter of a reply that is one of the choices' letters and nothing else (LLaVA's SEED-Bench script)."""
    return text if text in letters_of(choices) else None


def first_option(text: str, choices: Sequence[str]) -> str | None:
    """Return the first character of a reply without outer spaces, if it is one of the letters (lmms-eval)."""
    return exact_option(text.strip()[:1], choices)


def scienceqa_option(text: str, choices: Sequence[str]) -> str | None:
    """Return the letter that LLaVA's eval_science_qa.py finds, None where it says FAILED.

    A reply that is a letter from A to E; one that begins with a letter and ". "; one sentence "The answer is X" with
    a character after it. The letter may lie beyond the choices, and is then wrong.

    >>> [scienceqa_option(text, ["", ""]) for text in ("B", "B. because", "The answer is C.", "The answer is C", "b")]
    ['B', 'B', 'C', None, None]
    """
    if len(text) == 1 and text in SCIENCEQA_LETTERS:
        return text
    if text[:1] in SCIENCEQA_LETTERS and text[1:3] == ". ":
        return text[0]
    found: list[str] = SCIENCEQA_SENTENCE.findall(text)
    return found[0] if len(found) == 1 else None


def scienceqa_lmms_option(text: str, choices: Sequence[str]) -> str | None:
    """Return the letter that lmms-eval finds in ScienceQA: a reply that is one, or begins with a capital and a dot.

    >>> [scienceqa_lmms_option(text, ["", ""]) for text in ("B", "b", "B.", "b.", "B because", "The answer is B.")]
    ['B', 'B', 'B', None, None, None]
    """
    said = text.strip()
    if said.upper() in tuple(LETTERS):
        return said.upper()
    return said[0] if said[:1] in tuple(LETTERS) and said[1:2] == "." else None


def vlmevalkit_option(text: str, choices: Sequence[str]) -> str | None:
    """Return the letter that VLMEvalKit's can_infer finds, "Z" for a refusal, None where it cannot decide.

    First a letter: the only one among the words of the reply, and one of its last four words. Else a choice: the only
    one whose text stands in the reply, letter case aside, when the reply is at most twice as long as all choices
    together. The pattern "answer is X" of later versions is not looked for.

    >>> vlmevalkit_option("It is a dog", ["cat", "dog"]), vlmevalkit_option("A or B", ["cat", "dog"])
    ('B', None)
    """
    letter = _option_word(text, letters_of(choices))
    return letter if letter is not None else _option_text(text, choices)


def _option_word(text: str, letters: Sequence[str]) -> str | None:
    if NO_ANSWER in text:
        return None
    if any(refusal in text for refusal in REFUSALS):
        return NO_OPTION
    words = text.translate(SEPARATORS).split()
    named = [letter for letter in letters if letter in words]
    if len(named) == 1 and words.index(named[0]) > len(words) - LAST_WORDS:
        return named[0]
    return NO_OPTION if not named and NO_OPTION in words else None


def _option_text(text: str, choices: Sequence[str]) -> str | None:
    if len(text) > 2 * sum(map(len, choices)):
        return None
    lower = text.lower()
    named = [letter for letter, choice in zip(LETTERS, choices, strict=False) if choice.lower() in lower]
    return named[0] if len(named) == 1 else None


def videomme_option(text: str, options: Sequence[str]) -> str | None:
    """Return the letter that the official parser of Video-MME finds, or None.

    It removes the phrases of `PREFIXES`, then takes the first capital letter of an option wherever it stands, even
    inside a word: "A dog" is option A, "No, B" is B, "Dogs" is D. A text in lower case chooses nothing.

    Source: Video-MME's evaluation/eval_your_results.py, with as many letters as there are options.
    """
    remaining = text.strip()
    for prefix in PREFIXES:
        remaining = remaining.replace(prefix, "")
    found = re.search(f"[{LETTERS[: len(options)]}]", remaining)
    return None if found is None else found[0]


def mvbench_hit(text: str, options: Sequence[str], answer: int) -> bool:
    """Return whether MVBench's official `check_ans` takes a text for the right option.

    The first word (up to a space) and "(b)" are compared by substring both ways, so that an empty text, "(" and ")"
    are right whatever the answer is.

    Source: check_ans of Ask-Anything's video_chat2/mvbench.ipynb; the option's text plays no part in it.
    """
    said = text.lower().split(" ")[0]
    right = f"({LETTERS[answer].lower()})"
    return said.replace(".", "") in right or right in said


def mvbench_hit_with_letter(text: str, options: Sequence[str], answer: int) -> bool:
    """Return `mvbench_hit`, but false where the text's first word does not hold the right letter at all."""
    return LETTERS[answer].lower() in text.lower().split(" ")[0] and mvbench_hit(text, options, answer)


READINGS: Mapping[str, Callable[[str, Sequence[str]], str | None]] = {
    "strict": strict_option,
    "exact": exact_option,
    "first": first_option,
    "scienceqa": scienceqa_option,
    "scienceqa-lmms-eval": scienceqa_lmms_option,
    "vlmevalkit": vlmevalkit_option,
    "video-mme": videomme_option,
}
"""Name -> reading; a reader writes the name into `extra["reading"]` of its samples."""
