"""Types of the interface between rows and a model: prompts, requests, completions and failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from data_juicer_sandbox.components.infer.messages import Message
from data_juicer_sandbox.secrets import shown

Prompt = str | list[Message]
"""Chat messages, or plain text."""


def check_prompt(built: object) -> Prompt:
    """Check that the result of a `build_messages_func` is a prompt, and return it.

    Raises:
        TypeError: it is not a prompt.
        ValueError: UTF-8 cannot encode it.
    """
    if isinstance(built, str):
        _check_encodable(built)
        return built
    if not isinstance(built, list) or not built:
        raise TypeError(f"messages are a list of role and content, or a text, not {shown(built, 80)}")
    for message in built:
        if not isinstance(message, dict) or "role" not in message or "content" not in message:
            raise TypeError(f"a message has a role and a content: {shown(message, 80)}")
        _check_encodable(message["content"])
    return built


def _check_encodable(text: object) -> None:
    if isinstance(text, str) and not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("the prompt has half of a surrogate pair, which UTF-8 cannot encode") from None


def as_messages(prompt: Prompt) -> list[Message]:
    """The prompt as chat messages; a plain text becomes a user message."""
    return [Message(role="user", content=prompt)] if isinstance(prompt, str) else prompt


def as_text(prompt: Prompt) -> str:
    """The prompt as plain text; the contents of several messages are joined as paragraphs."""
    return prompt if isinstance(prompt, str) else "\n\n".join(str(message["content"]) for message in prompt)


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
        incomplete: for each text why it is not complete, such as `length`, or None; None if all are complete.
    """

    texts: list[str]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    incomplete: list[str | None] | None = None


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
