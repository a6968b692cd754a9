"""The intersections of all subsets of data pools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.io.allowance import BAD_ROWS
from data_juicer_sandbox.components.metric_keys import number_keys
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveInt
from data_juicer_sandbox.components.pools.identity import Identity, group_ids
from data_juicer_sandbox.components.pools.outputs import Output
from data_juicer_sandbox.components.pools.pool import Pool
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO, common_name
from data_juicer_sandbox.components.processes.worker_pool import Engine
from data_juicer_sandbox.errors import ConfigError, JobError

if TYPE_CHECKING:
    import numpy as np

MAX_POOLS = 20
"""Maximum number of pools."""


class DataPoolCombination(Component):
    """Intersect every subset of data pools: a new pool holds the rows that all pools of a subset contain.

    This is the data pyramid of ranked OPs: the rows in the pool of the best OP, those in the pools of the best two, and
    so on, 2^N - 1 subsets of N pools. Rows are equal if their content is equal, regardless of key order and number
    format, or if their `id_key` is. A new pool holds each row once, byte for byte as in the subset's first pool, in
    that pool's order; the subset of a single pool is that pool without duplicates.

    New pools are `<common prefix of the pools' names>_top_<i_j_...>_num_<rows>.jsonl`: i, j, ... are indices into
    `dataset_path`, from 0. They are ordered from single pools to all pools. Subsets without common rows are named in
    the log and not written.

    Args:
        dataset_path: the pools in rank order, up to 20: files (jsonl, json with a list, csv, each also .gz or .zst;
            parquet), folders, patterns.
        export_path: folder of the new pools.
        max_order: maximum number of pools in a subset; all by default.
        max_files: maximum number of subsets; more are an error before anything is read.
        id_key: the field that identifies a row, instead of its content; dots for nested fields.
        export_type: format of the new pools.
        skip_missing: skip missing pools with a warning, instead of failing.
        skip_bad_rows: number of lines that may be invalid (or lack `id_key`); they are named in the log and skipped.
        engine: runs the work: this machine's cores, or a Ray cluster (`RAY_ADDRESS`) that can access the same files.
    """

    outputs = ("paths",)
    metrics = BAD_ROWS
    numbers = number_keys(paths=())

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
        """Returns the paths of the new pools."""
        paths = self.work.existing(self.pools)
        files = self._count(len(paths))
        logger.info("intersecting {:,} subsets of {} pools", files, len(paths))
        pools = self.work.open(job, paths, partial(Identity, self.id_key))
        memberships = find_memberships(pools)
        common, outputs, empty = common_name(paths), [], []
        for order in range(1, min(self.max_order or len(pools), len(pools)) + 1):
            for members in combinations(range(len(pools)), order):
                name = "_".join(map(str, members))
                if rows := memberships.count(members):
                    content = Intersection(members, rows)
                    outputs.append(Output(self.work.output_path(f"{common}_top_{name}_num_{rows}"), content))
                else:
                    empty.append(name)
        if empty:
            logger.warning("{} subsets have no common rows and are not written: {}", len(empty), ", ".join(empty))
        if not outputs:
            raise JobError("the pools have no rows")
        return self.work.write(job, pools, outputs, ["combination", self.id_key], memberships)

    def _count(self, pools: int) -> int:
        """The number of subsets.

        Raises:
            ConfigError: there are more than allowed.
        """
        if pools > MAX_POOLS:
            raise ConfigError(f"{pools} pools to combine, at most {MAX_POOLS} are allowed")
        order = min(self.max_order or pools, pools)
        files = sum(comb(pools, size) for size in range(1, order + 1))
        if files > self.max_files:
            what = f"{pools} pools in subsets of up to {order}: {files:,} files, more than max_files {self.max_files:,}"
            raise ConfigError(what, hint=f"a lower max_order, or max_files: {files}")
        return files


@dataclass(frozen=True)
class Memberships:
    """Pools, and for each of their distinct rows, which pools contain it."""

    pools: Sequence[Pool]
    firsts: list[np.ndarray]
    """For each pool, the ascending numbers of its rows without duplicates."""
    members: list[np.ndarray]
    """For each of these rows, the pools that contain it: uint32, bit i stands for pool i."""
    counts: np.ndarray
    """The number of rows that all pools of a subset contain, by the bits of the subset."""

    def count(self, members: tuple[int, ...]) -> int:
        """The number of rows that all these pools contain."""
        return int(self.counts[bits(members)])


@dataclass(frozen=True)
class Intersection:
    """The rows that all pools of a subset contain. `shared` is `Memberships`."""

    members: tuple[int, ...]
    rows: int

    def blocks(self, shared: Memberships) -> Iterator[bytes | memoryview]:
        """Yield the bytes of the rows, as in the first pool of the subset."""
        first, mask = self.members[0], bits(self.members)
        rows = shared.firsts[first][(shared.members[first] & mask) == mask]
        yield from shared.pools[first].blocks(rows)

    def sources(self, shared: Memberships) -> Sequence[Pool]:
        """The pool that the rows are taken from."""
        return [shared.pools[self.members[0]]]

    def key(self) -> str:
        """The indices of the pools."""
        return str(self.members)


def find_memberships(pools: Sequence[Pool]) -> Memberships:
    """Determine which pools contain which rows."""
    import numpy as np

    groups = group_ids(pools)
    group_count = max((int(pool.max()) + 1 for pool in groups if len(pool)), default=0)
    memberships = np.zeros(group_count, np.uint32)
    firsts = []
    for pool, rows in enumerate(groups):
        memberships[rows] |= np.uint32(1 << pool)
        _, first = np.unique(rows, return_index=True)
        if repeats := len(rows) - len(first):
            logger.info("{}: {:,} rows are duplicates", pools[pool].path, repeats)
        firsts.append(np.sort(first))
    # A row counts for a subset if its pools are a superset: sum over supersets, one pool (bit) at a time.
    counts = np.bincount(memberships, minlength=1 << len(pools)).astype(np.int64)
    for pool in range(len(pools)):
        halves = counts.reshape(-1, 2, 1 << pool)
        halves[:, 0] += halves[:, 1]
    return Memberships(
        pools, firsts, [memberships[rows[first]] for rows, first in zip(groups, firsts, strict=True)], counts
    )


def bits(members: tuple[int, ...]) -> int:
    """A subset as a bit mask."""
    return sum(1 << member for member in members)
