"""Which metrics belong to which data pool, in whatever shape they come."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from statistics import mean
from typing import Any

from data_juicer_sandbox.components.names import distinct_names, stem
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.secrets import shown

Metrics = list[Any] | dict[str, Any]


class Pools:
    """Data pools, found by all that they may be called."""

    def __init__(self, paths: Sequence[str]):
        self.paths = list(paths)
        self.names = distinct_names(self.paths)
        self._called: dict[str, set[int]] = {}
        self._resolved: dict[Path, int] = {}
        for index, (path, name) in enumerate(zip(self.paths, self.names, strict=True)):
            if (same := self._resolved.setdefault(Path(path).resolve(), index)) != index:
                raise ConfigError(f"dataset_path names one pool twice: {self.paths[same]} and {path}")
            for word in (name, stem(path)):
                self._called.setdefault(word, set()).add(index)

    def find(self, text: Any) -> int | None:
        """The place of the pool of this path, distinct name or stem; None where it is none of them.

        Raises:
            ConfigError: a name that several pools share.
        """
        if not isinstance(text, str):
            return None
        try:
            if (index := self._resolved.get(Path(text).resolve())) is not None:
                return index
        except (OSError, ValueError, RuntimeError):  # no path: too long for one, a null character, a loop of links
            return None
        called = sorted(self._called.get(text, ()))
        if len(called) > 1:
            which = ", ".join(self.paths[index] for index in called)
            raise ConfigError(f"the name {text!r} may mean {which}", hint="the path tells them apart")
        return called[0] if called else None


def with_baseline(paths: Sequence[str], baseline: str, metrics: Metrics, match_key: str | None) -> tuple[Pools, int]:
    """The pools with the baseline among them, at the end where it is none of `paths`; and its place.

    Raises:
        ConfigError: neither the paths nor the metrics name it.
    """
    pools = Pools(paths)
    if (place := pools.find(baseline)) is not None:
        return pools, place
    named, more = names_in(metrics, match_key), Pools([*paths, baseline])
    if not any(more.find(label) == len(paths) for label in named):
        hint = suggest(baseline, {*pools.names, *named})
        raise ConfigError(f"neither dataset_path nor metrics name the baseline {baseline!r}", hint=hint)
    return more, len(paths)


def by_pool(pools: Pools, metrics: Metrics, match_key: str | None) -> dict[int, list[Any]]:
    """The metrics of each pool: one entry, or several where a list with `match_key` has more than one.

    Raises:
        ConfigError: the metrics do not fit the pools or the `match_key`.
    """
    if isinstance(metrics, Mapping):
        if match_key is not None:
            raise ConfigError("match_key is for a list of metrics, and these are a mapping")
        labels, entries = list(metrics), list(metrics.values())
    elif match_key is not None:
        labels, entries = [_label(entry, match_key, place) for place, entry in enumerate(metrics)], metrics
    else:
        _check_order(pools, metrics)
        return {index: [entry] for index, entry in enumerate(metrics)}
    found: dict[int, list[Any]] = {}
    for label, entry in zip(labels, entries, strict=True):
        index = pools.find(label)
        if index is None:
            continue  # metrics of other pools; one that is ranked and has none is an error later
        if index in found and match_key is None:
            raise ConfigError(f"metrics name the pool {pools.paths[index]} twice, the second time as {label!r}")
        found.setdefault(index, []).append(entry)
    return found


def names_in(metrics: Metrics, match_key: str | None) -> list[str]:
    """What the metrics call their pools; nothing for a list without `match_key`."""
    if isinstance(metrics, Mapping):
        return list(metrics)
    return sorted({str(_label(entry, match_key, place)) for place, entry in enumerate(metrics)} if match_key else ())


def first_mapping(entries: dict[int, list[Any]]) -> Any | None:
    """An entry that is no plain value; None where there is none."""
    return next((one for several in entries.values() for one in several if isinstance(one, (dict, list))), None)


def value(entries: Sequence[Any], key: str, pool: str) -> float:
    """A pool's metric: the mean over its entries.

    Args:
        entries: numbers, or mappings of metrics.
        key: dots go deeper; empty for numbers.
        pool: what the pool is called in errors.

    Raises:
        JobError: it is not there, or no finite number.
    """
    return float(mean(_number(entry, key, pool) for entry in entries))


def _number(entry: Any, key: str, pool: str) -> float:
    known = leaves(entry)
    numeric = [name for name, leaf in known.items() if isinstance(leaf, Real) and not isinstance(leaf, bool)]
    if key not in known:
        if "" in known:
            raise JobError(f"the metrics of pool {pool} are {shown(entry)}, which has no {key!r}", hint="a mapping")
        raise JobError(f"the metrics of pool {pool} have no {key!r}", hint=suggest(key, numeric, what="there are"))
    what = f"the metric {key!r} of pool {pool}" if key else f"the metric of pool {pool}"
    if key not in numeric:
        hint = suggest(key, numeric, what="numbers there are") if key else None
        raise JobError(f"{what} is no number: {shown(known[key], key=key)}", hint=hint)
    try:
        number = float(known[key])
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        others = [name for name in numeric if name != key]
        raise JobError(f"{what} is {number}", hint=suggest(key, others, what="other metrics") if others else None)
    return number


def leaves(entry: Any, prefix: str = "") -> dict[str, Any]:
    """All that is no mapping or list in an entry, by its way: `bleu.1`; a plain value by the empty one."""
    if isinstance(entry, Mapping):
        items = [(str(key), item) for key, item in entry.items()]
    elif isinstance(entry, (list, tuple)):
        items = [(str(place), item) for place, item in enumerate(entry)]
    else:
        return {prefix: entry}
    return {
        way: leaf for key, item in items for way, leaf in leaves(item, f"{prefix}.{key}" if prefix else key).items()
    }


def _label(entry: Any, match_key: str, place: int) -> Any:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"entry {place} of metrics is {shown(entry)}", hint="match_key wants mappings")
    known = leaves(entry)
    if match_key not in known:
        texts = [way for way, leaf in known.items() if isinstance(leaf, str)]
        hint = suggest(match_key, texts, what="its fields of text")
        raise ConfigError(f"entry {place} of metrics has no {match_key!r}, the match_key", hint=hint)
    return known[match_key]


def _check_order(pools: Pools, metrics: Sequence[Any]) -> None:
    """A list is in the order of the paths; where its entries name their pools otherwise, it is taken for a mistake."""
    named = _naming_fields(pools, metrics)
    straight = list(range(len(pools.paths)))
    if len(metrics) != len(straight):
        what = f"metrics has {len(metrics)} entries, dataset_path {len(straight)}"
        hint = " or ".join(f"match_key: {field}" for field in named) or "one for each, in their order"
        raise ConfigError(what, hint=f"they name their pools, so {hint}" if named else hint)
    for field, places in named.items():
        if sorted(places) == straight and places != straight and straight not in named.values():
            what = f"the metrics name their pools in {field!r}, in another order than dataset_path"
            raise ConfigError(what, hint=f"match_key: {field}")


def _naming_fields(pools: Pools, metrics: Sequence[Any]) -> dict[str, list[int]]:
    """The fields that name a pool in every entry, and the places of the pools they name."""
    if not metrics or not all(isinstance(entry, Mapping) for entry in metrics):
        return {}
    found: dict[str, list[int]] = {}
    for field, leaf in leaves(metrics[0]).items():
        if isinstance(leaf, str):
            try:
                places = [pools.find(leaves(entry).get(field)) for entry in metrics]
            except ConfigError:  # a name that several pools share
                continue
            if len(named := [place for place in places if place is not None]) == len(metrics):
                found[field] = named
    return found
