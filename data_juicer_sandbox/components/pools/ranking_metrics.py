"""Assignment of metrics to data pools, for all supported forms of metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from statistics import mean

from data_juicer_sandbox.components.names import distinct_names, stem
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.labels import short_labels
from data_juicer_sandbox.plain_json import flatten
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import JsonValue

Metrics = list[JsonValue] | dict[str, JsonValue]


class Pools:
    """Data pools, with lookup by path, distinct name, stem or label."""

    def __init__(self, paths: Sequence[str]):
        self.paths = list(paths)
        self.names = distinct_names(self.paths)
        self._by_name: dict[str, set[int]] = {}
        self._resolved: dict[Path, int] = {}
        for index, (path, name) in enumerate(zip(self.paths, self.names, strict=True)):
            if (first_index := self._resolved.setdefault(Path(path).resolve(), index)) != index:
                raise ConfigError(f"dataset_path has the same pool twice: {self.paths[first_index]} and {path}")
            for alias in (name, stem(path)):
                self._by_name.setdefault(alias, set()).add(index)
        for index, label in enumerate(short_labels(self.names).values()):
            self._by_name.setdefault(label, {index})  # a name comes before an equal label

    def find(self, text: object) -> int | None:
        """The index of the pool with this path, distinct name, stem or label; None if there is no such pool.

        Raises:
            ConfigError: several pools have this name.
        """
        if not isinstance(text, str):
            return None
        try:
            if (index := self._resolved.get(Path(text).resolve())) is not None:
                return index
        except (OSError, ValueError, RuntimeError):  # not a path: too long, a null character, a symlink loop
            return None
        matches = sorted(self._by_name.get(text, ()))
        if len(matches) > 1:
            paths = ", ".join(self.paths[index] for index in matches)
            raise ConfigError(f"the name {text!r} is ambiguous: {paths}", hint="use the path")
        return matches[0] if matches else None


def with_baseline(paths: Sequence[str], baseline: str, metrics: Metrics, match_key: str | None) -> tuple[Pools, int]:
    """The pools including the baseline, which is appended if it is not in `paths`, and the baseline's index.

    Raises:
        ConfigError: neither the paths nor the metrics name the baseline.
    """
    pools = Pools(paths)
    if (index := pools.find(baseline)) is not None:
        return pools, index
    names = names_in(metrics, match_key)
    names_by_label = {label: name for name, label in short_labels(map(stem, names)).items()}
    if baseline not in names:
        baseline = names_by_label.get(baseline, baseline)
    with_appended = Pools([*paths, baseline])
    if not any(with_appended.find(name) == len(paths) for name in names):
        hint = suggest(baseline, {*short_labels(pools.names).values(), *names_by_label})
        raise ConfigError(f"neither dataset_path nor metrics name the baseline {baseline!r}", hint=hint)
    return with_appended, len(paths)


def by_pool(pools: Pools, metrics: Metrics, match_key: str | None) -> dict[int, list[JsonValue]]:
    """The entries of each pool by its index: one, or several if a list with `match_key` has several.

    Raises:
        ConfigError: the metrics do not match the pools or the `match_key`.
    """
    if isinstance(metrics, Mapping):
        if match_key is not None:
            raise ConfigError("match_key needs a list of metrics, got a mapping")
        labels, entries = list(metrics), list(metrics.values())
    elif match_key is not None:
        labels, entries = [_label(entry, match_key, index) for index, entry in enumerate(metrics)], metrics
    else:
        _check_order(pools, metrics)
        return {index: [entry] for index, entry in enumerate(metrics)}
    entries_by_pool: dict[int, list[JsonValue]] = {}
    for label, entry in zip(labels, entries, strict=True):
        index = pools.find(label)
        if index is None:
            continue  # metrics of another pool; a ranked pool without metrics is an error later
        if index in entries_by_pool and match_key is None:
            raise ConfigError(f"metrics name the pool {pools.paths[index]} twice, the second time as {label!r}")
        entries_by_pool.setdefault(index, []).append(entry)
    return entries_by_pool


def names_in(metrics: Metrics, match_key: str | None) -> list[str]:
    """The names of pools in the metrics; empty for a list without `match_key`."""
    if isinstance(metrics, Mapping):
        return list(metrics)
    return sorted({str(_label(entry, match_key, index)) for index, entry in enumerate(metrics)} if match_key else ())


def first_mapping(entries: dict[int, list[JsonValue]]) -> JsonValue | None:
    """The first entry that is a mapping or a list; None if all are plain values."""
    return next((entry for group in entries.values() for entry in group if isinstance(entry, (dict, list))), None)


def value(entries: Sequence[JsonValue], key: str, pool: str) -> float:
    """A pool's metric: the mean over its entries.

    Args:
        entries: numbers, or mappings of metrics.
        key: key of the metric, with dots for nested keys; empty if the entries are numbers.
        pool: the pool's name in errors.

    Raises:
        JobError: the metric is missing or not a finite number.
    """
    return float(mean(_number(entry, key, pool) for entry in entries))


def repeats(entries: Sequence[JsonValue], key: str, pool: str) -> dict[JsonValue, float]:
    """A pool's metric by seed, each the mean over its entries; empty unless every entry names its `seed`.

    Args:
        entries: as for `value`.
        key: as for `value`.
        pool: as for `value`.
    """
    groups: dict[JsonValue, list[JsonValue]] = {}
    for entry in entries:
        seed = entry.get("seed") if isinstance(entry, Mapping) else None
        if not isinstance(seed, int):
            return {}
        groups.setdefault(seed, []).append(entry)
    return {seed: value(group, key, pool) for seed, group in groups.items()}


def _number(entry: JsonValue, key: str, pool: str) -> float:
    metrics = leaves(entry)
    numeric = [name for name, leaf in metrics.items() if isinstance(leaf, Real) and not isinstance(leaf, bool)]
    if key not in metrics:
        if "" in metrics:
            what = f"the metrics of pool {pool} are {shown(entry)}, without a key {key!r}"
            raise JobError(what, hint="expected a mapping")
        names = suggest(key, numeric, what="numeric metrics")
        raise JobError(f"the metrics of pool {pool} have no {key!r}", hint=names)
    what = f"the metric {key!r} of pool {pool}" if key else f"the metric of pool {pool}"
    if key not in numeric:
        hint = suggest(key, numeric, what="numeric metrics") if key else None
        raise JobError(f"{what} is not a number: {shown(metrics[key], key=key)}", hint=hint)
    try:
        number = float(metrics[key])
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        others = [name for name in numeric if name != key]
        raise JobError(f"{what} is {number}", hint=suggest(key, others, what="other metrics") if others else None)
    return number


def leaves(entry: JsonValue) -> dict[str, JsonValue]:
    """The plain values of an entry by dotted path (`bleu.1`); a plain entry has the empty path."""
    return dict(flatten(entry))


def _label(entry: JsonValue, match_key: str, index: int) -> JsonValue:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"entry {index} of metrics is {shown(entry)}", hint="match_key needs mappings")
    fields = leaves(entry)
    if match_key not in fields:
        texts = [path for path, leaf in fields.items() if isinstance(leaf, str)]
        hint = suggest(match_key, texts, what="its text fields")
        raise ConfigError(f"entry {index} of metrics has no {match_key!r}, the match_key", hint=hint)
    return fields[match_key]


def _check_order(pools: Pools, metrics: Sequence[JsonValue]) -> None:
    """Check the length of a list without `match_key`, and that its entries do not name their pools in another order."""
    naming_fields = _naming_fields(pools, metrics)
    in_order = list(range(len(pools.paths)))
    if len(metrics) != len(in_order):
        what = f"metrics has {len(metrics)} entries, dataset_path {len(in_order)}"
        match_keys = " or ".join(f"match_key: {field}" for field in naming_fields)
        hint = f"the entries name their pools: {match_keys}" if match_keys else "expected one per pool, in their order"
        raise ConfigError(what, hint=hint)
    for field, indices in naming_fields.items():
        if sorted(indices) == in_order and indices != in_order and in_order not in naming_fields.values():
            what = f"the metrics name their pools in {field!r}, in another order than dataset_path"
            raise ConfigError(what, hint=f"match_key: {field}")


def _naming_fields(pools: Pools, metrics: Sequence[JsonValue]) -> dict[str, list[int]]:
    """The fields that name a pool in every entry, with the indices of these pools."""
    if not metrics or not all(isinstance(entry, Mapping) for entry in metrics):
        return {}
    indices_by_field: dict[str, list[int]] = {}
    for field, leaf in leaves(metrics[0]).items():
        if isinstance(leaf, str):
            try:
                indices = [pools.find(leaves(entry).get(field)) for entry in metrics]
            except ConfigError:  # an ambiguous name
                continue
            if len(matched := [index for index in indices if index is not None]) == len(metrics):
                indices_by_field[field] = matched
    return indices_by_field
