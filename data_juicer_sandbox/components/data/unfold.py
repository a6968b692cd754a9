"""One row for each entry of a list field."""

from __future__ import annotations

from collections.abc import Iterator

from data_juicer_sandbox.components.base import Component, InputPath, JobRun, OutputFile
from data_juicer_sandbox.components.io import read_rows, write_rows
from data_juicer_sandbox.components.io.allowance import BAD_ROWS, Allowance
from data_juicer_sandbox.components.io.parse import MISSING, get_nested
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.number_types import NonNegativeInt
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.types import Row


class UnfoldLists(Component):
    """Make one row of each entry of a list field, such as the samples of an inference with `n` above 1.

    Entries that are null, empty or blank are skipped, and so are rows whose field is missing or null, such as failed
    requests. A plain value counts as a list with one entry. Reports `rows`, `entries`, and `left_out` (skipped entries,
    and rows without entries) to the watcher.

    Args:
        dataset_path: the rows, in any format.
        export_path: the new data set, a `.jsonl` file.
        list_key: the field with the list; dots for nested fields.
        entry_key: the field of the new rows that holds an entry.
        keep_keys: fields of the input row that the new rows keep; none by default. With dots for nested fields; the
            last part is the new field's name.
        skip_bad_rows: number of rows that may be invalid; they are named in the log and skipped.
    """

    outputs = ("path",)
    metrics = (*metric_keys("rows", "entries", "left_out"), *BAD_ROWS)
    numbers = number_keys(path=())

    def __init__(
        self,
        dataset_path: InputPath,
        export_path: OutputFile,
        list_key: str = "response",
        entry_key: str = "text",
        keep_keys: list[str] | None = None,
        skip_bad_rows: NonNegativeInt = 0,
    ):
        if not export_path.endswith(".jsonl"):
            raise ConfigError(f"export_path {export_path!r} is not a .jsonl file")
        self.dataset_path, self.export_path = dataset_path, export_path
        self.list_key, self.entry_key = list_key.split("."), entry_key
        self.keep = {key.rpartition(".")[2]: key.split(".") for key in keep_keys or []}
        if entry_key in self.keep:
            raise ConfigError(f"entry_key {entry_key!r} is among keep_keys", hint="a field cannot hold two values")
        self.skip_bad_rows = skip_bad_rows
        self._counts = {"rows": 0, "entries": 0, "left_out": 0}

    def run(self, job: JobRun) -> str:
        """Returns the path of the new data set.

        Raises:
            JobError: no row has an entry.
        """
        self._counts, allowance = dict.fromkeys(self._counts, 0), Allowance(self.skip_bad_rows)
        write_rows(self.export_path, self._unfolded(allowance))
        job.watcher.watch(self._counts)
        allowance.report(job)
        return self.export_path

    def _unfolded(self, allowance: Allowance) -> Iterator[Row]:
        counts = self._counts
        for row in read_rows(self.dataset_path, allowance):
            counts["rows"] += 1
            value = get_nested(row, self.list_key)
            entries = value if isinstance(value, list) else [value]
            kept_values = {name: get_nested(row, path) for name, path in self.keep.items()}
            kept_fields = {name: kept for name, kept in kept_values.items() if kept is not MISSING}
            for entry in entries or [None]:
                if entry is None or entry is MISSING or (isinstance(entry, str) and not entry.strip()):
                    counts["left_out"] += 1
                    continue
                counts["entries"] += 1
                yield {**kept_fields, self.entry_key: entry}
        if not counts["entries"]:  # before the file is complete
            what = f"no row of {self.dataset_path} has an entry under {'.'.join(self.list_key)!r}"
            raise JobError(what if counts["rows"] else f"{self.dataset_path} has no rows")
