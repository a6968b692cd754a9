"""A pool cut into pools by the stats of its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Literal

from jsonargparse.typing import NonNegativeInt, PositiveInt
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.pools.cutting import Cutting
from data_juicer_sandbox.components.pools.outputs import Output, RowSelection
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO
from data_juicer_sandbox.components.pools.sampling import drawn
from data_juicer_sandbox.components.pools.scanners import Valid
from data_juicer_sandbox.components.pools.stats import STATS, Stats, numeric_stats
from data_juicer_sandbox.components.processes.worker_pool import Engine
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import JobError

if TYPE_CHECKING:
    from data_juicer_sandbox.components.pools.pool import Pool


class DataPoolConstruction(Component):
    """Sort a data set by each of its stats and cut it into data pools, low to high.

    The single-OP experiment: train on each pool, and see which stat, and which end of it, makes the model better. Rows
    pass through byte for byte. They are sorted by each numeric stat in `__dj__stats__` (a list counts by its mean),
    rising; ties keep their order. Rows in which a stat is missing or NaN are counted in the log and left out of that
    stat's pools. What each pool holds (`rows`, `min`, `max` of the stat) is watched.

    New pools are `<export_path>/<stat>/<name>_<stat>_<part>.jsonl`, parts numbered from 0, the lowest; with
    `ignore_stats`, `<export_path>/<name>_ignore_stats_<part>.jsonl`. What in a stat's name may not stand in a file's
    becomes `_`. A part without rows is named in the log and not written.

    Args:
        dataset_path: analysed data set(s): files (jsonl, json with a list, csv, each also .gz or .zst; parquet),
            folders, patterns. Several are cut one by one.
        export_path: folder of the new pools.
        split_ratios: where to cut, as shares of the rows: numbers in (0, 1) or texts like '1/3', rising.
        split_num: rows of each pool, instead of ratios.
        split_quantiles: cut at the values at these quantiles, instead: as ratios, but equal values stay together.
        split_values: cut at these values of the stat, instead: one list for all stats, or one by stat. A row of the
            very value belongs to the upper pool.
        keep_top: instead of cutting, one pool of the rows with the highest values: a number of rows, or a share in
            (0, 1); `<name>_<stat>_top.jsonl`.
        remainder: where rows do not divide evenly into pools of equal size. `keep`: all rows are used; by ratios,
            sizes differ by one row at most, and by number, the last pool has fewer. `drop`: all pools have exactly one
            size, the lowest keeps the lowest rows, the highest the highest, and what is left lies between pools.
        ignore_stats: cut the rows in the order given, by ratios or number.
        stats_keys: the stats to sort by; all numeric ones by default.
        with_control: also draw a control pool at random from all rows, as large as the smallest of the new pools:
            `<export_path>/<name>_control.jsonl`, put out behind the others.
        seed: of the control's draw.
        export_type: format of the new pools.
        skip_missing: leave out data sets that are not there, with a warning, instead of failing.
        skip_bad_rows: so many lines may be no JSON objects; they are named in the log and left out.
        engine: who does the work: this machine's cores, or a Ray cluster (`RAY_ADDRESS`) that sees the same files.
    """

    outputs = ("paths",)

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
        self.cutting = Cutting(
            split_ratios, split_num, split_quantiles, split_values, keep_top, remainder, ignore_stats
        )
        self.sources, self.ignore_stats, self.with_control, self.seed = dataset_path, ignore_stats, with_control, seed
        self.stats_keys = list(dict.fromkeys([stats_keys] if isinstance(stats_keys, str) else stats_keys or []))
        self.work = PoolIO(
            export_path, export_type=export_type, skip_missing=skip_missing, skip_bad_rows=skip_bad_rows, engine=engine
        )

    def run(self, job: JobRun) -> list[str]:
        """Returns the new pools' paths: data set by data set, stat by stat, low to high; each one's control last."""
        paths = self.work.there(self.sources)
        pools = self.work.open(job, paths, Valid if self.ignore_stats else partial(Stats, self.stats_keys))
        outputs = []
        for number, pool in enumerate(pools):
            if not len(pool):
                raise JobError(f"there are no rows in {pool.path}")
            made = list(self._parts(job, number, pool))
            if not made:
                raise JobError(f"{pool.path} has too few rows for a pool: {len(pool):,}")
            if self.with_control:
                rows = min(output.content.rows for output in made)
                chosen = RowSelection(((number, drawn(len(pool), rows, self.seed)),), rows)
                made.append(Output(self.work.place(f"{pool.name}_control"), chosen))
            outputs += made
        # The stats decide nothing that the content, which is known by its digest, and these do not.
        return self.work.deliver(job, pools, outputs, ["construction", self.cutting.recipe, self.seed])

    def _parts(self, job: JobRun, number: int, pool: Pool) -> Iterator[Output]:
        import numpy as np

        if self.ignore_stats:
            for part, (start, end) in self.cutting.plain(len(pool)):
                rows = np.arange(start, end)
                yield Output(
                    self.work.place(f"{pool.name}_ignore_stats_{part}"), RowSelection(((number, rows),), len(rows))
                )
            return
        for stat in self._stats(pool):
            values = pool.told.pop(stat)
            order = np.argsort(values, kind="stable")  # NaN come last
            there = len(order) - int(np.count_nonzero(np.isnan(values)))
            if there < len(order):
                logger.warning("{}: {:,} of {:,} rows have no {!r}", pool.path, len(order) - there, len(order), stat)
            order = order[:there]
            for part, (start, end) in self.cutting.by_stat(stat, values[order]):
                rows = order[start:end]
                facts = {"rows": len(rows), "min": float(values[rows[0]]), "max": float(values[rows[-1]])}
                job.watcher.watch({pool.name: {stat: {part: facts}}})
                safe = re.sub(r"[^\w.+-]", "_", stat).lstrip(".") or "_"
                yield Output(
                    self.work.place(f"{safe}/{pool.name}_{safe}_{part}"), RowSelection(((number, rows),), len(rows))
                )

    def _stats(self, pool: Pool) -> list[str]:
        """The stats to sort by, of which there must be some, and all that were asked for."""
        import numpy as np

        known = [name for name, column in pool.told.items() if not np.isnan(column).all()]
        for stat in self.stats_keys:
            if stat not in known:
                there = numeric_stats(pool.path)  # of the first rows: what was not asked for was not read
                raise JobError(f"no row of {pool.path} has a number as stat {stat!r}", hint=suggest(stat, there))
        if not known:
            hint = "analyse it first (ProbeViaAnalyzerHook), or ignore_stats: true"
            raise JobError(f"no row of {pool.path} has numbers in {STATS!r}", hint=hint)
        return self.stats_keys or known
