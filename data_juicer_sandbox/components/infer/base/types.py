"""What passes between the rows and a model: questions one way, answers or failures the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from data_juicer_sandbox.components.infer.base.prompts import Prompt


@dataclass(frozen=True)
class Request:
    """What a model is asked about one row.

    Args:
        number: the row's place in its data set, from 0.
        prompt: messages of a chat, or a plain text.
    """

    number: int
    prompt: Prompt


@dataclass(frozen=True)
class Completion:
    """What a model wrote.

    Args:
        texts: its texts as they are; as many as samples were asked for (`n`).
        prompt_tokens: tokens read, where that is known.
        completion_tokens: tokens written, in all texts together.
    """

    texts: list[str]
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class Failure:
    """Why there is no answer. It marks the row; the others go on.

    Args:
        kind: one word, such as `timeout` or `http_500`.
        message: a sentence. Secrets in it are masked before it is written.
        prompt_tokens: tokens read all the same, where they cost something.
        completion_tokens: tokens written all the same.
    """

    kind: str
    message: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


Put = Callable[[Request, Completion | Failure], None]
"""Takes the answer to a question; answers may come in any order. To be called from the thread that `run` is in."""
