"""`training.json`: metadata of a trained model, and the check whether a model folder is up to date."""

from __future__ import annotations

import json
from pathlib import Path

from data_juicer_sandbox.plain_json import fingerprint, loads
from data_juicer_sandbox.secrets import mask
from data_juicer_sandbox.types import ConfigValues, JsonValue, Metrics

NAME = "training.json"
_TYPES: dict[str, type] = {"dataset": str, "seed": int, "parameters": dict}


def write(folder: Path, recipe: ConfigValues, results: Metrics) -> None:
    """Write the metadata into a model folder: recipe, results and fingerprint, without times and secrets.

    Args:
        folder: the model's folder.
        recipe: everything that determines the weights: data, parameters, seed.
        results: the figures of the training.
    """
    content = {"fingerprint": fingerprint(recipe), **mask(recipe), **results}
    (folder / NAME).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read(folder: str | Path) -> dict[str, JsonValue]:
    """The metadata of a model folder; empty if there is none. Fields of a wrong type are left out."""
    try:
        content = loads((Path(folder) / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: value for key, value in content.items() if isinstance(value, _TYPES.get(key, object))}


def training_of(model: str, name: str) -> Metrics:
    """What a model was trained on, as the scores of all evaluators name it: `train_dataset`, `train_tokens`, `seed`.

    Args:
        model: a model folder; a hub id or a name on a server has no metadata.
        name: stands for the training data set of such a model.
    """
    training = read(model)
    parameters = training.get("parameters")
    return {
        "train_dataset": training.get("dataset", name),
        "train_tokens": parameters.get("max_tokens") if isinstance(parameters, dict) else None,
        "seed": training.get("seed"),
    }


def complete(folder: Path, recipe: ConfigValues) -> dict[str, JsonValue]:
    """The metadata of a model folder if its fingerprint matches the recipe; else empty, also if the folder is missing.

    A folder is created by rename, so an existing one is complete.
    """
    metadata = read(folder)
    return metadata if metadata.get("fingerprint") == fingerprint(recipe) else {}
