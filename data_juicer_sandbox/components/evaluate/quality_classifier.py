"""Text quality of a data set, scored by a classifier."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPath, InputPaths, JobRun, Model, OutputPath, Task
from data_juicer_sandbox.components.io import write_rows
from data_juicer_sandbox.components.io.allowance import BAD_ROWS, Allowance
from data_juicer_sandbox.components.lm.packing import read_rows_with_text, read_texts
from data_juicer_sandbox.components.metric_keys import MetricKey, metric_keys, number_keys
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveInt
from data_juicer_sandbox.components.quality import published, spark_ml, stored
from data_juicer_sandbox.components.quality.classifier import EXTRA, LinearClassifier, sentencepiece
from data_juicer_sandbox.components.quality.spark import SPARK, SparkClassifier
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.imports import Library, libraries
from data_juicer_sandbox.types import Metrics, Row

Classifier = LinearClassifier | SparkClassifier
PROGRESS_INTERVAL = 1000
"""Rows between two updates of the progress bar."""


_SUMMARY = ("mean", "std", "min", "p05", "p25", "p50", "p75", "p95", "max", "rows")


class DJTextQualityClassifier(Component):
    """Score texts with a classifier of good and bad texts, as used to filter GPT-3's data.

    The outputs are `score`, the mean score (of several data sets, the highest); `results`, a mapping per data set
    (`dataset`, `mean`, `std`, `min`, `p05`, `p25`, `p50`, `p75`, `p95`, `max`, `histogram` of ten equal bins, `rows`,
    and with a `keep_method` `kept`, the fraction of rows to keep), also reported under the data set's name; and
    `scored`, the path of each data set with scores, all rows in their order: `doc_score`, 0 to 1, and with a
    `keep_method` `should_keep`, 1 or 0.

    Spark ML pipelines of the usual form (Data-Juicer's published classifiers, and those that its `quality_classifier`
    tool trains) are read without Spark. Other pipelines are run by PySpark (not in this package's extras; it needs
    Java), in a separate process.

    Source: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix A.

    Args:
        dataset_path: one or several data sets.
        model: `gpt3`, `chinese` or `code`, Data-Juicer's published classifiers, read from its cache or downloaded into
            it; or a folder: the output of `text_quality_classifier`, or a Spark ML pipeline.
        export_path: folder of the data sets with scores, `<name>_scored.jsonl`; the job's folder by default.
        text_key: the field that holds the text.
        tokenizer_path: sentencepiece model for a Spark ML pipeline without a tokenizer.
        keep_method: which rows to keep. `gpt3`: if `np.random.pareto(9) > 1 - score`, which also keeps a few bad ones;
            `label`: if the score is above 0.5.
        max_rows: number of rows of each data set to score, from its start; all by default.
        skip_bad_rows: number of rows, over all data sets, that may be invalid (no JSON object, or no text); they are
            counted, named in the log and skipped.
        engine: `auto`: PySpark only if needed; `spark`: for every Spark ML pipeline.
        python: a Python interpreter with PySpark; the current one by default.
        spark_memory: memory for Spark in MiB; by default a quarter of the machine's memory, from 1,024 to 8,192.
        seed: seed of the keep method `gpt3`.
    """

    outputs = ("score", "results", "scored")
    requires = libraries(EXTRA, "sklearn", "scipy")
    metrics = (
        *metric_keys(*_SUMMARY, under="{dataset_path}"),
        MetricKey("{dataset_path}.kept", requires="keep_method"),
        *BAD_ROWS,
    )
    numbers = number_keys(
        score=("",),
        results=("<n>.kept", *(f"<n>.{name}" for name in _SUMMARY), "<n>.histogram.<n>"),
        scored=(),
    )

    @classmethod
    def required_libraries(cls, values: Mapping[str, object]) -> tuple[Library, ...]:
        """Some classifiers have a sentencepiece tokenizer, and the engine `spark` runs PySpark."""
        has_pieces = values.get("tokenizer_path") or published.TOKENIZERS.get(str(values.get("model", "gpt3")))
        spark = () if values.get("engine") != "spark" or values.get("python") else (SPARK,)
        return (*cls.requires, *(libraries(EXTRA, "sentencepiece") if has_pieces else ()), *spark)

    def __init__(
        self,
        dataset_path: InputPaths,
        model: Model = "gpt3",
        export_path: OutputPath | None = None,
        text_key: str = "text",
        tokenizer_path: InputPath | None = None,
        keep_method: Literal["gpt3", "label"] | None = None,
        max_rows: PositiveInt | None = None,
        skip_bad_rows: NonNegativeInt = 0,
        engine: Literal["auto", "spark"] = "auto",
        python: str | None = None,
        spark_memory: PositiveInt | None = None,
        seed: int = 42,
    ):
        self.datasets, self.model, self.export_path, self.text_key = as_list(dataset_path), model, export_path, text_key
        self.tokenizer_path, self.keep_method, self.max_rows = tokenizer_path, keep_method, max_rows
        self.skip_bad_rows = skip_bad_rows
        self.engine, self.python, self.spark_memory, self.seed = engine, python, spark_memory, abs(seed)

    def run(self, job: JobRun) -> tuple[float, list[Metrics], list[str]]:
        """Score all data sets."""
        classifier = self._classifier(job)
        results, paths, allowance = [], [], Allowance(self.skip_bad_rows)
        for name, dataset in zip(distinct_names(self.datasets), self.datasets, strict=True):
            path = Path(self.export_path or job.folder) / f"{name}_scored.jsonl"
            distribution = Distribution()
            with job.progress.task(f"scoring {name}") as task:
                write_rows(path, self._scored(classifier, dataset, distribution, task, allowance))
            summary = distribution.summary()
            if self.keep_method:
                summary["kept"] = distribution.kept / distribution.rows
            logger.info("{}: mean score {:.4f} of {:,} rows", name, summary["mean"], distribution.rows)
            job.watcher.watch({name: {key: value for key, value in summary.items() if key != "histogram"}})
            results.append({"dataset": dataset, **summary})
            paths.append(str(path))
        allowance.report(job)
        return max(result["mean"] for result in results), results, paths

    def _scored(
        self, classifier: Classifier, dataset: str, distribution: Distribution, task: Task, allowance: Allowance
    ) -> Iterator[Row]:
        """Yield the rows with their scores, and add these to the distribution."""
        import numpy

        draw = numpy.random.default_rng(self.seed)
        scores = classifier.score(islice(read_texts(dataset, self.text_key, allowance), self.max_rows))
        rows = islice(read_rows_with_text(dataset, self.text_key, allowance), self.max_rows)
        for (row, _), score in zip(rows, scores, strict=True):
            row["doc_score"] = score
            kept = score > 0.5 if self.keep_method == "label" else True
            if self.keep_method == "gpt3":
                kept = bool(draw.pareto(9) > 1 - score)
            if self.keep_method:
                row["should_keep"] = int(kept)
            distribution.add(score, kept)
            if not distribution.rows % PROGRESS_INTERVAL:
                task.advance(PROGRESS_INTERVAL)
            yield row
        if not distribution.rows:
            raise JobError(f"there are no rows in {dataset}")

    def _classifier(self, job: JobRun) -> Classifier:
        tokenizer: str | Path | None = self.tokenizer_path
        if self.model in published.TOKENIZERS:
            folder, published_tokenizer = published.classifier(job, self.model)
            tokenizer = tokenizer or published_tokenizer
        else:
            folder = Path(self.model)
        if stored.is_stored(folder):
            return stored.load(folder)
        if not spark_ml.is_pipeline(folder):
            raise JobError(
                f"there is no classifier at {folder}",
                hint=f"{', '.join(published.TOKENIZERS)}, or the output of `text_quality_classifier`, or of Spark ML",
            )
        tokenize = sentencepiece(str(tokenizer)) if tokenizer else None
        if self.engine == "auto":
            try:
                return spark_ml.load(folder, tokenize)
            except spark_ml.UnsupportedPipeline as reason:
                logger.info("the classifier at {} is run by Spark: {}", folder, reason)
        return SparkClassifier(folder, job.folder, tokenize, self.python, self.spark_memory)


_BINS = 10_000
"""Number of bins between 0 and 1 for the quantiles."""


@dataclass
class Distribution:
    """Accumulates statistics of scores between 0 and 1."""

    rows: int = 0
    kept: int = 0
    least: float = math.inf
    most: float = -math.inf
    _mean: float = 0.0
    _squares: float = 0.0
    _counts: list[int] = field(default_factory=lambda: [0] * (_BINS + 1))

    def add(self, score: float, kept: bool) -> None:
        """Add a score (Welford's method)."""
        self.rows += 1
        self.kept += kept
        self.least, self.most = min(self.least, score), max(self.most, score)
        difference = score - self._mean
        self._mean += difference / self.rows
        self._squares += difference * (score - self._mean)
        self._counts[int(score * _BINS)] += 1

    def summary(self) -> Metrics:
        """Mean, standard deviation (of the population), extremes, quantiles to 1/10,000, and ten equal bins."""
        tenth = _BINS // 10
        bins = [sum(self._counts[start : start + tenth]) for start in range(0, _BINS, tenth)]
        bins[-1] += self._counts[_BINS]
        return {
            "mean": self._mean,
            "std": math.sqrt(self._squares / self.rows),
            "min": self.least,
            **{f"p{part:02}": self._quantile(part / 100) for part in (5, 25, 50, 75, 95)},
            "max": self.most,
            "histogram": bins,
            "rows": self.rows,
        }

    def _quantile(self, part: float) -> float:
        target, cumulative = part * self.rows, 0
        for index, count in enumerate(self._counts):
            cumulative += count
            if cumulative >= target and count:
                return min(max((index + 0.5) / _BINS, self.least), self.most)
        return self.most
