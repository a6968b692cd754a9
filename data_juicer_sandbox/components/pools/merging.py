"""Pools put together into one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jsonargparse.typing import NonNegativeInt
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.pools.identity import Identity, first_of_each
from data_juicer_sandbox.components.pools.outputs import Output, RowSelection
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO, common_name
from data_juicer_sandbox.components.pools.scanners import Valid
from data_juicer_sandbox.components.processes.worker_pool import Engine
from data_juicer_sandbox.errors import ConfigError

if TYPE_CHECKING:
    from data_juicer_sandbox.components.pools.pool import Pool


class DataPoolMerging(Component):
    """Put data pools one behind the other into one.

    Rows pass through byte for byte, pool by pool in the order given. With `deduplicate`, of rows that are the same only
    the first one stays: the same content, whatever the order of its keys and the spelling of its numbers, or the same
    `id_key`.

    Args:
        dataset_path: the pools: files (jsonl, json with a list, csv, each also .gz or .zst; parquet), folders,
            patterns.
        export_path: folder of the merged pool, which is named `<what the pools' names share>_merged.jsonl`; or the file
            itself (`.jsonl`, `.parquet`).
        deduplicate: keep the first of rows that are the same.
        id_key: the field that tells rows apart, instead of their content; dots go deeper.
        export_type: format of the merged pool.
        skip_missing: leave out pools that are not there, with a warning, instead of failing.
        skip_bad_rows: so many lines may be no JSON objects (or lack `id_key`); they are named in the log and left out.
        engine: who does the work: this machine's cores, or a Ray cluster (`RAY_ADDRESS`) that sees the same files.
    """

    outputs = ("paths",)

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
            raise ConfigError("id_key does nothing without deduplicate: true")
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
        paths = self.work.there(self.pools)
        pools = self.work.open(job, paths, partial(Identity, self.id_key) if self.deduplicate else Valid)
        content = self._distinct(pools) if self.deduplicate else whole(pools)
        output = Output(self.work.place(f"{common_name(paths)}_merged"), content)
        return self.work.deliver(job, pools, [output], ["merging", self.deduplicate, self.id_key])

    def _distinct(self, pools: list[Pool]) -> RowSelection:
        first = first_of_each(pools)
        rows = sum(map(len, first))
        logger.info("{:,} rows of {:,} are repeats and left out", sum(map(len, pools)) - rows, sum(map(len, pools)))
        return RowSelection(tuple(enumerate(first)), rows)


def whole(pools: list[Pool], times: int = 1) -> RowSelection:
    """All rows of pools, one pool after the other, so many times."""
    return RowSelection(tuple((number, None) for number in range(len(pools))) * times, times * sum(map(len, pools)))
