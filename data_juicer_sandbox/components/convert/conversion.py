"""What the conversions share: several data sets in, a file for each out, and where these lie."""

from __future__ import annotations

import os
from abc import abstractmethod
from pathlib import Path
from typing import BinaryIO, ClassVar

from loguru import logger

from data_juicer_sandbox.components.base import Component, JobRun
from data_juicer_sandbox.components.convert.rows_in import Allowance, RowsIn
from data_juicer_sandbox.components.io.data_files import ENDINGS, is_data, refuse_overwriting
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.files import claim, replacing


class Conversion(Component):
    """Base of the conversions. Watches `rows` and `bad_rows` of each data set, under its name.

    Args:
        dataset_path: the data set(s): a jsonl, json (a list), parquet or csv file, also .gz or .zst; a folder or a
            pattern of them. Several give several files.
        export_path: folder of the new files, named after the data sets (those that share a name get that of their
            folder in front); or, where there is but one, the file itself. A file appears when it is complete.
        skip_missing: leave out data sets that are not there, with a warning, instead of failing.
        skip_bad_rows: so many rows, in all data sets together, may be unfit: they are counted, named in the log and
            left out. One more fails the job.

    Attributes:
        label: what its progress is called.
        ending: what the new files' names end in, after the data set's name.
    """

    outputs = ("paths",)
    label: ClassVar[str]
    ending: ClassVar[str]

    def __init__(
        self, dataset_path: str | list[str], export_path: str, skip_missing: bool, skip_bad_rows: int, files: int = 0
    ):
        self.datasets, self.export_path = as_list(dataset_path), Path(export_path)
        self.skip_missing, self.skip_bad_rows = skip_missing, skip_bad_rows
        self.names_file = self.export_path.name.endswith(ENDINGS)
        wanted = Path(self.ending).suffix
        if self.names_file and self.export_path.suffix != wanted:
            raise ConfigError(f"export_path {export_path!r} is neither a folder nor a {wanted} file")
        if self.names_file and (files or len(self.datasets)) > 1:
            raise ConfigError(
                f"export_path {export_path!r} is one file, and there are {len(self.datasets)} data sets",
                hint="a folder",
            )

    def run(self, job: JobRun) -> list[str]:
        """Convert all data sets.

        Returns:
            The paths of the new files.

        Raises:
            JobError: a data set is not there or has no good rows, or there are too many bad ones.
        """
        planned = self.plan(self._sources())
        for target, sources in planned:
            refuse_overwriting(target, [rows.path for rows in sources])
            claim(target)
        with job.progress.task(self.label, total=len(planned)) as task:
            for target, sources in planned:
                with replacing(target) as part, part.open("wb") as stream:
                    self.write(stream, sources)
                for rows in sources:
                    job.watcher.watch({rows.name: {"rows": rows.good, "bad_rows": rows.bad}})
                task.advance(1)
        return [str(target) for target, _ in planned]

    def plan(self, sources: list[RowsIn]) -> list[tuple[Path, list[RowsIn]]]:
        """The new files, and the data sets that each is made from."""
        return [(self.place(rows.name), [rows]) for rows in sources]

    def place(self, name: str) -> Path:
        """Where the new file of this name belongs."""
        return self.export_path if self.names_file else self.export_path / f"{name}{self.ending}"

    @abstractmethod
    def write(self, stream: BinaryIO, sources: list[RowsIn]) -> None:
        """Write one new file."""

    def _sources(self) -> list[RowsIn]:
        named = dict(zip(distinct_names(self.datasets), self.datasets, strict=True))
        missing = [path for path in self.datasets if not is_data(path)]
        if missing and not self.skip_missing:
            raise JobError(f"there is no data set at {', '.join(missing)}", hint="skip_missing: true goes on without")
        for path in missing:
            logger.warning("there is no data set at {}: left out", path)
        if len(missing) == len(self.datasets):
            raise JobError("there is none of the data sets")
        allowance = Allowance(self.skip_bad_rows)
        return [RowsIn(name, path, allowance) for name, path in named.items() if path not in missing]


def absolute(root: str) -> str:
    """A folder from the root of the file system on; an address (`s3://...`) as it is."""
    return root if "://" in root else str(Path(root).expanduser().absolute())


def below(root: str | None, path: str) -> str:
    """A relative path joined to a folder or address; an absolute one, an address, or without a root as it is."""
    if root is None or "://" in path or os.path.isabs(path):  # noqa: PTH117  # asked of every row, and ten times as fast
        return path
    return f"{root.rstrip('/')}/{path}"
