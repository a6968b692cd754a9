"""`Summary`: statistics of the feedback on many rows."""

from __future__ import annotations

from array import array
from collections import Counter

from data_juicer_sandbox.components.probe.scorers import Feedback, figure
from data_juicer_sandbox.plain_json import flatten
from data_juicer_sandbox.types import Metrics

_WORDS = 50
"""Number of different texts of a field that are counted separately; further ones are counted together."""
_OTHERS = "(others)"


class Summary:
    """Collects feedback; only numbers and counts are kept in memory."""

    def __init__(self) -> None:
        self._numbers: dict[str, array[float]] = {}
        self._words: dict[str, Counter[str]] = {}
        self.unscored = 0

    def add(self, feedback: Feedback) -> None:
        """Add the feedback on one row; nested mappings are flattened with dots."""
        flat = dict(flatten(feedback))
        if all(value is None for name, value in flat.items() if name != "tokens"):
            self.unscored += 1
        for name, value in flat.items():
            if isinstance(value, str | bool):
                counts = self._words.setdefault(name, Counter())
                counts[str(value) if str(value) in counts or len(counts) < _WORDS else _OTHERS] += 1
            elif value is not None:
                self._numbers.setdefault(name, array("d")).append(value)

    def figures(self) -> Metrics:
        """For each number `count`, `mean`, `std`, `min`, `25%`, `50%`, `75%`, `max`, as in a data analyzer's overall
        table; for each text its frequency; the sum of the tokens.
        """
        import numpy as np

        figures: Metrics = {}
        for name, numbers in self._numbers.items():
            values = np.asarray(numbers)
            if name == "tokens":
                figures[name] = int(values.sum())
                continue
            low, quarter, half, three_quarters, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
            std = values.std(ddof=1) if len(values) > 1 else 0.0
            statistics = {
                "mean": values.mean(),
                "std": std,
                "min": low,
                "25%": quarter,
                "50%": half,
                "75%": three_quarters,
            }
            figures[name] = {
                "count": len(values),
                **{label: figure(float(value)) for label, value in {**statistics, "max": high}.items()},
            }
        return figures | {name: dict(counts.most_common()) for name, counts in self._words.items()}
