"""A small SentencePiece model with LLaMA's options, trained in this process on a built-in text."""

from __future__ import annotations

import io
import string
from collections.abc import Iterable, Iterator

import sentencepiece

COLOURS = ["red", "green", "blue", "yellow", "orange", "purple", "white", "black", "grey", "brown"]
SHAPES = ["circle", "square", "triangle", "star", "ball", "ring", "cross", "diamond", "arrow", "box"]
BEINGS = ["man", "woman", "child", "dog", "cat", "horse", "bird", "boy", "girl", "player"]
ACTIONS = ["running", "sitting", "playing", "moving", "standing", "cooking", "singing", "riding", "talking", "falling"]
PLACES = ["street", "kitchen", "field", "room", "garden", "beach", "stage", "road", "table", "park"]
DIRECTIONS = ["left", "right", "up", "down", "forward", "backward"]
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def built_in_text() -> Iterator[str]:
    """Yield the training text: sentences as questions and answers on pictures have them, always the same."""
    yield (
        "A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions. USER: ASSISTANT:"
    )
    yield string.ascii_letters + string.digits + string.punctuation
    for i in range(100):
        ones, tens = i % 10, i // 10
        mixed = (ones + tens) % 10
        yield f"What is the {BEINGS[ones]} doing in the {PLACES[mixed]}? The {BEINGS[ones]} is {ACTIONS[tens]}."
        yield f"What color is the {SHAPES[tens]}? The {SHAPES[tens]} is {COLOURS[ones]}, not {COLOURS[mixed]}."
        yield f"How many {SHAPES[ones]}s are there? There are {NUMBERS[tens]} of them, and {NUMBERS[mixed]} more."
        yield f"Which way does the {COLOURS[tens]} {SHAPES[ones]} move? It moves {DIRECTIONS[mixed % 6]}."
        yield f"Is there a {COLOURS[mixed]} {SHAPES[tens]} in the {PLACES[ones]}? yes, no, no, yes"
        yield f"Describe this video in a few words. A {BEINGS[tens]} and a {BEINGS[ones]} in a {PLACES[mixed]}."


def train_tokenizer(pieces: int, text: Iterable[str] | None = None) -> bytes:
    """Return the bytes of a SentencePiece model.

    It has LLaMA's options: pairs of bytes merged (BPE), no normalisation, a dummy prefix, digits apart, unknown
    characters as bytes; `<unk>` 0, `<s>` 1, `</s>` 2, no padding. The same call gives the same bytes.

    Args:
        pieces: Size of the vocabulary; the 256 bytes and the three control pieces count.
        text: What to train on; `built_in_text` by default.
    """
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(built_in_text() if text is None else text),
        model_writer=written,
        model_type="bpe",
        vocab_size=pieces,
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=True,
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return written.getvalue()


def unwritable_pieces(model: bytes) -> list[int]:
    """Return the ids that stand for no text of their own: `<unk>`, `<s>`, and the single bytes."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [
        piece
        for piece in range(processor.get_piece_size())
        if processor.is_byte(piece) or piece in (processor.unk_id(), processor.bos_id())
    ]


def word_fragments(model: bytes) -> list[int]:
    """Return the ids of pieces that do not start a word of at least two letters."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    texts = {piece: processor.id_to_piece(piece) for piece in range(processor.get_piece_size())}
    return [
        piece for piece, text in texts.items() if piece != processor.eos_id() and not (text[0] == "▁" and len(text) > 2)
    ]
