"""Data pools in the order of what was measured on them."""

from __future__ import annotations

import math
from typing import Any, Literal

from jsonargparse.typing import PositiveInt
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun
from data_juicer_sandbox.components.io.data_files import is_data
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.pools import ranking_scores as scores
from data_juicer_sandbox.components.pools.ranking_metrics import (
    Pools,
    by_pool,
    first_mapping,
    leaves,
    names_in,
    value,
    with_baseline,
)
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.secrets import shown


class DataPoolRanking(Component):
    """Rank data pools by metrics, such as the scores of the models trained on them.

    Puts out the pools' paths, best first; pools that are equal keep the order of `dataset_path`. The pools are not
    read, nor anything written. Each pool's `rank`, `score`, `metrics` (by ranking key) and, with a baseline, `relative`
    changes are watched under its name, also of those that `top_n` cuts off.

    Metrics come in one of three shapes. A list in the order of the paths: numbers, or mappings that may be nested. A
    mapping by path, or by a pool's name where no other has it (`wiki` for `pools/wiki.jsonl`). Or, with `match_key`,
    a list of mappings that name their pool in that field, as evaluators put it out: the entries of one pool are
    averaged (those of several seeds, say; of several held-out sets too, if the list has them), and those of other
    pools are passed over.

    A metric may be ranked alone or with others (`aggregate`):

    - `first`: by the first key; where pools are equal in it by the next one, and so on. The score is the metric, or
      its relative change.
    - `mean_relative`: by the mean of the relative changes against the baseline.
    - `mean_rank`: by the mean of the ranks that a pool has in each metric, 1 for the best; equal pools share the mean
      of their ranks. Friedman 1937, "The Use of Ranks to Avoid the Assumption of Normality Implicit in the Analysis of
      Variance"; Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets", section 3.2.2.
    - `z_score`: by the mean of the distances from each metric's mean over the ranked pools, in population standard
      deviations. A metric in which all are equal gives 0.

    Where less is better, relative changes and z-scores count with their sign turned. A metric that is missing, no
    number, or not finite is an error.

    Args:
        dataset_path: the pool(s) to rank: files, folders or patterns.
        metrics: what was measured, in one of the shapes above; usually set by `input`.
        ranking_keys: the metric(s) to rank by; dots go deeper (`bleu.1`, also into lists). Left out where the metrics
            are plain numbers.
        descending: whether greater is better, for all keys or one truth value for each.
        top_n: put out only the best so many.
        baseline: the pool, by path or name, that the others are compared with: relative change is (m - b) / |b|. One
            of `dataset_path`, or another that `metrics` name. It is not ranked itself.
        aggregate: what decides the order where there are several keys, see above.
        match_key: the field in which the entries of a list name their pool, by path or name (`train_dataset`,
            `dataset`; dots go deeper).
        keep_baseline: rank the baseline among the others.
        skip_missing: leave out pools that are not there, and their metrics, with a warning, instead of failing.
    """

    outputs = ("paths",)

    def __init__(
        self,
        dataset_path: InputPaths,
        metrics: list[Any] | dict[str, Any],
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
            raise ConfigError(f"ranking_keys {self.keys} are not one or more different keys")
        self.descending = [descending] * len(self.keys) if isinstance(descending, bool) else descending
        if len(self.descending) != len(self.keys):
            what = f"descending has {len(self.descending)} entries, ranking_keys {len(self.keys)}"
            raise ConfigError(what, hint="one for all, or one for each")
        if baseline is None and (aggregate == "mean_relative" or keep_baseline):
            needs = "aggregate: mean_relative" if aggregate == "mean_relative" else "keep_baseline"
            raise ConfigError(f"{needs} needs a baseline")
        self.top_n, self.aggregate, self.skip_missing = top_n, aggregate, skip_missing
        paths = as_list(dataset_path)
        self.pools, self.baseline = Pools(paths), None
        if baseline is not None:
            self.pools, self.baseline = with_baseline(paths, baseline, metrics, match_key)
        self.entries, self.named = by_pool(self.pools, metrics, match_key), names_in(metrics, match_key)
        self.given = range(len(paths))
        self.ranked = [index for index in self.given if keep_baseline or index != self.baseline]
        if not self.ranked:
            raise ConfigError("there is no pool to rank", hint="one or more in dataset_path, besides the baseline")
        if ranking_keys is None and (entry := first_mapping(self.entries)) is not None:
            raise ConfigError(
                f"ranking_keys must say what to rank by: the metrics are {shown(entry, 100)}",
                hint=", ".join(leaves(entry)),
            )

    def run(self, job: JobRun) -> list[str]:
        """Returns the paths of the ranked pools, best first."""
        ranked = self._there()
        values = [self._metrics(index) for index in ranked]
        changes = None if self.baseline is None else self._changes(self.baseline, ranked, values)
        self._compare_numbers(ranked)
        order = scores.order(values, changes, self.descending, self.aggregate)
        for rank, (place, score) in enumerate(order, 1):
            name = self.pools.names[ranked[place]]
            row, change = values[place], None if changes is None else changes[place]
            found = {"rank": rank, "score": score, "metrics": self._by_key(row)}
            job.watcher.watch({name: found if change is None else {**found, "relative": self._by_key(change)}})
            logger.info("{}. {}: {}", rank, name, self._told(row, change, score))
        return [self.pools.paths[ranked[place]] for place, _ in order[: self.top_n]]

    def _there(self) -> list[int]:
        """The pools to rank that are there."""
        missing = [index for index in self.given if not is_data(self.pools.paths[index])]
        paths = [self.pools.paths[index] for index in missing]
        if missing and not self.skip_missing:
            raise JobError(f"there is no data pool at {', '.join(paths)}", hint="skip_missing: true goes on without")
        if self.baseline in missing:
            raise JobError(f"the baseline is not there: {self.pools.paths[self.baseline]}", hint="another baseline")
        for path in paths:
            logger.warning("there is no data pool at {}: left out", path)
        if not (there := [index for index in self.ranked if index not in missing]):
            raise JobError("there is none of the data pools")
        return there

    def _metrics(self, index: int) -> list[float]:
        name = self.pools.names[index]
        if index not in self.entries:
            raise JobError(f"there are no metrics of pool {name}", hint=suggest(name, self.named, what="there are of"))
        return [value(self.entries[index], key, name) for key in self.keys]

    def _changes(self, baseline: int, ranked: list[int], values: list[list[float]]) -> list[list[float]]:
        """The relative change of each pool in each key."""
        bases, name = self._metrics(baseline), self.pools.names[baseline]
        logger.info("baseline {}: {}", name, self._told(bases))
        for key, base in zip(self.labels, bases, strict=True):
            if base == 0:
                raise JobError(f"the metric {key!r} of the baseline {name} is 0: no change can be relative to it")
        changes = [[scores.relative_change(*pair) for pair in zip(row, bases, strict=True)] for row in values]
        for index, row in zip(ranked, changes, strict=True):
            for key, base, change in zip(self.labels, bases, row, strict=True):
                if not math.isfinite(change):
                    what = f"the relative change of {key!r} of pool {self.pools.names[index]} is beyond all bounds"
                    raise JobError(what, hint=f"the baseline's is {base}")
        return changes

    def _compare_numbers(self, ranked: list[int]) -> None:
        """Warn where one pool has more entries than another: their means may not be of the same things."""
        counts = {self.pools.names[index]: len(self.entries[index]) for index in ranked}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{count} of {name}" for name, count in counts.items())
            logger.warning("the pools' metrics are means of different numbers of entries: {}", told)

    def _by_key(self, row: list[float]) -> dict[str, float]:
        return dict(zip(self.labels, row, strict=True))

    def _told(self, row: list[float], changes: list[float] | None = None, score: float | None = None) -> str:
        told = [f"{key} {number:.6g}" for key, number in self._by_key(row).items()]
        if changes is not None:
            told = [f"{text} ({change:+.2%})" for text, change in zip(told, changes, strict=True)]
        if score is not None and self.aggregate != "first":
            told.append(f"{self.aggregate} {score:.4g}")
        return ", ".join(told)
