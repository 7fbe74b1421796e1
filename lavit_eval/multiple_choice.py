"""Multiple choice: how options are shown, and which letter a written answer chose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from lavit_eval.errors import UsageError

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


def lettered(options: Sequence[str], form: str = "{letter}. {option}") -> str:
    """Return the options one a line, each in `form`; raises UsageError for fewer than 2 or more than 26."""
    if not 2 <= len(options) <= len(ascii_uppercase):
        raise UsageError(f"a question needs 2 to {len(ascii_uppercase)} options, not {len(options)}")
    pairs = zip(ascii_uppercase, options, strict=False)
    return "\n".join(form.replace("{letter}", letter).replace("{option}", option) for letter, option in pairs)


def without_letter(option: str, index: int) -> str:
    """Return an option without the letter of its place in front, as in "B. Shut." of Video-MME."""
    return re.sub(rf"^\(?{ascii_uppercase[index]}[.):]\s*", "", option)


def plain(text: str) -> str:
    """Return a text in lower case with single spaces, without punctuation at its ends."""
    return " ".join(text.lower().split()).strip(ENDS)


def strict_choice(text: str, options: Sequence[str]) -> int | None:
    """Return which option an answer states and nothing else, or None.

    It states one by its letter ("B", "(B)", "B.", "b)"), by its letter and its text, or by its text where only one
    option has it; case, white space and punctuation at the ends do not count. A letter alone is the letter, also where
    it is an option's text. A letter that contradicts the text
    after it, a second option or a sentence around the letter make the answer none.
    """
    letters = ascii_uppercase[: len(options)]
    bare = text.strip(ENDS + "()").upper()
    if len(bare) == 1 and bare in letters:
        return letters.index(bare)
    texts = [plain(option) for option in options]
    said = plain(text)
    by_text = [index for index, option in enumerate(texts) if option and option == said]
    if len(by_text) == 1:
        return by_text[0]
    found = LEADING_LETTER.match(text.strip())
    if found is None:
        return None
    index = ascii_uppercase.index(found[1])
    rest = plain(found[2])
    return index if index < len(options) and rest in ("", texts[index]) else None


def first_letter(text: str, count: int) -> int | None:
    """Return which option the official parser of Video-MME takes a text for, or None.

    It removes the phrases of `PREFIXES`, then takes the first capital letter of an option wherever it stands, even
    inside a word: "A dog" is option A, "No, B" is B, "Dogs" is D. A text in lower case chooses nothing.

    Source: Video-MME's evaluation/eval_your_results.py, with as many letters as there are options.
    """
    remaining = text.strip()
    for prefix in PREFIXES:
        remaining = remaining.replace(prefix, "")
    found = re.search(f"[{ascii_uppercase[:count]}]", remaining)
    return None if found is None else ascii_uppercase.index(found[0])


def mvbench_hit(text: str, options: Sequence[str], answer: int) -> bool:
    """Return whether MVBench's official `check_ans` takes a text for the right option.

    The first word (up to a space) and "(b)" are compared by substring both ways, so that an empty text, "(" and ")"
    are right whatever the answer is.

    Source: check_ans of Ask-Anything's video_chat2/mvbench.ipynb; the option's text plays no part in it.
    """
    said = text.lower().split(" ")[0]
    right = f"({ascii_uppercase[answer].lower()})"
    return said.replace(".", "") in right or right in said


def mvbench_hit_with_letter(text: str, options: Sequence[str], answer: int) -> bool:
    """Return `mvbench_hit`, but false where the text's first word does not hold the right letter at all."""
    return ascii_uppercase[answer].lower() in text.lower().split(" ")[0] and mvbench_hit(text, options, answer)
