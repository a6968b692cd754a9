"""Rows of conversations, prompts and preferences as trl reads them, and the template that makes text of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.io import parse, read_rows
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.io.lines import numbered_lines
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.errors import JobError, Where

CHATML = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' }}"
    "{%- if message['role'] == 'assistant' %}"
    "{%- generation %}{{- message['content'] + eos_token }}{%- endgeneration %}"
    "{%- else %}{{- message['content'] + '<|im_end|>' }}{%- endif %}"
    "{{- '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
"""For tokenizers that have none: ChatML, but that an answer ends with the tokenizer's own end-of-text token, at which
generation stops. Tells which tokens are the assistant's."""

CONVERSATION = ("messages", "prompt", "completion", "chosen", "rejected")
"""The fields that trl reads a conversation from."""

Fields = Callable[[dict[str, Any]], dict[str, Any]]


def load_tokenizer(model: str, template: str | None) -> Any:
    """A model's tokenizer, with a chat template and a padding token in any case.

    Args:
        model: folder or hub id.
        template: a file with a Jinja template, instead of the tokenizer's own.
    """
    tokenizer = torch_env.load_tokenizer(model)
    if template:
        tokenizer.chat_template = Path(template).read_text(encoding="utf-8")
    elif not tokenizer.chat_template:
        tokenizer.chat_template = CHATML
    if tokenizer.eos_token_id is None:
        tokenizer.eos_token = tokenizer.bos_token
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def check_rows(path: str, fields: Fields, check: Callable[[dict[str, Any]], None]) -> None:
    """Find the first row that cannot be trained on.

    All rows must have the same form: the same of the fields `messages`, `prompt`, ..., each a text in all rows or a
    list of messages in all rows.

    Args:
        path: the data set.
        fields: what is used of a row; raises ValueError with the reason where the row does not have it.
        check: looks at these fields more closely; raises ValueError with the reason too.

    Raises:
        JobError: a row is unfit, with its file and its number there; or there is no row.
    """
    first: tuple[dict[str, str], Where] | None = None
    for file in data_files(path):
        for number, line in numbered_lines(file):
            where, hint = Where(str(file), number), None
            try:
                row = parse(line)
                hint = f"the row's fields: {', '.join(row) or 'none'}"
                chosen = fields(row)
                form = _form(chosen)
                first = first or (form, where)
                if form != first[0]:
                    raise ValueError(f"this row has {_words(form)}, the row at {first[1]} has {_words(first[0])}")
                check(chosen)
            except ValueError as fault:
                raise JobError(str(fault), where=where, hint=hint) from fault
    if first is None:
        raise JobError(f"{path} has no rows")


def dataset(path: str, fields: Fields, folder: Path) -> Any:
    """The rows of a data set, which `check_rows` has passed, as a `datasets.Dataset` on disk.

    Args:
        path: the data set.
        fields: what is used of a row.
        folder: where its Arrow files go.

    Raises:
        JobError: the rows do not make one table.
    """
    library = imports.load("datasets", extra=torch_env.EXTRA)
    library.disable_progress_bars()

    def rows() -> Iterator[dict[str, Any]]:
        for row in read_rows(path):
            yield fields(row)

    try:
        # its fingerprint is of the content here, not of the function, which cannot be told apart
        table = library.Dataset.from_generator(rows, cache_dir=str(folder), fingerprint=folder.name)
    except library.exceptions.DatasetGenerationError as fault:
        raise JobError(f"{path} cannot be read as a table: {fault.__cause__ or fault}") from fault
    return table


def text_or_messages(row: Mapping[str, Any], key: str) -> Any:
    """A row's text, or its messages with a role and a content each.

    Raises:
        ValueError: it has neither; says why.
    """
    if key not in row:
        raise ValueError(f"{key!r} is missing; a text or a list of messages (role, content) is expected")
    value = row[key]
    if isinstance(value, str):
        return _text(value, repr(key))
    if isinstance(value, list):
        return _messages(value, key)
    raise ValueError(f"{key!r} is {_kind(value)}; a text or a list of messages (role, content) is expected")


def messages(row: Mapping[str, Any], key: str) -> list[dict[str, str]]:
    """A row's messages with a role and a content each.

    Raises:
        ValueError: it has none; says why.
    """
    value = row.get(key)
    if not isinstance(value, list):
        what = _kind(value) if key in row else "missing"
        raise ValueError(f"{key!r} is {what}; a list of messages (role, content) is expected")
    return _messages(value, key)


def same_form(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are.

    Raises:
        ValueError: some are texts and some are messages.
    """
    form = _form(fields)
    if len(set(form.values())) > 1:
        raise ValueError(f"this row has {_words(form)}; texts alone or messages alone are expected")
    return dict(fields)


def check_template(tokenizer: Any, fields: Mapping[str, Any]) -> None:
    """Find out whether the chat template takes the conversations of a row.

    Args:
        tokenizer: the model's, with its template.
        fields: of the row; see `CONVERSATION`.

    Raises:
        ValueError: it does not; says why.
    """
    for conversation in _conversations(fields):
        try:
            tokenizer.apply_chat_template(conversation, tokenize=False)
        except Exception as fault:  # a template is a program: it raises errors of many kinds
            roles = ", ".join(message["role"] for message in conversation)
            raise ValueError(f"the chat template refuses messages of the roles {roles}: {fault}") from fault


def texts(fields: Mapping[str, Any], tokenizer: Any) -> Iterator[str]:
    """What a model reads of a row: its conversations in the words of the template, or its texts one after the other.

    Args:
        fields: of the row; see `CONVERSATION`.
        tokenizer: the model's, with its template.
    """
    for conversation in _conversations(fields):
        yield tokenizer.apply_chat_template(conversation, tokenize=False)
    plain = [fields[name] for name in CONVERSATION if isinstance(fields.get(name), str)]
    if plain:
        yield "".join(plain)


def _conversations(fields: Mapping[str, Any]) -> Iterator[list[dict[str, str]]]:
    given = {name: fields[name] for name in CONVERSATION if isinstance(fields.get(name), list)}
    start = given.pop("prompt", [])
    if start:
        yield start
    for more in given.values():
        yield start + more


def _messages(value: list[Any], key: str) -> list[dict[str, str]]:
    if not value:
        raise ValueError(f"{key!r} is an empty list; one message (role, content) or more is expected")
    for number, message in enumerate(value):
        if not isinstance(message, dict):
            raise ValueError(f"{key}[{number}] is {_kind(message)}; a message (role, content) is expected")
        for part in ("role", "content"):
            place = f"{key}[{number}].{part}"
            if part not in message:
                raise ValueError(f"{place} is missing; a text is expected")
            if not isinstance(message[part], str):
                raise ValueError(f"{place} is {_kind(message[part])}; a text is expected")
            _text(message[part], place)
    return [{"role": message["role"], "content": message["content"]} for message in value]


def _text(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{place} has half of a surrogate pair; text that UTF-8 can hold is expected") from None
    return value


def _form(fields: Mapping[str, Any]) -> dict[str, str]:
    """For each field of a conversation that is there, what it is."""
    return {name: "text" if isinstance(fields[name], str) else "messages" for name in CONVERSATION if name in fields}


def _words(form: Mapping[str, str]) -> str:
    return ", ".join(f"{name} as {what}" for name, what in form.items())


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")
