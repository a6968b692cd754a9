"""A prompt as messages or as a text, whichever a model wants."""

from __future__ import annotations

from typing import Any

from data_juicer_sandbox.components.infer.messages import Message
from data_juicer_sandbox.secrets import shown

Prompt = str | list[Message]
"""Messages of a chat, or a plain text."""


def checked(built: Any) -> Prompt:
    """What a `build_messages_func` gave, if it is a prompt.

    Raises:
        TypeError: it is not; says what it is.
    """
    if isinstance(built, str):
        return built
    if not isinstance(built, list) or not built:
        raise TypeError(f"messages are a list of role and content, or a text, not {shown(built, 80)}")
    for one in built:
        if not isinstance(one, dict) or "role" not in one or "content" not in one:
            raise TypeError(f"a message has a role and a content: {shown(one, 80)}")
    return built


def as_messages(prompt: Prompt) -> list[Message]:
    """Messages of a chat; a plain text is what the user says."""
    return [Message(role="user", content=prompt)] if isinstance(prompt, str) else prompt


def as_text(prompt: Prompt) -> str:
    """A plain text to go on from; the contents of several messages stand in paragraphs of their own."""
    return prompt if isinstance(prompt, str) else "\n\n".join(str(one["content"]) for one in prompt)
