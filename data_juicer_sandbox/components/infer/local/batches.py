"""Questions in batches of about the same length, within a window; answers put when all their samples are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from data_juicer_sandbox.components.infer.base import Completion, Failure, Put, Request

WINDOW = 32
"""Batches whose prompts are sorted by length together."""


@dataclass(frozen=True)
class Written:
    """What a model wrote after one prompt.

    Args:
        text: as it is.
        tokens: that it took.
    """

    text: str
    tokens: int


@dataclass
class Asked:
    """A question on its way.

    Args:
        question: the question.
        tokens: its prompt.
        written: its samples so far, by number.
    """

    question: Request
    tokens: list[int]
    written: dict[int, Written] = field(default_factory=dict)


Piece = tuple[Asked, int]
"""One sample of one question: what stands in a line of a batch."""


def answer_in_batches(
    questions: Iterator[Request],
    put: Put,
    encode: Callable[[Request], list[int] | Failure],
    write: Callable[[list[Piece]], list[Written]],
    samples: int,
    size: int,
) -> None:
    """Complete all requests, those with the longest prompts of a window first: little padding, and what does not fit
    into memory fails at the start.

    Args:
        questions: taken as needed: a window at a time.
        put: takes the answers.
        encode: makes tokens of a question, or says why there are none.
        write: answers a batch.
        samples: answers to each question.
        size: of a batch.
    """
    while window := list(islice(questions, max(1, WINDOW * size // samples))):
        asked = []
        for question in window:
            tokens = encode(question)
            if isinstance(tokens, Failure):
                put(question, tokens)
            else:
                asked.append(Asked(question, tokens))
        asked.sort(key=lambda one: -len(one.tokens))
        pieces = [(one, sample) for one in asked for sample in range(samples)]
        for start in range(0, len(pieces), size):
            batch = pieces[start : start + size]
            for (one, sample), written in zip(batch, write(batch), strict=True):
                one.written[sample] = written
                if len(one.written) == samples:
                    put(one.question, _answer(one))


def _answer(one: Asked) -> Completion:
    texts = [written.text for _, written in sorted(one.written.items())]
    return Completion(texts, len(one.tokens), sum(written.tokens for written in one.written.values()))
