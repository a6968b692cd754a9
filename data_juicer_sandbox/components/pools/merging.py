"""Concatenation of data pools, optionally without duplicates."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.io.allowance import BAD_ROWS
from data_juicer_sandbox.components.metric_keys import number_keys
from data_juicer_sandbox.components.number_types import NonNegativeInt
from data_juicer_sandbox.components.pools.identity import Identity, first_occurrences
from data_juicer_sandbox.components.pools.outputs import Output, RowSelection
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO, common_name
from data_juicer_sandbox.components.pools.scan import Valid
from data_juicer_sandbox.components.processes.worker_pool import Engine
from data_juicer_sandbox.errors import ConfigError

if TYPE_CHECKING:
    from data_juicer_sandbox.components.pools.pool import Pool


class DataPoolMerging(Component):
    """Concatenate data pools into one.

    Rows are copied byte for byte, in the order of `dataset_path`. With `deduplicate`, only the first of equal rows is
    kept. Rows are equal if their content is equal, regardless of key order and number format, or if their `id_key` is.

    Args:
        dataset_path: the pools: files (jsonl, json with a list, csv, each also .gz or .zst; parquet), folders,
            patterns.
        export_path: folder of the merged pool, which is named `<common prefix of the pools' names>_merged.jsonl`; or
            the output file itself (`.jsonl`, `.parquet`).
        deduplicate: keep only the first of equal rows.
        id_key: the field that identifies a row, instead of its content; dots for nested fields.
        export_type: format of the merged pool.
        skip_missing: skip missing pools with a warning, instead of failing.
        skip_bad_rows: number of lines that may be invalid (or lack `id_key`); they are named in the log and skipped.
        engine: runs the work: this machine's cores, or a Ray cluster (`RAY_ADDRESS`) that can access the same files.
    """

    outputs = ("paths",)
    metrics = BAD_ROWS
    numbers = number_keys(paths=())

    def __init__(
        self,
        dataset_path: InputPaths,
        export_path: OutputPath,
        deduplicate: bool = False,
        id_key: str | None = None,
        export_type: ExportType | None = None,
        skip_missing: bool = False,
        skip_bad_rows: NonNegativeInt = 0,
        engine: Engine = "local",
    ):
        if id_key and not deduplicate:
            raise ConfigError("id_key has no effect without deduplicate: true")
        self.pools, self.deduplicate, self.id_key = dataset_path, deduplicate, id_key
        self.work = PoolIO(
            export_path,
            export_type=export_type,
            skip_missing=skip_missing,
            skip_bad_rows=skip_bad_rows,
            engine=engine,
            file=True,
        )

    def run(self, job: JobRun) -> list[str]:
        """Returns the path of the merged pool, in a list."""
        paths = self.work.existing(self.pools)
        pools = self.work.open(job, paths, partial(Identity, self.id_key) if self.deduplicate else Valid)
        content = self._distinct(pools) if self.deduplicate else all_rows(pools)
        output = Output(self.work.output_path(f"{common_name(paths)}_merged"), content)
        return self.work.write(job, pools, [output], ["merging", self.deduplicate, self.id_key])

    def _distinct(self, pools: list[Pool]) -> RowSelection:
        kept_rows = first_occurrences(pools)
        rows = sum(map(len, kept_rows))
        logger.info("removed {:,} duplicates of {:,} rows", sum(map(len, pools)) - rows, sum(map(len, pools)))
        return RowSelection(tuple(enumerate(kept_rows)), rows)


def all_rows(pools: list[Pool], times: int = 1) -> RowSelection:
    """All rows of the pools, one pool after the other, repeated `times` times."""
    return RowSelection(tuple((number, None) for number in range(len(pools))) * times, times * sum(map(len, pools)))
