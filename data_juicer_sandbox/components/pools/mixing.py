"""Mixtures of data pools by shares of rows or tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, Model, OutputPath
from data_juicer_sandbox.components.io.allowance import BAD_ROWS
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveInt
from data_juicer_sandbox.components.pools.open_pools import concat, concat_arrays
from data_juicer_sandbox.components.pools.outputs import Output, RowSelection
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO, common_name
from data_juicer_sandbox.components.pools.sampling import apportion, permutation
from data_juicer_sandbox.components.pools.scan import Valid
from data_juicer_sandbox.components.pools.token_counts import TokenCounts
from data_juicer_sandbox.components.processes.worker_pool import Engine
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.imports import Library, libraries

if TYPE_CHECKING:
    import numpy as np

    from data_juicer_sandbox.components.pools.pool import Pool


class DataPoolMixing(Component):
    """Mix data pools into one, by shares of the rows or of the tokens.

    Rows are drawn at random without replacement and copied byte for byte. Each pool's contribution is logged and
    reported to the watcher: `rows`, `share`, `epochs` (passes over the pool), and `tokens` if tokens are counted.

    Args:
        dataset_path: the pools: files (jsonl, json with a list, csv, each also .gz or .zst; parquet), folders,
            patterns.
        export_path: folder of the mixture, which is named `<common prefix of the pools' names>_mixed_<rows>.jsonl`; or
            the output file itself (`.jsonl`, `.parquet`).
        shares: the weight of each pool, in their order, or by path or name; they need not sum to 1. Equal by default.
        total_num_samples: exact number of rows of the mixture, apportioned by the largest remainder method (Hamilton).
        total_tokens: number of tokens of the mixture instead; each pool deviates by less than one row.
        repeat: repeat a pool that has too few rows, instead of failing. Without a total, the mixture is as large as
            possible without repeats.
        text_key: the field whose words are counted as tokens; dots for nested fields.
        token_key: a field with the row's token count (`__dj__stats__.num_token`), instead of counting.
        tokenizer: a folder, or an id on the Hugging Face hub: count this tokenizer's tokens instead of words.
        shuffle: shuffle the rows of all pools; if false, the pools are concatenated.
        seed: seed of the draw and the shuffle.
        export_type: format of the mixture.
        skip_bad_rows: number of lines that may be invalid (or lack the text or token count); they are named in the log
            and skipped.
        engine: runs the work: this machine's cores, or a Ray cluster (`RAY_ADDRESS`) that can access the same files.
    """

    outputs = ("paths",)
    metrics = (
        *metric_keys("rows", "share", "epochs", under="{dataset_path}"),
        *metric_keys("tokens", under="{dataset_path}", requires="total_tokens"),
        *BAD_ROWS,
    )
    numbers = number_keys(paths=())

    @classmethod
    def required_libraries(cls, values: Mapping[str, object]) -> tuple[Library, ...]:
        """A tokenizer is one of transformers."""
        return libraries("train", "transformers") if values.get("tokenizer") else ()

    def __init__(
        self,
        dataset_path: InputPaths,
        export_path: OutputPath,
        shares: list[float] | dict[str, float] | None = None,
        total_num_samples: PositiveInt | None = None,
        total_tokens: PositiveInt | None = None,
        repeat: bool = False,
        text_key: str = "text",
        token_key: str | None = None,
        tokenizer: Model | None = None,
        shuffle: bool = True,
        seed: NonNegativeInt = 42,
        export_type: ExportType | None = None,
        skip_bad_rows: NonNegativeInt = 0,
        engine: Engine = "local",
    ):
        if total_num_samples and total_tokens:
            raise ConfigError("total_num_samples and total_tokens are both set", hint="set one of them")
        if not total_tokens and (token_key or tokenizer):
            raise ConfigError("token_key and tokenizer have no effect without total_tokens")
        if token_key and tokenizer:
            raise ConfigError("token_key and tokenizer are both set", hint="set one of them")
        if repeat and not (total_num_samples or total_tokens):
            raise ConfigError("repeat: true needs total_num_samples or total_tokens")
        self.pools, self.repeat, self.shuffle, self.seed = as_list(dataset_path), repeat, shuffle, seed
        self.shares = normalized_shares(self.pools, shares)
        self.total, self.total_tokens = total_num_samples, total_tokens
        self.scanner_factory = partial(TokenCounts, text_key, token_key, tokenizer) if total_tokens else Valid
        self.token_settings = [text_key, token_key, tokenizer]
        self.work = PoolIO(export_path, export_type=export_type, skip_bad_rows=skip_bad_rows, engine=engine, file=True)

    def run(self, job: JobRun) -> list[str]:
        """Returns the path of the mixture, in a list."""
        pools = self.work.open(job, self.work.existing(self.pools), self.scanner_factory)
        draws = self._draw_by_tokens(pools) if self.total_tokens else self._draw_by_rows(pools)
        if not sum(map(len, draws)):
            raise JobError(
                "the mixture would have no rows", hint="raise the total, or set the share of empty pools to 0"
            )
        self._report(job, pools, draws)
        combined, first_rows = concat(pools)
        rows = concat_arrays([drawn + first_row for drawn, first_row in zip(draws, first_rows, strict=True)])
        if self.shuffle:
            rows = rows[permutation(len(rows), self.seed)]
        output = Output(
            self.work.output_path(f"{common_name(self.pools)}_mixed_{len(rows)}"), RowSelection(((0, rows),), len(rows))
        )
        recipe = ["mixing", self.shares, self.total, self.total_tokens, self.repeat, self.token_settings]
        return self.work.write(job, pools, [output], [*recipe, self.shuffle, self.seed], [combined])

    def _draw_by_rows(self, pools: list[Pool]) -> list[np.ndarray]:
        sizes = [len(pool) for pool in pools]
        counts = apportion(self.total or largest_total(sizes, self.shares), self.shares)
        return [
            draw_rows(pool.path, len(pool), count, self.repeat, self.seed)
            for pool, count in zip(pools, counts, strict=True)
        ]

    def _draw_by_tokens(self, pools: list[Pool]) -> list[np.ndarray]:
        return [
            draw_rows_by_tokens(pool.path, pool.scan_result, (self.total_tokens or 0) * share, self.repeat, self.seed)
            for pool, share in zip(pools, self.shares, strict=True)
        ]

    def _report(self, job: JobRun, pools: list[Pool], draws: list[np.ndarray]) -> None:
        counts = [
            int(pool.scan_result[drawn].sum()) if self.total_tokens else len(drawn)
            for pool, drawn in zip(pools, draws, strict=True)
        ]
        for pool, drawn, count in zip(pools, draws, counts, strict=True):
            contribution = {
                "rows": len(drawn),
                "share": count / max(1, sum(counts)),
                "epochs": len(drawn) / max(1, len(pool)),
            }
            if self.total_tokens:
                contribution["tokens"] = count
            logger.info("{}: {}", pool.path, ", ".join(f"{name} {value:,.6g}" for name, value in contribution.items()))
            job.watcher.watch({pool.name: contribution})


def normalized_shares(pools: Sequence[str], weights: Sequence[float] | dict[str, float] | None) -> list[Fraction]:
    """The share of each pool as an exact fraction; the shares sum to 1.

    Args:
        pools: the paths of the pools.
        weights: a weight per pool in their order, or by path or name; equal weights by default.

    Raises:
        ConfigError: the number of weights is wrong, a name is unknown or missing, or a weight is invalid.
    """
    if isinstance(weights, dict):
        names = distinct_names(list(pools))
        index_of = dict(zip([*pools, *names], [*range(len(pools))] * 2, strict=True))
        for name in weights:
            if name not in index_of:
                raise ConfigError(f"shares names {name!r}, which is not one of the pools", hint=suggest(name, index_of))
        fractions = [Fraction(0)] * len(pools)
        for name, weight in weights.items():
            fractions[index_of[name]] += _as_fraction(weight)
        if missing := [path for path, name in zip(pools, names, strict=True) if not {path, name} & set(weights)]:
            raise ConfigError(f"shares has no entry for {', '.join(missing)}", hint="0 excludes a pool")
    else:
        fractions = [_as_fraction(weight) for weight in ([1] * len(pools) if weights is None else weights)]
    if len(fractions) != len(pools):
        raise ConfigError(f"{len(fractions)} shares for {len(pools)} pools", hint="one per pool")
    if not sum(fractions):
        raise ConfigError(f"shares {weights}: at least one must be above 0")
    return [fraction / sum(fractions) for fraction in fractions]


def _as_fraction(weight: float) -> Fraction:
    if not 0 <= weight < math.inf:
        raise ConfigError(f"shares: expected a finite number of at least 0, got {weight}")
    return Fraction(str(weight))


def largest_total(sizes: Sequence[int], shares: Sequence[Fraction]) -> int:
    """The largest total that needs no more rows of any pool than it has."""
    total = min(int(size / share) for size, share in zip(sizes, shares, strict=True) if share)
    # Rounding up a remainder may exceed a pool's size by one row.
    while any(count > size for count, size in zip(apportion(total, shares), sizes, strict=True)):
        total -= 1
    return total


def draw_rows(path: str, size: int, count: int, repeat: bool, seed: int) -> np.ndarray:
    """Draw `count` row numbers of a pool in random order; with `repeat`, as whole passes and a partial last one.

    Raises:
        JobError: the pool has too few rows, and `repeat` is false.
    """
    if count > size and (not repeat or not size):
        hint = "set repeat: true, or lower the total or the share" if size else None
        raise JobError(f"{path} has {size:,} rows, fewer than the {count:,} of its share", hint=hint)
    passes = -(-count // max(1, size))
    return concat_arrays([permutation(size, seed + number) for number in range(passes)])[:count]


def draw_rows_by_tokens(path: str, tokens: np.ndarray, target: Fraction, repeat: bool, seed: int) -> np.ndarray:
    """Draw row numbers of a pool in random order, so that the sum of their tokens is closest to `target`.

    Raises:
        JobError: the pool has too few tokens, and `repeat` is false.
    """
    import numpy as np

    available = int(tokens.sum())
    if target > available and (not repeat or not available):
        hint = "set repeat: true, or lower the total or the share" if available else None
        raise JobError(f"{path} has {available:,} tokens, fewer than the {int(target):,} of its share", hint=hint)
    passes = max(1, -(-int(target) // max(1, available)))
    rows = concat_arrays([permutation(len(tokens), seed + number) for number in range(passes)])
    sums = np.append(0, np.cumsum(tokens[rows]))
    end = int(np.searchsorted(sums, float(target)))
    if end and (end == len(sums) or float(target) - sums[end - 1] < sums[end] - float(target)):
        end -= 1
    return rows[:end]
