"""Helpers for language models: a row made into messages, an answer read.

Messages have the form of OpenAI's chat interface: mappings of `role` and `content`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypedDict

from data_juicer_sandbox.components.io.get_nested import MISSING, get_nested
from data_juicer_sandbox.errors import JobError

Row = Mapping[str, Any]

MATH_PROMPT = "Solve the problem step by step. Put the final answer, and nothing else, in \\boxed{}."


class Message(TypedDict):
    """One message of a chat."""

    role: str
    content: str


def build_messages(
    row: Row,
    *,
    query_key: str = "query",
    template: str | None = None,
    system_prompt: str | None = None,
    system_key: str = "system",
    history_key: str = "history",
    messages_key: str = "messages",
) -> list[Message]:
    r"""Messages of a row: the system prompt, earlier turns, the question. A row that has messages already keeps them.

    Args:
        row: a row of the data set.
        query_key: the field of the question.
        template: the question made of several fields instead: `{name}` stands for the field of that name, dots go
            deeper; `{{` and `}}` are braces. Such as "{question}\n{prompt}".
        system_prompt: put first, unless the row has one of its own.
        system_key: the field of the row's own system prompt.
        history_key: the field of earlier turns, pairs of question and answer.
        messages_key: the field of ready messages.

    Raises:
        JobError: the row has neither a question nor messages, or lacks a field of the template.
    """
    if row.get(messages_key):
        ready = [Message(role=str(one["role"]), content=one["content"]) for one in row[messages_key]]
        starts = not system_prompt or ready[0]["role"] == "system"
        return ready if starts else [Message(role="system", content=str(system_prompt)), *ready]
    system = row.get(system_key) or system_prompt
    messages = [Message(role="system", content=str(system))] if system else []
    for question, answer in row.get(history_key) or []:
        messages += [Message(role="user", content=str(question)), Message(role="assistant", content=str(answer))]
    asked = _field(row, query_key) if template is None else _filled(template, row)
    return [*messages, Message(role="user", content=asked)]


def build_messages_for_math_qa(
    row: Row, *, question_key: str = "question", system_prompt: str = MATH_PROMPT
) -> list[Message]:
    r"""Messages that ask for the solution of a mathematical problem, the answer in `\boxed{}`.

    Args:
        row: a row of the data set.
        question_key: the field of the problem.
        system_prompt: how to answer.

    Raises:
        JobError: the row has no problem.
    """
    return [Message(role="system", content=system_prompt), Message(role="user", content=_field(row, question_key))]


def parse_output(output: str, *, pattern: str | None = None, strip: bool = True) -> str | None:
    r"""The answer out of what a model wrote.

    Args:
        output: the model's text.
        pattern: a regular expression; the answer is its last match, or the first group of that if it has groups.
            `\\boxed\{(.*?)\}` finds what `build_messages_for_math_qa` asks for.
        strip: take away outer blanks.

    Returns:
        The answer, or None where the pattern is not found.
    """
    if pattern is not None:
        found = list(re.finditer(pattern, output, re.DOTALL))
        if not found:
            return None
        output = found[-1].group(1 if found[-1].re.groups else 0) or ""
    return output.strip() if strip else output


_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


def _filled(template: str, row: Row) -> str:
    """A template with a row's fields. Not `str.format`: what stands in braces is a field's name and nothing else."""
    return _PLACE.sub(lambda found: _field(row, found[1]) if found[1] else found[0][0], template)


def _field(row: Row, key: str) -> str:
    value = row.get(key)
    if value is None:
        value = get_nested(row, key.split("."))
    if value is None or value is MISSING:
        raise JobError(f"a row has no {key!r}", hint=f"its fields: {', '.join(row)}")
    return str(value)
