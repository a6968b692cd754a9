"""Language models by EvalScope."""

from __future__ import annotations

from typing import Any

from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPath, JobRun, Models, OutputPath
from data_juicer_sandbox.components.evaluate.harness import evalscope_run
from data_juicer_sandbox.components.evaluate.harness.external import ExternalHarness
from data_juicer_sandbox.components.evaluate.harness.samples import keep
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.errors import ConfigError, JobError

Score = dict[str, Any]
_OWN = ("general_qa", "general_mcq")


class EvalScope(Component):
    """Score language models on EvalScope's benchmarks, or on questions of one's own.

    Puts out `scores`, one mapping for each model and data set: `model`, `dataset`, `samples`, the metrics by
    EvalScope's names, and `subsets`, the same of each subset where there are several. They are watched as
    `<model>.<dataset>.<metric>`.

    EvalScope runs in a process of its own. Its dependencies exclude those of this package (`datasets` below 5), so it
    wants an environment of its own, whose interpreter `python` names: `pip install evalscope` there, and `torch` and
    `accelerate` for local models. EvalScope runs Python code that a local model's folder brings. Its release 1.14.1
    fails on local models with a chat template where transformers is 5 or later: let a server give those answers.

    Source: github.com/modelscope/evalscope.

    Args:
        model: a model or several: folders or hub ids; with `api_endpoint` the names by which the server knows them.
        datasets: names of benchmarks. `general_qa` and `general_mcq` are for questions of one's own.
        data_path: a folder with those: for `general_qa` `<subset>.jsonl` of `query` and `response`; for `general_mcq`
            `<subset>_val.jsonl` (and `<subset>_dev.jsonl` for examples) of `question`, `A`, `B`, ... and `answer`.
        subsets: those of `data_path` to ask, such as [`capitals`]; needed with it.
        api_endpoint: URL of an OpenAI-compatible server (`http://localhost:8000/v1`).
        api_key_env: the environment variable that holds the server's key.
        limit: questions of each subset, the first ones; below 1: a part of them. All by default.
        batch_size: questions at a time.
        generation_config: how answers are generated (`max_tokens`, `temperature`, `do_sample`, ...).
        dataset_args: EvalScope's arguments of each benchmark, by its name (`few_shot_num`, `prompt_template`, ...).
        model_args: EvalScope's arguments for local models (`precision`, `device_map`, `revision`, ...).
        threads: CPU threads for local models; torch's choice by default.
        log_samples: write every question, answer and score into `export_path`.
        export_path: folder of the samples, `<model>_<dataset>_<subset>_samples.jsonl`; the job's folder by default.
        python: an interpreter that has EvalScope; the one of this run by default.
        seed: of few-shot examples and sampling.
    """

    outputs = ("scores",)

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
        generation_config: dict[str, Any] | None = None,
        dataset_args: dict[str, Any] | None = None,
        model_args: dict[str, Any] | None = None,
        threads: PositiveInt | None = None,
        log_samples: bool = False,
        export_path: OutputPath | None = None,
        python: str | None = None,
        seed: NonNegativeInt = 42,
    ):
        names, arguments = as_list(datasets), {name: dict(given) for name, given in (dataset_args or {}).items()}
        if not names:
            raise ConfigError("no data set is named", hint="`datasets`: names of EvalScope's benchmarks")
        if (data_path is None) != (subsets is None):
            raise ConfigError("`data_path` and `subsets` go together")
        if data_path is not None:
            if not set(names) <= set(_OWN):
                raise ConfigError(f"`data_path` is for {' and '.join(_OWN)}, not for {', '.join(names)}")
            for name in names:
                arguments.setdefault(name, {}).update(local_path=data_path, subset_list=subsets)
        self.models, self.log_samples, self.export_path = as_list(model), log_samples, export_path
        self.outside = ExternalHarness(
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
        for number, (model, folder, answer) in enumerate(self.outside.answers(job, self.models, self.request)):
            name = next(names)
            for dataset, found in answer.items():
                if not found["samples"]:
                    raise JobError(f"EvalScope scored no sample of {dataset}", hint="the log tells why (`debug: true`)")
                several = {"subsets": found["subsets"]} if len(found["subsets"]) > 1 else {}
                scores.append(
                    {"model": model, "dataset": dataset, "samples": found["samples"], **found["metrics"], **several}
                )
                job.watcher.watch({name: {dataset: found["metrics"]}})
                logger.info("{} on {}: {}", name, dataset, found["metrics"])
            if self.log_samples:
                keep(folder, number, name, self.export_path or job.folder)
        return scores
