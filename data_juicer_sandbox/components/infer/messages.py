"""The two functions that a config chooses: one builds the prompt of a row, one parses the model's output.

Messages have the form of OpenAI's chat API: mappings with `role` and `content`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypedDict

from data_juicer_sandbox.components.helpers import arguments, find_helper
from data_juicer_sandbox.components.io.parse import MISSING, get_nested
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import ConfigValues, JsonValue

Row = Mapping[str, JsonValue]

MATH_PROMPT = "Solve the problem step by step. OnResult the final answer, and nothing else, in \\boxed{}."


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
    r"""Build messages from a row: the system prompt, earlier turns, the query. Messages in the row are kept.

    Args:
        row: a row of the data set.
        query_key: the field of the query.
        template: builds the query from several fields: `{name}` is replaced by the field of that name, dots access
            nested fields; `{{` and `}}` are braces. Example: "{question}\n{prompt}".
        system_prompt: the first message, unless the row has a system prompt.
        system_key: the field of the row's system prompt.
        history_key: the field of earlier turns, pairs of query and answer.
        messages_key: the field of complete messages.

    Raises:
        JobError: the row has neither a query nor messages, or lacks a field of the template.
    """
    if row.get(messages_key):
        existing = [Message(role=str(message["role"]), content=message["content"]) for message in row[messages_key]]
        complete = not system_prompt or existing[0]["role"] == "system"
        return existing if complete else [Message(role="system", content=str(system_prompt)), *existing]
    system = row.get(system_key) or system_prompt
    messages = [Message(role="system", content=str(system))] if system else []
    for question, answer in row.get(history_key) or []:
        messages += [Message(role="user", content=str(question)), Message(role="assistant", content=str(answer))]
    query = _field(row, query_key) if template is None else _fill(template, row)
    return [*messages, Message(role="user", content=query)]


def build_messages_for_math_qa(
    row: Row, *, question_key: str = "question", system_prompt: str = MATH_PROMPT
) -> list[Message]:
    r"""Build messages that request the solution of a mathematical problem, with the answer in `\boxed{}`.

    Args:
        row: a row of the data set.
        question_key: the field of the problem.
        system_prompt: instructions for the answer.

    Raises:
        JobError: the row has no problem.
    """
    return [Message(role="system", content=system_prompt), Message(role="user", content=_field(row, question_key))]


def parse_output(output: str, *, pattern: str | None = None, strip: bool = True) -> str | None:
    r"""Extract the answer from the output of a model.

    Args:
        output: the model's text.
        pattern: a regular expression; the answer is its last match, or the first group of the match if it has groups.
            `\\boxed\{(.*?)\}` matches the format that `build_messages_for_math_qa` requests.
        strip: remove leading and trailing white space.

    Returns:
        The answer, or None if the pattern does not match.
    """
    if pattern is not None:
        matches = list(re.finditer(pattern, output, re.DOTALL))
        if not matches:
            return None
        output = matches[-1].group(1 if matches[-1].re.groups else 0) or ""
    return output.strip() if strip else output


_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


def _fill(template: str, row: Row) -> str:
    """Fill a template with a row's fields. Unlike in `str.format`, braces hold only the name of a field."""
    return _PLACEHOLDER.sub(lambda match: _field(row, match[1]) if match[1] else match[0][0], template)


def _field(row: Row, key: str) -> str:
    value = row.get(key)
    if value is None:
        value = get_nested(row, key.split("."))
    if value is None or value is MISSING:
        raise JobError(f"a row has no {key!r}", hint=f"its fields: {', '.join(row)}")
    return str(value)


BUILD, PARSE = "build_messages_func", "parse_output_func"


def bind(
    build: str, parse: str, func_kwargs: Mapping[str, JsonValue] | None
) -> tuple[Callable[..., object], Callable[..., object]]:
    """Load both functions and bind their keyword arguments.

    Args:
        build: name or dotted path of the function that builds a prompt from a row.
        parse: name or dotted path of the function that parses a model's text.
        func_kwargs: arguments of both. Those under the key `build_messages_func` or `parse_output_func` (mappings) are
            for that function; any other is passed to each function with a parameter of that name, else to each with
            `**kwargs`.

    Raises:
        ConfigError: a function does not exist, or neither function accepts an argument.
    """
    names = {BUILD: build, PARSE: parse}
    shared_kwargs = dict(func_kwargs or {})
    function_kwargs = {which: _function_kwargs(which, shared_kwargs.pop(which, None)) for which in names}
    accepted = {which: arguments(find_helper(name)) for which, name in names.items()}
    for key, value in shared_kwargs.items():
        receivers = [which for which, (keys, _) in accepted.items() if key in keys]
        receivers = receivers or [which for which, (_, open_ended) in accepted.items() if open_ended]
        if not receivers:
            argument_names = {name for keys, _ in accepted.values() for name in keys}
            message = f"neither {build} nor {parse} takes {key!r}"
            raise ConfigError(message, hint=suggest(str(key), argument_names, what="they take"))
        for which in receivers:
            function_kwargs[which].setdefault(key, value)
    return find_helper(build, function_kwargs[BUILD]), find_helper(parse, function_kwargs[PARSE])


def _function_kwargs(which: str, value: object) -> ConfigValues:
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f"func_kwargs.{which} must be a mapping of arguments, not {shown(value)}")
    return dict(value or {})
