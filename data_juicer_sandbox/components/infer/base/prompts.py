"""Prompts: chat messages or plain text, and conversions between them."""

from __future__ import annotations

from typing import Any

from data_juicer_sandbox.components.infer.messages import Message
from data_juicer_sandbox.secrets import shown

Prompt = str | list[Message]
"""Chat messages, or plain text."""


def check_prompt(built: Any) -> Prompt:
    """Check that the result of a `build_messages_func` is a prompt, and return it.

    Raises:
        TypeError: it is not a prompt.
    """
    if isinstance(built, str):
        return built
    if not isinstance(built, list) or not built:
        raise TypeError(f"messages are a list of role and content, or a text, not {shown(built, 80)}")
    for message in built:
        if not isinstance(message, dict) or "role" not in message or "content" not in message:
            raise TypeError(f"a message has a role and a content: {shown(message, 80)}")
    return built


def as_messages(prompt: Prompt) -> list[Message]:
    """The prompt as chat messages; a plain text becomes a user message."""
    return [Message(role="user", content=prompt)] if isinstance(prompt, str) else prompt


def as_text(prompt: Prompt) -> str:
    """The prompt as plain text; the contents of several messages are joined as paragraphs."""
    return prompt if isinstance(prompt, str) else "\n\n".join(str(message["content"]) for message in prompt)
