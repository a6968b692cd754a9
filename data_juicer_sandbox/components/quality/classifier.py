"""A linear classifier over hashed word counts: how it sees a text, and what it says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.quality.tokens import Tokenize

EXTRA = "evaluate"
BATCH = 500
SEED = 42
"""Of the hash: the one that Spark uses."""
REMEMBERED = 500_000
"""Words whose place is kept at hand."""


@dataclass
class Hashing:
    """Texts as counts of words, each word's place given by its hash.

    A word's place is its MurmurHash3 (x86, 32 bits, of its UTF-8 bytes, signed) modulo the number of places: that of
    Spark ML's `HashingTF`, so that models of either side see the same. Words may share a place.

    Source: Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning" (without its signs).

    Args:
        tokenize: cuts a text into words.
        n_features: places.
        normalize: scale each text's counts to length 1, so that long and short texts weigh the same.
        binary: count every word once.
    """

    tokenize: Tokenize
    n_features: int
    normalize: bool
    binary: bool = False
    _places: dict[str, int] = field(default_factory=dict, repr=False)

    def __call__(self, texts: Sequence[str]) -> Any:
        """Sparse counts (scipy CSR, float64) of shape (texts, n_features)."""
        import numpy

        sparse = imports.load("scipy.sparse", extra=EXTRA)
        ends: list[int] = [0]
        indices: list[int] = []
        values: list[int] = []
        for text in texts:
            counts: Counter[int] = Counter(map(self._place, self.tokenize(text)))
            indices.extend(counts)
            values.extend(counts.values())
            ends.append(len(indices))
        found = numpy.ones(len(values)) if self.binary else numpy.array(values, numpy.float64)
        shape = (len(texts), self.n_features)
        matrix = sparse.csr_matrix((found, numpy.array(indices, numpy.int32), numpy.array(ends, numpy.int64)), shape)
        if self.normalize and found.size:
            lengths = numpy.sqrt(numpy.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
            matrix.data /= numpy.repeat(numpy.where(lengths > 0, lengths, 1), numpy.diff(matrix.indptr))
        return matrix

    def _place(self, word: str) -> int:
        place = self._places.get(word)
        if place is None:
            if len(self._places) >= REMEMBERED:
                self._places.clear()
            hashed = _murmur()(word.encode("utf-8", "surrogatepass"), SEED)
            place = self._places[word] = hashed % self.n_features
        return place


@dataclass(frozen=True)
class LinearClassifier:
    """Logistic regression over hashed counts.

    Args:
        hashing: how it sees texts.
        weights: one for each place, shape (n_features,).
        intercept: added to every text's sum.
    """

    hashing: Hashing
    weights: Any
    intercept: float

    def score(self, texts: Iterable[str]) -> Iterator[float]:
        """How likely each text is a good one, 0 to 1; in order, some hundreds at a time."""
        texts = iter(texts)
        while batch := list(islice(texts, BATCH)):
            yield from self.scores(self.hashing(batch)).tolist()

    def scores(self, features: Any) -> Any:
        """Of texts as counts: shape (texts,)."""
        import numpy

        sums = features @ self.weights + self.intercept
        small = numpy.exp(-numpy.abs(sums))  # never overflows
        return numpy.where(sums >= 0, 1, small) / (1 + small)


def _murmur() -> Any:
    return imports.load("sklearn.utils", extra=EXTRA).murmurhash3_32
