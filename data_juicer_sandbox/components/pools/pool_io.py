"""What all manipulators of data pools do alike: take pools in, and put new ones out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from loguru import logger

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.io.data_files import ENDINGS, is_data
from data_juicer_sandbox.components.names import as_list, stem
from data_juicer_sandbox.components.pools.manifest import OutputManifest
from data_juicer_sandbox.components.pools.open_pools import LARGE, open_pools
from data_juicer_sandbox.components.pools.outputs import Output, spelled_out, write
from data_juicer_sandbox.components.pools.pool import Pool
from data_juicer_sandbox.components.pools.scanners import RowScanner
from data_juicer_sandbox.components.processes.worker_pool import Engine, run_all
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.files import claim, remove
from data_juicer_sandbox.output_guard import is_pattern, matches

ExportType = Literal["jsonl", "parquet"]


class PoolIO:
    """Pools in, pools out.

    Args:
        export_path: folder of the new pools.
        export_type: their format; `jsonl` where neither this nor the ending of a file's name asks for parquet.
        skip_missing: leave out pools that are not there, with a warning, instead of failing.
        skip_bad_rows: lines that may be no rows, in all pools together.
        engine: who does the work.
        file: whether `export_path` may be a file, where there is one new pool.
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
                raise ConfigError(f"export_path {export_path!r} is the name of a file", hint="a folder is wanted here")
            wanted = self._folder.suffix.removeprefix(".")
            if wanted not in ("jsonl", "parquet") or export_type not in (None, wanted):
                as_what = export_type or "jsonl or parquet"
                raise ConfigError(f"export_path {export_path!r} does not end as {as_what} does")
            self._file, self._folder, export_type = self._folder, self._folder.parent, wanted  # type: ignore[assignment]
        self._ending = f".{export_type or 'jsonl'}"
        self.plain = self._ending == ".jsonl"

    def place(self, name: str) -> Path:
        """Where a new pool of this name goes (it may have folders in front), or the file that `export_path` names."""
        return self._file or self._folder / f"{name}{self._ending}"

    def there(self, dataset_path: str | list[str]) -> list[str]:
        """The pools that are there.

        Raises:
            JobError: one is not, unless it may be missing; or none is.
        """
        paths = as_list(dataset_path)
        missing = [path for path in paths if not is_data(path)]
        if missing and not self._skip_missing:
            raise JobError(f"there is no data pool at {', '.join(missing)}", hint="skip_missing: true goes on without")
        for path in missing:
            logger.warning("there is no data pool at {}: left out", path)
        if not (there := [path for path in paths if path not in missing]):
            raise JobError("there is none of the data pools")
        return there

    def open(self, job: JobRun, paths: Sequence[str], look: Callable[[], RowScanner]) -> list[Pool]:
        """Read the pools through once; see `open_pools`."""
        return open_pools(job, paths, look, engine=self._engine, skip_bad_rows=self._skip_bad_rows)

    def deliver(
        self, job: JobRun, pools: Sequence[Pool], outputs: Sequence[Output], recipe: Any, shared: Any = None
    ) -> list[str]:
        """Write the new pools that are not there yet.

        Args:
            job: the job.
            pools: what they are made of.
            outputs: the new pools.
            recipe: the settings that decide on what is in them, in plain values.
            shared: what their contents take the rows from; the pools by default.

        Returns:
            Their paths, in order.
        """
        paths = [str(output.path) for output in outputs]
        outputs = [replace(output, path=output.path.absolute()) for output in outputs]  # for workers elsewhere
        check_places(pools, outputs)
        made = OutputManifest(job.folder, [recipe, [pool.digest for pool in pools]])
        missing = [output for output in outputs if not made.has(output.path, output.content.key())]
        if kept := len(outputs) - len(missing):
            logger.info("{} of {} new pools are there already, whole: kept", kept, len(outputs))
        for output in missing:
            claim(output.path)
        size = sum(pool.bases[-1] for pool in pools) / max(1, sum(map(len, pools)))
        large = sum(output.content.rows for output in missing) * size > LARGE
        source = pools if shared is None else shared
        if names := spelled_out(source, missing):
            logger.warning("bytes become text in base64, in {}; parquet to parquet keeps them", ", ".join(names))
        writing = closing(run_all(write, (source, made), missing, self._engine, large=large))
        with job.progress.task("writing pools", total=len(missing)) as task, writing as written:
            for _ in written:
                task.advance(1)
        remove(job.folder / "rows")
        return paths


def check_places(pools: Sequence[Pool], outputs: Sequence[Output]) -> None:
    """See that no new pool replaces an old one, becomes a part of one, or shares its place with another or a folder.

    Raises:
        JobError: one does.
    """
    sources = {Path(pool.path).resolve() for pool in pools}
    sources.update(file.resolve() for pool in pools for file in pool.files)
    patterns = [pool.path for pool in pools if is_pattern(pool.path)]
    taken: set[Path] = set()
    for output in outputs:
        path = output.path.resolve()
        if path in sources:
            raise JobError(f"{output.path} is both a pool and the place of a new one", hint="another export_path")
        if sources & set(path.parents) or any(matches(output.path, pattern) for pattern in patterns):
            what = f"{output.path} would lie among the files of a pool that is read"
            raise JobError(what, hint="an export_path outside of it")
        if path in taken:
            raise JobError(f"two new pools would be {output.path}")
        taken.add(path)
        if path.is_dir():
            raise JobError(f"{output.path}, the place of a new pool, is a folder")
        if not (above := next(folder for folder in path.parents if folder.exists())).is_dir():
            raise JobError(f"{above} is a file, and new pools need a folder there", hint="another export_path")


def common_name(paths: Sequence[str], default: str = "pools") -> str:
    """What pools are called together: the longest beginning that their names share, or a default."""
    stems = [stem(path) for path in paths]
    shared = os.path.commonprefix(stems)  # noqa: RUF071  # of names, not of paths
    return (shared if len(set(stems)) == 1 else shared.rstrip("_-. ")) or default
