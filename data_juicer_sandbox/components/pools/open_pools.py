"""Open pools: convert their files to JSON Lines where needed, then scan them once, in parallel."""

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
from data_juicer_sandbox.components.io.allowance import Allowance, document_hint
from data_juicer_sandbox.components.io.columns import Columns, columns_of, merge_schemas
from data_juicer_sandbox.components.io.data_files import data_files, file_format
from data_juicer_sandbox.components.io.stream import numbered_lines
from data_juicer_sandbox.components.names import distinct_names
from data_juicer_sandbox.components.pools.pool import MAPPED, Pool
from data_juicer_sandbox.components.pools.scan import Chunk, RowScanner, Scan, scan, split_chunks
from data_juicer_sandbox.components.processes.worker_pool import Engine, run_all
from data_juicer_sandbox.errors import JobError, Where
from data_juicer_sandbox.files import replacing

if TYPE_CHECKING:
    import numpy as np

LARGE = 24 << 20
"""Size in bytes from which worker processes pay off."""
MAX_NAMED = 10
"""Number of bad rows that the log names."""


def open_pools(
    job: JobRun,
    paths: Sequence[str],
    scanner_factory: Callable[[], RowScanner],
    *,
    engine: Engine = "local",
    skip_bad_rows: int = 0,
) -> list[Pool]:
    """Scan pools once.

    Args:
        job: the running job. Files that are not JSON Lines are converted into its folder; it also shows progress.
        paths: the pools.
        scanner_factory: makes a row scanner; a class or a partial of one, since it is pickled.
        engine: runs the scan: `local` or `ray`.
        skip_bad_rows: the number of invalid lines that are tolerated, over all pools.

    Raises:
        JobError: a pool is missing or damaged, or has too many bad rows; names file, line and reason.
    """
    sources = [[file.absolute() for file in data_files(path)] for path in paths]
    json_lines, bad_rows = _as_json_lines(job, sources, engine, skip_bad_rows)
    chunks_by_pool = [[split_chunks(file) for file in files] for files in json_lines]
    chunks = [chunk for files in chunks_by_pool for file in files for chunk in file]
    scans = []
    large = sum(chunk.end - chunk.start for chunk in chunks) > LARGE
    if large and engine == "local":
        scan(scanner_factory, Chunk(chunks[0].file, 0, 0))  # forked workers then inherit the imported modules
    reading = closing(run_all(scan, scanner_factory, chunks, engine, large=large))
    with job.progress.task("reading rows", total=len(chunks)) as task, reading as results:
        for result in results:
            scans.append(result)
            task.advance(1)
    bad_rows += _check_bad_rows(
        chunks, scans, dict(zip(chain(*json_lines), chain(*sources), strict=True)), skip_bad_rows - bad_rows
    )
    if skip_bad_rows:
        job.watcher.watch({"bad_rows": bad_rows})
    remaining = deque(scans)
    del scans
    return [
        _join(
            path, name, files, [[remaining.popleft() for _ in file] for file in chunks], columns, MAPPED // len(paths)
        )
        for path, name, files, chunks, columns in zip(
            paths, distinct_names(list(paths)), json_lines, chunks_by_pool, map(_columns, sources), strict=True
        )
    ]


def _as_json_lines(
    job: JobRun, sources: list[list[Path]], engine: Engine, skip_bad_rows: int
) -> tuple[list[list[Path]], int]:
    """The files themselves where they are uncompressed JSON Lines, or else converted copies; and the number of bad rows
    that were skipped.
    """
    converted: dict[Path, Path] = {}
    for file in dict.fromkeys(chain(*sources)):
        if file_format(file) != "jsonl" or file.name.endswith((".gz", ".zst")):
            converted[file] = job.folder.absolute() / "rows" / f"{len(converted)}-{file.name}.jsonl"
    unpacking = closing(run_all(_convert, skip_bad_rows, list(converted.items()), engine, large=True))
    with job.progress.task("unpacking", total=len(converted)) as task, unpacking as finished:
        skipped = 0
        for bad_rows in finished:
            skipped += bad_rows
            task.advance(1)
    if skipped > skip_bad_rows:
        raise JobError(f"{skipped} bad rows in all", hint=f"skip_bad_rows: {skip_bad_rows} is exceeded")
    return [[converted.get(file, file) for file in files] for files in sources], skipped


def _convert(skip_bad_rows: int, item: tuple[Path, Path]) -> int:
    """Convert a file; return the number of bad rows of a CSV file that were skipped."""
    source, target = item
    allowance = Allowance(skip_bad_rows)
    with replacing(target) as part, part.open("wb", buffering=1 << 20) as stream:
        written = 0
        for number, line in numbered_lines(source, allowance):
            stream.write(b"\n" * (number - written - 1))  # keeps blank lines, so that line numbers in errors are right
            stream.write(line)
            written = number
    return allowance.skipped


def _columns(files: list[Path]) -> Columns | None:
    return columns_of(files) if all(file_format(file) == "parquet" for file in files) else None


def _join(
    path: str, name: str, files: list[Path], scans: list[list[Scan]], columns: Columns | None, may_map: int
) -> Pool:
    bases = [0, *accumulate(file.stat().st_size for file in files)]
    pool_scans = [scanned for file in scans for scanned in file]
    for base, file in zip(bases, scans, strict=False):
        for scanned in file:
            scanned.starts += base
    counts = [len(scanned.starts) for scanned in pool_scans]
    return Pool(
        path,
        name,
        files,
        bases,
        concat_arrays([scanned.starts for scanned in pool_scans]),
        concat_arrays([scanned.lengths for scanned in pool_scans]),
        _join_results([scanned.result for scanned in pool_scans], counts),
        xxhash.xxh3_128_hexdigest(
            b"".join(scanned.digest for scanned in pool_scans) + (repr(columns).encode() if columns else b"")
        ),
        {
            end
            for start, end, file in zip(bases, bases[1:], files, strict=False)
            if end > start and _lacks_line_break(file)
        },
        columns,
        may_map,
    )


def concat(pools: Sequence[Pool]) -> tuple[Pool, list[int]]:
    """Concatenate pools.

    Returns:
        The combined pool, without scan result, and the number of each pool's first row in it.
    """
    bases = [0, *accumulate(pool.bases[-1] for pool in pools)]
    combined = Pool(
        ", ".join(pool.path for pool in pools),
        "concatenated",
        [file for pool in pools for file in pool.files],
        [0, *(base + end for base, pool in zip(bases, pools, strict=False) for end in pool.bases[1:])],
        concat_arrays([pool.starts + base for base, pool in zip(bases, pools, strict=False)]),
        concat_arrays([pool.lengths for pool in pools]),
        None,
        "",
        {base + end for base, pool in zip(bases, pools, strict=False) for end in pool.open_ends},
        merge_schemas([pool.columns for pool in pools]),
        sum(pool.may_map for pool in pools),
    )
    return combined, [0, *accumulate(map(len, pools))][:-1]


def concat_arrays(arrays: list[np.ndarray]) -> np.ndarray:
    """Concatenate arrays; an empty int64 array if there are no arrays."""
    import numpy as np

    return np.concatenate(arrays) if arrays else np.empty(0, np.int64)


def _join_results(results: list[Any], counts: list[int]) -> Any:
    """Join the scan results of consecutive chunks: union of sets; concatenation of arrays, and of columns by name."""
    import numpy as np

    if results[0] is None:
        return None
    if isinstance(results[0], set):
        return set().union(*results)
    if isinstance(results[0], dict):
        names = dict.fromkeys(name for columns in results for name in columns)
        return {
            name: concat_arrays(
                [
                    columns.pop(name) if name in columns else np.full(count, np.nan)
                    for columns, count in zip(results, counts, strict=True)
                ]
            )
            for name in names
        }
    return concat_arrays(results)


def _lacks_line_break(file: Path) -> bool:
    """Whether a file's last line has no line break."""
    with file.open("rb") as stream:
        stream.seek(-1, 2)
        return stream.read(1) != b"\n"


def _check_bad_rows(chunks: list[Chunk], scans: list[Scan], sources: dict[Path, Path], allowed: int) -> int:
    """Log bad rows and return their number; raise JobError if there are more than allowed."""
    bad = [
        (chunk.file, offset, reason)
        for chunk, scanned in zip(chunks, scans, strict=True)
        for offset, reason in scanned.bad
    ]
    if not bad:
        return 0
    if len(bad) > allowed:
        file, offset, reason = bad[0]
        more = f"; {len(bad):,} bad rows in all" if len(bad) > 1 else ""
        hint = document_hint(sources[file]) if not offset else None
        hint = hint or f"skip_bad_rows: {len(bad)} skips {'them' if len(bad) > 1 else 'it'}"
        raise JobError(f"{reason}{more}", where=_where(file, offset, sources), hint=hint)
    for file, offset, reason in bad[:MAX_NAMED]:
        logger.warning("{}: {}: skipped", _where(file, offset, sources), reason)
    logger.warning("{:,} bad rows were skipped, of {:,} allowed", len(bad), allowed)
    return len(bad)


def _where(file: Path, offset: int, sources: dict[Path, Path]) -> Where:
    """The source file and line number of a byte offset; counts lines, so it is called only for messages."""
    line_number = 1
    with file.open("rb") as stream:
        while offset > 0 and (data := stream.read(min(offset, 1 << 20))):
            line_number += data.count(b"\n")
            offset -= len(data)
    return Where(str(sources[file]), line_number)
