"""Data analyzer: the stats of a data set, and their overall table."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.base import Component, JobRun
from data_juicer_sandbox.components.data.dj_runtime import DataJuicerRuntime, InputRowCounter, dj_runtime
from data_juicer_sandbox.components.data.exporting import exporting
from data_juicer_sandbox.components.data.overall_table import overall_values, write_table
from data_juicer_sandbox.components.data.rows.results import Kept
from data_juicer_sandbox.components.data.rows.session import open_rows
from data_juicer_sandbox.components.data.sources import local_data, with_dataset_configs, without_data
from data_juicer_sandbox.components.io.allowance import BAD_ROWS, Allowance
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.number_types import NonNegativeInt
from data_juicer_sandbox.control_characters import safe_cell
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.imports import Library, libraries
from data_juicer_sandbox.types import ConfigValues, LibraryObject

_OVERALL_ROWS = ("count", "mean", "std", "min", "25%", "50%", "75%", "max", "unique", "freq", "top")


class DataJuicerAnalyzer(Component):
    """Compute the stats of the recipe's filters, without filtering.

    Reports the overall table to the watcher as `<stat>.<row>`. Its rows are `count`, `mean`, `std`, `min`, `25%`,
    `50%`, `75%`, `max` (and the recipe's `percentiles`). The table is `overall.csv` in the job's folder; its
    numbers are also in `overall.json`, which a k-sigma job reads. Data-Juicer's own analysis is in
    `data_juicer/analysis`.

    Args:
        dj_configs: the recipe; the stats of all its filters and taggers are computed, other OPs are not applied.
        plots: also draw Data-Juicer's figures (histograms, box plots, correlations). They take about a second per stat
            and need the extra `plots`; Data-Juicer itself always draws them.
        skip_bad_rows: number of rows that may be invalid; they are named in the log and skipped.
    """

    outputs = ("analyzed_path",)
    metrics = (*metric_keys("rows_in", "seconds", *(f"<stat>.{row}" for row in _OVERALL_ROWS)), *BAD_ROWS)
    numbers = number_keys(analyzed_path=())

    @classmethod
    def required_libraries(cls, values: Mapping[str, object]) -> tuple[Library, ...]:
        """Data-Juicer draws its figures with matplotlib and wordcloud."""
        return libraries("plots", "matplotlib", "wordcloud") if values.get("plots") is True else ()

    def __init__(self, dj_configs: ConfigValues, plots: bool = False, skip_bad_rows: NonNegativeInt = 0):
        self.dj_configs = dj_configs
        self.plots = plots
        self.skip_bad_rows = skip_bad_rows

    def run(self, job: JobRun) -> str:
        """Analyze the data set.

        Returns:
            The path of the analyzed data set: every row with its `__dj__stats__`, as
            `<name of export_path>_<job>_analyzed.jsonl` next to the recipe's `export_path`, or in the job's folder.

        Raises:
            JobError: the data set is missing or has a bad row, the recipe is invalid or has no OP with stats, or an OP
                failed.
        """
        started = time.perf_counter()
        data, allowance = local_data(self.dj_configs), Allowance(self.skip_bad_rows)
        recipe = with_dataset_configs(self.dj_configs) if data is None else without_data(self.dj_configs)
        final = analyzed_path(recipe, job)
        recipe |= {
            "export_path": str(final),
            "export_type": "jsonl",
            "export_shard_size": 0,
            "export_original_dataset": True,
        }
        if recipe.get("executor_type", "default") != "default":
            logger.info("the analyzer runs on this machine; `executor_type` applies to processing only")
            recipe["executor_type"] = "default"
        with dj_runtime(job, plots=self.plots) as dj:
            config = dj.config(recipe)
            if data is None:
                table, rows_in = _loaded_by_data_juicer(dj, config, str(final))
            else:
                rows = open_rows(dj, config, data, allowance=allowance)
                analyzer = dj.analyzer(config)
                analyzer.exporter.export_stats = analyzer.exporter.export_ds = False
                result = analyzer.run(dataset=rows.dataset)
                table, rows_in = _checked(analyzer.overall_result), rows.handed.rows_in
                with replacing(final) as part, part.open("wb", buffering=1 << 20) as stream:
                    stream.writelines(rows.result(result, Kept(stats=True)).lines())
        with replacing(job.folder / "overall.csv") as part:
            table.rename(index=safe_cell, columns=safe_cell).map(safe_cell).to_csv(part)
        values = overall_values(table)
        write_table(job.folder, values)
        seconds = time.perf_counter() - started
        allowance.report(job)
        job.watcher.watch({**values, "rows_in": rows_in, "seconds": seconds})
        return str(final)


def _loaded_by_data_juicer(dj: DataJuicerRuntime, config: LibraryObject, final: str) -> tuple[LibraryObject, int]:
    """Analyze a data set that Data-Juicer loads, such as one on a hub; return the table and the number of rows."""
    with exporting(final) as export:
        config.export_path = export.part
        analyzer = dj.analyzer(config)
        # The rows contain the stats, so a second file with the stats alone is not needed.
        analyzer.exporter.export_stats = False
        rows = InputRowCounter(dj, analyzer)
        analyzer.run(skip_return=True)
        return _checked(analyzer.overall_result), rows.count()


def _checked(table: LibraryObject) -> LibraryObject:
    if table is None or table.empty:
        raise JobError("the recipe has no OP that computes stats", hint="add filters to `process`")
    return table


def analyzed_path(recipe: ConfigValues, job: JobRun) -> Path:
    """The path of the analyzed data set; it has the job's name, since jobs may share a recipe and its `export_path`."""
    name = f"{job.name}_analyzed.jsonl".replace(os.sep, "_")
    export = recipe.get("export_path")
    if not export or "://" in str(export):
        return job.folder / name
    path = Path(str(export))
    return path.with_name(f"{path.stem}_{name}")
