"""The Cartesian join of data pools."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.io.allowance import BAD_ROWS
from data_juicer_sandbox.components.metric_keys import number_keys
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.number_types import NonNegativeInt
from data_juicer_sandbox.components.pools.outputs import Output, lines, whole_rows
from data_juicer_sandbox.components.pools.pool import BLOCK, Pool
from data_juicer_sandbox.components.pools.pool_io import ExportType, PoolIO, check_output_paths, common_name
from data_juicer_sandbox.components.pools.scan import Keys
from data_juicer_sandbox.errors import JobError


class DataPoolCartesianJoin(Component):
    """Join two sets of data pools: each row of a pool of the first set with each row of a pool of the second.

    For example, two prompts and 1,000 questions make 2,000 rows. A new row has the fields of both rows, byte for byte.
    A field name that both have is an error. M and N pools make M x N new ones,
    `<prefix1>_<prefix2>_cartesian_join_<i>_<j>.jsonl`: each prefix is the common prefix of a set's names, i and j are
    indices into the sets, from 0. A new pool starts with all rows that hold the first row of the first pool.

    Args:
        dataset_path_1: the first set: files (jsonl, json with a list, csv, each also .gz or .zst; parquet), folders,
            patterns.
        dataset_path_2: the second set.
        export_path: folder of the new pools.
        export_type: format of the new pools.
        skip_missing: skip missing pools with a warning, instead of failing.
        skip_bad_rows: number of lines that may be invalid JSON objects; they are named in the log and skipped.
    """

    outputs = ("paths",)
    metrics = BAD_ROWS
    numbers = number_keys(paths=())

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
        """Returns the paths of the new pools, ordered by the pool of the first set, then by that of the second."""
        first, second = self.work.existing(self.first), self.work.existing(self.second)
        pools = self.work.open(job, [*first, *second], Keys)
        check_names(pools[: len(first)], pools[len(first) :])
        name = f"{common_name(first)}_{common_name(second)}_cartesian_join"
        outputs = [
            Output(
                self.work.output_path(f"{name}_{i}_{j}"), Product(i, len(first) + j, len(left_pool) * len(right_pool))
            )
            for i, left_pool in enumerate(pools[: len(first)])
            for j, right_pool in enumerate(pools[len(first) :])
        ]
        check_output_paths(pools, outputs)
        self._check_size(pools, outputs)
        return self.work.write(job, pools, outputs, ["cartesian_join"])

    def _check_size(self, pools: Sequence[Pool], outputs: Sequence[Output]) -> None:
        """Log the size of the output, which is the product of the inputs; fail if the disk has too little space."""
        rows, size = 0, 0
        for output in outputs:
            left_pool, right_pool = pools[output.content.first], pools[output.content.second]  # type: ignore[attr-defined]
            rows += output.content.rows
            size += int(left_pool.lengths.sum(dtype="int64")) * len(right_pool)
            size += int(right_pool.lengths.sum(dtype="int64")) * len(left_pool)
        logger.info("joining to {:,} rows, {:,.0f} MB", rows, size / 1e6)
        self.export_path.mkdir(parents=True, exist_ok=True)
        if size > (free := shutil.disk_usage(self.export_path).free) and self.work.plain:
            raise JobError(
                f"the join needs {size / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free at {self.export_path}"
            )


@dataclass(frozen=True)
class Product:
    """Each row of one pool with each row of another. `shared` is the sequence of pools."""

    first: int
    second: int
    rows: int

    def blocks(self, shared: Sequence[Pool]) -> Iterator[bytes]:
        """Yield the bytes of the rows, in blocks."""
        first, second = shared[self.first], shared[self.second]
        small = [tails(rows) for rows in whole_rows(second.blocks())] if second.bases[-1] <= BLOCK else None
        joined_rows, size = [], 0
        for row in lines(first.blocks()):
            head = row.strip()[:-1].rstrip()
            for ends in map(tails, whole_rows(second.blocks())) if small is None else small:
                if head == b"{":  # an empty row: the other row's fields need no comma before them
                    ends = [end.removeprefix(b", ") for end in ends]
                joined_rows.append(head + (b"\n" + head).join(ends) + b"\n")
                size += len(joined_rows[-1])
                if size > BLOCK:
                    yield b"".join(joined_rows)
                    joined_rows, size = [], 0
        yield b"".join(joined_rows)

    def sources(self, shared: Sequence[Pool]) -> Sequence[Pool]:
        """Both pools."""
        return [shared[self.first], shared[self.second]]

    def key(self) -> str:
        """The indices of the pools."""
        return str((self.first, self.second))


def tails(block: bytes) -> list[bytes]:
    """The rows without their opening brace, each with a comma before it.

    `{"a": 1}` and `{"b": 2}` become `{"a": 1, "b": 2}`: the closing brace of the first and the opening brace of the
    second are replaced by a comma. The tail of an empty row has no comma.
    """
    rows = block.removesuffix(b"\n").split(b"\n")
    return [b", " + row[1:] if row[:2] == b'{"' and row[-1:] == b"}" else _tail(row) for row in rows]


def _tail(row: bytes) -> bytes:
    tail = row.strip()[1:].lstrip()
    return tail if tail == b"}" else b", " + tail


def check_names(first: Sequence[Pool], second: Sequence[Pool]) -> None:
    """Check that no field name occurs in both sets, since every row is joined with every other.

    Raises:
        JobError: a name occurs in both.
    """
    for left_pool in first:
        for right_pool in second:
            if shared_names := sorted(left_pool.scan_result & right_pool.scan_result):
                raise JobError(
                    f"both {left_pool.path} and {right_pool.path} have the fields {', '.join(map(repr, shared_names))}",
                    hint="rename or remove the field in one of them",
                )
