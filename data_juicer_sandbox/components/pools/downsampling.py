"""Sampling of data pools to equal size."""

from __future__ import annotations

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.io.allowance import BAD_ROWS
from data_juicer_sandbox.components.metric_keys import number_keys
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveInt
from data_juicer_sandbox.components.pools.outputs import Output, RowSelection
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO
from data_juicer_sandbox.components.pools.sampling import sample_rows
from data_juicer_sandbox.components.pools.scan import Valid
from data_juicer_sandbox.components.processes.worker_pool import Engine
from data_juicer_sandbox.errors import ConfigError, JobError


class DataPoolDownsampling(Component):
    """Sample the same number of rows from every data pool, at random without replacement.

    Rows are copied byte for byte and keep their order. A pool's sample depends only on its number of rows, the target
    and the seed, not on the other pools; with the same seed, a smaller sample is a subset of a larger one. A pool with
    fewer rows than the target is an error, since pools of different size could not be compared.

    Args:
        dataset_path: the pool(s): files (jsonl, json with a list, csv, each also .gz or .zst; parquet), folders,
            patterns.
        export_path: folder of the new pools, named `<name>_<rows>.jsonl` after the input pools; if names are equal, the
            folder's name is put in front.
        target_num_samples: rows to sample from each pool; the size of the smallest pool by default.
        shuffle_seed: seed of the sample.
        seed: alias of `shuffle_seed`.
        export_type: format of the new pools.
        skip_missing: skip missing pools with a warning, instead of failing.
        skip_bad_rows: number of lines that may be invalid JSON objects; they are named in the log and skipped.
        engine: runs the work: this machine's cores, or a Ray cluster (`RAY_ADDRESS`) that can access the same files.
    """

    outputs = ("paths",)
    metrics = BAD_ROWS
    numbers = number_keys(paths=())

    def __init__(
        self,
        dataset_path: InputPaths,
        export_path: OutputPath,
        target_num_samples: PositiveInt | None = None,
        shuffle_seed: NonNegativeInt = 42,
        seed: NonNegativeInt | None = None,
        export_type: ExportType | None = None,
        skip_missing: bool = False,
        skip_bad_rows: NonNegativeInt = 0,
        engine: Engine = "local",
    ):
        if seed is not None and shuffle_seed not in (42, seed):
            raise ConfigError(
                f"seed {seed} and shuffle_seed {shuffle_seed} are aliases with different values", hint="set one of them"
            )
        self.pools, self.target, self.seed = dataset_path, target_num_samples, shuffle_seed if seed is None else seed
        self.work = PoolIO(
            export_path, export_type=export_type, skip_missing=skip_missing, skip_bad_rows=skip_bad_rows, engine=engine
        )

    def run(self, job: JobRun) -> list[str]:
        """Returns the paths of the new pools, in the order of the input pools."""
        pools = self.work.open(job, self.work.existing(self.pools), Valid)
        target = min(map(len, pools)) if self.target is None else self.target
        for pool in pools:
            if len(pool) < target or not len(pool):
                raise JobError(
                    f"{pool.path} has {len(pool):,} rows, fewer than the {max(target, 1):,} to sample",
                    hint=None
                    if self.target is None
                    else "lower target_num_samples, or leave it out to use the size of the smallest pool",
                )
        outputs = [
            Output(
                self.work.output_path(f"{pool.name}_{target}"),
                RowSelection(((number, sample_rows(len(pool), target, self.seed)),), target),
            )
            for number, pool in enumerate(pools)
        ]
        return self.work.write(job, pools, outputs, ["downsampling", target, self.seed])
