"""When a row of generated ids is complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from lavit_eval.models.video_lavit.answer import STOP_TEXT
from lavit_eval.models.video_lavit.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class StopRule:
    """The end of a row: the end-of-sequence id, or the keyword with which answers end.

    The reference stops only when every row meets the keyword at the same step. Here each row stops by itself: what
    follows the keyword is cut from the answer anyway, so the answers are the same.
    """

    eos: int = 2
    keyword: str = STOP_TEXT
    keyword_ids: tuple[int, ...] = ()
    """Without them, and without `decode`, only the end-of-sequence id ends a row."""
    decode: Callable[[Sequence[int]], str] | None = None

    @classmethod
    def of(cls, tokenizer: Tokenizer, keyword: str = STOP_TEXT) -> Self:
        """Make the rule of a tokenizer."""
        return cls(tokenizer.eos, keyword, tuple(tokenizer.encode(keyword)), tokenizer.decode)

    def hit(self, prompt: Sequence[int], generated: Sequence[int]) -> bool:
        """Return whether the keyword has just been written.

        That is so if the last ids of prompt and generated ids together are the keyword's, or if the text of as many
        generated ids (fewer, if there are not so many) contains the keyword: joined to the word before it, the
        keyword lacks its leading space piece, and only the text tells.
        """
        most = len(self.keyword_ids)
        if not generated or not most:
            return False
        tail = (*prompt[-most:], *generated[-most:])[-most:]
        if tail == self.keyword_ids:
            return True
        return self.decode is not None and self.keyword in self.decode(generated[-most:])
