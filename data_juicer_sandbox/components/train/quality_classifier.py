"""A text quality classifier of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from jsonargparse.typing import NonNegativeFloat, PositiveFloat, PositiveInt
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputFolder
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.quality import stored
from data_juicer_sandbox.components.quality.classifier import Hashing
from data_juicer_sandbox.components.quality.learn import Examples, learn
from data_juicer_sandbox.components.quality.tokens import TOKENIZERS
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.files import claim, digest, replacing


class TextQualityClassifier(Component):
    """Learn to tell good texts from bad ones, as GPT-3's data were filtered: hashed word counts, logistic regression.

    The classifier is for `dj_text_quality_classifier`. It needs no GPU, no Spark, no download. Texts stream by, so the
    data may be larger than memory; each pass goes through the files in their order, good and bad texts mixed, shuffled
    by the thousand. Both sides weigh the same, however many texts they have.

    Watched after each pass, for the texts held out: `held_out.auc`, and at a score of 0.5 `accuracy`, `precision`,
    `recall`, `f1`. The same data, seed and parameters give the same bytes. A classifier that stands complete for just
    these is not learnt again.

    Source: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix A (Spark's standard tokenizer and
    HashingTF). Unlike there, each text's counts are scaled to length 1, so that a score does not depend on the length
    of the text, and the regression is fitted by averaged stochastic gradient descent.

    Args:
        positive_path: data sets of good texts, such as books, an encyclopedia, or whatever should be found more of.
        negative_path: data sets of texts as they come, such as an unfiltered crawl.
        export_path: the classifier's folder: `weights.npz` and `training.json` (data, parameters, figures);
            `classifier` in the job's folder by default.
        text_key: the field that holds the text; rows whose text is empty are passed over.
        tokenizer: `words`: lower-cased, split at white space. `characters`: characters and pairs of neighbours, for
            languages that put no space between words.
        n_features: places that words are hashed to; Spark's default.
        epochs: passes over the data.
        alpha: strength of the L2 penalty.
        held_out: about what part of the texts is held out to measure on, from 0 (none, nothing is measured) to below
            1. The same text is never both learnt from and measured on.
        max_rows: rows of each data set to read, from its start; all by default.
        seed: of the texts held out and the order.
    """

    outputs = ("model",)

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
        seed: int = 42,
    ):
        if held_out >= 1:
            raise ConfigError(f"held_out {held_out} leaves nothing to learn from", hint="below 1, such as 0.1")
        if seed < 0:
            raise ConfigError(f"seed {seed} is below 0")
        if n_features >= 1 << 31:
            raise ConfigError(f"n_features {n_features} is more than a hash of 32 bits tells apart")
        self.paths = (as_list(negative_path), as_list(positive_path))
        self.export_path, self.text_key, self.seed, self.max_rows = export_path, text_key, seed, max_rows
        self.tokenizer, self.n_features, self.held_out = tokenizer, n_features, held_out
        self.epochs, self.alpha = epochs, alpha

    def run(self, job: JobRun) -> str:
        """Learn; returns the classifier's folder."""
        folder = Path(self.export_path) if self.export_path else job.folder / "classifier"
        wanted = self._wanted()
        if done := stored.complete(folder, wanted):
            logger.info("{} stands complete for the same data and parameters: not learnt again", folder)
            job.watcher.watch(done["figures"])
            return str(folder)
        claim(folder, folder=True)
        examples = Examples(self.paths, self.text_key, self.held_out, self.seed, self.max_rows)
        hashing = Hashing(TOKENIZERS[self.tokenizer], self.n_features, normalize=True)
        classifier, figures = learn(job, examples, hashing, self.epochs, self.alpha)
        job.watcher.watch(figures)
        with replacing(folder, folder=True) as part:
            stored.save(part, classifier, wanted, {"figures": figures})
        return str(folder)

    def _wanted(self) -> dict[str, Any]:
        """All that the weights depend on."""
        negative, positive = ([[str(f), digest(f)] for path in paths for f in data_files(path)] for paths in self.paths)
        names = ("text_key", "tokenizer", "n_features", "epochs", "alpha", "held_out", "max_rows")
        parameters = {name: getattr(self, name) for name in names}
        return {"negative": negative, "positive": positive, "parameters": parameters, "seed": self.seed}
