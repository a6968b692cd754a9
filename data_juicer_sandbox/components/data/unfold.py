"""One row for each entry of a list that rows hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data_juicer_sandbox.components.base import Component, InputPath, JobRun, OutputFile
from data_juicer_sandbox.components.io import read_rows, write_rows
from data_juicer_sandbox.components.io.get_nested import MISSING, get_nested
from data_juicer_sandbox.errors import ConfigError, JobError


class UnfoldLists(Component):
    """Make one row of each entry of a list that rows hold, such as the samples of an inference with `n` above 1.

    Entries that are null, empty or blank are left out, and so is a row whose field is missing or null (one that failed,
    say). A plain value counts as a list of one. Watches `rows`, `entries`, and `left_out` (entries, rows without any).

    Args:
        dataset_path: the rows, in any format.
        export_path: the new data set, a `.jsonl` file.
        list_key: the field with the list; dots go deeper.
        entry_key: the new rows' field for an entry.
        keep_keys: fields of the old row that the new ones keep; none by default. Dots go deeper, and the last word is
            the name.
    """

    outputs = ("path",)

    def __init__(
        self,
        dataset_path: InputPath,
        export_path: OutputFile,
        list_key: str = "response",
        entry_key: str = "text",
        keep_keys: list[str] | None = None,
    ):
        if not export_path.endswith(".jsonl"):
            raise ConfigError(f"export_path {export_path!r} is not a .jsonl file")
        self.dataset_path, self.export_path = dataset_path, export_path
        self.list_key, self.entry_key = list_key.split("."), entry_key
        self.keep = {key.rpartition(".")[2]: key.split(".") for key in keep_keys or []}
        if entry_key in self.keep:
            raise ConfigError(f"entry_key {entry_key!r} is among keep_keys", hint="a name cannot stand for two values")
        self._counts = {"rows": 0, "entries": 0, "left_out": 0}

    def run(self, job: JobRun) -> str:
        """Returns the path of the new data set.

        Raises:
            JobError: there is no entry at all.
        """
        self._counts = dict.fromkeys(self._counts, 0)
        write_rows(self.export_path, self._unfolded())
        job.watcher.watch(self._counts)
        return self.export_path

    def _unfolded(self) -> Iterator[dict[str, Any]]:
        counts = self._counts
        for row in read_rows(self.dataset_path):
            counts["rows"] += 1
            found = get_nested(row, self.list_key)
            entries = found if isinstance(found, list) else [found]
            kept = {name: value for name, way in self.keep.items() if (value := get_nested(row, way)) is not MISSING}
            for entry in entries or [None]:
                if entry is None or entry is MISSING or (isinstance(entry, str) and not entry.strip()):
                    counts["left_out"] += 1
                    continue
                counts["entries"] += 1
                yield {**kept, self.entry_key: entry}
        if not counts["entries"]:  # before the file is in place
            what = f"no row of {self.dataset_path} has an entry under {'.'.join(self.list_key)!r}"
            raise JobError(what if counts["rows"] else f"there are no rows in {self.dataset_path}")
