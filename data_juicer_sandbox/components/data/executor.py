"""Data executor: applies a Data-Juicer recipe."""

from __future__ import annotations

import time
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.base import Component, JobRun
from data_juicer_sandbox.components.data.counting import InputRowCounter
from data_juicer_sandbox.components.data.dj_runtime import dj_runtime
from data_juicer_sandbox.components.data.exporting import exporting
from data_juicer_sandbox.components.data.sources import with_sources
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.types import ConfigValues

_UNIFORM = "uniform"


class DataJuicerExecutor(Component):
    """Apply a Data-Juicer recipe to its data set.

    Reports `rows_in`, `rows_out`, `kept_ratio` (their quotient, 0 to 1) and `seconds` to the watcher. Data-Juicer's
    logs, events and traces are in the job's folder, under `data_juicer`.

    Two of Data-Juicer's defaults are changed: an OP that fails on a row fails the job (`skip_op_error: true` drops such
    rows instead), and nothing is cached between runs (`use_cache: true` enables the cache).

    Args:
        dj_configs: the recipe. The result is written to `export_path`, or to `processed.jsonl` in the job's folder;
            the stats that Data-Juicer exports are next to it as `<name>_stats.jsonl`. `executor_type` may be
            `default`, `ray` or `ray_partitioned`.
        sample_params: parameters of the selector that draws a model probe's sample (`data_probe_algo`), such as
            `{"field_key": "meta.score"}`; `top_ratio` is `data_probe_ratio` unless `top_ratio` or `topk` is set.
    """

    outputs = ("export_path",)
    metrics = metric_keys("rows_in", "rows_out", "kept_ratio", "seconds")
    numbers = number_keys(export_path=())

    def __init__(self, dj_configs: ConfigValues, sample_params: ConfigValues | None = None):
        self.dj_configs = dj_configs
        self.sample_params = sample_params or {}

    def run(self, job: JobRun) -> str | list[str]:
        """Process the data set.

        Returns:
            The export path; a list of paths if `export_shard_size` split the export into several files.

        Raises:
            JobError: the data set is missing, the recipe is invalid, or an OP failed.
        """
        recipe = with_sources(self.dj_configs)
        started = time.perf_counter()
        final = str(recipe.setdefault("export_path", str(job.folder / "processed.jsonl")))
        with dj_runtime(job) as dj:
            config = dj.config(recipe)
            with exporting(final if "{" not in final else config.export_path) as export:
                config.export_path = export.part
                executor = dj.executor(config)
                rows = InputRowCounter(dj, executor)
                result = executor.run()
                rows_out = result.count()
            rows_in = rows.count()
        values = {
            "rows_in": rows_in,
            "rows_out": rows_out,
            "kept_ratio": rows_out / rows_in if rows_in else 0.0,
            "seconds": time.perf_counter() - started,
        }
        job.watcher.watch(values)
        logger.info("{} of {} rows kept in {}", rows_out, rows_in, ", ".join(export.files))
        if not rows_out:
            logger.warning("the recipe filters out all {} rows", rows_in)
        return export.files if len(export.files) > 1 else export.final

    def sample(self, job: JobRun) -> str:
        """Draw the sample of the data set for a model probe, by the recipe's `data_probe_algo` and `data_probe_ratio`.

        The recipe's OPs are not applied.

        Returns:
            The path of the sample, `sample.jsonl` in the job's folder.

        Raises:
            JobError: the data set is missing, or the algorithm is unknown.
        """
        recipe = {
            **with_sources(self.dj_configs),
            "executor_type": "default",
            "export_path": str(job.folder / "s.jsonl"),
        }
        path = job.folder / "sample.jsonl"
        with dj_runtime(job) as dj:
            config = dj.config(recipe)
            params = dict(self.sample_params)
            if config.data_probe_algo != _UNIFORM:
                if "field_key" not in params:
                    raise JobError(
                        f"data_probe_algo: {config.data_probe_algo} needs a field, which a recipe cannot set",
                        hint="in extra_configs: data_probe_algo: frequency with frequency_key: <field>, "
                        "or stratified with strata_key: <field>",
                    )
                if not params.keys() & {"top_ratio", "topk"}:
                    params["top_ratio"] = config.data_probe_ratio
            sampled = dj.executor(config).sample_data(
                sample_ratio=config.data_probe_ratio, sample_algo=config.data_probe_algo, **params
            )
            with replacing(path) as part:
                dj.write_jsonl(sampled, Path(part))
            count = sampled.count() if hasattr(sampled, "count") else len(sampled)
        job.watcher.watch({"sample_rows": count})
        return str(path)
