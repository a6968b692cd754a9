"""Split a data set into pools by the stats of its rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Literal

from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.io.allowance import BAD_ROWS
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveInt
from data_juicer_sandbox.components.pools.outputs import Output, RowSelection
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO
from data_juicer_sandbox.components.pools.sampling import sample_rows
from data_juicer_sandbox.components.pools.scan import Valid
from data_juicer_sandbox.components.pools.splits import Splitter
from data_juicer_sandbox.components.pools.stats import STATS, Stats, numeric_stats, stat_folder
from data_juicer_sandbox.components.processes.worker_pool import Engine
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import JobError

if TYPE_CHECKING:
    from data_juicer_sandbox.components.pools.pool import Pool


class DataPoolConstruction(Component):
    """Sort a data set by each of its stats and split it into data pools, low to high.

    The single-OP experiment: train on each pool to find out which stat, and which range of it, improves the model. Rows
    are copied byte for byte. They are sorted by each numeric stat in `__dj__stats__` in ascending order; ties keep
    their order. A list counts as the mean of its finite numbers. Rows in which a stat is missing, NaN or infinite are
    counted in the log and excluded from that stat's pools. Each pool's `rows`, and `min` and `max` of its stat, are
    reported to the watcher.

    New pools are `<export_path>/<stat>/<name>_<stat>_<part>.jsonl`, parts numbered from 0, the lowest; with
    `ignore_stats`, `<export_path>/<name>_ignore_stats_<part>.jsonl`. Characters of a stat's name that are invalid in a
    file name become `_`. A part without rows is named in the log and not written, nor are pools of a stat that is the
    same in all rows, if the order of the rows would decide which rows they get.

    Args:
        dataset_path: analysed data set(s): files (jsonl, json with a list, csv, each also .gz or .zst; parquet),
            folders, patterns. Each is split by itself.
        export_path: folder of the new pools.
        split_ratios: split points as fractions of the rows: ascending numbers in (0, 1) or strings like '1/3'.
        split_num: rows of each pool, instead of ratios.
        split_quantiles: split at the values of these quantiles, instead: like ratios, but equal values stay together.
        split_values: split at these values of the stat, instead: one list for all stats, or one list per stat. A row
            with exactly the value belongs to the upper pool.
        keep_top: instead of splitting, one pool of the rows with the highest values: a number of rows, or a fraction
            in (0, 1); `<name>_<stat>_top.jsonl`.
        remainder: what to do if rows do not divide evenly into pools of equal size. `keep`: use all rows; with ratios,
            sizes differ by one row at most, and with `split_num`, the last pool has fewer. `drop`: all pools have
            exactly the same size; the dropped rows lie between pools, so the lowest and highest rows are kept.
        ignore_stats: split the rows in their original order, by ratios or number.
        stats_keys: the stats to sort by; all numeric ones by default.
        with_control: also sample a control pool from all rows, as large as the smallest of the new pools:
            `<export_path>/<name>_control.jsonl`, last in the output.
        seed: of the control's sample.
        export_type: format of the new pools.
        skip_missing: skip missing data sets with a warning, instead of failing.
        skip_bad_rows: number of lines that may be invalid JSON objects; they are named in the log and skipped.
        engine: runs the work: this machine's cores, or a Ray cluster (`RAY_ADDRESS`) that can access the same files.
    """

    outputs = ("paths",)
    metrics = (*metric_keys("rows", "min", "max", under="{dataset_path}.<stat>.<part>"), *BAD_ROWS)
    numbers = number_keys(paths=())

    def __init__(
        self,
        dataset_path: InputPaths,
        export_path: OutputPath,
        split_ratios: list[float | str] | None = None,
        split_num: PositiveInt | None = None,
        split_quantiles: list[float | str] | None = None,
        split_values: list[float] | dict[str, list[float]] | None = None,
        keep_top: PositiveInt | float | str | None = None,
        remainder: Literal["keep", "drop"] = "keep",
        ignore_stats: bool = False,
        stats_keys: str | list[str] | None = None,
        with_control: bool = False,
        seed: NonNegativeInt = 42,
        export_type: ExportType | None = None,
        skip_missing: bool = False,
        skip_bad_rows: NonNegativeInt = 0,
        engine: Engine = "local",
    ):
        self.splitter = Splitter(
            split_ratios, split_num, split_quantiles, split_values, keep_top, remainder, ignore_stats
        )
        self.sources, self.ignore_stats, self.with_control, self.seed = dataset_path, ignore_stats, with_control, seed
        self.stats_keys = list(dict.fromkeys([stats_keys] if isinstance(stats_keys, str) else stats_keys or []))
        self.work = PoolIO(
            export_path, export_type=export_type, skip_missing=skip_missing, skip_bad_rows=skip_bad_rows, engine=engine
        )

    def run(self, job: JobRun) -> list[str]:
        """Returns the paths of the new pools by data set, stat and part, low to high, each data set's control last."""
        paths = self.work.existing(self.sources)
        pools = self.work.open(job, paths, Valid if self.ignore_stats else partial(Stats, self.stats_keys))
        outputs = []
        for number, pool in enumerate(pools):
            if not len(pool):
                raise JobError(f"{pool.path} has no rows")
            pool_outputs = list(self._parts(job, number, pool))
            if not pool_outputs:
                raise JobError(
                    f"{pool.path} has too few rows for a pool: {len(pool):,}",
                    hint="a stat that is the same in all rows gives no pools",
                )
            if self.with_control:
                rows = min(output.content.rows for output in pool_outputs)
                control = RowSelection(((number, sample_rows(len(pool), rows, self.seed)),), rows)
                pool_outputs.append(Output(self.work.output_path(f"{pool.name}_control"), control))
            outputs += pool_outputs
        # The stats are part of the content, whose digest is part of the recipe already.
        return self.work.write(job, pools, outputs, ["construction", self.splitter.recipe, self.seed])

    def _parts(self, job: JobRun, number: int, pool: Pool) -> Iterator[Output]:
        import numpy as np

        if self.ignore_stats:
            for part, (start, end) in self.splitter.by_position(len(pool)):
                rows = np.arange(start, end)
                yield Output(
                    self.work.output_path(f"{pool.name}_ignore_stats_{part}"),
                    RowSelection(((number, rows),), len(rows)),
                )
            return
        for stat in self._stats(pool):
            values = pool.scan_result.pop(stat)
            order = np.argsort(values, kind="stable")  # NaN come last
            count = len(order) - int(np.count_nonzero(np.isnan(values)))
            if count < len(order):
                logger.warning("{}: {:,} of {:,} rows have no {!r}", pool.path, len(order) - count, len(order), stat)
            order = order[:count]
            parts = list(self.splitter.by_stat(stat, values[order]))
            if values[order[0]] == values[order[-1]] and any(end - start < count for _, (start, end) in parts):
                logger.warning(
                    "{}: {!r} is {:g} in all rows that have it: its pools would differ only by the order of the rows "
                    "and are not written",
                    *(pool.path, stat, values[order[0]]),
                )
                continue
            for part, (start, end) in parts:
                rows = order[start:end]
                pool_stats = {"rows": len(rows), "min": float(values[rows[0]]), "max": float(values[rows[-1]])}
                job.watcher.watch({pool.name: {stat: {part: pool_stats}}})
                folder = stat_folder(stat)
                path = self.work.output_path(f"{folder}/{pool.name}_{folder}_{part}")
                yield Output(path, RowSelection(((number, rows),), len(rows)))

    def _stats(self, pool: Pool) -> list[str]:
        """The stats to sort by.

        Raises:
            JobError: a stat of `stats_keys` is missing in all rows, or there are no numeric stats at all.
        """
        import numpy as np

        available = [name for name, column in pool.scan_result.items() if not np.isnan(column).all()]
        for stat in self.stats_keys:
            if stat not in available:
                candidates = numeric_stats(pool.path)  # from the first rows, since the scan collected only `stats_keys`
                raise JobError(f"no row of {pool.path} has a number as stat {stat!r}", hint=suggest(stat, candidates))
        if not available:
            hint = "analyse it first (ProbeViaAnalyzerHook), or ignore_stats: true"
            raise JobError(f"no row of {pool.path} has numbers in {STATS!r}", hint=hint)
        return self.stats_keys or available
