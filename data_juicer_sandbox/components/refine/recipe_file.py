"""Preparing and writing refined recipes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from data_juicer_sandbox.config.dump import dump_config
from data_juicer_sandbox.config.interpolation import escape
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.types import ConfigValues, JsonValue


def editable(recipe: Mapping[str, JsonValue]) -> ConfigValues:
    """A copy of a recipe in which every OP has a mapping of parameters, so that parameters can be set.

    Raises:
        JobError: the recipe has no list of OPs.
    """
    copied: ConfigValues = copy.deepcopy(dict(recipe))
    if not isinstance(copied.get("process"), list) or not copied["process"]:
        raise JobError("the recipe has no OPs to refine", hint="dj_configs needs a list `process`")
    copied["process"] = [
        {name: dict(args) if args else {} for name, args in entry.items()} if isinstance(entry, Mapping) else entry
        for entry in copied["process"]
    ]
    return copied


def write_recipe(path: str | Path, recipe: Mapping[str, JsonValue], comments: Iterable[str]) -> None:
    """Write a recipe atomically: as JSON if the path ends in `.json`, else as YAML.

    Args:
        path: the output file.
        recipe: a valid Data-Juicer recipe.
        comments: lines for the header of the file; ignored for JSON, which has no comments.
    """
    if Path(path).suffix == ".json":
        text = json.dumps(escape(dict(recipe)), indent=2, ensure_ascii=False) + "\n"
    else:
        head = "".join(f"# {line}\n" if line else "#\n" for comment in comments for line in comment.split("\n"))
        text = head + dump_config(escape(dict(recipe)))
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
