"""How good the texts of a data set are, by a classifier."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from jsonargparse.typing import PositiveInt
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPath, InputPaths, JobRun, Model, OutputPath, Task
from data_juicer_sandbox.components.io import read_rows, write_rows
from data_juicer_sandbox.components.lm.packing import read_texts
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.components.quality import published, spark_ml, stored
from data_juicer_sandbox.components.quality.classifier import LinearClassifier
from data_juicer_sandbox.components.quality.scores import Distribution
from data_juicer_sandbox.components.quality.spark import SparkClassifier
from data_juicer_sandbox.components.quality.tokens import sentencepiece
from data_juicer_sandbox.errors import JobError

Classifier = LinearClassifier | SparkClassifier
TOLD = 1000
"""Rows between two notes to the progress display."""


class DJTextQualityClassifier(Component):
    """Score texts by a classifier that was taught with good and bad ones, as GPT-3's data were filtered.

    Puts out `score`, the mean score (of several data sets, that of the best); `results`, a mapping for each data set
    (`dataset`, `mean`, `std`, `min`, `p05`, `p25`, `p50`, `p75`, `p95`, `max`, `histogram` of ten equal bins, `rows`,
    and with a `keep_method` `kept`, the part of the rows to keep), also watched under the data set's name; and
    `scored`, the path of each data set with its scores, all rows in their order: `doc_score`, 0 to 1, and with a
    `keep_method` `should_keep`, 1 or 0.

    Models that Spark ML wrote in the usual form (Data-Juicer's own, and what its `quality_classifier` tool trains) are
    read without Spark. Other pipelines are run by PySpark (not among this package's extras; it needs Java), in a
    process of its own.

    Source: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix A.

    Args:
        dataset_path: the data set or data sets.
        model: `gpt3`, `chinese` or `code`, Data-Juicer's published classifiers, taken from its cache or downloaded into
            it; or a folder: what `text_quality_classifier` learnt, or a pipeline of Spark ML.
        export_path: folder of the data sets with scores, `<name>_scored.jsonl`; the job's folder by default.
        text_key: the field that holds the text.
        tokenizer_path: sentencepiece model for a Spark ML pipeline that has no tokenizer.
        keep_method: which rows to keep. `gpt3`: where `np.random.pareto(9) > 1 - score`, which also keeps a few bad
            ones; `label`: where the score is above 0.5.
        max_rows: rows of each data set to score, from its start; all by default.
        engine: `auto`: PySpark only where it is needed; `spark`: for every model of Spark ML.
        python: an interpreter that has PySpark; the one of this run by default.
        spark_memory: MiB for Spark; by default a quarter of the machine's memory, from 1,024 to 8,192.
        seed: of the keep method `gpt3`.
    """

    outputs = ("score", "results", "scored")

    def __init__(
        self,
        dataset_path: InputPaths,
        model: Model = "gpt3",
        export_path: OutputPath | None = None,
        text_key: str = "text",
        tokenizer_path: InputPath | None = None,
        keep_method: Literal["gpt3", "label"] | None = None,
        max_rows: PositiveInt | None = None,
        engine: Literal["auto", "spark"] = "auto",
        python: str | None = None,
        spark_memory: PositiveInt | None = None,
        seed: int = 42,
    ):
        self.datasets, self.model, self.export_path, self.text_key = as_list(dataset_path), model, export_path, text_key
        self.tokenizer_path, self.keep_method, self.max_rows = tokenizer_path, keep_method, max_rows
        self.engine, self.python, self.spark_memory, self.seed = engine, python, spark_memory, abs(seed)

    def run(self, job: JobRun) -> tuple[float, list[dict[str, Any]], list[str]]:
        """Score all data sets."""
        classifier = self._classifier(job)
        results, paths = [], []
        for name, dataset in zip(distinct_names(self.datasets), self.datasets, strict=True):
            path = Path(self.export_path or job.folder) / f"{name}_scored.jsonl"
            seen = Distribution()
            with job.progress.task(f"scoring {name}") as task:
                write_rows(path, self._scored(classifier, dataset, seen, task))
            found = seen.summary()
            if self.keep_method:
                found["kept"] = seen.kept / seen.rows
            logger.info("{}: mean score {:.4f} of {:,} rows", name, found["mean"], seen.rows)
            job.watcher.watch({name: {key: value for key, value in found.items() if key != "histogram"}})
            results.append({"dataset": dataset, **found})
            paths.append(str(path))
        return max(result["mean"] for result in results), results, paths

    def _scored(self, classifier: Classifier, dataset: str, seen: Distribution, task: Task) -> Iterator[dict[str, Any]]:
        """The rows with their scores, counted as they go by."""
        import numpy

        draw = numpy.random.default_rng(self.seed)
        scores = classifier.score(islice(read_texts(dataset, self.text_key), self.max_rows))
        for row, score in zip(islice(read_rows(dataset), self.max_rows), scores, strict=True):
            row["doc_score"] = score
            kept = score > 0.5 if self.keep_method == "label" else True
            if self.keep_method == "gpt3":
                kept = bool(draw.pareto(9) > 1 - score)
            if self.keep_method:
                row["should_keep"] = int(kept)
            seen.add(score, kept)
            if not seen.rows % TOLD:
                task.advance(TOLD)
            yield row
        if not seen.rows:
            raise JobError(f"there are no rows in {dataset}")

    def _classifier(self, job: JobRun) -> Classifier:
        tokenizer: str | Path | None = self.tokenizer_path
        if self.model in published.TOKENIZERS:
            folder, its_own = published.classifier(job, self.model)
            tokenizer = tokenizer or its_own
        else:
            folder = Path(self.model)
        if stored.is_stored(folder):
            return stored.load(folder)
        if not spark_ml.is_pipeline(folder):
            raise JobError(
                f"there is no classifier at {folder}",
                hint=f"one of {', '.join(published.TOKENIZERS)}, or what `text_quality_classifier` or Spark ML wrote",
            )
        tokenize = sentencepiece(str(tokenizer)) if tokenizer else None
        if self.engine == "auto":
            try:
                return spark_ml.load(folder, tokenize)
            except spark_ml.Unfamiliar as reason:
                logger.info("the classifier at {} is run by Spark: {}", folder, reason)
        return SparkClassifier(folder, job.folder, tokenize, self.python, self.spark_memory)
