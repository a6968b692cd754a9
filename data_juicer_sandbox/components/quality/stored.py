"""A classifier of one's own as a folder: `weights.npz`, and `training.json` that tells how it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_juicer_sandbox.components.lm import metadata
from data_juicer_sandbox.components.quality.classifier import Hashing, LinearClassifier
from data_juicer_sandbox.components.quality.tokens import TOKENIZERS
from data_juicer_sandbox.errors import JobError

WEIGHTS = "weights.npz"
KIND = "text_quality_classifier"


def save(folder: Path, classifier: LinearClassifier, wanted: dict[str, Any], trained: dict[str, Any]) -> None:
    """Write a classifier.

    Args:
        folder: its own; made here.
        classifier: what was learnt.
        wanted: what it was made of; `parameters` holds `tokenizer` and `n_features`.
        trained: figures that came out.
    """
    import numpy

    folder.mkdir()
    numpy.savez(folder / WEIGHTS, weights=classifier.weights, intercept=numpy.array(classifier.intercept))
    metadata.write(folder, {"kind": KIND, **wanted}, trained)


def complete(folder: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """The record of a classifier made of just this; empty where there is none."""
    return metadata.complete(folder, {"kind": KIND, **wanted}) if (folder / WEIGHTS).is_file() else {}


def is_stored(folder: str | Path) -> bool:
    """Whether a folder holds such a classifier."""
    return (Path(folder) / WEIGHTS).is_file()


def load(folder: str | Path) -> LinearClassifier:
    """Read a classifier. Nothing is unpickled.

    Raises:
        JobError: it is damaged, or something else.
    """
    import numpy

    about = metadata.read(folder)
    parameters = about.get("parameters") or {}
    try:
        tokenize, places = TOKENIZERS[parameters["tokenizer"]], int(parameters["n_features"])
        with numpy.load(Path(folder) / WEIGHTS, allow_pickle=False) as arrays:
            weights, intercept = arrays["weights"], float(arrays["intercept"])
    except Exception as error:  # a damaged archive raises errors of many kinds
        raise JobError(f"the classifier at {folder} cannot be read: {type(error).__name__}: {error}") from error
    if weights.shape != (places,) or not (numpy.isfinite(weights).all() and numpy.isfinite(intercept)):
        raise JobError(f"the classifier at {folder} is damaged: {places:,} finite weights are wanted")
    return LinearClassifier(Hashing(tokenize, places, normalize=True), weights, intercept)
