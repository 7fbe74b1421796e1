"""Text <-> ids through SentencePiece itself, and the prompt that the tuned model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import sentencepiece

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.config import IMAGE_PLACEHOLDER, VIDEO_PLACEHOLDER

PromptKind = Literal["image", "video", "text"]

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
PLACEHOLDERS = {"image": ("<image>", IMAGE_PLACEHOLDER), "video": ("<video>", VIDEO_PLACEHOLDER)}


def build_prompt(question: str, kind: PromptKind) -> str:
    """Return the prompt as one string, the medium as `<image>` or `<video>`; no space follows the last colon."""
    medium = f"{PLACEHOLDERS[kind][0]}\n" if kind != "text" else ""
    return f"{SYSTEM} USER: {medium}{question} ASSISTANT:"


class Tokenizer:
    """LLaMA's SentencePiece model with its leading space piece, as the reference's slow tokenizer uses it.

    The tokenizers-backed class of transformers 5 gives other ids for a chunk that starts with a space. Texts like
    `</s>` are ordinary text here and never become special ids, whatever a question contains.

    Args:
        path: `tokenizer.model` of the checkpoint.

    Raises:
        UsageError: If the file is missing or no SentencePiece model.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise UsageError(f"{path} is missing; download the checkpoint again: it must hold tokenizer.model.")
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError) as error:
            raise UsageError(f"{path} is no SentencePiece model; download the checkpoint again ({error}).") from error
        self.bos: int = self._pieces.bos_id()
        self.eos: int = self._pieces.eos_id()
        self.pad: int = self._pieces.unk_id()
        """The reference pads with `<unk>`, so a real `<unk>` in a prompt counts as padding."""

    @property
    def size(self) -> int:
        """Number of pieces; the language model may know more text ids than that."""
        return int(self._pieces.get_piece_size())

    def encode(self, chunk: str) -> list[int]:
        """Return the ids of a chunk of text, without BOS; SentencePiece puts a space piece in front."""
        return list(self._pieces.encode(chunk))

    def ids(self, text: str) -> list[int]:
        """Return BOS and the ids of a text."""
        return [self.bos, *self.encode(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids; special ids and ids that name no piece are dropped, spaces are left as they are."""
        special = {self.bos, self.eos, self.pad}
        return str(self._pieces.decode([int(i) for i in ids if 0 <= i < self.size and i not in special]))

    def prompt_ids(self, question: str, kind: PromptKind, every_placeholder: bool = False) -> list[int]:
        """Return the ids of a prompt: BOS, text, the placeholder of the medium (-200 image, -201 video), text.

        The chunks around the placeholder are tokenised apart, so each of them starts with a space piece of its own.

        Args:
            question: The question after the task's template; may be empty.
            kind: The medium that is asked about.
            every_placeholder: As the reference: `<image>` (`<video>` beside a video) inside the question is one more
                placeholder, for which no medium exists. Off by default: a question is data, and what it says is text.
        """
        if every_placeholder:
            text, placeholder = PLACEHOLDERS["video" if kind == "video" else "image"]
            chunks = build_prompt(question, kind).split(text)
        elif kind == "text":
            return self.ids(build_prompt(question, kind))
        else:
            text, placeholder = PLACEHOLDERS[kind]
            chunks = build_prompt(question, kind).split(text, maxsplit=1)
        found = self.ids(chunks[0])
        for chunk in chunks[1:]:
            found += [placeholder, *self.encode(chunk)]
        return found
