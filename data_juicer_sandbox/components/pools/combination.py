"""The pools of all subsets of pools: the rows that several pools share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

from jsonargparse.typing import NonNegativeInt, PositiveInt
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.pools.identity import Identity, same
from data_juicer_sandbox.components.pools.outputs import Output
from data_juicer_sandbox.components.pools.pool import Pool
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO, common_name
from data_juicer_sandbox.components.processes.worker_pool import Engine
from data_juicer_sandbox.errors import ConfigError, JobError

if TYPE_CHECKING:
    import numpy as np

MOST = 20
"""Pools that can be combined."""


class DataPoolCombination(Component):
    """Make the pool of every subset of data pools: the rows that are in all of its pools.

    The data pyramid of ranked OPs: the rows that the best OP's pool holds, those in the best two, and so on, 2^N - 1
    subsets of N pools. Rows are the same if their content is, whatever the order of its keys and the spelling of its
    numbers, or their `id_key`. Each stands once in a new pool, byte for byte as its first pool has it, in that pool's
    order; a pool by itself comes out without repeats.

    New pools are `<what the pools' names share>_top_<i_j_...>_num_<rows>.jsonl`: i, j, ... are places in
    `dataset_path`, from 0. They are put out from single pools to all pools. Subsets that share no row are named in the
    log and not written.

    Args:
        dataset_path: the pools in rank order, up to 20: files (jsonl, json with a list, csv, each also .gz or .zst;
            parquet), folders, patterns.
        export_path: folder of the new pools.
        max_order: pools in a subset, at most; all by default.
        max_files: subsets, at most: more are refused before anything is read.
        id_key: the field that tells rows apart, instead of their content; dots go deeper.
        export_type: format of the new pools.
        skip_missing: leave out pools that are not there, with a warning, instead of failing.
        skip_bad_rows: so many lines may be no JSON objects (or lack `id_key`); they are named in the log and left out.
        engine: who does the work: this machine's cores, or a Ray cluster (`RAY_ADDRESS`) that sees the same files.
    """

    outputs = ("paths",)

    def __init__(
        self,
        dataset_path: InputPaths,
        export_path: OutputPath,
        max_order: PositiveInt | None = None,
        max_files: PositiveInt = 2048,
        id_key: str | None = None,
        export_type: ExportType | None = None,
        skip_missing: bool = False,
        skip_bad_rows: NonNegativeInt = 0,
        engine: Engine = "local",
    ):
        self.pools, self.max_order, self.max_files, self.id_key = dataset_path, max_order, max_files, id_key
        self.work = PoolIO(
            export_path, export_type=export_type, skip_missing=skip_missing, skip_bad_rows=skip_bad_rows, engine=engine
        )
        if not skip_missing:
            self._count(len(as_list(dataset_path)))

    def run(self, job: JobRun) -> list[str]:
        """Returns the new pools' paths."""
        paths = self.work.there(self.pools)
        files = self._count(len(paths))
        logger.info("{} pools have {:,} subsets to look at", len(paths), files)
        pools = self.work.open(job, paths, partial(Identity, self.id_key))
        shared = combined(pools)
        common, outputs, empty = common_name(paths), [], []
        for order in range(1, min(self.max_order or len(pools), len(pools)) + 1):
            for members in combinations(range(len(pools)), order):
                name = "_".join(map(str, members))
                if rows := shared.count(members):
                    content = Common(members, rows)
                    outputs.append(Output(self.work.place(f"{common}_top_{name}_num_{rows}"), content))
                else:
                    empty.append(name)
        if empty:
            logger.warning("{} subsets share no row and are not written: {}", len(empty), ", ".join(empty))
        if not outputs:
            raise JobError("there are no rows in the pools")
        return self.work.deliver(job, pools, outputs, ["combination", self.id_key], shared)

    def _count(self, pools: int) -> int:
        """How many subsets there will be.

        Raises:
            ConfigError: more than are allowed.
        """
        if pools > MOST:
            raise ConfigError(f"{pools} pools to combine: {MOST} are the most")
        order = min(self.max_order or pools, pools)
        files = sum(comb(pools, size) for size in range(1, order + 1))
        if files > self.max_files:
            what = f"{pools} pools in subsets of up to {order}: {files:,} files, more than max_files {self.max_files:,}"
            raise ConfigError(what, hint=f"a lower max_order, or max_files: {files}")
        return files


@dataclass(frozen=True)
class Combined:
    """Pools, and for each row of each pool, which pools have it."""

    pools: Sequence[Pool]
    firsts: list[np.ndarray]
    """For each pool, the numbers of its rows without repeats, rising."""
    members: list[np.ndarray]
    """For each of these, the pools that have it: uint32, bit i stands for pool i."""
    counts: np.ndarray
    """How many rows all pools of a subset share, by the bits of the subset."""

    def count(self, members: tuple[int, ...]) -> int:
        """How many rows the pools share."""
        return int(self.counts[bits(members)])


@dataclass(frozen=True)
class Common:
    """The rows that all of some pools have. What is shared is `Combined`."""

    members: tuple[int, ...]
    rows: int

    def blocks(self, shared: Combined) -> Iterator[bytes | memoryview]:
        """The rows' bytes, as the first of the pools has them."""
        first, wanted = self.members[0], bits(self.members)
        chosen = shared.firsts[first][(shared.members[first] & wanted) == wanted]
        yield from shared.pools[first].blocks(chosen)

    def sources(self, shared: Combined) -> Sequence[Pool]:
        """The pool they are taken from."""
        return [shared.pools[self.members[0]]]

    def key(self) -> str:
        """The pools' numbers."""
        return str(self.members)


def combined(pools: Sequence[Pool]) -> Combined:
    """Find which pools have which rows."""
    import numpy as np

    numbers = same(pools)
    kinds = max((int(pool.max()) + 1 for pool in numbers if len(pool)), default=0)
    having = np.zeros(kinds, np.uint32)
    firsts = []
    for pool, rows in enumerate(numbers):
        having[rows] |= np.uint32(1 << pool)
        _, first = np.unique(rows, return_index=True)
        if repeats := len(rows) - len(first):
            logger.info("{}: {:,} rows repeat others", pools[pool].path, repeats)
        firsts.append(np.sort(first))
    # How many rows are in all pools of a subset: the sum over its supersets, one pool after the other.
    counts = np.bincount(having, minlength=1 << len(pools)).astype(np.int64)
    for pool in range(len(pools)):
        halves = counts.reshape(-1, 2, 1 << pool)
        halves[:, 0] += halves[:, 1]
    return Combined(pools, firsts, [having[rows[first]] for rows, first in zip(numbers, firsts, strict=True)], counts)


def bits(members: tuple[int, ...]) -> int:
    """A subset as a number."""
    return sum(1 << member for member in members)
