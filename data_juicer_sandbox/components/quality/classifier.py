"""A linear classifier over hashed word counts: tokenizers, feature extraction and scoring."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from data_juicer_sandbox import imports
from data_juicer_sandbox.types import LibraryObject

if TYPE_CHECKING:
    import numpy as np

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


EXTRA = "evaluate"
BATCH = 500
SEED = 42
"""Seed of the hash, the same as Spark's."""
CACHE_SIZE = 500_000
"""Maximum number of words whose index is cached."""


@dataclass
class Hashing:
    """Converts texts to vectors of word counts, with the hash of a word as its index.

    The index of a word is its MurmurHash3 (x86, 32 bits, of its UTF-8 bytes, signed) modulo the number of features, as
    in Spark ML's `HashingTF`, so that both compute the same features. Words may share an index.

    Source: Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning" (without its signs).

    Args:
        tokenize: splits a text into words.
        n_features: number of features.
        normalize: scale each text's counts to length 1, so that long and short texts have the same weight.
        binary: count every word once.
    """

    tokenize: Tokenize
    n_features: int
    normalize: bool
    binary: bool = False
    _indices: dict[str, int] = field(default_factory=dict, repr=False)

    def __call__(self, texts: Sequence[str]) -> LibraryObject:
        """The word counts as a sparse matrix (scipy CSR, float64) of shape (texts, n_features)."""
        import numpy

        sparse = imports.load("scipy.sparse", extra=EXTRA)
        ends: list[int] = [0]
        indices: list[int] = []
        values: list[int] = []
        for text in texts:
            counts: Counter[int] = Counter(map(self._index, self.tokenize(text)))
            indices.extend(counts)
            values.extend(counts.values())
            ends.append(len(indices))
        data = numpy.ones(len(values)) if self.binary else numpy.array(values, numpy.float64)
        shape = (len(texts), self.n_features)
        matrix = sparse.csr_matrix((data, numpy.array(indices, numpy.int32), numpy.array(ends, numpy.int64)), shape)
        if self.normalize and data.size:
            lengths = numpy.sqrt(numpy.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
            matrix.data /= numpy.repeat(numpy.where(lengths > 0, lengths, 1), numpy.diff(matrix.indptr))
        return matrix

    def _index(self, word: str) -> int:
        index = self._indices.get(word)
        if index is None:
            if len(self._indices) >= CACHE_SIZE:
                self._indices.clear()
            hashed = _murmur()(word.encode("utf-8", "surrogatepass"), SEED)
            index = self._indices[word] = hashed % self.n_features
        return index


@dataclass(frozen=True)
class LinearClassifier:
    """Logistic regression over hashed counts.

    Args:
        hashing: computes the features.
        weights: weights of the features, shape (n_features,).
        intercept: the intercept.
    """

    hashing: Hashing
    weights: np.ndarray
    intercept: float

    def score(self, texts: Iterable[str]) -> Iterator[float]:
        """The probability that each text is good, in order; texts are processed in batches."""
        texts = iter(texts)
        while batch := list(islice(texts, BATCH)):
            yield from self.scores(self.hashing(batch)).tolist()

    def scores(self, features: LibraryObject) -> np.ndarray:
        """The scores of texts from their features: shape (texts,)."""
        import numpy

        sums = features @ self.weights + self.intercept
        exponential = numpy.exp(-numpy.abs(sums))  # cannot overflow
        return numpy.where(sums >= 0, 1, exponential) / (1 + exponential)


def _murmur() -> Callable[[bytes, int], int]:
    return imports.load("sklearn.utils", extra=EXTRA).murmurhash3_32
