"""Inference on one data set: creates requests from rows, converts results to fields, writes the output file, measures
progress, speed and cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import xxhash

from data_juicer_sandbox.components.base import Task
from data_juicer_sandbox.components.infer.base.journal import Journal
from data_juicer_sandbox.components.infer.base.types import Completion, Failure, Request, check_prompt
from data_juicer_sandbox.components.io import parse
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.edit_fields import splice_json
from data_juicer_sandbox.components.io.parse import BadRow, to_json
from data_juicer_sandbox.components.io.stream import valid_lines
from data_juicer_sandbox.errors import JobError, Where
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.secrets import shorten
from data_juicer_sandbox.types import Metrics, Row

INCOMPLETE = "infer_incomplete"
"""Field of the reason for which an answer is not complete, only in rows with such an answer."""
_MESSAGE_LENGTH = 500
"""Maximum characters of a failure's message in a row."""


@dataclass(frozen=True)
class Fields:
    """Names of the fields added to a row.

    Args:
        answer: field of the answer; null if the row failed.
        error: field of a failure's kind and message.
        raw: field of the model's output before parsing; None: not added.
    """

    answer: str
    error: str
    raw: str | None = None

    def fit(self, new: Mapping[str, object], failed: bool) -> bool:
        """Check that new fields of a row are those of an answer, or of a failure."""
        expected = {self.answer} | ({self.error} if failed else set()) | (set() if self.raw is None else {self.raw})
        return new.keys() - {INCOMPLETE} == expected and (not failed or INCOMPLETE not in new)


@dataclass(frozen=True)
class InferenceSettings:
    """How requests are created and completions parsed.

    Args:
        build: builds the prompt of a row.
        parse: parses the model's output.
        fields: fields for the answer.
        samples: answers per row; several are stored as a list.
        max_rows: number of rows from the start of a data set; None: all.
        fail_incomplete: whether an answer that is not complete is a failure.
    """

    build: Callable[[Row], object]
    parse: Callable[[str], object]
    fields: Fields
    samples: int = 1
    max_rows: int | None = None
    fail_incomplete: bool = False


def survey(path: str, max_rows: int | None, allowance: Allowance) -> tuple[int, str]:
    """The number of rows to process, without those that are skipped as bad, and a digest of their content."""
    rows, state = 0, xxhash.xxh3_128()
    for _, _, line in islice(valid_lines(path, allowance), max_rows):
        rows += 1
        state.update(line)
    return rows, str(state.hexdigest())


def result_fields(settings: InferenceSettings, answer: Completion | Failure) -> tuple[bytes, Failure | None]:
    """The new fields of a row as JSON, and the failure, if any, with its secrets masked. An answer that cannot be
    parsed is a failure too; one that is not complete is marked, or a failure if the settings say so.
    """
    fields = settings.fields
    raw: str | list[str] | None = None
    if isinstance(answer, Completion) and answer.incomplete and settings.fail_incomplete:
        reasons = ", ".join(dict.fromkeys(filter(None, answer.incomplete)))
        failure = Failure("incomplete", f"the answer is not complete: {reasons}")
    elif isinstance(answer, Completion):
        raw = answer.texts[0] if settings.samples == 1 and answer.texts else answer.texts
        try:
            if len(answer.texts) != settings.samples:
                raise ValueError(f"expected {settings.samples} samples, got {len(answer.texts)}")
            parsed = [settings.parse(text) for text in answer.texts]
            new_fields: Row = {fields.answer: parsed[0] if settings.samples == 1 else parsed}
            if answer.incomplete:
                new_fields[INCOMPLETE] = answer.incomplete[0] if settings.samples == 1 else answer.incomplete
            return to_json(new_fields if fields.raw is None else {**new_fields, fields.raw: raw}), None
        except Exception as error:
            # a user's function may raise anything; the error is stored in the row
            message = f"{type(error).__name__}: {error}"
            failure = Failure("parse", shorten(message, _MESSAGE_LENGTH))
    else:
        failure = Failure(answer.category, shorten(answer.message, _MESSAGE_LENGTH))
    new_fields = {fields.answer: None, fields.error: {"kind": failure.category, "message": failure.message}}
    return to_json(new_fields if fields.raw is None else {**new_fields, fields.raw: raw}), failure


def pending_requests(
    path: str,
    settings: InferenceSettings,
    journal: Journal,
    on_result: Callable[[Request, Failure], None],
    allowance: Allowance,
) -> Generator[Request, None, None]:
    """Yield a request for every row without a result. Rows for which no prompt can be built fail at once.

    Raises:
        JobError: a line is not a row, or already has the answer's field.
    """
    for number, (file, line_number, line) in enumerate(islice(valid_lines(path, allowance), settings.max_rows)):
        if journal.has(number):
            continue
        try:
            row = parse(line)
        except BadRow as error:
            allowance.skip(file, line_number, error)
            continue  # not reached: without tolerance it is an error, otherwise `valid_lines` skips the row
        for key in (settings.fields.answer, settings.fields.raw):
            if key in row:
                raise JobError(
                    f"the row already has a field {key!r}",
                    where=Where(str(file), line_number),
                    hint="another infer_res_key",
                )
        try:
            prompt = check_prompt(settings.build(row))
        except Exception as error:  # a user's function may raise anything
            message = str(error) if isinstance(error, JobError) else f"{type(error).__name__}: {error}"
            on_result(Request(number, ""), Failure("row", message))
        else:
            yield Request(number, prompt)


def assemble(
    path: str, target: Path, settings: InferenceSettings, journal: Journal, allowance: Allowance | None = None
) -> int:
    """Write all rows with their new fields; the file appears only when it is complete.

    Returns:
        The number of rows whose answer is not complete.
    """
    keys = {to_json(key): key for key in (settings.fields.error, INCOMPLETE)}
    incomplete = 0
    with replacing(target) as part, part.open("wb") as stream:
        for number, (_, _, line) in enumerate(islice(valid_lines(path, allowance), settings.max_rows)):
            fields = journal.fields(number)
            incomplete += INCOMPLETE.encode() in fields and INCOMPLETE in parse(fields)
            for quoted, key in keys.items():
                if quoted in line and key in parse(line) and key in parse(fields):
                    # the row has it from an earlier inference: replace it, which needs a new line
                    line = to_json({name: value for name, value in parse(line).items() if name != key}) + b"\n"
            stream.write(splice_json(line, fields))
    return incomplete


_EVERY = 0.2
"""Minimum seconds between two updates of the progress bar."""


class Throughput:
    """Measures the inference of one data set.

    Args:
        task: the progress bar.
        journal: the journal of results.
        price: price per million tokens in any currency, `input` and `output`.
    """

    def __init__(self, task: Task, journal: Journal, price: Mapping[str, float] | None):
        self._task, self._journal, self._price = task, journal, price
        self._started = time.monotonic()
        self._shown = -1.0
        self._tokens_before = journal.completion_tokens
        self._rows_shown = 0
        self.rows = 0

    def row(self) -> None:
        """Count a finished row."""
        self.rows += 1
        if time.monotonic() - self._shown >= _EVERY:
            self.show()

    def show(self) -> None:
        """Update the progress bar and its note."""
        self._task.advance(self.rows - self._rows_shown)
        self._rows_shown = self.rows
        seconds = max(time.monotonic() - self._started, 1e-9)
        tokens = self._journal.completion_tokens - self._tokens_before
        failed = f", {self._journal.failed:,} failed" if self._journal.failed else ""
        self._task.update(note=f"{self.rows / seconds:,.1f} rows/s, {tokens / seconds:,.0f} tokens/s{failed}")
        self._shown = time.monotonic()

    def metrics(self) -> Metrics:
        """Totals of the whole file, and the speed of this run."""
        journal = self._journal
        seconds = max(time.monotonic() - self._started, 1e-9)
        return {
            "rows": len(journal),
            "failed": journal.failed,
            "kept": journal.kept,
            "prompt_tokens": journal.prompt_tokens,
            "completion_tokens": journal.completion_tokens,
            "seconds": seconds,
            "rows_per_second": self.rows / seconds,
            "tokens_per_second": (journal.completion_tokens - self._tokens_before) / seconds,
            **self._cost(),
        }

    def _cost(self) -> dict[str, float]:
        if self._price is None:
            return {}
        journal, price = self._journal, self._price
        total = journal.prompt_tokens * price.get("input", 0) + journal.completion_tokens * price.get("output", 0)
        return {"cost": total / 1e6}
