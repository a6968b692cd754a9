"""Data-Juicer's classifiers, which Spark wrote, read without Spark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data_juicer_sandbox.components.quality.classifier import Hashing, LinearClassifier
from data_juicer_sandbox.components.quality.tokens import Tokenize, words
from data_juicer_sandbox.errors import JobError

_TOKENIZER, _HASHING, _REGRESSION = "Tokenizer", "HashingTF", "LogisticRegressionModel"


class Unfamiliar(Exception):
    """A pipeline that only Spark itself can run; says what is special about it."""


def is_pipeline(folder: str | Path) -> bool:
    """Whether a folder holds a pipeline of Spark ML."""
    return (Path(folder) / "metadata").is_dir() and (Path(folder) / "stages").is_dir()


def load(folder: str | Path, tokenize: Tokenize | None = None) -> LinearClassifier:
    """Read a pipeline of [Tokenizer,] HashingTF and LogisticRegression, the GPT-3 recipe as Data-Juicer trains it.

    Args:
        folder: what `PipelineModel.save` wrote.
        tokenize: where the pipeline has no tokenizer of its own.

    Raises:
        Unfamiliar: it has other stages or settings.
        JobError: it is damaged, or its tokenizer is missing.
    """
    try:
        stages = [(path, _metadata(path)) for path in sorted((Path(folder) / "stages").iterdir(), key=_order)]
        kinds = [about["class"].rpartition(".")[2] for _, about in stages]
        if kinds not in ([_TOKENIZER, _HASHING, _REGRESSION], [_HASHING, _REGRESSION]):
            raise Unfamiliar(f"its stages are {', '.join(kinds)}")
        if kinds[0] == _HASHING and tokenize is None:
            raise JobError(f"the classifier at {folder} has no tokenizer of its own", hint="name a `tokenizer_path`")
        hashing, (place, regression) = _settings(stages[-2][1]), stages[-1]
        if int(stages[-2][1]["sparkVersion"].split(".")[0]) < 3:
            raise Unfamiliar("it is of Spark 2, which hashed otherwise")
        weights, intercept = _coefficients(place)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise JobError(f"the classifier at {folder} cannot be read: {type(error).__name__}: {error}") from error
    if len(weights) != hashing["numFeatures"] or _settings(regression).get("family") == "multinomial":
        raise Unfamiliar("its regression is not binomial")
    seen = Hashing(tokenize if kinds[0] == _HASHING and tokenize else words, len(weights), False, hashing["binary"])
    return LinearClassifier(seen, weights, intercept)


def _order(stage: Path) -> int:
    return int(stage.name.partition("_")[0])


def _metadata(stage: Path) -> dict[str, Any]:
    (part,) = sorted((stage / "metadata").glob("part-*"))
    found: dict[str, Any] = json.loads(part.read_text(encoding="utf-8").splitlines()[0])
    return found


def _settings(about: dict[str, Any]) -> dict[str, Any]:
    return {**about.get("defaultParamMap", {}), **about["paramMap"]}


def _coefficients(stage: Path) -> tuple[Any, float]:
    """Weights, shape (n_features,), and intercept of a regression with two classes."""
    import numpy
    import pyarrow.parquet as pq

    files = sorted((stage / "data").glob("*.parquet"))
    if not files:
        raise Unfamiliar("its weights are not in parquet files")
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    if len(rows) != 1 or rows[0]["numClasses"] != 2 or rows[0]["isMultinomial"]:
        raise Unfamiliar("its regression is not binomial")
    matrix, (intercept,) = rows[0]["coefficientMatrix"], rows[0]["interceptVector"]["values"]
    weights = numpy.zeros(matrix["numCols"])
    if matrix["type"] == 1:  # dense
        weights[:] = matrix["values"]
    elif matrix["isTransposed"]:  # sparse, one row: its indices are those of the columns
        weights[matrix["rowIndices"]] = matrix["values"]
    else:
        weights[numpy.repeat(numpy.arange(len(weights)), numpy.diff(matrix["colPtrs"]))] = matrix["values"]
    return weights, float(intercept)
