"""Reads classifiers that Spark ML wrote, such as Data-Juicer's, without Spark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from data_juicer_sandbox.components.quality.classifier import Hashing, LinearClassifier, Tokenize, words
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import ConfigValues, JsonValue

if TYPE_CHECKING:
    import numpy as np

_TOKENIZER, _HASHING, _REGRESSION = "Tokenizer", "HashingTF", "LogisticRegressionModel"


class UnsupportedPipeline(Exception):
    """Only Spark can run this pipeline; the message states the reason."""


def is_pipeline(folder: str | Path) -> bool:
    """Whether a folder holds a Spark ML pipeline."""
    return (Path(folder) / "metadata").is_dir() and (Path(folder) / "stages").is_dir()


def load(folder: str | Path, tokenize: Tokenize | None = None) -> LinearClassifier:
    """Read a pipeline of [Tokenizer,] HashingTF and LogisticRegression, the GPT-3 recipe as Data-Juicer trains it.

    Args:
        folder: folder written by `PipelineModel.save`.
        tokenize: tokenizer for a pipeline without one.

    Raises:
        UnsupportedPipeline: the pipeline has other stages or settings.
        JobError: the pipeline is damaged, or its tokenizer is missing.
    """
    try:
        stages = [(path, _metadata(path)) for path in sorted((Path(folder) / "stages").iterdir(), key=_order)]
        stage_types = [metadata["class"].rpartition(".")[2] for _, metadata in stages]
        if stage_types not in ([_TOKENIZER, _HASHING, _REGRESSION], [_HASHING, _REGRESSION]):
            raise UnsupportedPipeline(f"its stages are {', '.join(stage_types)}")
        if stage_types[0] == _HASHING and tokenize is None:
            raise JobError(f"the classifier at {folder} has no tokenizer", hint="set `tokenizer_path`")
        hashing, (regression_folder, regression) = _settings(stages[-2][1]), stages[-1]
        if int(stages[-2][1]["sparkVersion"].split(".")[0]) < 3:
            raise UnsupportedPipeline("Spark 2 wrote it, which uses another hash")
        weights, intercept = _coefficients(regression_folder)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise JobError(f"the classifier at {folder} cannot be read: {type(error).__name__}: {error}") from error
    if len(weights) != hashing["numFeatures"] or _settings(regression).get("family") == "multinomial":
        raise UnsupportedPipeline("its regression is not binomial")
    tokenizer = tokenize if stage_types[0] == _HASHING and tokenize else words
    features = Hashing(tokenizer, len(weights), False, hashing["binary"])
    return LinearClassifier(features, weights, intercept)


def _order(stage: Path) -> int:
    return int(stage.name.partition("_")[0])


def _metadata(stage: Path) -> dict[str, JsonValue]:
    (part,) = sorted((stage / "metadata").glob("part-*"))
    content: dict[str, JsonValue] = json.loads(part.read_text(encoding="utf-8").splitlines()[0])
    return content


def _settings(metadata: dict[str, JsonValue]) -> ConfigValues:
    return {**metadata.get("defaultParamMap", {}), **metadata["paramMap"]}


def _coefficients(stage: Path) -> tuple[np.ndarray, float]:
    """The weights, shape (n_features,), and the intercept of a binary regression."""
    import numpy
    import pyarrow.parquet as pq

    files = sorted((stage / "data").glob("*.parquet"))
    if not files:
        raise UnsupportedPipeline("its weights are not in parquet files")
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    if len(rows) != 1 or rows[0]["numClasses"] != 2 or rows[0]["isMultinomial"]:
        raise UnsupportedPipeline("its regression is not binomial")
    matrix, (intercept,) = rows[0]["coefficientMatrix"], rows[0]["interceptVector"]["values"]
    weights = numpy.zeros(matrix["numCols"])
    if matrix["type"] == 1:  # dense
        weights[:] = matrix["values"]
    elif matrix["isTransposed"]:  # sparse with one row: the indices are column indices
        weights[matrix["rowIndices"]] = matrix["values"]
    else:
        weights[numpy.repeat(numpy.arange(len(weights)), numpy.diff(matrix["colPtrs"]))] = matrix["values"]
    return weights, float(intercept)
