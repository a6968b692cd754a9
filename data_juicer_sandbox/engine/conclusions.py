"""The answer of a run: tables of its rankings; sentences that say which data set is better, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean

from data_juicer_sandbox.comparison import Comparison, Repeats, compare
from data_juicer_sandbox.context.infos import JobRecord
from data_juicer_sandbox.engine.summary import TRAINED_ON, Table
from data_juicer_sandbox.labels import short_labels
from data_juicer_sandbox.types import JsonValue, Metrics
from data_juicer_sandbox.watchers import local

_LARGEST = 1e100
"""A larger score is a mistake."""
SCORE = "bits_per_byte"
"""The score by which models of different data sets are compared; less is better."""
_MAX_NAMED = 5
_SINGLE: dict[str, type | tuple[type, ...]] = {"rank": int, "score": (int, float), "seeds": int, "baseline": str}
_BY_METRIC = ("metrics", "relative", "change", "low", "high", "verdict")
"""What a ranking records of each pool."""

Output = tuple[str, str, object]
"""Label of a job, name of an output, and its value."""


@dataclass(frozen=True)
class Ranking:
    """The result of a `data_pool_ranking`.

    Args:
        job: `<pipeline>.<meta_name>`.
        baseline: the pool that the others were compared with.
        pools: what was recorded of each pool, best first; nested by the parts of the metrics' names.
    """

    job: str
    baseline: str | None
    pools: dict[str, Metrics]

    @property
    def labels(self) -> dict[str, str]:
        """A short label for each pool and the baseline."""
        return short_labels([*self.pools, *([self.baseline] if self.baseline else [])])

    def table(self) -> Table:
        """One row per pool and metric, best pool first."""
        labels, rows = self.labels, []
        has_interval = any("verdict" in pool for pool in self.pools.values())
        columns = ["rank", "pool", "metric", "value"]
        columns += ["relative"] if self.baseline else []
        columns += ["change", "low", "high", "verdict"] if has_interval else []
        for name, pool in self.pools.items():
            for metric, value in pool.get("metrics", {}).items():
                relative = pool.get("relative", {}).get(metric)
                row = [pool["rank"], labels[name], metric, value]
                row += [f"{relative:+.2%}" if isinstance(relative, float) else None] if self.baseline else []
                keys = ("change", "low", "high", "verdict") if has_interval else ()
                rows.append([*row, *(pool.get(key, {}).get(metric) for key in keys)])
        title = f"{self.job}: pools, best first"
        if self.baseline:
            title += f"; baseline: {labels[self.baseline]}"
        return Table(title, columns, rows)

    def sentence(self) -> str:
        """Which pools are better than the baseline."""
        labels = self.labels
        best = next(iter(self.pools))
        if not self.baseline:
            return f"{self.job}: {labels[best]} ranks first of {len(self.pools)}"
        verdicts = {labels[name]: set(pool.get("verdict", {}).values()) for name, pool in self.pools.items()}
        baseline = labels[self.baseline]
        if not any(verdicts.values()):
            changes = ", ".join(f"{key} {value:+.2%}" for key, value in self.pools[best].get("relative", {}).items())
            hint = "one measurement of each pool, so noise is unknown: train with several `seeds`"
            return f"{self.job}: {labels[best]} ranks first of {len(self.pools)} ({changes} against {baseline}); {hint}"
        seeds = min(int(pool["seeds"]) for pool in self.pools.values() if "seeds" in pool)
        parts = [
            f"{word} than {baseline}: {_listed(names)}"
            for word in ("better", "worse")
            if (names := [name for name, words in verdicts.items() if words == {word}])
        ]
        unproven = [name for name, words in verdicts.items() if len(words) != 1 or not words & {"better", "worse"}]
        parts += [f"not proven: {_listed(unproven)}"] if parts and unproven else []
        parts = parts or [f"no pool differs from {baseline} beyond the noise of the seeds"]
        return f"{self.job}: {'; '.join(parts)} (95% confidence for all comparisons together, {seeds} seeds)"


def rankings(metrics: Path) -> list[Ranking]:
    """The rankings among the metrics of a run, in the order in which their jobs ran."""
    ranked = {(record.pipeline, record.job) for record in local.read(metrics, containing=b'.rank"')}
    if not ranked:
        return []
    records = (record for record in local.read(metrics) if (record.pipeline, record.job) in ranked)
    return [
        Ranking(f"{pipeline}.{job}", next(iter(pools.values())).get("baseline"), pools)
        for (pipeline, job), values in local.latest_attempts(records).items()
        if (pools := _by_pool(values))
    ]


def _by_pool(values: Metrics) -> dict[str, Metrics]:
    """The values of a ranking by pool, best first. Names of pools and metrics may contain dots."""
    names = [key.removesuffix(".rank") for key in values if key.endswith(".rank")]
    names = [name for name in names if f"{name}.score" in values and isinstance(values[f"{name}.rank"], int)]
    pools: dict[str, Metrics] = {name: {} for name in sorted(names, key=lambda name: values[f"{name}.rank"])}
    for key, value in values.items():
        name = max((name for name in names if key.startswith(f"{name}.")), key=len, default=None)
        if name is None:
            continue
        part, _, metric = key[len(name) + 1 :].partition(".")
        if isinstance(value, (list, dict)):
            continue
        if metric and part in _BY_METRIC:
            pools[name].setdefault(part, {})[metric] = value
        elif not metric and isinstance(value, _SINGLE.get(part, ())):
            pools[name][part] = value
    return pools


def conclusions(outputs: Iterable[Output], ranked: Sequence[Ranking]) -> list[str]:
    """Sentences that answer what a run compared.

    Args:
        outputs: the outputs of its jobs.
        ranked: its rankings; scores of the same data sets get no sentence of their own.
    """
    sentences = []
    covered = [set(ranking.labels) for ranking in ranked if ranking.baseline]
    for job, name, value in outputs:
        for dataset, groups in _groups(value).items():
            labels = short_labels(groups)
            if len(groups) > 1 and not any(set(groups) <= names | set(labels.values()) for names in covered):
                sentences.append(f"{job}.{name} on {dataset}: {_conclusion(groups, labels)}")
    return [*sentences, *(ranking.sentence() for ranking in ranked)]


def _groups(value: object) -> dict[str, dict[str, dict[object, float]]]:
    """The scores of models by held-out data set, training data set and seed; empty for other outputs."""
    groups: dict[str, dict[str, dict[object, float]]] = {}
    entries: Sequence[JsonValue] = value if isinstance(value, list) else []
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(score := entry.get(SCORE), (int, float)):
            return {}
        trained, dataset = entry.get(TRAINED_ON), entry.get("dataset", entry.get("task"))
        if not isinstance(trained, str) or score != score or abs(score) > _LARGEST:
            return {}
        repeats = groups.setdefault(str(dataset), {}).setdefault(trained, {})
        seed = entry.get("seed")
        repeats[seed if seed is not None and seed not in repeats else f"#{len(repeats)}"] = float(score)
    return groups


def _conclusion(groups: Mapping[str, Repeats], labels: Mapping[str, str]) -> str:
    """The best data set, and from which others it differs beyond the noise of the seeds."""
    means = {name: fmean(repeats.values()) for name, repeats in groups.items()}
    best, *others = sorted(groups, key=means.__getitem__)
    n_pairs = sum(1 for _ in combinations(groups, 2))
    changes = {name: compare(groups[best], groups[name], n_pairs) for name in others}
    lead = f"{labels[best]} has the lowest {SCORE}, {means[best]:.4f}"
    if len(others) == 1:
        return f"{lead}, against {means[others[0]]:.4f} of {labels[others[0]]}; {_certainty(changes[others[0]])}"
    if all(change.low is None for change in changes.values()):
        return f"{lead}; {_certainty(changes[others[0]])}"
    groups_by_verdict = {
        word: [labels[name] for name, change in changes.items() if change.is_certain == certain]
        for word, certain in (("better than", True), ("not distinguishable from", False))
    }
    parts = [f"{word} {_listed(names)}" for word, names in groups_by_verdict.items() if names]
    return f"{lead}: {'; '.join(parts)} (95% confidence for all pairs together)"


def _certainty(change: Comparison) -> str:
    if change.low is None or change.high is None:
        return "with one model each the noise is unknown: train with several `seeds`"
    # As an improvement, so that positive numbers are better.
    interval = f"lower by {-change.change:.4f}, 95% interval {-change.high:.4f} to {-change.low:.4f}, {change.n} seeds"
    verdict = "exceeds the noise of the seeds" if change.is_certain else "is not proven: 0 is in the interval"
    return f"{interval}; the difference {verdict}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more


def outputs_of(records: Iterable[tuple[str, JobRecord]]) -> Iterator[Output]:
    """The outputs of all finished jobs."""
    for pipeline, record in records:
        for name, value in record.outputs.items() if record.done else ():
            yield f"{pipeline}.{record.meta_name}", name, value
