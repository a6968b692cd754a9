"""Pools brought to the same size."""

from __future__ import annotations

from jsonargparse.typing import NonNegativeInt, PositiveInt

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.pools.outputs import Output, RowSelection
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO
from data_juicer_sandbox.components.pools.sampling import drawn
from data_juicer_sandbox.components.pools.scanners import Valid
from data_juicer_sandbox.components.processes.worker_pool import Engine
from data_juicer_sandbox.errors import ConfigError, JobError


class DataPoolDownsampling(Component):
    """Draw the same number of rows at random, without replacement, from every data pool.

    Rows pass through byte for byte and keep their order. A pool's draw depends on its number of rows, the target and
    the seed alone, so it is the same whichever pools stand beside it; with the same seed, a smaller draw is a part of
    a larger one. A pool that has fewer rows than the target is an error: pools are drawn to one size to be compared.

    Args:
        dataset_path: the pool(s): files (jsonl, json with a list, csv, each also .gz or .zst; parquet), folders,
            patterns.
        export_path: folder of the new pools, named `<name>_<rows>.jsonl` after the old ones; pools that share a name
            get that of their folder in front.
        target_num_samples: rows to draw from each; as many as the smallest pool has by default.
        shuffle_seed: of the draw.
        seed: the same as `shuffle_seed`.
        export_type: format of the new pools.
        skip_missing: leave out pools that are not there, with a warning, instead of failing.
        skip_bad_rows: so many lines may be no JSON objects; they are named in the log and left out.
        engine: who does the work: this machine's cores, or a Ray cluster (`RAY_ADDRESS`) that sees the same files.
    """

    outputs = ("paths",)

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
                f"seed {seed} and shuffle_seed {shuffle_seed} are the same thing", hint="give one of them"
            )
        self.pools, self.target, self.seed = dataset_path, target_num_samples, shuffle_seed if seed is None else seed
        self.work = PoolIO(
            export_path, export_type=export_type, skip_missing=skip_missing, skip_bad_rows=skip_bad_rows, engine=engine
        )

    def run(self, job: JobRun) -> list[str]:
        """Returns the new pools' paths, in the order of the old ones."""
        pools = self.work.open(job, self.work.there(self.pools), Valid)
        target = min(map(len, pools)) if self.target is None else self.target
        for pool in pools:
            if len(pool) < target or not len(pool):
                raise JobError(
                    f"{pool.path} has {len(pool):,} rows, fewer than the {max(target, 1):,} to draw",
                    hint="a lower target_num_samples, or none: then the smallest pool decides",
                )
        outputs = [
            Output(
                self.work.place(f"{pool.name}_{target}"),
                RowSelection(((number, drawn(len(pool), target, self.seed)),), target),
            )
            for number, pool in enumerate(pools)
        ]
        return self.work.deliver(job, pools, outputs, ["downsampling", target, self.seed])
