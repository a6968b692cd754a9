"""The data set of a model probe that has a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_juicer_sandbox.components.io.data_files import ENDINGS, is_data
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.secrets import shown

_SOURCES = ("dataset_path", "dataset", "generated_dataset_config")


def with_data(recipe: Mapping[str, Any], dataset_path: str | None) -> dict[str, Any]:
    """The recipe with a data set: its own, else `dataset_path` of the component.

    Raises:
        JobError: both name one, and they differ.
    """
    recipe_sources = [recipe[key] for key in _SOURCES if recipe.get(key)]
    if dataset_path is None or recipe_sources == [dataset_path]:
        return dict(recipe)
    if recipe_sources:
        what = f"dj_configs names the data set {shown(recipe_sources[0], 80)}, extra_configs {shown(dataset_path, 80)}"
        raise JobError(what, hint="one of them")
    return {**recipe, "dataset_path": dataset_path}


def whole(recipe: Mapping[str, Any]) -> str | None:
    """The path of the recipe's data set if it is used without sampling, so that its rows stay unchanged; else None."""
    path = recipe.get("dataset_path")
    ratio, algo = recipe.get("data_probe_ratio"), recipe.get("data_probe_algo")
    if isinstance(path, list) and len(path) == 1:
        path = path[0]
    if ratio not in (None, 1) or algo not in (None, "uniform") or not isinstance(path, str):
        return None
    return path if path.endswith(ENDINGS) and is_data(path) else None
