"""Storage of trained classifiers: a folder with `weights.npz` and the metadata `training.json`."""

from __future__ import annotations

from pathlib import Path

from data_juicer_sandbox.components.lm import metadata
from data_juicer_sandbox.components.quality.classifier import TOKENIZERS, Hashing, LinearClassifier
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import ConfigValues, JsonValue, Metrics

WEIGHTS = "weights.npz"
KIND = "text_quality_classifier"


def save(folder: Path, classifier: LinearClassifier, inputs: ConfigValues, trained: Metrics) -> None:
    """Write a classifier.

    Args:
        folder: the folder to create.
        classifier: the trained classifier.
        inputs: everything that determines the weights; `parameters` has `tokenizer` and `n_features`.
        trained: metrics of the training.
    """
    import numpy

    folder.mkdir()
    numpy.savez(folder / WEIGHTS, weights=classifier.weights, intercept=numpy.array(classifier.intercept))
    metadata.write(folder, {"kind": KIND, **inputs}, trained)


def complete(folder: Path, inputs: ConfigValues) -> dict[str, JsonValue]:
    """The metadata of a classifier trained from the same inputs; empty if there is none."""
    return metadata.complete(folder, {"kind": KIND, **inputs}) if (folder / WEIGHTS).is_file() else {}


def is_stored(folder: str | Path) -> bool:
    """Whether a folder holds a classifier written by `save`."""
    return (Path(folder) / WEIGHTS).is_file()


def load(folder: str | Path) -> LinearClassifier:
    """Read a classifier, without unpickling anything.

    Raises:
        JobError: the folder is damaged, or holds something else.
    """
    import numpy

    about = metadata.read(folder)
    parameters = about.get("parameters") or {}
    try:
        tokenize, n_features = TOKENIZERS[parameters["tokenizer"]], int(parameters["n_features"])
        with numpy.load(Path(folder) / WEIGHTS, allow_pickle=False) as arrays:
            weights, intercept = arrays["weights"], float(arrays["intercept"])
    except Exception as error:  # a damaged archive may raise anything
        raise JobError(f"the classifier at {folder} cannot be read: {type(error).__name__}: {error}") from error
    if weights.shape != (n_features,) or not (numpy.isfinite(weights).all() and numpy.isfinite(intercept)):
        raise JobError(f"the classifier at {folder} is damaged: expected {n_features:,} finite weights")
    return LinearClassifier(Hashing(tokenize, n_features, normalize=True), weights, intercept)
