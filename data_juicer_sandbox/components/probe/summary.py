"""The feedback on many rows in a few figures."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

from data_juicer_sandbox.components.probe.scorers import Feedback, figure

_WORDS = 50
"""So many different texts of a field are counted one by one; those that come later, together."""
_OTHERS = "(others)"


class Summary:
    """Gathers feedback; of the rows, only the numbers are kept."""

    def __init__(self) -> None:
        self._numbers: dict[str, array[float]] = {}
        self._words: dict[str, Counter[str]] = {}
        self.unscored = 0

    def add(self, said: Feedback) -> None:
        """Count the feedback on one row; mappings in it by their own fields, with a dot."""
        flat = dict(_flat(said))
        if all(value is None for name, value in flat.items() if name != "tokens"):
            self.unscored += 1
        for name, value in flat.items():
            if isinstance(value, str | bool):
                counts = self._words.setdefault(name, Counter())
                counts[str(value) if str(value) in counts or len(counts) < _WORDS else _OTHERS] += 1
            elif value is not None:
                self._numbers.setdefault(name, array("d")).append(value)

    def figures(self) -> dict[str, Any]:
        """For each number `count`, `mean`, `std`, `min`, `25%`, `50%`, `75%`, `max`, as a data analyser's overall table
        has them; for each text how often it is; of the tokens the sum.
        """
        import numpy as np

        made: dict[str, Any] = {}
        for name, kept in self._numbers.items():
            values = np.asarray(kept)
            if name == "tokens":
                made[name] = int(values.sum())
                continue
            low, quarter, half, three, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            told = {"mean": values.mean(), "std": spread, "min": low, "25%": quarter, "50%": half, "75%": three}
            made[name] = {
                "count": len(values),
                **{label: figure(float(value)) for label, value in {**told, "max": high}.items()},
            }
        return made | {name: dict(counts.most_common()) for name, counts in self._words.items()}


def _flat(said: Feedback) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in said.items():
        if isinstance(value, dict):
            pairs += [(f"{name}.{inner}", one) for inner, one in value.items()]
        else:
            pairs.append((name, value))
    return pairs
