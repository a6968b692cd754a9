"""Repetition of data pools."""

from __future__ import annotations

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.io.allowance import BAD_ROWS
from data_juicer_sandbox.components.metric_keys import number_keys
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveInt
from data_juicer_sandbox.components.pools.merging import all_rows
from data_juicer_sandbox.components.pools.outputs import Output, RowSelection
from data_juicer_sandbox.components.pools.pool import Pool
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO
from data_juicer_sandbox.components.pools.sampling import permutation
from data_juicer_sandbox.components.pools.scan import Valid
from data_juicer_sandbox.errors import ConfigError


class DataPoolDuplication(Component):
    """Repeat every data pool a number of times.

    This answers whether a model gains more from repeated good data or from more data of lower quality. Rows are copied
    byte for byte.

    Args:
        dataset_path: the pool(s): files (jsonl, json with a list, csv, each also .gz or .zst; parquet), folders,
            patterns.
        export_path: folder of the new pools, named `<name>_x<times>.jsonl`.
        duplicating_times: one new pool per number, which contains every row of the input pool this number of times.
        shuffle: shuffle the rows of all repeats; by default whole copies of the pool are concatenated.
        shuffle_seed: seed of the shuffle.
        export_type: format of the new pools.
        skip_missing: skip missing pools with a warning, instead of failing.
        skip_bad_rows: number of lines that may be invalid JSON objects; they are named in the log and skipped.
    """

    outputs = ("paths",)
    metrics = BAD_ROWS
    numbers = number_keys(paths=())

    def __init__(
        self,
        dataset_path: InputPaths,
        export_path: OutputPath,
        duplicating_times: list[PositiveInt] = [2, 4, 8],  # noqa: B006  # never modified
        shuffle: bool = False,
        shuffle_seed: NonNegativeInt = 42,
        export_type: ExportType | None = None,
        skip_missing: bool = False,
        skip_bad_rows: NonNegativeInt = 0,
    ):
        if len(set(duplicating_times)) < len(duplicating_times) or not duplicating_times:
            raise ConfigError(f"duplicating_times {duplicating_times}: expected one or more different numbers")
        self.pools, self.times, self.shuffle, self.seed = dataset_path, duplicating_times, shuffle, shuffle_seed
        self.work = PoolIO(export_path, export_type=export_type, skip_missing=skip_missing, skip_bad_rows=skip_bad_rows)

    def run(self, job: JobRun) -> list[str]:
        """Returns the paths of the new pools, ordered by input pool, then by `duplicating_times`."""
        pools = self.work.open(job, self.work.existing(self.pools), Valid)
        outputs = [
            Output(self.work.output_path(f"{pool.name}_x{times}"), self._repeated(number, pool, times))
            for number, pool in enumerate(pools)
            for times in self.times
        ]
        return self.work.write(job, pools, outputs, ["duplication", self.times, self.shuffle, self.seed])

    def _repeated(self, number: int, pool: Pool, times: int) -> RowSelection:
        if not self.shuffle:
            content = all_rows([pool], times)
            return RowSelection(tuple((number, rows) for _, rows in content.parts), content.rows)
        rows = permutation(len(pool) * times, self.seed) % max(1, len(pool))
        return RowSelection(((number, rows),), len(rows))
