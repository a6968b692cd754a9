"""Tokenizers of the quality classifiers."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from data_juicer_sandbox import imports

Tokenize = Callable[[str], list[str]]

_SPACE = re.compile("[ \t\n\x0b\f\r]")
"""The separator of Spark's tokenizer: Java's white space, which is ASCII only."""


def words(text: str) -> list[str]:
    """Lower-case words, split at every white-space character, like Spark ML's `Tokenizer`.

    Two consecutive spaces give an empty word; empty words at the end are dropped.
    """
    tokens = _SPACE.split(text.lower())
    if len(tokens) > 1:
        while tokens and not tokens[-1]:
            tokens.pop()
    return tokens


def characters(text: str) -> list[str]:
    """Lower-case characters and pairs of adjacent ones, without white space; for languages without word separators."""
    chunks = text.lower().split()
    return [character for chunk in chunks for character in chunk] + [
        first + second for chunk in chunks for first, second in pairwise(chunk)
    ]


TOKENIZERS: dict[str, Tokenize] = {"words": words, "characters": characters}


def sentencepiece(path: str) -> Tokenize:
    """A tokenizer that uses a sentencepiece model.

    Args:
        path: the model file (`*.model`).
    """
    library = imports.load("sentencepiece", extra="evaluate")
    pieces: Tokenize = library.SentencePieceProcessor(model_file=path).encode_as_pieces
    return pieces
