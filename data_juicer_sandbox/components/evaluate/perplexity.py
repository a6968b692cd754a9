"""How well language models predict held-out text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from jsonargparse.typing import PositiveInt
from loguru import logger

from data_juicer_sandbox.components import compute
from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, Models, Task
from data_juicer_sandbox.components.evaluate.windows import Window, fitting, score, windows
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.components.train import record
from data_juicer_sandbox.components.train.packing import encode, read_texts
from data_juicer_sandbox.errors import ConfigError, JobError

ENCODED_TOGETHER = 100


class HuggingFacePerplexity(Component):
    """Loss, perplexity and bits per byte of causal language models on texts.

    Every token of a document is scored, the first one given the model's BOS (or else EOS) token; the end of the
    document is not. Documents longer than the context are read through a sliding window.

    Bits per byte is the sum of -log2 p over all tokens by the number of UTF-8 bytes of the text: the one figure of
    these that can be compared across models whose tokenizers differ (Gao et al. 2020, "The Pile", section 3.1). Loss
    and perplexity are per token.

    Puts out `scores`, one mapping for each model and data set (`model`, `dataset`; `train_dataset`, `train_tokens` and
    `seed` as the model's `training.json` tells them; `loss` in nats, `perplexity`, `bits_per_byte`, `tokens`, `bytes`,
    `documents`), and `summary`, one mapping for each training data set and data set: `n` models, and the `mean`, `min`,
    `max` and `spread` (max - min) of their bits per byte.

    Args:
        model: a model or several: folders, or ids on the Hugging Face hub.
        dataset_path: a data set or several, in any format, folder or pattern (docs/data_pools.md).
        text_key: the field that holds the text; empty texts are passed over.
        max_rows: rows of each data set to score, from its start; all by default. (A limit in tokens would give models
            with different tokenizers different texts.)
        block_size: tokens of a window; the model's longest context by default, 2048 at most then.
        stride: tokens that the window moves on by; half a window by default. Less is slower and gives more context.
        batch_size: windows in a batch.
        dtype: what the weights are held in.
        threads: CPU threads; torch's choice by default.
    """

    outputs = ("scores", "summary")

    def __init__(
        self,
        model: Models,
        dataset_path: InputPaths,
        text_key: str = "text",
        max_rows: PositiveInt | None = None,
        block_size: PositiveInt | None = None,
        stride: PositiveInt | None = None,
        batch_size: PositiveInt = 16,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        threads: PositiveInt | None = None,
    ):
        if block_size is not None and block_size < 2:
            raise ConfigError("block_size 1 leaves no token to predict", hint="2 or more")
        if block_size is not None and stride is not None and stride >= block_size:
            raise ConfigError(f"stride {stride} is not below block_size {block_size}")
        self.models, self.datasets, self.text_key = as_list(model), as_list(dataset_path), text_key
        self.max_rows, self.block_size, self.stride = max_rows, block_size, stride
        self.batch_size, self.dtype, self.threads = batch_size, dtype, threads

    def run(self, job: JobRun) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Score every model on every data set."""
        scores = []
        total = len(self.models) * len(self.datasets)
        with compute.steady(self.threads), job.progress.task("scoring texts", total=total) as task:
            for name, path in zip(distinct_names(self.models), self.models, strict=True):
                tokenizer, model = compute.load_tokenizer(path), compute.load_causal_lm(path, self.dtype)
                training = record.read(path)
                about = {
                    "train_dataset": training.get("dataset", name),
                    "train_tokens": training.get("parameters", {}).get("max_tokens"),
                    "seed": training.get("seed"),
                }
                for dataset, texts in zip(distinct_names(self.datasets), self.datasets, strict=True):
                    found = self._score(model, tokenizer, texts, task, f"{name} on {dataset}")
                    scores.append({"model": path, "dataset": dataset, **about, **found})
                    job.watcher.watch({name: {dataset: found}})
                    logger.info("{} on {}: {:.4f} bits per byte", name, dataset, found["bits_per_byte"])
                    task.advance(1)
        return scores, summarize(scores)

    def _score(self, model: Any, tokenizer: Any, path: str, task: Task, note: str) -> dict[str, Any]:
        counts = _Counts()
        start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        pieces = self._windows(tokenizer, path, start, *fitting(model, self.block_size, self.stride), counts)
        nats = tokens = 0.0
        for batch_nats, batch_tokens in score(model, pieces, self.batch_size):
            nats, tokens = nats + batch_nats, tokens + batch_tokens
            task.update(note=f"{note}: {tokens:,.0f} tokens, {nats / tokens:.3f} nats each")
        if not counts.bytes:
            raise JobError(f"there is no text in {path}", hint=f"its key is {self.text_key!r}")
        loss = nats / tokens
        return {
            "loss": loss,
            "perplexity": math.exp(loss) if loss < 700 else math.inf,
            "bits_per_byte": nats / math.log(2) / counts.bytes,
            "tokens": int(tokens),
            "bytes": counts.bytes,
            "documents": counts.documents,
        }

    def _windows(
        self, tokenizer: Any, path: str, start: int, context: int, stride: int, counts: _Counts
    ) -> Iterator[Window]:
        """All windows of a data set, counting what goes by."""
        texts = (text for text in islice(read_texts(path, self.text_key), self.max_rows) if text)
        while batch := list(islice(texts, ENCODED_TOGETHER)):
            counts.documents += len(batch)
            counts.bytes += sum(len(text.encode("utf-8", "surrogatepass")) for text in batch)
            for tokens in encode(tokenizer, batch):
                yield from windows([start, *tokens], context, stride)


@dataclass
class _Counts:
    documents: int = field(default=0)
    bytes: int = field(default=0)


def summarize(scores: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bits per byte over the seeds: n, mean, min, max, spread, for each training data set and data set, in order."""
    groups: dict[tuple[str, str], list[float]] = {}
    for one in scores:
        groups.setdefault((one["train_dataset"], one["dataset"]), []).append(one["bits_per_byte"])
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
