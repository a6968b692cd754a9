"""One data set's way through an inference: its rows are asked, their outcomes put down, and the file made of both."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import xxhash

from data_juicer_sandbox.components.infer.base.journal import Journal
from data_juicer_sandbox.components.infer.base.prompts import checked
from data_juicer_sandbox.components.infer.base.types import Completion, Failure, Request
from data_juicer_sandbox.components.io import parse, read_lines
from data_juicer_sandbox.components.io.append_fields import splice_json, to_json
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.io.lines import numbered_lines
from data_juicer_sandbox.components.io.parse import BadRow
from data_juicer_sandbox.errors import JobError, Where
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.secrets import shorten

_LONGEST = 500
"""Characters of a failure's message that are kept."""


@dataclass(frozen=True)
class Fields:
    """The fields that a row gets.

    Args:
        answer: the answer's; null where the row failed.
        error: that of a failure's kind and message.
        raw: that of what the model wrote, untouched; None for none.
    """

    answer: str
    error: str
    raw: str | None = None

    def fit(self, new: Mapping[str, Any], failed: bool) -> bool:
        """Whether new fields of a row are those of an answer, or of a failure."""
        expected = {self.answer} | ({self.error} if failed else set()) | (set() if self.raw is None else {self.raw})
        return new.keys() == expected


@dataclass(frozen=True)
class InferenceSettings:
    """How rows are asked and answers read.

    Args:
        build: makes a prompt of a row.
        parse: reads what the model wrote.
        fields: where the answer goes.
        samples: how many answers a row gets; several make a list.
        max_rows: rows taken from the start of a data set; None for all.
    """

    build: Callable[[dict[str, Any]], Any]
    parse: Callable[[str], Any]
    fields: Fields
    samples: int = 1
    max_rows: int | None = None


def survey(path: str, max_rows: int | None) -> tuple[int, str]:
    """How many rows will be asked, and a digest of them."""
    rows, state = 0, xxhash.xxh3_128()
    for line in islice(read_lines(path), max_rows):
        rows += 1
        state.update(line)
    return rows, str(state.hexdigest())


def outcome(asking: InferenceSettings, answer: Completion | Failure) -> tuple[bytes, Failure | None]:
    """The new fields of a row as JSON, and the failure if it is one (its secrets masked): an answer that cannot be read
    is one too.
    """
    fields = asking.fields
    raw: Any = None
    if isinstance(answer, Completion):
        raw = answer.texts[0] if asking.samples == 1 and answer.texts else answer.texts
        try:
            if len(answer.texts) != asking.samples:
                raise ValueError(f"{len(answer.texts)} samples came, {asking.samples} were asked for")
            read = [asking.parse(text) for text in answer.texts]
            made: dict[str, Any] = {fields.answer: read[0] if asking.samples == 1 else read}
            return to_json(made if fields.raw is None else {**made, fields.raw: raw}), None
        except Exception as error:
            # the function is the user's: whatever goes wrong in it is told, in the row
            message = f"{type(error).__name__}: {error}"
            failure = Failure("parse", shorten(message, _LONGEST))
    else:
        failure = Failure(answer.kind, shorten(answer.message, _LONGEST))
    made = {fields.answer: None, fields.error: {"kind": failure.kind, "message": failure.message}}
    return to_json(made if fields.raw is None else {**made, fields.raw: raw}), failure


def questions(
    path: str, asking: InferenceSettings, journal: Journal, put: Callable[[Request, Failure], None]
) -> Generator[Request, None, None]:
    """A question for every row without an outcome. Rows of which none can be made are failures at once.

    Raises:
        JobError: a line is no row, or has the answer's field already.
    """
    for number, (file, place, line) in enumerate(islice(_places(path), asking.max_rows)):
        if journal.has(number):
            continue
        try:
            row = parse(line)
        except BadRow as error:
            raise JobError(str(error), where=Where(str(file), place)) from error
        for key in (asking.fields.answer, asking.fields.raw):
            if key in row:
                raise JobError(
                    f"a row has a field {key!r} already", where=Where(str(file), place), hint="another infer_res_key"
                )
        try:
            prompt = checked(asking.build(row))
        except Exception as error:  # the user's function again, and rows of all kinds
            message = str(error) if isinstance(error, JobError) else f"{type(error).__name__}: {error}"
            put(Request(number, ""), Failure("row", message))
        else:
            yield Request(number, prompt)


def assemble(path: str, target: Path, asking: InferenceSettings, journal: Journal) -> None:
    """Write the rows, each with its new fields, whole or not at all."""
    error_key = asking.fields.error
    quoted = to_json(error_key)
    with replacing(target) as part, part.open("wb") as stream:
        for number, line in enumerate(islice(read_lines(path), asking.max_rows)):
            fields = journal.fields(number)
            if quoted in line and error_key in parse(line) and error_key in parse(fields):
                # it failed in an inference before, too: the old mark gives way, and the line is written anew
                line = to_json({key: value for key, value in parse(line).items() if key != error_key}) + b"\n"
            stream.write(splice_json(line, fields))


def _places(path: str) -> Iterator[tuple[Path, int, bytes]]:
    for file in data_files(path):
        for number, line in numbered_lines(file):
            yield file, number, line
