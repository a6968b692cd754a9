"""Training of a text quality classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputFolder
from data_juicer_sandbox.components.io.allowance import BAD_ROWS, Allowance
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.number_types import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from data_juicer_sandbox.components.quality import stored
from data_juicer_sandbox.components.quality.classifier import EXTRA, TOKENIZERS, Hashing
from data_juicer_sandbox.components.quality.learn import Examples, learn
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.file_digests import digest
from data_juicer_sandbox.files import claim, replacing
from data_juicer_sandbox.imports import libraries
from data_juicer_sandbox.types import ConfigValues

_HELD_OUT = ("auc", "accuracy", "precision", "recall", "f1", "negative", "positive")


class TextQualityClassifier(Component):
    """Train a classifier of good and bad texts as for GPT-3's data: hashed word counts, logistic regression.

    The classifier is for `dj_text_quality_classifier`. It needs no GPU, no Spark, no download. Texts are streamed, so
    the data may be larger than memory; each epoch reads the files in order, mixes good and bad texts, and shuffles
    blocks of a thousand texts. Both classes have the same weight, whatever their number of texts.

    Metrics after each epoch, on held-out texts: `held_out.auc`, and at a score of 0.5 `accuracy`, `precision`,
    `recall`, `f1`. The same data, seed and parameters give the same bytes. A classifier that is complete for the same
    data, seed and parameters is not trained again.

    Source: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix A (Spark's standard tokenizer and
    HashingTF). Unlike there, each text's counts are scaled to length 1, so that a score does not depend on the length
    of the text, and the regression is fitted by averaged stochastic gradient descent.

    Args:
        positive_path: data sets of good texts, such as books or an encyclopedia.
        negative_path: data sets of unfiltered texts, such as a crawl.
        export_path: the classifier's folder: `weights.npz` and `training.json` (data, parameters, metrics);
            `classifier` in the job's folder by default.
        text_key: the field that holds the text; rows with an empty text are skipped.
        tokenizer: `words`: lower-cased, split at white space. `characters`: single characters and pairs of adjacent
            ones, for languages without spaces between words.
        n_features: number of hash buckets for words; Spark's default.
        epochs: passes over the data.
        alpha: strength of the L2 penalty.
        held_out: approximate fraction of the texts held out for evaluation, from 0 (no evaluation) to below 1. A text
            is never used for both training and evaluation.
        max_rows: number of rows of each data set to read, from its start; all by default.
        skip_bad_rows: number of rows, over all data sets, that may be invalid (no JSON object, or no text); they are
            counted, named in the log and skipped.
        seed: seed of the held-out split and of the order.
    """

    outputs = ("model",)
    requires = libraries(EXTRA, "sklearn", "scipy")
    metrics = (
        *metric_keys("train_negative", "train_positive"),
        *metric_keys(*_HELD_OUT, under="held_out", per_step=True, requires="held_out"),
        *metric_keys(*(f"held_out_{name}" for name in _HELD_OUT), requires="held_out"),
        *BAD_ROWS,
    )
    numbers = number_keys(model=())

    def __init__(
        self,
        positive_path: InputPaths,
        negative_path: InputPaths,
        export_path: OutputFolder | None = None,
        text_key: str = "text",
        tokenizer: Literal["words", "characters"] = "words",
        n_features: PositiveInt = 1 << 18,
        epochs: PositiveInt = 5,
        alpha: PositiveFloat = 1e-5,
        held_out: NonNegativeFloat = 0.1,
        max_rows: PositiveInt | None = None,
        skip_bad_rows: NonNegativeInt = 0,
        seed: int = 42,
    ):
        if held_out >= 1:
            raise ConfigError(f"held_out {held_out} leaves no texts to train on", hint="below 1, such as 0.1")
        if seed < 0:
            raise ConfigError(f"seed {seed}: expected 0 or more")
        if n_features >= 1 << 31:
            raise ConfigError(f"n_features {n_features} is more than a 32-bit hash can distinguish")
        self.paths = (as_list(negative_path), as_list(positive_path))
        self.export_path, self.text_key, self.seed, self.max_rows = export_path, text_key, seed, max_rows
        self.tokenizer, self.n_features, self.held_out = tokenizer, n_features, held_out
        self.epochs, self.alpha, self.skip_bad_rows = epochs, alpha, skip_bad_rows

    def run(self, job: JobRun) -> str:
        """Train; returns the classifier's folder."""
        folder = Path(self.export_path) if self.export_path else job.folder / "classifier"
        inputs = self._inputs()
        if record := stored.complete(folder, inputs):
            logger.info("{} is complete for the same data and parameters: not trained again", folder)
            job.watcher.watch(record["figures"])
            return str(folder)
        claim(folder, folder=True)
        allowance = Allowance(self.skip_bad_rows)
        examples = Examples(self.paths, self.text_key, self.held_out, self.seed, self.max_rows, allowance)
        hashing = Hashing(TOKENIZERS[self.tokenizer], self.n_features, normalize=True)
        classifier, figures = learn(job, examples, hashing, self.epochs, self.alpha)
        job.watcher.watch(figures)
        allowance.report(job)
        with replacing(folder, folder=True) as part:
            stored.save(part, classifier, inputs, {"figures": figures})
        return str(folder)

    def _inputs(self) -> ConfigValues:
        """Everything that determines the weights."""
        negative, positive = ([[str(f), digest(f)] for path in paths for f in data_files(path)] for paths in self.paths)
        names = ("text_key", "tokenizer", "n_features", "epochs", "alpha", "held_out", "max_rows")
        parameters = {name: getattr(self, name) for name in names}
        return {"negative": negative, "positive": positive, "parameters": parameters, "seed": self.seed}
