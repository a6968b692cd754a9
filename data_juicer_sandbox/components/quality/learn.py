"""Training of a quality classifier on streams of good and bad texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import xxhash

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.lm.packing import read_texts
from data_juicer_sandbox.components.quality.classifier import EXTRA, Hashing, LinearClassifier
from data_juicer_sandbox.errors import JobError

Labelled = tuple[str, int]
Figures = dict[str, float]
BATCH = 1000


@dataclass(frozen=True)
class Examples:
    """Good texts (label 1) and bad texts (label 0) of data sets, a part of them held out.

    The hash of a text decides whether it is held out, so that equal texts are never split.

    Args:
        paths: the data sets with bad texts, and those with good texts.
        text_key: the field that holds the text; empty texts are skipped.
        held_out: approximate fraction that is held out, 0 to 1.
        seed: seed of the hash.
        max_rows: number of rows of each data set to read, from its start.
        allowance: the rows without a text that are skipped; None for none.
    """

    paths: tuple[list[str], list[str]]
    text_key: str
    held_out: float
    seed: int
    max_rows: int | None
    allowance: Allowance | None = None

    def texts(self, label: int, held: bool) -> Iterator[str]:
        """The held-out or the training texts of one label, in the order of the files."""
        bound = int(self.held_out * (1 << 64))
        for path in self.paths[label]:
            for text in islice(read_texts(path, self.text_key, self.allowance), self.max_rows):
                hashed = xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"), seed=self.seed)
                if text and (hashed < bound) == held:
                    yield text

    def counted(self, held: bool) -> tuple[int, int]:
        """The number of bad and of good texts."""
        return sum(1 for _ in self.texts(0, held)), sum(1 for _ in self.texts(1, held))

    def mixed(self, counts: tuple[int, int]) -> Iterator[Labelled]:
        """All training texts, with both labels distributed evenly."""
        sources, taken = (self.texts(0, False), self.texts(1, False)), [0, 0]
        for _ in range(sum(counts)):
            label = int(taken[1] * counts[0] < taken[0] * counts[1] or taken[0] == counts[0])
            taken[label] += 1
            yield next(sources[label]), label


def learn(
    job: JobRun, examples: Examples, hashing: Hashing, epochs: int, alpha: float
) -> tuple[LinearClassifier, Figures]:
    """Train by averaged stochastic gradient descent; both labels have the same weight, whatever their number of texts.

    After each epoch the metrics on held-out texts are reported.

    Args:
        job: the running job.
        examples: the texts.
        hashing: computes the features.
        epochs: passes over all texts.
        alpha: strength of the L2 penalty.

    Returns:
        The classifier; the number of texts and the final metrics on held-out texts.

    Raises:
        JobError: there are no texts of one label.
    """
    import numpy

    counts, held = examples.counted(False), examples.counted(True)
    _check_counts(examples, counts, held)
    model = imports.load("sklearn.linear_model", extra=EXTRA).SGDClassifier(
        loss="log_loss", alpha=alpha, average=True, random_state=examples.seed
    )
    weights = numpy.array([sum(counts) / (2 * count) for count in counts])
    figures: Figures = {"train_negative": counts[0], "train_positive": counts[1]}
    with job.progress.task("learning", total=epochs * sum(counts)) as task:
        for epoch in range(epochs):
            mixed = examples.mixed(counts)
            number = 0
            while batch := list(islice(mixed, BATCH)):
                order = numpy.random.default_rng([examples.seed, epoch, number]).permutation(len(batch))
                labels = numpy.array([batch[row][1] for row in order])
                features = hashing([batch[row][0] for row in order])
                model.partial_fit(features, labels, classes=[0, 1], sample_weight=weights[labels])
                task.advance(len(batch))
                number += 1
            classifier = LinearClassifier(hashing, model.coef_[0].copy(), float(model.intercept_[0]))
            if any(held):
                held_out_metrics = evaluate(classifier, examples)
                job.watcher.watch({"held_out": held_out_metrics}, step=epoch + 1)
                task.update(note=f"held out: AUC {held_out_metrics['auc']:.4f}")
                figures |= {f"held_out_{name}": value for name, value in held_out_metrics.items()}
    return classifier, figures


def evaluate(classifier: LinearClassifier, examples: Examples) -> Figures:
    """Metrics on held-out texts: `auc`, and at a score of 0.5 `accuracy`, `precision`, `recall`, `f1`; `negative` and
    `positive` are the numbers of texts.
    """
    metrics = imports.load("sklearn.metrics", extra=EXTRA)
    scores: list[list[float]] = [list(classifier.score(examples.texts(label, True))) for label in (0, 1)]
    labels = [0] * len(scores[0]) + [1] * len(scores[1])
    merged = scores[0] + scores[1]
    predictions = [int(score > 0.5) for score in merged]
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        labels, predictions, average="binary", zero_division=0
    )
    return {
        "auc": float(metrics.roc_auc_score(labels, merged)),
        "accuracy": float(metrics.accuracy_score(labels, predictions)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "negative": len(scores[0]),
        "positive": len(scores[1]),
    }


def _check_counts(examples: Examples, counts: tuple[int, int], held: tuple[int, int]) -> None:
    for label, label_name in enumerate(("negative", "positive")):
        where = ", ".join(examples.paths[label])
        if not counts[label]:
            raise JobError(f"there are no {label_name} texts to train on in {where}", hint="add rows with a text")
        if examples.held_out and not held[label]:
            raise JobError(
                f"none of the {counts[label]:,} {label_name} texts is held out", hint="a larger `held_out`, or 0"
            )
