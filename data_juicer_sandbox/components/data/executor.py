"""Data executor: applies a Data-Juicer recipe."""

from __future__ import annotations

import time
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.base import Component, JobRun
from data_juicer_sandbox.components.data.dj_runtime import DataJuicerRuntime, InputRowCounter, dj_runtime
from data_juicer_sandbox.components.data.exporting import exporting
from data_juicer_sandbox.components.data.local_run import export_local
from data_juicer_sandbox.components.data.rows.results import Kept
from data_juicer_sandbox.components.data.rows.session import open_rows
from data_juicer_sandbox.components.data.sources import local_data, with_dataset_configs, without_data
from data_juicer_sandbox.components.io.allowance import BAD_ROWS, Allowance
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.number_types import NonNegativeInt
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.types import ConfigValues, JsonValue, LibraryObject

_UNIFORM = "uniform"


class DataJuicerExecutor(Component):
    """Apply a Data-Juicer recipe to its data set.

    Reports `rows_in`, `rows_out`, `kept_ratio` (their quotient, 0 to 1) and `seconds` to the watcher. Data-Juicer's
    logs, events and traces are in the job's folder, under `data_juicer`.

    Data-Juicer gets the fields that the OPs work on, and row numbers. In the result each row is that of the data set,
    byte for byte in JSON Lines, except for the fields that an OP changed.

    Two of Data-Juicer's defaults are changed: an OP that fails on a row fails the job (`skip_op_error: true` drops such
    rows instead), and nothing is cached between runs (`use_cache: true` enables the cache).

    Args:
        dj_configs: the recipe. The result is written to `export_path` (jsonl, jsonl.gz, jsonl.zst, json or parquet), or
            to `processed.jsonl` in the job's folder; the stats are next to it as `<name>_stats.jsonl`. `executor_type`
            may be `default`, `ray` or `ray_partitioned`.
        sample_params: parameters of the selector that draws a model probe's sample (`data_probe_algo`), such as
            `{"field_key": "meta.score"}`; `top_ratio` is `data_probe_ratio` unless `top_ratio` or `topk` is set.
        skip_bad_rows: number of rows that may be invalid; they are named in the log and skipped.
    """

    outputs = ("export_path",)
    metrics = (*metric_keys("rows_in", "rows_out", "kept_ratio", "seconds"), *BAD_ROWS)
    numbers = number_keys(export_path=())

    def __init__(
        self,
        dj_configs: ConfigValues,
        sample_params: ConfigValues | None = None,
        skip_bad_rows: NonNegativeInt = 0,
    ):
        self.dj_configs = dj_configs
        self.sample_params = sample_params or {}
        self.skip_bad_rows = skip_bad_rows

    def run(self, job: JobRun) -> str | list[str]:
        """Process the data set.

        Returns:
            The export path; a list of paths if `export_shard_size` split the export into several files.

        Raises:
            JobError: the data set is missing or has a bad row, the recipe is invalid, or an OP failed.
        """
        started = time.perf_counter()
        recipe = dict(self.dj_configs)
        data, allowance = local_data(recipe), Allowance(self.skip_bad_rows)
        recipe.setdefault("export_path", str(job.folder / "processed.jsonl"))
        with dj_runtime(job) as dj:
            if data is None:
                files, rows_in, rows_out = self._loaded_by_data_juicer(dj, with_dataset_configs(recipe))
            else:
                files, rows_in, rows_out = export_local(dj, without_data(recipe), data, allowance)
        values = {
            "rows_in": rows_in,
            "rows_out": rows_out,
            "kept_ratio": rows_out / rows_in if rows_in else 0.0,
            "seconds": time.perf_counter() - started,
        }
        allowance.report(job)
        job.watcher.watch(values)
        logger.info("{} of {} rows kept in {}", rows_out, rows_in, ", ".join(files))
        if not rows_out:
            logger.warning("the recipe filters out all {} rows", rows_in)
        return files if len(files) > 1 else files[0]

    def _loaded_by_data_juicer(self, dj: DataJuicerRuntime, recipe: ConfigValues) -> tuple[list[str], int, int]:
        """Process a data set that Data-Juicer loads, such as one on a hub; return files, rows in and rows out."""
        config = dj.config(recipe)
        if config.export_shard_size > 0 and not config.use_cache and config.executor_type == "default":
            # Its export workers would look for files that are already deleted, and it would wait forever.
            raise JobError(
                "`export_shard_size` needs Data-Juicer's cache", hint="leave out use_cache and use_checkpoint"
            )
        final = str(recipe["export_path"])
        on_ray = config.executor_type != "default"
        with exporting(final if "{" not in final else config.export_path, folder=on_ray) as export:
            config.export_path = export.part
            executor = dj.executor(config)
            rows = InputRowCounter(dj, executor)
            result = executor.run()
            rows_out = result.count()
        return export.files or [export.final], rows.count(), rows_out

    def sample(self, job: JobRun) -> str:
        """Draw the sample of the data set for a model probe, by the recipe's `data_probe_algo` and `data_probe_ratio`.

        The recipe's OPs are not applied.

        Returns:
            The path of the sample, `sample.jsonl` in the job's folder.

        Raises:
            JobError: the data set is missing or has a bad row, or the algorithm is unknown.
        """
        data, allowance = local_data(self.dj_configs), Allowance(self.skip_bad_rows)
        recipe = {
            **(with_dataset_configs(self.dj_configs) if data is None else without_data(self.dj_configs)),
            "executor_type": "default",
            "export_path": str(job.folder / "s.jsonl"),
            "export_type": "jsonl",
            "export_shard_size": 0,
            "use_checkpoint": False,
        }
        path = job.folder / "sample.jsonl"
        with dj_runtime(job) as dj:
            config = dj.config(recipe)
            params = self._sample_params(config)
            executor = dj.executor(config)
            arguments = {
                "sample_ratio": config.data_probe_ratio,
                "sample_algo": config.data_probe_algo,
                **params,
            }
            if data is None:
                sampled = executor.sample_data(**arguments)
                with replacing(path) as part:
                    dj.write_jsonl(sampled, Path(part))
            else:
                config.process = []
                rows = open_rows(dj, config, data, allowance=allowance, more_fields=[dict(params)])
                sampled = executor.sample_data(dataset_to_sample=rows.dataset, **arguments)
                with replacing(path) as part, part.open("wb") as stream:
                    stream.writelines(rows.result(sampled, Kept(stats=True, hashes=True)).lines())
            count = sampled.count() if hasattr(sampled, "count") else len(sampled)
        allowance.report(job)
        job.watcher.watch({"sample_rows": count})
        return str(path)

    def _sample_params(self, config: LibraryObject) -> dict[str, JsonValue]:
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
        return params
