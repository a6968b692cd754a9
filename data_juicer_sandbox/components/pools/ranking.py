"""Ranking of data pools by metrics."""

from __future__ import annotations

import math
from typing import Literal

from loguru import logger

from data_juicer_sandbox.comparison import compare
from data_juicer_sandbox.components.base import Component, InputPaths, JobRun
from data_juicer_sandbox.components.io.data_files import existing_data, is_data
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.number_types import PositiveInt
from data_juicer_sandbox.components.pools import ranking_scores as scores
from data_juicer_sandbox.components.pools.ranking_metrics import (
    Pools,
    by_pool,
    first_mapping,
    leaves,
    names_in,
    repeats,
    value,
    with_baseline,
)
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import JsonValue, Metrics


class DataPoolRanking(Component):
    """Rank data pools by metrics, such as the scores of the models trained on them.

    Returns the pools' paths, best first; pools with equal rank keep the order of `dataset_path`. It reads no pool and
    writes no file. Each pool's `rank`, `score`, `metrics` (by ranking key) and, with a baseline, `relative` changes are
    reported to the watcher under its name, also for pools that `top_n` excludes. If the entries name their `seed`,
    there is also the `change` of each metric against the baseline, its confidence interval from `low` to `high` (95%
    for all comparisons together), and the `verdict`: better, worse, or not proven.

    Metrics have one of three forms. A list in the order of the paths: numbers, or mappings that may be nested. A
    mapping by path, or by a pool's name if it is unique (`wiki` for `pools/wiki.jsonl`), or by its label, which is the
    name without what all names begin and end with (`control` for the control of a construction). Or, with `match_key`,
    a list of mappings that name their pool in that field, as evaluators return them: the entries of one pool are
    averaged (for example over seeds, or over held-out sets), and those of other pools are ignored.

    Pools are ranked by one metric or by several (`aggregate`):

    - `first`: by the first key; ties are broken by the next key, and so on. The score is the metric, or its relative
      change.
    - `mean_relative`: by the mean of the relative changes against the baseline.
    - `mean_rank`: by the mean of a pool's ranks in each metric, 1 for the best; equal pools share the mean of their
      ranks. Friedman 1937, "The Use of Ranks to Avoid the Assumption of Normality Implicit in the Analysis of
      Variance"; Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets", section 3.2.2.
    - `z_score`: by the mean of the metrics' z-scores over the ranked pools, with population standard deviations. A
      metric in which all pools are equal counts as 0.

    Where less is better, the sign of relative changes and z-scores is inverted. A metric that is missing, not a number,
    or not finite is an error.

    Args:
        dataset_path: the pool(s) to rank: files, folders or patterns.
        metrics: the pools' metrics, in one of the forms above; usually set by `input`.
        ranking_keys: the metric(s) to rank by; dots for nested keys (`bleu.1`, also list indices). Not needed if the
            metrics are plain numbers.
        descending: whether greater is better: one boolean for all keys, or one per key.
        top_n: return only the best `top_n` pools.
        baseline: the pool, by path, name or label (`control`), that the others are compared with: relative change is
            (m - b) / |b|. One of `dataset_path`, or another pool that `metrics` name. It is not ranked itself.
        aggregate: how several keys are combined, see above.
        match_key: the field in which the entries of a list name their pool, by path or name (`train_dataset`,
            `dataset`; dots for nested fields).
        keep_baseline: also rank the baseline.
        skip_missing: skip missing pools, and their metrics, with a warning, instead of failing.
    """

    outputs = ("paths",)
    metrics = (
        *metric_keys("rank", "score", "metrics.<key>", under="<pool>"),
        *metric_keys("baseline", "relative.<key>", under="<pool>", requires="baseline"),
        *metric_keys("seeds", "change.<key>", "low.<key>", "high.<key>", under="<pool>", requires="baseline"),
        *metric_keys("verdict.<key>", under="<pool>", requires="baseline"),
    )
    numbers = number_keys(paths=())

    def __init__(
        self,
        dataset_path: InputPaths,
        metrics: list[JsonValue] | dict[str, JsonValue],
        ranking_keys: str | list[str] | None = None,
        descending: bool | list[bool] = True,
        top_n: PositiveInt | None = None,
        baseline: str | None = None,
        aggregate: Literal["first", "mean_relative", "mean_rank", "z_score"] = "first",
        match_key: str | None = None,
        keep_baseline: bool = False,
        skip_missing: bool = False,
    ):
        self.keys = [""] if ranking_keys is None else as_list(ranking_keys)
        self.labels = [key or "metric" for key in self.keys]
        if not self.keys or len(set(self.keys)) != len(self.keys):
            raise ConfigError(f"ranking_keys {self.keys}: expected one or more different keys")
        self.descending = [descending] * len(self.keys) if isinstance(descending, bool) else descending
        if len(self.descending) != len(self.keys):
            what = f"descending has {len(self.descending)} entries, ranking_keys {len(self.keys)}"
            raise ConfigError(what, hint="one for all keys, or one per key")
        if baseline is None and (aggregate == "mean_relative" or keep_baseline):
            option = "aggregate: mean_relative" if aggregate == "mean_relative" else "keep_baseline"
            raise ConfigError(f"{option} needs a baseline")
        self.top_n, self.aggregate, self.skip_missing = top_n, aggregate, skip_missing
        paths = as_list(dataset_path)
        self.pools, self.baseline = Pools(paths), None
        if baseline is not None:
            self.pools, self.baseline = with_baseline(paths, baseline, metrics, match_key)
        self.entries, self.named = by_pool(self.pools, metrics, match_key), names_in(metrics, match_key)
        self.indices = range(len(paths))
        self.ranked = [index for index in self.indices if keep_baseline or index != self.baseline]
        if not self.ranked:
            raise ConfigError("no pool to rank", hint="dataset_path needs at least one pool besides the baseline")
        if ranking_keys is None and (entry := first_mapping(self.entries)) is not None:
            raise ConfigError(
                f"ranking_keys must name the metrics to rank by: the metrics are {shown(entry, 100)}",
                hint=", ".join(leaves(entry)),
            )

    def run(self, job: JobRun) -> list[str]:
        """Returns the paths of the ranked pools, best first."""
        ranked = self._existing()
        values = [self._metrics(index) for index in ranked]
        changes = None if self.baseline is None else self._changes(self.baseline, ranked, values)
        self._compare_numbers(ranked)
        order = scores.order(values, changes, self.descending, self.aggregate)
        for rank, (position, score) in enumerate(order, 1):
            name = self.pools.names[ranked[position]]
            row, change = values[position], None if changes is None else changes[position]
            entry: Metrics = {"rank": rank, "score": score, "metrics": self._by_key(row)}
            if change is not None and self.baseline is not None:
                entry |= {"baseline": self.pools.names[self.baseline], "relative": self._by_key(change)}
                entry |= self._intervals(self.baseline, ranked[position], len(ranked))
            job.watcher.watch({name: entry})
            logger.info("{}. {}: {}", rank, name, self._summary(row, change, score))
        return [self.pools.paths[ranked[position]] for position, _ in order[: self.top_n]]

    def _existing(self) -> list[int]:
        """The indices of the pools to rank that exist."""
        paths, baseline = self.pools.paths, self.baseline
        if self.skip_missing and baseline is not None and baseline in self.indices and not is_data(paths[baseline]):
            raise JobError(f"the baseline does not exist: {paths[baseline]}", hint="set another baseline")
        checked = self.ranked if self.skip_missing else self.indices
        existing = existing_data([paths[index] for index in checked], self.skip_missing, "data pool")
        return [index for index in self.ranked if paths[index] in existing]

    def _metrics(self, index: int) -> list[float]:
        name = self.pools.names[index]
        if index not in self.entries:
            raise JobError(f"no metrics for pool {name}", hint=suggest(name, self.named, what="metrics exist for"))
        return [value(self.entries[index], key, name) for key in self.keys]

    def _changes(self, baseline: int, ranked: list[int], values: list[list[float]]) -> list[list[float]]:
        """The relative change of each pool in each key."""
        bases, name = self._metrics(baseline), self.pools.names[baseline]
        logger.info("baseline {}: {}", name, self._summary(bases))
        for key, base in zip(self.labels, bases, strict=True):
            if base == 0:
                raise JobError(f"the metric {key!r} of the baseline {name} is 0, so relative changes are undefined")
        changes = [[scores.relative_change(*pair) for pair in zip(row, bases, strict=True)] for row in values]
        for index, row in zip(ranked, changes, strict=True):
            for key, base, change in zip(self.labels, bases, row, strict=True):
                if not math.isfinite(change):
                    what = f"the relative change of {key!r} of pool {self.pools.names[index]} overflows"
                    raise JobError(what, hint=f"the baseline's metric is {base}")
        return changes

    def _intervals(self, baseline: int, index: int, count: int) -> Metrics:
        """The change of each key against the baseline with its interval; empty unless both have several seeds.

        Args:
            baseline: the index of the baseline.
            index: the index of the pool.
            count: the number of pools that are compared with the baseline.
        """
        if index == baseline:
            return {}
        comparisons, verdicts = {}, {}
        for key, label, greater in zip(self.keys, self.labels, self.descending, strict=True):
            group, reference = (repeats(self.entries[i], key, self.pools.names[i]) for i in (index, baseline))
            if min(len(group), len(reference)) > 1:
                comparisons[label] = compare(group, reference, (count - (baseline in self.ranked)) * len(self.keys))
                verdicts[label] = comparisons[label].verdict(greater)
        if not comparisons:
            return {}
        return {
            "seeds": min(comparison.n for comparison in comparisons.values()),
            "change": {label: comparison.change for label, comparison in comparisons.items()},
            "low": {label: comparison.low for label, comparison in comparisons.items()},
            "high": {label: comparison.high for label, comparison in comparisons.items()},
            "verdict": verdicts,
        }

    def _compare_numbers(self, ranked: list[int]) -> None:
        """Warn if pools have different numbers of entries, since their means may then not be comparable."""
        counts = {self.pools.names[index]: len(self.entries[index]) for index in ranked}
        if len(set(counts.values())) > 1:
            summary = ", ".join(f"{count} of {name}" for name, count in counts.items())
            logger.warning("the pools' metrics are means of different numbers of entries: {}", summary)

    def _by_key(self, row: list[float]) -> dict[str, float]:
        return dict(zip(self.labels, row, strict=True))

    def _summary(self, row: list[float], changes: list[float] | None = None, score: float | None = None) -> str:
        parts = [f"{key} {number:.6g}" for key, number in self._by_key(row).items()]
        if changes is not None:
            parts = [f"{text} ({change:+.2%})" for text, change in zip(parts, changes, strict=True)]
        if score is not None and self.aggregate != "first":
            parts.append(f"{self.aggregate} {score:.4g}")
        return ", ".join(parts)
