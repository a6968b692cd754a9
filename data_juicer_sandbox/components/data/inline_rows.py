"""A data set from rows in the config."""

from __future__ import annotations

from data_juicer_sandbox.components.base import Component, JobRun, OutputFile
from data_juicer_sandbox.components.io import write_rows
from data_juicer_sandbox.components.io.parse import to_json
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import JsonValue, Row


class InlineRows(Component):
    """Write rows that the config contains as a data set.

    This is for small data that belongs to the experiment, such as seed prompts, or questions with their answers.

    Args:
        rows: the rows: mappings, or plain values if `key` is set.
        export_path: the data set, a `.jsonl` file.
        key: the field that plain values are stored in.
    """

    outputs = ("path",)
    metrics = metric_keys("rows")
    numbers = number_keys(path=())

    def __init__(self, rows: list[JsonValue], export_path: OutputFile, key: str | None = None):
        if not export_path.endswith(".jsonl"):
            raise ConfigError(f"export_path {export_path!r} is not a .jsonl file")
        if not rows:
            raise ConfigError("rows is empty")
        self.export_path = export_path
        self.rows = [_row(value, key, index) for index, value in enumerate(rows)]

    def run(self, job: JobRun) -> str:
        """Returns the path of the data set."""
        write_rows(self.export_path, self.rows)
        job.watcher.watch({"rows": len(self.rows)})
        return self.export_path


def _row(value: object, key: str | None, index: int) -> Row:
    try:
        to_json(value)
    except (TypeError, ValueError) as error:
        hint = "a date is written in quotes" if "date" in str(error) else None
        raise ConfigError(f"rows.{index} cannot be written as JSON: {error}", hint=hint) from error
    if key is not None:
        return {key: value}
    if not isinstance(value, dict):
        raise ConfigError(
            f"rows.{index} is {shown(value)}, not a mapping", hint="set key, the field to store plain values in"
        )
    return value
