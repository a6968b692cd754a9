"""Opening pools: their files made plain where they are not, then read once, by all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import accumulate, chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash
from loguru import logger

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.io.columns import Columns, columns_of, merge_schemas
from data_juicer_sandbox.components.io.data_files import data_files, file_format
from data_juicer_sandbox.components.io.lines import numbered_lines
from data_juicer_sandbox.components.names import distinct_names
from data_juicer_sandbox.components.pools.pool import MAPPED, Pool
from data_juicer_sandbox.components.pools.scan import Chunk, Scan, scan, stretches
from data_juicer_sandbox.components.pools.scanners import RowScanner
from data_juicer_sandbox.components.processes.worker_pool import Engine, run_all
from data_juicer_sandbox.errors import JobError, Where
from data_juicer_sandbox.files import replacing

if TYPE_CHECKING:
    import numpy as np

LARGE = 24 << 20
"""Bytes from which on workers are worth their start."""
NAMED = 10
"""Bad rows that are named in the log."""


def open_pools(
    job: JobRun,
    paths: Sequence[str],
    look: Callable[[], RowScanner],
    *,
    engine: Engine = "local",
    skip_bad_rows: int = 0,
) -> list[Pool]:
    """Read pools through once.

    Args:
        job: for its folder, in which files that are not plain JSON lines are laid down as such, and its progress.
        paths: the pools.
        look: makes what looks at each row; a class, or a partial of one.
        engine: who reads.
        skip_bad_rows: how many lines, of all pools together, may be no rows.

    Raises:
        JobError: a pool is not there, or damaged, or has too many bad rows; names file, line and reason.
    """
    sources = [[file.absolute() for file in data_files(path)] for path in paths]
    plain = _made_plain(job, sources, engine)
    pieces = [[stretches(file) for file in files] for files in plain]
    work = [stretch for files in pieces for file in files for stretch in file]
    scans = []
    large = sum(stretch.end - stretch.start for stretch in work) > LARGE
    if large and engine == "local":
        scan(look, Chunk(work[0].file, 0, 0))  # what this imports, workers need not import each for itself
    reading = closing(run_all(scan, look, work, engine, large=large))
    with job.progress.task("reading rows", total=len(work)) as task, reading as found:
        for one in found:
            scans.append(one)
            task.advance(1)
    _judge(work, scans, dict(zip(chain(*plain), chain(*sources), strict=True)), skip_bad_rows)
    following = deque(scans)
    del scans
    return [
        _join(path, name, files, [[following.popleft() for _ in file] for file in cut], known, MAPPED // len(paths))
        for path, name, files, cut, known in zip(
            paths, distinct_names(list(paths)), plain, pieces, map(_columns, sources), strict=True
        )
    ]


def _made_plain(job: JobRun, sources: list[list[Path]], engine: Engine) -> list[list[Path]]:
    """Each file itself, or what it is as plain JSON lines."""
    made: dict[Path, Path] = {}
    for file in dict.fromkeys(chain(*sources)):
        if file_format(file) != "jsonl" or file.name.endswith((".gz", ".zst")):
            made[file] = job.folder.absolute() / "rows" / f"{len(made)}-{file.name}.jsonl"
    unpacking = closing(run_all(_lay_down, None, list(made.items()), engine, large=True))
    with job.progress.task("unpacking", total=len(made)) as task, unpacking as laid_down:
        for _ in laid_down:
            task.advance(1)
    return [[made.get(file, file) for file in files] for files in sources]


def _lay_down(shared: None, item: tuple[Path, Path]) -> None:
    source, target = item
    with replacing(target) as part, part.open("wb", buffering=1 << 20) as stream:
        written = 0
        for number, line in numbered_lines(source):
            stream.write(b"\n" * (number - written - 1))  # blank lines stay: a bad row is named by its number
            stream.write(line)
            written = number


def _columns(files: list[Path]) -> Columns | None:
    return columns_of(files) if all(file_format(file) == "parquet" for file in files) else None


def _join(
    path: str, name: str, files: list[Path], scans: list[list[Scan]], columns: Columns | None, may_map: int
) -> Pool:
    bases = [0, *accumulate(file.stat().st_size for file in files)]
    every = [found for file in scans for found in file]
    for base, file in zip(bases, scans, strict=False):
        for found in file:
            found.starts += base
    counts = [len(found.starts) for found in every]
    return Pool(
        path,
        name,
        files,
        bases,
        joined([found.starts for found in every]),
        joined([found.lengths for found in every]),
        _join_told([found.told for found in every], counts),
        xxhash.xxh3_128_hexdigest(
            b"".join(found.digest for found in every) + (repr(columns).encode() if columns else b"")
        ),
        {end for start, end, file in zip(bases, bases[1:], files, strict=False) if end > start and _is_open(file)},
        columns,
        may_map,
    )


def concat(pools: Sequence[Pool]) -> tuple[Pool, list[int]]:
    """Pools as one, and the number that the first row of each has in it; what looks saw is left out."""
    bases = [0, *accumulate(pool.bases[-1] for pool in pools)]
    whole = Pool(
        ", ".join(pool.path for pool in pools),
        "united",
        [file for pool in pools for file in pool.files],
        [0, *(base + end for base, pool in zip(bases, pools, strict=False) for end in pool.bases[1:])],
        joined([pool.starts + base for base, pool in zip(bases, pools, strict=False)]),
        joined([pool.lengths for pool in pools]),
        None,
        "",
        {base + end for base, pool in zip(bases, pools, strict=False) for end in pool.open_ends},
        merge_schemas([pool.columns for pool in pools]),
        sum(pool.may_map for pool in pools),
    )
    return whole, [0, *accumulate(map(len, pools))][:-1]


def joined(arrays: list[np.ndarray]) -> np.ndarray:
    """Arrays one behind the other."""
    import numpy as np

    return np.concatenate(arrays) if arrays else np.empty(0, np.int64)


def _join_told(told: list[Any], counts: list[int]) -> Any:
    """What was seen in stretches that follow each other: sets united, arrays joined, and columns by their names."""
    import numpy as np

    if told[0] is None:
        return None
    if isinstance(told[0], set):
        return set().union(*told)
    if isinstance(told[0], dict):
        names = dict.fromkeys(name for columns in told for name in columns)
        return {
            name: joined(
                [
                    columns.pop(name) if name in columns else np.full(count, np.nan)
                    for columns, count in zip(told, counts, strict=True)
                ]
            )
            for name in names
        }
    return joined(told)


def _is_open(file: Path) -> bool:
    """Whether a file's last line has no line end."""
    with file.open("rb") as stream:
        stream.seek(-1, 2)
        return stream.read(1) != b"\n"


def _judge(work: list[Chunk], scans: list[Scan], sources: dict[Path, Path], allowed: int) -> None:
    """Bad rows: none, as many as are allowed, or an error."""
    bad = [(stretch.file, at, why) for stretch, found in zip(work, scans, strict=True) for at, why in found.bad]
    if not bad:
        return
    if len(bad) > allowed:
        file, at, why = bad[0]
        more = f"; {len(bad):,} bad rows in all" if len(bad) > 1 else ""
        hint = f"skip_bad_rows: {len(bad)} goes on without {'them' if len(bad) > 1 else 'it'}"
        raise JobError(f"{why}{more}", where=_where(file, at, sources), hint=hint)
    for file, at, why in bad[:NAMED]:
        logger.warning("{}: {}: left out", _where(file, at, sources), why)
    logger.warning("{:,} bad rows were left out, of {:,} allowed", len(bad), allowed)


def _where(file: Path, at: int, sources: dict[Path, Path]) -> Where:
    """The line of a byte, counted only when somebody must be told."""
    number = 1
    with file.open("rb") as stream:
        while at > 0 and (data := stream.read(min(at, 1 << 20))):
            number += data.count(b"\n")
            at -= len(data)
    return Where(str(sources[file]), number)
