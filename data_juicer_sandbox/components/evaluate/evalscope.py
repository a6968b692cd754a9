"""Evaluation of language models with EvalScope."""

from __future__ import annotations

from collections.abc import Mapping

from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPath, JobRun, Models, OutputPath
from data_juicer_sandbox.components.evaluate.harness import evalscope_run
from data_juicer_sandbox.components.evaluate.harness.external import ExternalHarness, copy_samples
from data_juicer_sandbox.components.lm import metadata
from data_juicer_sandbox.components.metric_keys import metric_keys
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveFloat, PositiveInt
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.imports import Library
from data_juicer_sandbox.types import ConfigValues, Metrics

Score = Metrics
_CUSTOM = ("general_qa", "general_mcq")


class EvalScope(Component):
    """Score language models on EvalScope benchmarks, or on custom questions.

    The output is `scores`, one mapping per model and data set: `model`, `dataset`, `samples`; `train_dataset`,
    `train_tokens` and `seed` from the model's `training.json`; the metrics by EvalScope's names; and with several
    subsets `subsets`, the metrics of each. The metrics are reported as `<model>.<dataset>.<metric>`.

    EvalScope runs in a separate process. Its dependencies conflict with those of this package (`datasets` below 5), so
    it needs a separate environment, whose interpreter `python` names: `pip install evalscope` there, and `torch` and
    `accelerate` for local models. EvalScope runs Python code in the folder of a local model. Its release 1.14.1 fails
    on local models with a chat template if transformers is 5 or later: use a server for those.

    Source: github.com/modelscope/evalscope.

    Args:
        model: one or several models: folders or hub ids; with `api_endpoint` their names on the server.
        datasets: names of benchmarks. `general_qa` and `general_mcq` are for custom questions.
        data_path: a folder of custom questions: for `general_qa` `<subset>.jsonl` of `query` and `response`; for
            `general_mcq` `<subset>_val.jsonl` (and `<subset>_dev.jsonl` for examples) of `question`, `A`, `B`, ... and
            `answer`.
        subsets: subsets of `data_path` to use, such as [`capitals`]; required with it.
        api_endpoint: URL of an OpenAI-compatible server (`http://localhost:8000/v1`).
        api_key_env: the environment variable that holds the server's key.
        limit: number of questions per subset, from its start; below 1: a fraction. All by default.
        batch_size: questions at a time.
        generation_config: generation parameters (`max_tokens`, `temperature`, `do_sample`, ...).
        dataset_args: EvalScope's arguments of each benchmark, by its name (`few_shot_num`, `prompt_template`, ...).
        model_args: EvalScope's arguments for local models (`precision`, `device_map`, `revision`, ...).
        threads: CPU threads for local models; torch's default if not set.
        log_samples: write every question, answer and score into `export_path`.
        export_path: folder of the samples, `<model>_<dataset>_<subset>_samples.jsonl`; the job's folder by default.
        python: a Python interpreter with EvalScope; the current one by default.
        seed: seed of few-shot examples and sampling.
    """

    outputs = ("scores",)
    requires = (Library("evalscope"),)
    metrics = metric_keys("<data set>.<metric>", under="{model}")

    @classmethod
    def required_libraries(cls, values: Mapping[str, object]) -> tuple[Library, ...]:
        """None, if `python` names another interpreter."""
        return () if values.get("python") else cls.requires

    def __init__(
        self,
        model: Models,
        datasets: str | list[str],
        data_path: InputPath | None = None,
        subsets: list[str] | None = None,
        api_endpoint: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        limit: PositiveFloat | None = None,
        batch_size: PositiveInt = 1,
        generation_config: ConfigValues | None = None,
        dataset_args: ConfigValues | None = None,
        model_args: ConfigValues | None = None,
        threads: PositiveInt | None = None,
        log_samples: bool = False,
        export_path: OutputPath | None = None,
        python: str | None = None,
        seed: NonNegativeInt = 42,
    ):
        names = as_list(datasets)
        arguments = {name: dict(values) for name, values in (dataset_args or {}).items()}
        if not names:
            raise ConfigError("no data set is named", hint="`datasets`: names of EvalScope's benchmarks")
        if (data_path is None) != (subsets is None):
            raise ConfigError("`data_path` and `subsets` must be set together")
        if data_path is not None:
            if not set(names) <= set(_CUSTOM):
                raise ConfigError(f"`data_path` is for {' and '.join(_CUSTOM)}, not for {', '.join(names)}")
            for name in names:
                arguments.setdefault(name, {}).update(local_path=data_path, subset_list=subsets)
        self.models, self.log_samples, self.export_path = as_list(model), log_samples, export_path
        self.harness = ExternalHarness(
            "evalscope", "pip install evalscope", str(evalscope_run.__file__), python, api_key_env
        )
        self.request = {
            "threads": threads,
            "options": {
                "datasets": names,
                "dataset_args": arguments,
                "limit": int(limit) if limit is not None and limit >= 1 else limit,
                "eval_batch_size": batch_size,
                "generation_config": generation_config or {},
                "seed": seed,
                "collect_perf": False,
                **({"eval_type": "openai_api", "api_url": api_endpoint} if api_endpoint else {"eval_type": "llm_ckpt"}),
                **({} if model_args is None else {"model_args": model_args}),
            },
        }

    def run(self, job: JobRun) -> list[Score]:
        """Score every model on every data set."""
        scores: list[Score] = []
        names = iter(distinct_names(self.models))
        for number, (model, folder, model_scores) in enumerate(self.harness.run(job, self.models, self.request)):
            name = next(names)
            for dataset, dataset_scores in model_scores.items():
                samples, metrics, subsets = (dataset_scores[key] for key in ("samples", "metrics", "subsets"))
                if not samples:
                    raise JobError(f"EvalScope scored no sample of {dataset}", hint="see the log (`debug: true`)")
                subset_metrics = {"subsets": subsets} if len(subsets) > 1 else {}
                about = {"samples": samples, **metadata.training_of(model, name)}
                scores.append({"model": model, "dataset": dataset, **about, **metrics, **subset_metrics})
                job.watcher.watch({name: {dataset: metrics}})
                logger.info("{} on {}: {}", name, dataset, metrics)
            if self.log_samples:
                copy_samples(folder, number, name, self.export_path or job.folder)
        return scores
