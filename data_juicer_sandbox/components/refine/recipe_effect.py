"""What the bounds of a recipe drop, including Data-Juicer's defaults of parameters that the recipe does not set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_juicer_sandbox.components.refine.bounds import RecipeBound
from data_juicer_sandbox.types import JsonValue

if TYPE_CHECKING:
    import numpy as np


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
