"""The data analyser: the stats of a data set, and their overall table."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from loguru import logger

from data_juicer_sandbox.components.base import Component, JobRun
from data_juicer_sandbox.components.data.counting import RowsIn
from data_juicer_sandbox.components.data.dj_runtime import dj_runtime
from data_juicer_sandbox.components.data.exporting import exporting
from data_juicer_sandbox.components.data.sources import with_sources
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import replacing


class DataJuicerAnalyzer(Component):
    """Compute the stats that the recipe's filters judge by, without filtering.

    Watches the overall table as `<stat>.<row>`; the rows are `count`, `mean`, `std`, `min`, `25%`, `50%`, `75%`, `max`
    (and the recipe's `percentiles`). The table lies in the job's folder as `overall.csv`, Data-Juicer's own analysis
    under `data_juicer/analysis`.

    Args:
        dj_configs: the recipe; all of its filters and taggers are computed, other OPs are not applied.
        plots: let Data-Juicer draw its figures too (histograms, box plots, correlations). They take about a second a
            stat and need the extra `plots`; Data-Juicer itself always draws them.
    """

    outputs = ("analyzed_path",)

    def __init__(self, dj_configs: dict[str, Any], plots: bool = False):
        self.dj_configs = dj_configs
        self.plots = plots

    def run(self, job: JobRun) -> str:
        """Analyse the data set.

        Returns:
            The analysed data set: every row with its `__dj__stats__`, as
            `<name of export_path>_<job>_analyzed.jsonl` beside the recipe's `export_path`, or in the job's folder.

        Raises:
            JobError: the data set is not there, the recipe is wrong, it has no OP with stats, or an OP failed.
        """
        recipe = with_sources(self.dj_configs)
        started = time.perf_counter()
        final = analyzed_path(recipe, job)
        recipe |= {
            "export_path": str(final),
            "export_type": "jsonl",
            "export_shard_size": 0,
            "export_original_dataset": True,
        }
        if recipe.get("executor_type", "default") != "default":
            logger.info("the analyser computes on this machine; `executor_type` counts for processing")
            recipe["executor_type"] = "default"
        with dj_runtime(job, plots=self.plots) as dj:
            config = dj.config(recipe)
            with exporting(str(final)) as export:
                config.export_path = export.part
                analyzer = dj.analyzer(config)
                # The rows hold the stats already; a second file with nothing else would only take time.
                analyzer.exporter.export_stats = False
                rows = RowsIn(dj, analyzer)
                analyzer.run(skip_return=True)
                table = analyzer.overall_result
                if table is None or table.empty:
                    raise JobError("the recipe has no OP that computes stats", hint="add filters to `process`")
        with replacing(job.folder / "overall.csv") as part:
            table.to_csv(part)
        seconds = time.perf_counter() - started
        job.watcher.watch({**overall_values(table), "rows_in": rows.count(), "seconds": seconds})
        return str(final)


def analyzed_path(recipe: dict[str, Any], job: JobRun) -> Path:
    """Where the analysed data set goes: a name of its own, since jobs may share one recipe with one `export_path`."""
    name = f"{job.name}_analyzed.jsonl".replace(os.sep, "_")
    export = recipe.get("export_path")
    if not export or "://" in str(export):
        return job.folder / name
    path = Path(str(export))
    return path.with_name(f"{path.stem}_{name}")


def overall_values(table: Any) -> dict[str, float]:
    """The numbers of an overall table as `<stat>.<row>`; what a stat of words has instead (`top`) is left out."""
    import pandas as pd

    numbers = table.apply(pd.to_numeric, errors="coerce")
    return {
        f"{stat}.{row}": float(numbers.at[row, stat])
        for stat in numbers.columns
        for row in numbers.index
        if pd.notna(numbers.at[row, stat])
    }
