"""A quality classifier learnt from good and bad texts that stream by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import xxhash

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.lm.packing import read_texts
from data_juicer_sandbox.components.quality.classifier import EXTRA, Hashing, LinearClassifier
from data_juicer_sandbox.errors import JobError

Labelled = tuple[str, int]
Figures = dict[str, float]
BATCH = 1000


@dataclass(frozen=True)
class Examples:
    """Good texts (label 1) and bad ones (0) of data sets, a part of them held out.

    Where a text goes is decided by its own hash, so the same text never stands on both sides.

    Args:
        paths: the data sets with bad texts, and those with good ones.
        text_key: the field that holds the text; empty texts are passed over.
        held_out: about what part is held out, 0 to 1.
        seed: of that choice.
        max_rows: rows of each data set to read, from its start.
    """

    paths: tuple[list[str], list[str]]
    text_key: str
    held_out: float
    seed: int
    max_rows: int | None

    def texts(self, label: int, held: bool) -> Iterator[str]:
        """The texts of one label, those held out or the others, in the order of the files."""
        bound = int(self.held_out * (1 << 64))
        for path in self.paths[label]:
            for text in islice(read_texts(path, self.text_key), self.max_rows):
                hashed = xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"), seed=self.seed)
                if text and (hashed < bound) == held:
                    yield text

    def counted(self, held: bool) -> tuple[int, int]:
        """How many bad and good texts there are."""
        return sum(1 for _ in self.texts(0, held)), sum(1 for _ in self.texts(1, held))

    def mixed(self, counts: tuple[int, int]) -> Iterator[Labelled]:
        """All texts to learn from, both labels spread evenly."""
        sources, taken = (self.texts(0, False), self.texts(1, False)), [0, 0]
        for _ in range(sum(counts)):
            label = int(taken[1] * counts[0] < taken[0] * counts[1] or taken[0] == counts[0])
            taken[label] += 1
            yield next(sources[label]), label


def learn(
    job: JobRun, examples: Examples, hashing: Hashing, epochs: int, alpha: float
) -> tuple[LinearClassifier, Figures]:
    """Learn by averaged stochastic gradient descent; both labels weigh the same, however many texts they have.

    After each pass the figures of the texts held out are watched.

    Args:
        job: where to tell how far it is.
        examples: the texts.
        hashing: how they are seen.
        epochs: passes over all texts.
        alpha: strength of the L2 penalty.

    Returns:
        The classifier; how many texts there were, and the last figures of those held out.

    Raises:
        JobError: there are no texts of one label.
    """
    import numpy

    counts, held = examples.counted(False), examples.counted(True)
    _enough(examples, counts, held)
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
                labels = numpy.array([batch[place][1] for place in order])
                features = hashing([batch[place][0] for place in order])
                model.partial_fit(features, labels, classes=[0, 1], sample_weight=weights[labels])
                task.advance(len(batch))
                number += 1
            learnt = LinearClassifier(hashing, model.coef_[0].copy(), float(model.intercept_[0]))
            if any(held):
                found = judge(learnt, examples)
                job.watcher.watch({"held_out": found}, step=epoch + 1)
                task.update(note=f"held out: AUC {found['auc']:.4f}")
                figures |= {f"held_out_{name}": value for name, value in found.items()}
    return learnt, figures


def judge(classifier: LinearClassifier, examples: Examples) -> Figures:
    """How well the texts held out are told apart: `auc`, and at a score of 0.5 `accuracy`, `precision`, `recall`, `f1`;
    `negative` and `positive` tell how many there were.
    """
    metrics = imports.load("sklearn.metrics", extra=EXTRA)
    scores: list[Any] = [list(classifier.score(examples.texts(label, True))) for label in (0, 1)]
    labels = [0] * len(scores[0]) + [1] * len(scores[1])
    merged = scores[0] + scores[1]
    said = [int(score > 0.5) for score in merged]
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(labels, said, average="binary", zero_division=0)
    return {
        "auc": float(metrics.roc_auc_score(labels, merged)),
        "accuracy": float(metrics.accuracy_score(labels, said)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "negative": len(scores[0]),
        "positive": len(scores[1]),
    }


def _enough(examples: Examples, counts: tuple[int, int], held: tuple[int, int]) -> None:
    for label, kind in enumerate(("negative", "positive")):
        where = ", ".join(examples.paths[label])
        if not counts[label]:
            raise JobError(f"there are no {kind} texts to learn from in {where}", hint="rows whose text is not empty")
        if examples.held_out and not held[label]:
            raise JobError(f"none of the {counts[label]:,} {kind} texts is held out", hint="a larger `held_out`, or 0")
