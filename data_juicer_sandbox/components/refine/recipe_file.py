"""Refined recipes: their preparation, the rows that their bounds drop, their writing."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_juicer_sandbox.components.refine.bounds import RecipeBound
from data_juicer_sandbox.config.dump import dump_config
from data_juicer_sandbox.config.interpolation import escape
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.types import ConfigValues, JsonValue

if TYPE_CHECKING:
    import numpy as np


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


@dataclass(frozen=True)
class BoundEffect:
    """The rows that one bound of a recipe drops.

    Args:
        bound: the bound.
        value: its value in the recipe, or the OP's default.
        is_default: whether the recipe does not set it.
        drop: mask of the rows that it drops, shape (rows,); rows without the stat are kept.
    """

    bound: RecipeBound
    value: float
    is_default: bool
    drop: np.ndarray

    def describe(self) -> str:
        """One line: what the bound drops, and why it applies."""
        origin = "is not set; Data-Juicer's default" if self.is_default else "stays at"
        return f"{self.bound.label} {origin} {self.value:g} drops {self.drop.sum():,} of {len(self.drop):,} rows"


def bound_effects(
    process: Sequence[JsonValue], bounds: Sequence[RecipeBound], stats: Mapping[str, np.ndarray]
) -> Iterator[BoundEffect]:
    """Yield the bounds that drop rows.

    Args:
        process: the recipe's `process`, refined or not.
        bounds: its bounds.
        stats: columns by the stat's name, NaN where a row lacks it.
    """
    for bound in bounds:
        args = process[bound.index][bound.op] or {}
        is_default = bound.param not in args
        value = bound.number(bound.declared.default if is_default else args[bound.param])
        if value is None or bound.stat not in stats:
            continue
        column = stats[bound.stat]
        drop = (column < value) if bound.side == "min" else (column > value)  # NaN compares false
        if drop.any():
            yield BoundEffect(bound, value, is_default, drop)


def kept_ratio(effects: Sequence[BoundEffect]) -> float:
    """The fraction of the rows that no bound drops."""
    if not effects:
        return 1.0
    keep = ~effects[0].drop
    for effect in effects[1:]:
        keep = keep & ~effect.drop
    return float(keep.mean())
