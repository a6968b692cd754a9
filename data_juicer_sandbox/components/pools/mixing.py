"""Pools mixed in given shares."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jsonargparse.typing import NonNegativeInt, PositiveInt
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, Model, OutputPath
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.pools import apportionment
from data_juicer_sandbox.components.pools.open_pools import concat
from data_juicer_sandbox.components.pools.outputs import Output, RowSelection
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO, common_name
from data_juicer_sandbox.components.pools.sampling import shuffled
from data_juicer_sandbox.components.pools.scanners import Valid
from data_juicer_sandbox.components.pools.token_counts import TokenCounts
from data_juicer_sandbox.components.processes.worker_pool import Engine
from data_juicer_sandbox.errors import ConfigError, JobError

if TYPE_CHECKING:
    import numpy as np

    from data_juicer_sandbox.components.pools.pool import Pool


class DataPoolMixing(Component):
    """Mix data pools into one, each with its share of the rows or of the tokens.

    Rows are drawn at random without replacement, and pass through byte for byte. What each pool gives (`rows`, `share`,
    with tokens `tokens`, and `epochs`, how often it is seen) is logged and watched.

    Args:
        dataset_path: the pools: files (jsonl, json with a list, csv, each also .gz or .zst; parquet), folders,
            patterns.
        export_path: folder of the mixture, which is named `<what the pools' names share>_mixed_<rows>.jsonl`; or the
            file itself (`.jsonl`, `.parquet`).
        shares: the weight of each pool, in their order, or by path or name; they need not sum to 1. Equal by default.
        total_num_samples: rows of the mixture, exactly: shares of a row go to the largest remainders (Hamilton's
            method).
        total_tokens: tokens of the mixture instead; each pool is off by less than its last row.
        repeat: a pool that has too few rows is repeated as often as needed. Otherwise that is an error; without a
            total, the mixture is as large as the first pool that runs out allows.
        text_key: the field whose words are counted as tokens; dots go deeper.
        token_key: a field with the number of tokens of the row (`__dj__stats__.num_token`), instead of counting.
        tokenizer: a folder, or an id on the Hugging Face hub: count its tokens, instead of words.
        shuffle: mix the rows of all pools among each other; by default they do. If not, pool follows pool.
        seed: of the draw and of the order.
        export_type: format of the mixture.
        skip_bad_rows: so many lines may be no JSON objects (or lack text or number of tokens); they are named in the
            log and left out.
        engine: who does the work: this machine's cores, or a Ray cluster (`RAY_ADDRESS`) that sees the same files.
    """

    outputs = ("paths",)

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
            raise ConfigError("total_num_samples and total_tokens are both given", hint="give one of them")
        if not total_tokens and (token_key or tokenizer):
            raise ConfigError("token_key and tokenizer do nothing without total_tokens")
        if token_key and tokenizer:
            raise ConfigError("token_key and tokenizer are both given", hint="give one of them")
        if repeat and not (total_num_samples or total_tokens):
            raise ConfigError("repeat: true has no end without total_num_samples or total_tokens")
        self.pools, self.repeat, self.shuffle, self.seed = as_list(dataset_path), repeat, shuffle, seed
        self.shares = apportionment.shares(self.pools, shares)
        self.total, self.total_tokens = total_num_samples, total_tokens
        self.look = partial(TokenCounts, text_key, token_key, tokenizer) if total_tokens else Valid
        self.counted = [text_key, token_key, tokenizer]
        self.work = PoolIO(export_path, export_type=export_type, skip_bad_rows=skip_bad_rows, engine=engine, file=True)

    def run(self, job: JobRun) -> list[str]:
        """Returns the path of the mixture, in a list."""
        pools = self.work.open(job, self.work.there(self.pools), self.look)
        orders = self._by_tokens(pools) if self.total_tokens else self._by_rows(pools)
        if not sum(map(len, orders)):
            raise JobError("the mixture would have no rows", hint="a larger total; or a pool with a share is empty")
        self._tell(job, pools, orders)
        whole, bounds = concat(pools)
        rows = apportionment.joined([order + start for order, start in zip(orders, bounds, strict=True)])
        if self.shuffle:
            rows = rows[shuffled(len(rows), self.seed)]
        output = Output(
            self.work.place(f"{common_name(self.pools)}_mixed_{len(rows)}"), RowSelection(((0, rows),), len(rows))
        )
        recipe = ["mixing", self.shares, self.total, self.total_tokens, self.repeat, self.counted]
        return self.work.deliver(job, pools, [output], [*recipe, self.shuffle, self.seed], [whole])

    def _by_rows(self, pools: list[Pool]) -> list[np.ndarray]:
        sizes = [len(pool) for pool in pools]
        wanted = apportionment.apportioned(self.total or apportionment.largest(sizes, self.shares), self.shares)
        return [
            apportionment.order(pool.path, len(pool), rows, self.repeat, self.seed)
            for pool, rows in zip(pools, wanted, strict=True)
        ]

    def _by_tokens(self, pools: list[Pool]) -> list[np.ndarray]:
        return [
            apportionment.order_by_tokens(
                pool.path, pool.told, (self.total_tokens or 0) * share, self.repeat, self.seed
            )
            for pool, share in zip(pools, self.shares, strict=True)
        ]

    def _tell(self, job: JobRun, pools: list[Pool], orders: list[np.ndarray]) -> None:
        counts = [
            int(pool.told[order].sum()) if self.total_tokens else len(order)
            for pool, order in zip(pools, orders, strict=True)
        ]
        for pool, order, count in zip(pools, orders, counts, strict=True):
            facts = {"rows": len(order), "share": count / max(1, sum(counts)), "epochs": len(order) / max(1, len(pool))}
            if self.total_tokens:
                facts["tokens"] = count
            logger.info("{}: {}", pool.path, ", ".join(f"{name} {value:,.6g}" for name, value in facts.items()))
            job.watcher.watch({pool.name: facts})
