"""Base class of the conversions: reads several data sets and writes a file for each."""

from __future__ import annotations

import os
from abc import abstractmethod
from pathlib import Path
from typing import BinaryIO, ClassVar

from data_juicer_sandbox.components.base import Component, JobRun
from data_juicer_sandbox.components.convert.input_rows import InputRows
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.data_files import ENDINGS, existing_data, refuse_overwriting
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.files import claim, replacing

IMAGE = "<__dj__image>"
AUDIO = "<__dj__audio>"
VIDEO = "<__dj__video>"
END_OF_CHUNK = "<|__dj__eoc|>"
SPECIAL_TOKENS = (IMAGE, AUDIO, VIDEO, END_OF_CHUNK)
"""Data-Juicer's special tokens, which mark the positions of images, videos and audio in a text."""


class Conversion(Component):
    """Base class of the conversions. Reports `rows` and `bad_rows` of each data set to the watcher, under its name.

    Args:
        dataset_path: the data set(s): a jsonl, json (a list), parquet or csv file, also .gz or .zst; a folder or a
            pattern of them. Several data sets give several files.
        export_path: folder of the new files, named after the data sets (if names are equal, the folder's name is put in
            front); or, for a single output, the file itself. Files are written atomically.
        skip_missing: skip missing data sets with a warning, instead of failing.
        skip_bad_rows: number of bad rows, over all data sets, that are counted, named in the log and skipped; one more
            fails the job.

    Attributes:
        label: name of the progress bar.
        ending: ending of the new files' names, after the data set's name.
    """

    outputs = ("paths",)
    metrics = metric_keys("rows", "bad_rows", under="{dataset_path}")
    numbers = number_keys(paths=())
    label: ClassVar[str]
    ending: ClassVar[str]

    def __init__(
        self, dataset_path: str | list[str], export_path: str, skip_missing: bool, skip_bad_rows: int, files: int = 0
    ):
        self.datasets, self.export_path = as_list(dataset_path), Path(export_path)
        self.skip_missing, self.skip_bad_rows = skip_missing, skip_bad_rows
        self.names_file = self.export_path.name.endswith(ENDINGS)
        suffix = Path(self.ending).suffix
        if self.names_file and self.export_path.suffix != suffix:
            raise ConfigError(f"export_path {export_path!r} is neither a folder nor a {suffix} file")
        if self.names_file and (files or len(self.datasets)) > 1:
            raise ConfigError(
                f"export_path {export_path!r} is one file, but there are {len(self.datasets)} data sets",
                hint="expected a folder",
            )

    def run(self, job: JobRun) -> list[str]:
        """Convert all data sets.

        Returns:
            The paths of the new files.

        Raises:
            JobError: a data set is missing or has no valid rows, or there are too many bad rows.
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

    def plan(self, sources: list[InputRows]) -> list[tuple[Path, list[InputRows]]]:
        """The new files, and the data sets that each is made of."""
        return [(self.output_path(rows.name), [rows]) for rows in sources]

    def output_path(self, name: str) -> Path:
        """The path of the new file with this name."""
        return self.export_path if self.names_file else self.export_path / f"{name}{self.ending}"

    @abstractmethod
    def write(self, stream: BinaryIO, sources: list[InputRows]) -> None:
        """Write one new file."""

    def _sources(self) -> list[InputRows]:
        path_of_name = dict(zip(distinct_names(self.datasets), self.datasets, strict=True))
        existing = existing_data(self.datasets, self.skip_missing)
        allowance = Allowance(self.skip_bad_rows, named=False)
        return [InputRows(name, path, allowance) for name, path in path_of_name.items() if path in existing]


def absolute(root: str) -> str:
    """The absolute path of a folder; URLs (`s3://...`) do not change."""
    return root if "://" in root else str(Path(root).expanduser().absolute())


def below(root: str | None, path: str) -> str:
    """Join a relative path to a root folder or URL, if there is a root; absolute paths and URLs do not change."""
    if root is None or "://" in path or os.path.isabs(path):  # noqa: PTH117  # called for every row, and ten times as fast
        return path
    return f"{root.rstrip('/')}/{path}"
