"""Pools repeated."""

from __future__ import annotations

from jsonargparse.typing import NonNegativeInt, PositiveInt

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.pools.merging import whole
from data_juicer_sandbox.components.pools.outputs import Output, RowSelection
from data_juicer_sandbox.components.pools.pool import Pool
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO
from data_juicer_sandbox.components.pools.sampling import shuffled
from data_juicer_sandbox.components.pools.scanners import Valid
from data_juicer_sandbox.errors import ConfigError


class DataPoolDuplication(Component):
    """Repeat every data pool a number of times.

    For the question whether a model gains more from seeing good data again, or from more data that is less good. Rows
    pass through byte for byte.

    Args:
        dataset_path: the pool(s): files (jsonl, json with a list, csv, each also .gz or .zst; parquet), folders,
            patterns.
        export_path: folder of the new pools, named `<name>_x<times>.jsonl`.
        duplicating_times: one new pool for each number: how often every row of the old one stands in it.
        shuffle: mix the rows, all repeats among each other; by default the pool follows itself.
        shuffle_seed: of the order.
        export_type: format of the new pools.
        skip_missing: leave out pools that are not there, with a warning, instead of failing.
        skip_bad_rows: so many lines may be no JSON objects; they are named in the log and left out.
    """

    outputs = ("paths",)

    def __init__(
        self,
        dataset_path: InputPaths,
        export_path: OutputPath,
        duplicating_times: list[PositiveInt] = [2, 4, 8],  # noqa: B006  # never changed
        shuffle: bool = False,
        shuffle_seed: NonNegativeInt = 42,
        export_type: ExportType | None = None,
        skip_missing: bool = False,
        skip_bad_rows: NonNegativeInt = 0,
    ):
        if len(set(duplicating_times)) < len(duplicating_times) or not duplicating_times:
            raise ConfigError(f"duplicating_times {duplicating_times}: different numbers are wanted, at least one")
        self.pools, self.times, self.shuffle, self.seed = dataset_path, duplicating_times, shuffle, shuffle_seed
        self.work = PoolIO(export_path, export_type=export_type, skip_missing=skip_missing, skip_bad_rows=skip_bad_rows)

    def run(self, job: JobRun) -> list[str]:
        """Returns the new pools' paths: those of the first pool in the order of the numbers, then the next pool's."""
        pools = self.work.open(job, self.work.there(self.pools), Valid)
        outputs = [
            Output(self.work.place(f"{pool.name}_x{times}"), self._repeated(number, pool, times))
            for number, pool in enumerate(pools)
            for times in self.times
        ]
        return self.work.deliver(job, pools, outputs, ["duplication", self.times, self.shuffle, self.seed])

    def _repeated(self, number: int, pool: Pool, times: int) -> RowSelection:
        if not self.shuffle:
            content = whole([pool], times)
            return RowSelection(tuple((number, rows) for _, rows in content.parts), content.rows)
        rows = shuffled(len(pool) * times, self.seed) % max(1, len(pool))
        return RowSelection(((number, rows),), len(rows))
