"""Texts as the words that a quality classifier counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from data_juicer_sandbox import imports

Tokenize = Callable[[str], list[str]]

_SPACE = re.compile("[ \t\n\x0b\f\r]")
"""What Spark's tokenizer splits at: Java's white space, which knows ASCII only."""


def words(text: str) -> list[str]:
    """Lower-case words, split at every single white space, as Spark ML's `Tokenizer` does.

    Two spaces in a row have an empty word between them; empty words at the end do not count.
    """
    found = _SPACE.split(text.lower())
    if len(found) > 1:
        while found and not found[-1]:
            found.pop()
    return found


def characters(text: str) -> list[str]:
    """Lower-case characters and pairs of neighbours, white space apart: for languages that put none between words."""
    chunks = text.lower().split()
    return [character for chunk in chunks for character in chunk] + [
        first + second for chunk in chunks for first, second in pairwise(chunk)
    ]


TOKENIZERS: dict[str, Tokenize] = {"words": words, "characters": characters}


def sentencepiece(path: str) -> Tokenize:
    """The pieces of a sentencepiece model.

    Args:
        path: the model file (`*.model`).
    """
    library = imports.load("sentencepiece", extra="evaluate")
    pieces: Tokenize = library.SentencePieceProcessor(model_file=path).encode_as_pieces
    return pieces
