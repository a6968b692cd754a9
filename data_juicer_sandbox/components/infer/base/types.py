"""Types of the interface between rows and a model: requests, completions and failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from data_juicer_sandbox.components.infer.base.prompts import Prompt


@dataclass(frozen=True)
class Request:
    """The request for one row.

    Args:
        number: index of the row in its data set, from 0.
        prompt: messages of a chat, or a plain text.
    """

    number: int
    prompt: Prompt


@dataclass(frozen=True)
class Completion:
    """The output of a model for one request.

    Args:
        texts: the generated texts, one per sample (`n`).
        prompt_tokens: number of prompt tokens, if known.
        completion_tokens: number of generated tokens of all texts together.
    """

    texts: list[str]
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class Failure:
    """The failure of one request. It is recorded in the row; the job continues.

    Args:
        category: one word, such as `timeout` or `http_500`.
        message: the error message. Secrets in it are masked before it is written.
        prompt_tokens: prompt tokens that were charged nevertheless.
        completion_tokens: completion tokens that were charged nevertheless.
    """

    category: str
    message: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


OnResult = Callable[[Request, Completion | Failure], None]
"""Callback for the result of a request; results may come in any order. Call it from the thread that runs `run`."""
