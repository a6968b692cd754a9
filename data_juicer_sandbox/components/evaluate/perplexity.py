"""Perplexity and bits per byte of language models on held-out text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Literal

from loguru import logger

from data_juicer_sandbox.components.base import FanOut, InputPaths, Item, JobRun, Models, Task
from data_juicer_sandbox.components.io import read_lines
from data_juicer_sandbox.components.io.allowance import BAD_ROWS, Allowance
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.lm import loading, metadata, torch_env
from data_juicer_sandbox.components.lm.held_out import BATCH, HeldOut
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveInt
from data_juicer_sandbox.components.processes.hardware import cores
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.imports import libraries
from data_juicer_sandbox.types import Metrics

BYTES_PER_TOKEN = 3
"""A low estimate for texts, for the time that scoring takes."""
_SCORES = ("loss", "perplexity", "bits_per_byte", "tokens", "bytes", "documents")


class HuggingFacePerplexity(FanOut):
    """Loss, perplexity and bits per byte of causal language models on texts.

    Every token of a document is scored, the first one after the model's BOS (or else EOS) token; the end of the
    document is not scored. Documents longer than the context are read through a sliding window.

    Bits per byte is the sum of -log2 p over all tokens, divided by the number of UTF-8 bytes of the text. Unlike loss
    and perplexity, which are per token, it can be compared between models with different tokenizers (Gao et al. 2020,
    "The Pile", section 3.1).

    The outputs are `scores`, one mapping per model and data set (`model`, `dataset`; `train_dataset`, `train_tokens`
    and `seed` from the model's `training.json`; `loss` in nats, `perplexity`, `bits_per_byte`, `tokens`, `bytes`,
    `documents`), and `summary`, one mapping per training data set and data set: `n` models, and the `mean`, `min`,
    `max` and `spread` (max - min) of their bits per byte.

    Args:
        model: one or several models: folders, or ids on the Hugging Face hub.
        dataset_path: one or several data sets, in any format, folder or pattern (docs/data_pools.md).
        text_key: the field that holds the text; empty texts are skipped.
        max_rows: number of rows of each data set to score, from its start; all by default. (A limit in tokens would
            select different texts for models with different tokenizers.)
        skip_bad_rows: number of rows, over all data sets, that may be invalid (no JSON object, or no text); they are
            counted, named in the log and skipped.
        block_size: tokens per window; by default the model's context, at most 2048.
        stride: tokens by which the window moves; half a window by default. A smaller stride is slower and gives more
            context.
        batch_size: windows per batch.
        dtype: type of the weights.
        threads: CPU threads; by default 1 for a small model, torch's default for others.
    """

    outputs = ("scores", "summary")
    requires = libraries(torch_env.EXTRA, "torch", "transformers")
    metrics = (*metric_keys(*_SCORES, under="{model}.{dataset_path}"), *BAD_ROWS)
    numbers = number_keys(
        scores=tuple(f"<n>.{name}" for name in (*_SCORES, "train_tokens", "seed")),
        summary=("<n>.n", "<n>.mean", "<n>.min", "<n>.max", "<n>.spread"),
    )

    def __init__(
        self,
        model: Models,
        dataset_path: InputPaths,
        text_key: str = "text",
        max_rows: PositiveInt | None = None,
        skip_bad_rows: NonNegativeInt = 0,
        block_size: PositiveInt | None = None,
        stride: PositiveInt | None = None,
        batch_size: PositiveInt = BATCH,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        threads: PositiveInt | None = None,
    ):
        if block_size is not None and block_size < 2:
            raise ConfigError("block_size 1 leaves no token to predict", hint="2 or more")
        if block_size is not None and stride is not None and stride >= block_size:
            raise ConfigError(f"stride {stride} is not below block_size {block_size}")
        self.models, self.dtype, self.threads = as_list(model), dtype, threads
        self.skip_bad_rows, self.datasets, self.max_rows = skip_bad_rows, as_list(dataset_path), max_rows
        self.held_out = partial(
            HeldOut,
            text_key=text_key,
            max_rows=max_rows,
            block_size=block_size,
            stride=stride,
            batch_size=batch_size,
        )

    def run(self, job: JobRun) -> tuple[list[Metrics], list[Metrics]]:
        """Score every model on every data set.

        Raises:
            JobError: a model or its tokenizer is damaged, or a loss is not finite.
        """
        scores = self._scores(job, self._names)
        return scores, summarize(scores)

    def items(self, job: JobRun) -> list[Item]:
        """The models, if scoring them takes much longer than the start of a process for each."""
        sizes = [torch_env.weights_in(path) for path in self.models]
        tokens = sum(map(self._size, self.datasets)) / BYTES_PER_TOKEN
        if 0 not in sizes and not torch_env.is_worth_processes(len(sizes), 4 * sum(sizes) / len(sizes) * tokens):
            return []
        every = cores() if torch_env.device() == "cpu" else None
        return [
            Item(name, self.threads or torch_env.threads_for(path) or every)
            for name, path in zip(self._names, self.models, strict=True)
        ]

    def _size(self, path: str) -> int:
        """Bytes of the rows that are scored."""
        if self.max_rows is None:
            return sum(file.stat().st_size for file in data_files(path))
        return sum(map(len, islice(read_lines(path), self.max_rows)))

    def run_item(self, job: JobRun, name: str) -> list[Metrics]:
        """Score one model on every data set."""
        return self._scores(job, [name])

    def collect(self, job: JobRun, results: Mapping[str, list[Metrics]]) -> tuple[list[Metrics], list[Metrics]]:
        """The scores of all models, and their summary."""
        scores = [score for scores in results.values() for score in scores]
        return scores, summarize(scores)

    @property
    def _names(self) -> list[str]:
        return distinct_names(self.models)

    def _scores(self, job: JobRun, selected: Sequence[str]) -> list[Metrics]:
        """Score the selected models on every data set."""
        scores: list[Metrics] = []
        paths = dict(zip(self._names, self.models, strict=True))
        allowance = Allowance(self.skip_bad_rows)
        sets = [self.held_out(path, allowance=allowance) for path in self.datasets]
        with job.progress.task("scoring texts", total=len(selected) * len(sets)) as task:
            for name in selected:
                path = paths[name]
                with torch_env.deterministic(self.threads or torch_env.threads_for(path)):
                    for score in self._scores_of(job, name, path, sets, task):
                        scores.append(score)
                        task.advance(1)
        allowance.report(job)  # the same in each item, since all models read the same data sets
        return scores

    def _scores_of(self, job: JobRun, name: str, path: str, sets: list[HeldOut], task: Task) -> Iterator[Metrics]:
        """Score one model on every data set."""
        tokenizer, model = loading.load_tokenizer(path), loading.load_causal_lm(path, self.dtype)
        training_data = metadata.training_of(path, name)
        for dataset, texts in zip(distinct_names(self.datasets), sets, strict=True):
            metrics = texts.score(model, tokenizer, task, f"{name} on {dataset}")
            if not math.isfinite(metrics["loss"]):
                raise JobError(
                    f"the loss of {name} on {dataset} is {metrics['loss']}",
                    hint=None if self.dtype == "float32" else "dtype: float32",
                )
            job.watcher.watch({name: {dataset: metrics}})
            logger.info("{} on {}: {:.4f} bits per byte", name, dataset, metrics["bits_per_byte"])
            yield {"model": path, "dataset": dataset, **training_data, **metrics}


def summarize(scores: list[Metrics]) -> list[Metrics]:
    """Bits per byte over all seeds (n, mean, min, max, spread) for each training data set and data set, in order."""
    groups: dict[tuple[str, str], list[float]] = {}
    for score in scores:
        groups.setdefault((score["train_dataset"], score["dataset"]), []).append(score["bits_per_byte"])
    return [
        {
            "train_dataset": trained,
            "dataset": dataset,
            "n": len(values),
            "mean": math.fsum(values) / len(values),
            "min": min(values),
            "max": max(values),
            "spread": max(values) - min(values),
        }
        for (trained, dataset), values in groups.items()
    ]
