"""Evaluation of language models with lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from loguru import logger

from data_juicer_sandbox.components.base import FanOut, InputPath, Item, JobRun, Models, OutputPath
from data_juicer_sandbox.components.evaluate.harness import lm_eval_run
from data_juicer_sandbox.components.evaluate.harness.external import ExternalHarness, copy_samples
from data_juicer_sandbox.components.lm import metadata
from data_juicer_sandbox.components.metric_keys import metric_keys
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveFloat, PositiveInt
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.imports import Library, libraries
from data_juicer_sandbox.installation import install_command
from data_juicer_sandbox.types import ConfigValues, Metrics

Score = Metrics


class LMEval(FanOut):
    """Score language models on tasks of lm-evaluation-harness, or on custom tasks in its format.

    The output is `scores`, one mapping per model and task (groups too): `model`, `task`, `samples`, `num_fewshot`;
    `train_dataset`, `train_tokens` and `seed` from the model's `training.json`; and the task's metrics with their
    standard errors (`acc`, `acc_stderr`, `acc_norm`, ...; if a task filters answers, the filter's name is appended, as
    in `exact_match_strict-match`). They are reported as `<model>.<task>.<metric>`.

    lm-eval runs in a separate process, with this interpreter or the one that `python` names (its dependencies may
    conflict with others). Models are evaluated one after the other.

    Source: Gao et al., "The Language Model Evaluation Harness" (github.com/EleutherAI/lm-evaluation-harness).

    Args:
        model: one or several models: folders or hub ids; with `api_endpoint` their names on the server.
        tasks: names of tasks or groups; all of `task_path` by default.
        task_path: a folder of tasks in lm-eval's YAML format. Paths of data files in a task are relative to the folder
            of the run.
        api_endpoint: URL of an OpenAI-compatible server (`http://localhost:8000/v1`).
        api_kind: `completions`, required for multiple choice (the server must return log-probabilities of the prompt),
            or `chat`, for generative tasks.
        api_key_env: the environment variable that holds the server's key.
        tokenizer: with `api_endpoint`: hub id or folder of the model's tokenizer; multiple choice needs it.
        num_fewshot: number of examples before each question; the task's number by default.
        limit: number of questions per task, from its start; below 1: a fraction. All by default.
        batch_size: questions per batch, or `auto`.
        apply_chat_template: send questions as chat messages.
        system_instruction: system prompt of every question.
        gen_kwargs: generation parameters that override those of the tasks (`max_gen_toks`, `temperature`, ...).
        model_args: more arguments for lm-eval's model class (`dtype`, `peft`, `max_length`, `num_concurrent`, ...).
        device: `cpu`, `cuda`, `cuda:1`, ...; by default the GPU if available.
        threads: CPU threads; torch's default if not set.
        log_samples: write every question, answer and score into `export_path`.
        export_path: folder of the samples, `<model>_<task>_samples.jsonl`; the job's folder by default.
        bootstrap_iters: bootstrap iterations for standard errors of metrics without a formula; 0: no standard errors.
        python: a Python interpreter with lm-eval; the current one by default.
        seed: seed of few-shot examples and sampling.
    """

    outputs = ("scores",)
    requires = libraries("evaluate", "lm_eval")
    metrics = metric_keys("<task>.<metric>", under="{model}")

    @classmethod
    def required_libraries(cls, values: Mapping[str, object]) -> tuple[Library, ...]:
        """None, if `python` names another interpreter."""
        return () if values.get("python") else cls.requires

    def __init__(
        self,
        model: Models,
        tasks: str | list[str] | None = None,
        task_path: InputPath | None = None,
        api_endpoint: str | None = None,
        api_kind: Literal["completions", "chat"] = "completions",
        api_key_env: str = "OPENAI_API_KEY",
        tokenizer: str | None = None,
        num_fewshot: NonNegativeInt | None = None,
        limit: PositiveFloat | None = None,
        batch_size: PositiveInt | Literal["auto"] = 8,
        apply_chat_template: bool = False,
        system_instruction: str | None = None,
        gen_kwargs: ConfigValues | None = None,
        model_args: ConfigValues | None = None,
        device: str | None = None,
        threads: PositiveInt | None = None,
        log_samples: bool = False,
        export_path: OutputPath | None = None,
        bootstrap_iters: NonNegativeInt = 1000,
        python: str | None = None,
        seed: NonNegativeInt = 42,
    ):
        if not tasks and not task_path:
            raise ConfigError("no task is named", hint="`tasks`, or `task_path` for a folder of custom tasks")
        if tokenizer and not api_endpoint:
            raise ConfigError("`tokenizer` requires `api_endpoint`", hint="model_args: {tokenizer: ...} for a folder")
        self.models, self.export_path, self.log_samples = as_list(model), export_path, log_samples
        self.api_endpoint, self.api_kind, self.tokenizer = api_endpoint, api_kind, tokenizer
        self.threads = threads
        self.harness = ExternalHarness(
            "lm_eval",
            install_command("evaluate"),
            str(lm_eval_run.__file__),
            python,
            api_key_env,
        )
        self.request = {
            "tasks": as_list(tasks or []),
            "task_path": task_path,
            "kind": "hf" if api_endpoint is None else f"local-{'chat-' if api_kind == 'chat' else ''}completions",
            "model_args": {**self._server(), **(model_args or {})},
            "device": device,
            "threads": threads,
            "seed": seed,
            "options": {
                "num_fewshot": num_fewshot,
                "limit": int(limit) if limit is not None and limit >= 1 else limit,
                "batch_size": batch_size,
                "apply_chat_template": apply_chat_template or (api_kind == "chat" and api_endpoint is not None),
                "system_instruction": system_instruction,
                "gen_kwargs": gen_kwargs,
                "log_samples": log_samples,
                "bootstrap_iters": bootstrap_iters,
            },
        }

    def run(self, job: JobRun) -> list[Score]:
        """Score every model on every task."""
        return self._scores(job, distinct_names(self.models))

    def items(self, job: JobRun) -> list[Item]:
        """The models; none if they are on a server."""
        return [Item(name, self.threads) for name in distinct_names(self.models)] if self.api_endpoint is None else []

    def run_item(self, job: JobRun, name: str) -> list[Score]:
        """Score one model on every task."""
        return self._scores(job, [name])

    def collect(self, job: JobRun, results: Mapping[str, list[Score]]) -> list[Score]:
        """The scores of all models."""
        return [score for scores in results.values() for score in scores]

    def _scores(self, job: JobRun, names: Sequence[str]) -> list[Score]:
        scores: list[Score] = []
        paths = dict(zip(distinct_names(self.models), self.models, strict=True))
        answers = self.harness.run(job, [paths[name] for name in names], self.request)
        for number, (name, (model, folder, answer)) in enumerate(zip(names, answers, strict=True)):
            metrics_by_task = read(answer)
            for task, metrics in metrics_by_task.items():
                about = {"samples": answer["n-samples"].get(task, {}).get("effective")}
                about |= {"num_fewshot": answer["n-shot"].get(task), **metadata.training_of(model, name)}
                scores.append({"model": model, "task": task, **about, **metrics})
            job.watcher.watch({name: metrics_by_task})
            logger.info("{}: {}", name, metrics_by_task)
            if self.log_samples:
                copy_samples(folder, number, name, self.export_path or job.folder)
        return scores

    def _server(self) -> ConfigValues:
        """lm-eval's model arguments for the server."""
        if self.api_endpoint is None:
            return {}
        ending = "/chat/completions" if self.api_kind == "chat" else "/completions"
        address = self.api_endpoint.rstrip("/")
        tokenizer_args = {"tokenizer_backend": "huggingface", "tokenizer": self.tokenizer} if self.tokenizer else {}
        return {
            "base_url": address if address.endswith(ending) else address + ending,
            "tokenizer_backend": "none",
            "tokenized_requests": False,
            **tokenizer_args,
        }


def read(answer: Metrics) -> dict[str, dict[str, float]]:
    """The metrics of each task; lm-eval names them `metric,filter`, where the filter is usually `none`."""
    metrics_by_task: dict[str, dict[str, float]] = {}
    for task, metrics in answer["results"].items():
        for key, value in metrics.items():
            name, comma, filter_name = key.partition(",")
            if comma and isinstance(value, int | float):
                metrics_by_task.setdefault(task, {})[name if filter_name == "none" else f"{name}_{filter_name}"] = (
                    float(value)
                )
    return metrics_by_task
