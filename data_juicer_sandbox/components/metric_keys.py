"""`MetricKey`: the metrics that a component declares, so that a metric that no job reports is an error before the run.

A key is a text with two kinds of placeholders: `{dataset_path}` stands for the value of a parameter (the short names of
its paths, or each item of a list), `<task>` for any text that is not known before the run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

from data_juicer_sandbox.components.names import distinct_names

_PLACEHOLDER = re.compile(r"\{(\w+)\}|<[^<>]+>")
_MAX_NAMES = 50
"""Values of a parameter that are compared one by one; with more, any name is accepted."""
Glob = tuple[str | None, ...]
"""The characters of a key; None stands for any text."""


@dataclass(frozen=True)
class MetricKey:
    """One metric, or a family of metrics, that a component reports.

    Args:
        key: the name that it is reported by, with placeholders.
        per_step: whether it is reported with a step, so that a search can prune by it.
        requires: the parameter without which it is not reported; None: it is always reported.
    """

    key: str
    per_step: bool = False
    requires: str | None = None

    def __str__(self) -> str:
        condition = f" (with `{self.requires}`)" if self.requires else ""
        return f"`{_PLACEHOLDER.sub(lambda match: f'<{match[1]}>' if match[1] else match[0], self.key)}`{condition}"


def metric_keys(
    *names: str, under: str = "", per_step: bool = False, requires: str | None = None
) -> tuple[MetricKey, ...]:
    """Declare several metrics that begin with the same text.

    Args:
        names: their names.
        under: the text before each name, which a dot separates from it.
        per_step: whether they are reported with a step.
        requires: the parameter without which they are not reported.
    """
    prefix = f"{under}." if under else ""
    return tuple(MetricKey(prefix + name, per_step, requires) for name in names)


def number_keys(**keys_by_output: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """Declare the numbers in each output: `number_keys(scores=("mean",), path=())`."""
    return MappingProxyType(keys_by_output)


def expand(
    keys: Iterable[MetricKey], values: Mapping[str, object], is_unknown: Callable[[str], bool] = lambda name: False
) -> Iterator[tuple[MetricKey, str]]:
    """The keys with the values of their parameters filled in; what is not known stays as `<name>`.

    Args:
        keys: the declared keys.
        values: the component's parameters by name, with their defaults.
        is_unknown: whether a parameter is set later.
    """
    for metric in keys:
        if metric.requires and not is_unknown(metric.requires) and not values.get(metric.requires):
            continue
        names = [match[1] for match in _PLACEHOLDER.finditer(metric.key) if match[1]]
        choices = [[f"<{name}>"] if is_unknown(name) else _names(name, values.get(name)) for name in names]
        for combination in product(*choices):
            remaining = iter(combination)
            yield metric, _PLACEHOLDER.sub(lambda match: next(remaining) if match[1] else match[0], metric.key)  # noqa: B023  # used at once


def _names(name: str, value: object) -> list[str]:
    items = list(value) if isinstance(value, list | tuple) else [value]
    paths = [item for item in items if isinstance(item, str)]
    if 0 < len(items) <= _MAX_NAMES and len(paths) == len(items):
        return distinct_names(paths)
    if 0 < len(items) <= _MAX_NAMES and all(isinstance(item, int) for item in items):
        return [str(item) for item in items]
    return [f"<{name}>"]


def as_glob(key: str) -> Glob:
    """The characters of an expanded key; a placeholder is any text."""
    return _split(key, re.compile(r"<[^<>]+>"))


def pattern_glob(text: str) -> Glob:
    """The characters of a pattern of metrics: `*`, `?` and `[...]` are any text."""
    return _split(text, re.compile(r"[*?]|\[[^\]]*\]"))


def literal_glob(text: str) -> Glob:
    """The characters of a name, without placeholders."""
    return tuple(text)


def intersect(first: Glob, second: Glob) -> bool:
    """Whether a text exists that both match."""
    positions = {(0, 0)}
    pending = [(0, 0)]
    while pending:
        i, j = pending.pop()
        if (i, j) == (len(first), len(second)):
            return True
        a, b = (first[i] if i < len(first) else ""), (second[j] if j < len(second) else "")
        following = []
        if a is None:
            following += [(i + 1, j), *([(i, j + 1)] if b != "" else [])]
        if b is None:
            following += [(i, j + 1), *([(i + 1, j)] if a != "" else [])]
        if a and a == b:
            following.append((i + 1, j + 1))
        for position in following:
            if position not in positions:
                positions.add(position)
                pending.append(position)
    return False


def _split(text: str, placeholder: re.Pattern[str]) -> Glob:
    parts: list[str | None] = []
    end = 0
    for match in placeholder.finditer(text):
        parts += [*text[end : match.start()], None]
        end = match.end()
    return (*parts, *text[end:])
