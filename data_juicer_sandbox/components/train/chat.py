"""Rows of conversations, prompts and preferences in trl's format, and the chat template that renders them as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.io import parse
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.io.stream import numbered_lines
from data_juicer_sandbox.components.lm import loading, torch_env
from data_juicer_sandbox.errors import JobError, Where
from data_juicer_sandbox.types import JsonValue, LibraryObject, Row

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
"""Default chat template: ChatML, except that assistant messages end with the tokenizer's end-of-text token, at which
generation stops. It marks the assistant's tokens."""

CONVERSATION = ("messages", "prompt", "completion", "chosen", "rejected")
"""The fields from which trl reads conversations."""

Fields = Callable[[Row], Row]


def load_tokenizer(model: str, template: str | None) -> LibraryObject:
    """Load a model's tokenizer; a missing chat template or padding token is set.

    Args:
        model: folder or hub id.
        template: a file with a Jinja template that replaces the tokenizer's template.
    """
    tokenizer = loading.load_tokenizer(model)
    if template:
        tokenizer.chat_template = Path(template).read_text(encoding="utf-8")
    elif not tokenizer.chat_template:
        tokenizer.chat_template = CHATML
    if tokenizer.eos_token_id is None:
        tokenizer.eos_token = tokenizer.bos_token
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def check_rows(path: str, fields: Fields, check: Callable[[Row], None], allowance: Allowance) -> int:
    """Check that all rows of a data set can be trained on; arguments are those of `valid_rows`.

    Returns:
        The number of rows.

    Raises:
        JobError: a row is invalid (the error has its file and line), or the data set has no rows.
    """
    count = sum(1 for _ in valid_rows(path, fields, check, allowance))
    if not count:
        raise JobError(f"{path} has no rows")
    return count


def valid_rows(path: str, fields: Fields, check: Callable[[Row], None], allowance: Allowance) -> Iterator[Row]:
    """Yield the selected fields of the rows of a data set that can be trained on.

    All rows must have the same form: the same fields of `messages`, `prompt`, ..., each a text in all rows or a list of
    messages in all rows.

    Args:
        path: the data set.
        fields: selects the fields of a row; raises ValueError if one is missing or invalid.
        check: checks these fields further; raises ValueError if one is invalid.
        allowance: the invalid rows that are skipped.

    Raises:
        JobError: a row is invalid and not tolerated; the error has its file and line.
    """
    first: tuple[dict[str, str], Where] | None = None
    for file in data_files(path):
        for number, line in numbered_lines(file, allowance):
            hint = None
            try:
                row = parse(line)
                hint = f"the row's fields: {', '.join(row) or 'none'}"
                selected = fields(row)
                form = _form(selected)
                if first is not None and form != first[0]:
                    expected, location = first
                    raise ValueError(
                        f"this row has {_form_text(form)}, the row at {location} has {_form_text(expected)}"
                    )
                check(selected)
            except ValueError as fault:
                allowance.skip(file, number, fault, hint)
            else:
                first = first or (form, Where(str(file), number))
                yield selected


def dataset(rows: Callable[[], Iterator[Row]], path: str, folder: Path) -> LibraryObject:
    """Write rows to disk as a `datasets.Dataset`.

    Args:
        rows: begins to read the selected fields of valid rows.
        path: their data set, for errors.
        folder: folder for the Arrow files.

    Raises:
        JobError: the rows cannot be read as one table.
    """
    library = imports.load("datasets", extra=torch_env.EXTRA)
    library.disable_progress_bars()
    try:
        # set the fingerprint: datasets would hash the function, which is the same for different data
        table = library.Dataset.from_generator(rows, cache_dir=str(folder), fingerprint=folder.name)
    except library.exceptions.DatasetGenerationError as fault:
        raise JobError(f"{path} cannot be read as a table: {fault.__cause__ or fault}") from fault
    return table


def text_or_messages(row: Mapping[str, JsonValue], key: str) -> JsonValue:
    """The text or the list of messages (role, content) in a row's field.

    Raises:
        ValueError: the field is missing or invalid.
    """
    if key not in row:
        raise ValueError(f"{key!r} is missing; a text or a list of messages (role, content) is expected")
    value = row[key]
    if isinstance(value, str):
        return _text(value, repr(key))
    if isinstance(value, list):
        return _messages(value, key)
    raise ValueError(f"{key!r} is {_type_name(value)}; a text or a list of messages (role, content) is expected")


def messages(row: Mapping[str, JsonValue], key: str) -> list[dict[str, str]]:
    """The messages (role, content) in a row's field.

    Raises:
        ValueError: the field is missing or invalid.
    """
    value = row.get(key)
    if not isinstance(value, list):
        actual = _type_name(value) if key in row else "missing"
        raise ValueError(f"{key!r} is {actual}; a list of messages (role, content) is expected")
    return _messages(value, key)


def same_form(fields: Mapping[str, JsonValue]) -> Row:
    """The fields, after checking that all are texts or all are lists of messages.

    Raises:
        ValueError: some are texts and some are messages.
    """
    form = _form(fields)
    if len(set(form.values())) > 1:
        raise ValueError(f"this row has {_form_text(form)}; only texts or only messages are expected")
    return dict(fields)


def check_template(tokenizer: LibraryObject, fields: Mapping[str, JsonValue]) -> None:
    """Check that the chat template accepts the conversations of a row.

    Args:
        tokenizer: the model's tokenizer with its chat template.
        fields: fields of the row; see `CONVERSATION`.

    Raises:
        ValueError: the template rejects a conversation.
    """
    for conversation in _conversations(fields):
        try:
            tokenizer.apply_chat_template(conversation, tokenize=False)
        except Exception as fault:  # a template may raise any exception
            roles = ", ".join(message["role"] for message in conversation)
            raise ValueError(f"the chat template rejects messages with the roles {roles}: {fault}") from fault


def texts(fields: Mapping[str, JsonValue], tokenizer: LibraryObject) -> Iterator[str]:
    """The texts that a model reads of a row: its conversations rendered by the template, or its texts concatenated.

    Args:
        fields: fields of the row; see `CONVERSATION`.
        tokenizer: the model's tokenizer with its chat template.
    """
    for conversation in _conversations(fields):
        yield tokenizer.apply_chat_template(conversation, tokenize=False)
    parts = [fields[name] for name in CONVERSATION if isinstance(fields.get(name), str)]
    if parts:
        yield "".join(parts)


def _conversations(fields: Mapping[str, JsonValue]) -> Iterator[list[dict[str, str]]]:
    message_lists = {name: fields[name] for name in CONVERSATION if isinstance(fields.get(name), list)}
    prompt = message_lists.pop("prompt", [])
    if prompt:
        yield prompt
    for answer in message_lists.values():
        yield prompt + answer


def _messages(value: list[JsonValue], key: str) -> list[dict[str, str]]:
    if not value:
        raise ValueError(f"{key!r} is an empty list; one message (role, content) or more is expected")
    for number, message in enumerate(value):
        if not isinstance(message, dict):
            raise ValueError(f"{key}[{number}] is {_type_name(message)}; a message (role, content) is expected")
        for part in ("role", "content"):
            location = f"{key}[{number}].{part}"
            if part not in message:
                raise ValueError(f"{location} is missing; a text is expected")
            if not isinstance(message[part], str):
                raise ValueError(f"{location} is {_type_name(message[part])}; a text is expected")
            _text(message[part], location)
    return [{"role": message["role"], "content": message["content"]} for message in value]


def _text(value: str, location: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{location} has half of a surrogate pair; text that UTF-8 can encode is expected") from None
    return value


def _form(fields: Mapping[str, JsonValue]) -> dict[str, str]:
    """For each field of `CONVERSATION` in a row, whether it is a text or a list of messages."""
    return {name: "text" if isinstance(fields[name], str) else "messages" for name in CONVERSATION if name in fields}


def _form_text(form: Mapping[str, str]) -> str:
    return ", ".join(f"{name} as {field_type}" for name, field_type in form.items())


def _type_name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
