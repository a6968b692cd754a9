"""Every row of one pool beside every row of another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jsonargparse.typing import NonNegativeInt
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.pools.outputs import Output, lines, whole_rows
from data_juicer_sandbox.components.pools.pool import BLOCK, Pool
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO, check_places, common_name
from data_juicer_sandbox.components.pools.scanners import Keys
from data_juicer_sandbox.errors import JobError


class DataPoolCartesianJoin(Component):
    """Join two sets of data pools: each row of a pool of the first set with each row of a pool of the second.

    For prompts and questions, say: two prompts and 1,000 questions make 2,000 rows. The fields of both stand side by
    side, as they are written. A name that both have is an error. M and N pools make M x N new ones,
    `<prefix1>_<prefix2>_cartesian_join_<i>_<j>.jsonl`: the prefixes are what the names of each set share, i and j are
    places in its list, from 0. In a new pool, all rows with the first row of the first pool come first.

    Args:
        dataset_path_1: the first set: files (jsonl, json with a list, csv, each also .gz or .zst; parquet), folders,
            patterns.
        dataset_path_2: the second set.
        export_path: folder of the new pools.
        export_type: format of the new pools.
        skip_missing: leave out pools that are not there, with a warning, instead of failing.
        skip_bad_rows: so many lines may be no JSON objects; they are named in the log and left out.
    """

    outputs = ("paths",)

    def __init__(
        self,
        dataset_path_1: InputPaths,
        dataset_path_2: InputPaths,
        export_path: OutputPath,
        export_type: ExportType | None = None,
        skip_missing: bool = False,
        skip_bad_rows: NonNegativeInt = 0,
    ):
        self.first, self.second, self.export_path = as_list(dataset_path_1), as_list(dataset_path_2), Path(export_path)
        self.work = PoolIO(export_path, export_type=export_type, skip_missing=skip_missing, skip_bad_rows=skip_bad_rows)

    def run(self, job: JobRun) -> list[str]:
        """Returns the new pools' paths: those of the first pool of the first set, then the next one's."""
        first, second = self.work.there(self.first), self.work.there(self.second)
        pools = self.work.open(job, [*first, *second], Keys)
        check_names(pools[: len(first)], pools[len(first) :])
        name = f"{common_name(first)}_{common_name(second)}_cartesian_join"
        outputs = [
            Output(self.work.place(f"{name}_{i}_{j}"), Product(i, len(first) + j, len(one) * len(two)))
            for i, one in enumerate(pools[: len(first)])
            for j, two in enumerate(pools[len(first) :])
        ]
        check_places(pools, outputs)
        self._check_size(pools, outputs)
        return self.work.deliver(job, pools, outputs, ["cartesian_join"])

    def _check_size(self, pools: Sequence[Pool], outputs: Sequence[Output]) -> None:
        """Say how much will be written, since few rows may become many; stop before the disk is full."""
        rows, size = 0, 0
        for output in outputs:
            one, two = pools[output.content.first], pools[output.content.second]  # type: ignore[attr-defined]
            rows += output.content.rows
            size += int(one.lengths.sum(dtype="int64")) * len(two) + int(two.lengths.sum(dtype="int64")) * len(one)
        logger.info("joining to {:,} rows, {:,.0f} MB", rows, size / 1e6)
        self.export_path.mkdir(parents=True, exist_ok=True)
        if size > (free := shutil.disk_usage(self.export_path).free) and self.work.plain:
            raise JobError(
                f"the join needs {size / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free at {self.export_path}"
            )


@dataclass(frozen=True)
class Product:
    """Each row of one pool with each row of another. What is shared are the pools."""

    first: int
    second: int
    rows: int

    def blocks(self, shared: Sequence[Pool]) -> Iterator[bytes]:
        """The rows' bytes."""
        first, second = shared[self.first], shared[self.second]
        small = [tails(rows) for rows in whole_rows(second.blocks())] if second.bases[-1] <= BLOCK else None
        held, size = [], 0
        for begin in lines(first.blocks()):
            head = begin.strip()[:-1].rstrip()
            for ends in map(tails, whole_rows(second.blocks())) if small is None else small:
                if head == b"{":  # an empty row: the other one begins with no comma
                    ends = [end.removeprefix(b", ") for end in ends]
                held.append(head + (b"\n" + head).join(ends) + b"\n")
                size += len(held[-1])
                if size > BLOCK:
                    yield b"".join(held)
                    held, size = [], 0
        yield b"".join(held)

    def sources(self, shared: Sequence[Pool]) -> Sequence[Pool]:
        """Both pools."""
        return [shared[self.first], shared[self.second]]

    def key(self) -> str:
        """The pools' numbers."""
        return str((self.first, self.second))


def tails(block: bytes) -> list[bytes]:
    """What rows are behind the opening brace, with a comma before it.

    `{"a": 1}` and `{"b": 2}` become `{"a": 1, "b": 2}`: the brace that closes the one, and the brace that opens the
    other, make room for a comma. An empty row has nothing that a comma would part.
    """
    rows = block.removesuffix(b"\n").split(b"\n")
    return [b", " + row[1:] if row[:2] == b'{"' and row[-1:] == b"}" else _tail(row) for row in rows]


def _tail(row: bytes) -> bytes:
    tail = row.strip()[1:].lstrip()
    return tail if tail == b"}" else b", " + tail


def check_names(first: Sequence[Pool], second: Sequence[Pool]) -> None:
    """See that no name is in both sets; since every row meets every other, that would be a clash.

    Raises:
        JobError: one is.
    """
    for one in first:
        for two in second:
            if clash := sorted(one.told & two.told):
                raise JobError(
                    f"both {one.path} and {two.path} have rows with {', '.join(map(repr, clash))}",
                    hint="rename or remove the field in one of them",
                )
