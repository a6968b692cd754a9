"""Rows of conversations, prompts and preferences as trl reads them, and the template that makes text of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from data_juicer_sandbox import optional
from data_juicer_sandbox.components import compute
from data_juicer_sandbox.components.rows import read_rows
from data_juicer_sandbox.errors import JobError

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

Fields = Callable[[dict[str, Any]], dict[str, Any]]


def load_tokenizer(model: str, template: str | None) -> Any:
    """A model's tokenizer, with a chat template and a padding token in any case.

    Args:
        model: folder or hub id.
        template: a file with a Jinja template, instead of the tokenizer's own.
    """
    tokenizer = compute.load_tokenizer(model)
    if template:
        tokenizer.chat_template = Path(template).read_text(encoding="utf-8")
    elif not tokenizer.chat_template:
        tokenizer.chat_template = CHATML
    if tokenizer.eos_token_id is None:
        tokenizer.eos_token = tokenizer.bos_token
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def dataset(path: str, fields: Fields, folder: Path) -> Any:
    """The rows of a data set as a `datasets.Dataset` on disk.

    Args:
        path: the data set.
        fields: what is wanted of a row; raises ValueError with the reason where it does not have it.
        folder: where its Arrow files go.

    Raises:
        JobError: a row is not as it should be, or there is none.
    """
    library = optional.load("datasets", extra=compute.EXTRA)
    library.disable_progress_bars()
    error: list[JobError] = []  # here since the library wraps what is raised
    if next(iter(read_rows(path)), None) is None:
        raise JobError(f"{path} has no rows")

    def rows() -> Iterator[dict[str, Any]]:
        for number, row in enumerate(read_rows(path), 1):
            try:
                yield fields(row)
            except ValueError as fault:
                error.append(JobError(f"row {number} of {path}: {fault}", hint=f"fields there: {', '.join(row)}"))
                raise error[0] from fault

    try:
        # its fingerprint is of the content here, not of the function, which cannot be told apart
        made = library.Dataset.from_generator(rows, cache_dir=str(folder), fingerprint=folder.name)
    except library.exceptions.DatasetGenerationError as fault:
        cause = fault.__cause__ or fault
        raise (error[0] if error else JobError(f"{path} cannot be read as a table: {cause}")) from fault
    return made


def text_or_messages(row: Mapping[str, Any], key: str) -> Any:
    """A row's text, or messages with a role and a content each."""
    value = row.get(key)
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(_is_message(message) for message in value):
        return [{"role": message["role"], "content": message["content"]} for message in value]
    what = f"is {type(value).__name__}" if key in row else "is missing"
    raise ValueError(f"{key!r} {what}; a text or a list of messages (role, content) is wanted")


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("role", "content"))
