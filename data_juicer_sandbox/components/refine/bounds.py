"""`RecipeBound`: the parameters of a recipe's OPs that bound a stat, and the valid values of a bound."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from data_juicer_sandbox.components.data import value_types
from data_juicer_sandbox.components.data.catalogue import Op, Param, catalogue
from data_juicer_sandbox.types import JsonValue

_UNIT = re.compile(r"(_ratios?|_prob|nsfw_score|lang_score)$")
_ANY_RATIO = {"aspect_ratios", "video_aspect_ratios", "alpha_token_ratio"}
_DIGITS = 12
"""Significant digits of a computed bound."""
_RELATIVE_ERROR = 1e-12
"""Error of a computed mean, relative to the largest value: sums of a million floats are more exact."""
_NO_LESS_THAN_0 = re.compile(
    r"^num_|(_len|_length|_count|_counts|_sizes?|_width|_height|_duration|perplexity|_ratios?)$"
)


@dataclass(frozen=True, eq=False)
class RecipeBound:
    """A parameter of an OP in a recipe that bounds a stat.

    Args:
        index: the OP's index in `process`.
        op: the OP's name.
        param: the parameter's name.
        side: `min` or `max`.
        stat: the stat that it bounds.
        declared: the declaration of the parameter in the OP's source.
        old: its value in the recipe; None if the recipe does not set it.
        label: its name in logs and metrics; contains the index if the recipe uses the OP more than once.
    """

    index: int
    op: str
    param: str
    side: str
    stat: str
    declared: Param
    old: JsonValue
    label: str

    @property
    def integer(self) -> bool:
        """Whether it accepts only integers; sizes are in bytes."""
        return self.declared.integer or self._is_size

    @property
    def _is_size(self) -> bool:
        return not self.declared.numeric and "size" in self.param

    def rounded(self, value: float, lowest: float | None = None, highest: float | None = None) -> float | int:
        """The nearest value that the OP accepts, rounded outward, so that rounding never removes rows.

        It is rounded to an integer, or to 12 significant digits, since a computed mean differs from the exact mean in
        the last digits of a float.

        Args:
            value: the computed value.
            lowest: the smallest value of the stat in the data; None if unknown.
            highest: the greatest value of the stat in the data; None if unknown.
        """
        low, high = self._limits(lowest, highest)
        if low is not None:
            value = max(value, low)
        if high is not None:
            value = min(value, high)
        if self.integer:
            return math.floor(value) if self.side == "min" else math.ceil(value)
        return self._outward(float(value), lowest, highest)

    def _outward(self, value: float, lowest: float | None, highest: float | None) -> float:
        """Round a float outward; a number of few digits stays as it is."""
        margin = _RELATIVE_ERROR * max(abs(value), *(abs(limit or 0) for limit in (lowest, highest)))
        if self.side == "min" and lowest is not None and 0 <= value - lowest <= margin:
            return float(lowest)
        if self.side == "max" and highest is not None and 0 <= highest - value <= margin:
            return float(highest)
        if value == float(f"{value:.{_DIGITS}g}"):
            return value
        outward = Decimal(value - margin if self.side == "min" else value + margin)
        rounding = ROUND_FLOOR if self.side == "min" else ROUND_CEILING
        return float(Context(prec=_DIGITS, rounding=rounding).plus(outward))

    def _limits(self, lowest: float | None, highest: float | None) -> tuple[float | None, float | None]:
        low, high = value_types.limits(self.declared.type)
        # A limit derived from the stat's name applies only if the data do not contradict it.
        if (
            low is None
            and (_NO_LESS_THAN_0.search(self.stat) or _UNIT.search(self.stat))
            and (lowest is None or lowest >= 0)
        ):
            low = 0
        if (
            high is None
            and _UNIT.search(self.stat)
            and self.stat not in _ANY_RATIO
            and (highest is None or highest <= 1)
        ):
            high = 1
        return low, high

    def written(self, value: float | int) -> JsonValue:
        """The value in the form that the OP expects: some OPs take numbers as strings (`'9/21'`, `'10kb'`)."""
        return value if self.declared.numeric else str(value)

    def number(self, value: JsonValue) -> float | None:
        """The number that a value of this parameter represents; None if it cannot be parsed."""
        if isinstance(value, bool) or value is None:
            return None
        if isinstance(value, (int, float)):
            return float(value)
        try:
            above, _, below = str(value).partition("/")
            return float(above) / float(below or 1)
        except (ValueError, ZeroDivisionError):
            return None


def recipe_bounds(process: list[JsonValue]) -> Iterator[RecipeBound | str]:
    """The bounds of a recipe's OPs in order; a note for each OP that uses stats but has no usable bound.

    Args:
        process: the recipe's `process`.
    """
    names = [next(iter(entry)) for entry in process if isinstance(entry, Mapping) and len(entry) == 1]
    for index, entry in enumerate(process):
        if not isinstance(entry, Mapping) or len(entry) != 1:
            continue
        (name, args), *_ = entry.items()
        op = catalogue().find(name)
        if op is None or not op.stats:
            continue
        args = args or {}
        label = f"{name}.{index}" if names.count(name) > 1 else name
        if args.get("reversed_range"):
            yield f"{label}: `reversed_range` keeps what lies outside the bounds; unchanged"
        elif not op.bounds:
            yield f"{label}: no parameter of it bounds {', '.join(op.stats)} from one side; unchanged"
        else:
            yield from _bounds(op, args, index, label)


def _bounds(op: Op, args: Mapping[str, JsonValue], index: int, label: str) -> Iterator[RecipeBound]:
    for bound in op.bounds:
        if bound.when is not None:
            switch, required_value = bound.when
            if bool(args.get(switch, op.params[switch].default)) is not required_value:
                continue
        declared = op.params[bound.param]
        old = args.get(bound.param)
        name = f"{label}.{bound.param}"
        yield RecipeBound(index, op.name, bound.param, bound.side, bound.stat, declared, old, name)


def crossed(process: list[JsonValue], bounds: list[RecipeBound], bound: RecipeBound, value: float) -> bool:
    """Whether a new value would put the OP's lower bound above its upper one."""
    entry = process[bound.index][bound.op] or {}
    for other in bounds:
        if other.index == bound.index and other.stat == bound.stat and other.side != bound.side:
            default = catalogue().find(bound.op)
            current_value = entry.get(other.param, default.params[other.param].default if default else None)
            opposite_bound = other.number(current_value)
            if opposite_bound is not None and (
                value > opposite_bound if bound.side == "min" else value < opposite_bound
            ):
                return True
    return False
