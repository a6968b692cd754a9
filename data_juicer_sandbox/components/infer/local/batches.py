"""Batched inference: requests of similar length are batched within a window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from data_juicer_sandbox.components.infer.base.types import Completion, Failure, OnResult, Request

WINDOW = 32
"""Number of batches whose prompts are sorted by length together."""


@dataclass(frozen=True)
class GeneratedText:
    """The output of a model for one prompt.

    Args:
        text: the generated text.
        tokens: number of generated tokens.
        complete: whether the model ended the text, not the maximum number of tokens.
    """

    text: str
    tokens: int
    complete: bool = True


@dataclass
class PendingRequest:
    """A request whose samples are not complete yet.

    Args:
        request: the request.
        tokens: tokens of its prompt.
        samples: finished samples by number.
    """

    request: Request
    tokens: list[int]
    samples: dict[int, GeneratedText] = field(default_factory=dict)


BatchItem = tuple[PendingRequest, int]
"""One sample of one request: a line of a batch."""


def infer_in_batches(
    requests: Iterator[Request],
    on_result: OnResult,
    encode: Callable[[Request], list[int] | Failure],
    generate: Callable[[list[BatchItem]], list[GeneratedText]],
    samples: int,
    size: int,
) -> None:
    """Complete all requests, those with the longest prompts of a window first, so that padding is small and a lack of
    memory shows at the start.

    Args:
        requests: the requests; they are read one window at a time.
        on_result: receives the results.
        encode: converts a request to tokens, or returns a failure.
        generate: completes a batch.
        samples: number of samples per request.
        size: batch size.
    """
    while window := list(islice(requests, max(1, WINDOW * size // samples))):
        pending = []
        for request in window:
            tokens = encode(request)
            if isinstance(tokens, Failure):
                on_result(request, tokens)
            else:
                pending.append(PendingRequest(request, tokens))
        pending.sort(key=lambda request_state: -len(request_state.tokens))
        pieces = [(request_state, sample) for request_state in pending for sample in range(samples)]
        for start in range(0, len(pieces), size):
            batch = pieces[start : start + size]
            for (request_state, number), generated in zip(batch, generate(batch), strict=True):
                request_state.samples[number] = generated
                if len(request_state.samples) == samples:
                    on_result(request_state.request, _completion(request_state))


def _completion(request_state: PendingRequest) -> Completion:
    generated = [sample for _, sample in sorted(request_state.samples.items())]
    tokens = sum(sample.tokens for sample in generated)
    incomplete = [None if sample.complete else "length" for sample in generated]
    texts = [sample.text for sample in generated]
    return Completion(texts, len(request_state.tokens), tokens, incomplete if any(incomplete) else None)
