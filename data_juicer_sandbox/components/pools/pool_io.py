"""Pool input and output, shared by all manipulators of data pools."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from loguru import logger

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.io.data_files import ENDINGS, existing_data
from data_juicer_sandbox.components.names import as_list, stem
from data_juicer_sandbox.components.pools.open_pools import LARGE, open_pools
from data_juicer_sandbox.components.pools.outputs import Output, OutputManifest, base64_columns, write
from data_juicer_sandbox.components.pools.pool import Pool
from data_juicer_sandbox.components.pools.scan import RowScanner
from data_juicer_sandbox.components.processes.worker_pool import Engine, run_all
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.files import claim, is_pattern, remove
from data_juicer_sandbox.output_guard import matches
from data_juicer_sandbox.types import JsonValue

ExportType = Literal["jsonl", "parquet"]


class PoolIO:
    """Opens input pools and writes new ones.

    Args:
        export_path: folder of the new pools.
        export_type: their format; by default that of the file name's ending, or `jsonl`.
        skip_missing: skip missing pools with a warning, instead of failing.
        skip_bad_rows: the number of invalid lines that are tolerated, over all pools.
        engine: runs the work: `local` or `ray`.
        file: whether `export_path` may be a file, for components that write a single pool.
    """

    def __init__(
        self,
        export_path: str,
        *,
        export_type: ExportType | None = None,
        skip_missing: bool = False,
        skip_bad_rows: int = 0,
        engine: Engine = "local",
        file: bool = False,
    ):
        self._engine, self._skip_missing, self._skip_bad_rows = engine, skip_missing, skip_bad_rows
        self._folder, self._file = Path(export_path), None
        if self._folder.name.endswith(ENDINGS):
            if not file:
                raise ConfigError(f"export_path {export_path!r} is a file name", hint="expected a folder")
            suffix = self._folder.suffix.removeprefix(".")
            if suffix not in ("jsonl", "parquet") or export_type not in (None, suffix):
                expected = f".{export_type}" if export_type else ".jsonl or .parquet"
                raise ConfigError(f"export_path {export_path!r} does not end with {expected}")
            self._file, self._folder, export_type = self._folder, self._folder.parent, suffix  # type: ignore[assignment]
        self._ending = f".{export_type or 'jsonl'}"
        self.plain = self._ending == ".jsonl"

    def output_path(self, name: str) -> Path:
        """The path of a new pool; `name` may contain folders and is ignored if `export_path` is a file."""
        return self._file or self._folder / f"{name}{self._ending}"

    def existing(self, dataset_path: str | list[str]) -> list[str]:
        """The paths of the pools that exist.

        Raises:
            JobError: a pool is missing and `skip_missing` is false, or all pools are missing.
        """
        return existing_data(as_list(dataset_path), self._skip_missing, "data pool")

    def open(self, job: JobRun, paths: Sequence[str], scanner_factory: Callable[[], RowScanner]) -> list[Pool]:
        """Scan the pools once; see `open_pools`."""
        return open_pools(job, paths, scanner_factory, engine=self._engine, skip_bad_rows=self._skip_bad_rows)

    def write(
        self, job: JobRun, pools: Sequence[Pool], outputs: Sequence[Output], recipe: JsonValue, shared: Any = None
    ) -> list[str]:
        """Write the new pools, except those that an earlier run of the job has finished.

        Args:
            job: the running job.
            pools: the input pools.
            outputs: the new pools.
            recipe: the settings that determine their content; plain values.
            shared: the data that their row sources read from; the input pools by default.

        Returns:
            The paths of the new pools, in order.
        """
        paths = [str(output.path) for output in outputs]
        # Workers may have another working directory.
        outputs = [replace(output, path=output.path.absolute()) for output in outputs]
        check_output_paths(pools, outputs)
        manifest = OutputManifest(job.folder, [recipe, [pool.digest for pool in pools]])
        missing = [out for out in outputs if job.redo or not manifest.has(out.path, out.content.key())]
        if unchanged := len(outputs) - len(missing):
            logger.info("{} of {} new pools exist already and are complete: kept", unchanged, len(outputs))
        for output in missing:
            claim(output.path)
        mean_row_size = sum(pool.bases[-1] for pool in pools) / max(1, sum(map(len, pools)))
        large = sum(output.content.rows for output in missing) * mean_row_size > LARGE
        source = pools if shared is None else shared
        if names := base64_columns(source, missing):
            logger.warning("binary columns become base64 strings (parquet to parquet keeps them): {}", ", ".join(names))
        writing = closing(run_all(write, (source, manifest), missing, self._engine, large=large))
        with job.progress.task("writing pools", total=len(missing)) as task, writing as written:
            for _ in written:
                task.advance(1)
        remove(job.folder / "rows")
        return paths


def check_output_paths(pools: Sequence[Pool], outputs: Sequence[Output]) -> None:
    """Check the paths of the new pools.

    Raises:
        JobError: a new pool would replace an input pool, lie inside one, or share its path with another new pool or a
            folder.
    """
    sources = {Path(pool.path).resolve() for pool in pools}
    sources.update(file.resolve() for pool in pools for file in pool.files)
    patterns = [pool.path for pool in pools if is_pattern(pool.path)]
    output_paths: set[Path] = set()
    for output in outputs:
        path = output.path.resolve()
        if path in sources:
            raise JobError(f"{output.path} is both an input pool and a new pool", hint="another export_path")
        if sources & set(path.parents) or any(matches(output.path, pattern) for pattern in patterns):
            what = f"{output.path} would be among the files of an input pool"
            raise JobError(what, hint="an export_path outside of it")
        if path in output_paths:
            raise JobError(f"two new pools have the same path: {output.path}")
        output_paths.add(path)
        if path.is_dir():
            raise JobError(f"{output.path} is a folder, and a new pool would be written there")
        if not (parent := next(folder for folder in path.parents if folder.exists())).is_dir():
            raise JobError(f"{parent} is a file, and new pools need a folder there", hint="another export_path")


def common_name(paths: Sequence[str], default: str = "pools") -> str:
    """A common name for pools: the longest common prefix of their names, or a default."""
    stems = [stem(path) for path in paths]
    shared = os.path.commonprefix(stems)  # noqa: RUF071  # names, not paths
    return (shared if len(set(stems)) == 1 else shared.rstrip("_-. ")) or default
