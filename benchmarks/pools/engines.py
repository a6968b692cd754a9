"""Which engine for the pools: construction (5 stats x 3 parts) by each, what it costs and what it does to the rows.

Each engine works the way its own pages recommend for jsonl, and where it can also on whole lines as text. Needed, in
any environment: `pip install numpy msgspec polars duckdb pyarrow`; an engine that is missing is left out.

python benchmarks/pools/engines.py [ROUNDS [WORD...]]      (only engines whose name has a WORD)
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from data import ROWS, STATS, rows, write
from engine_losses import losses
from measuring import measure

Paths = list[Path]
LONG = 50_000_000  # bytes of the longest row; less stands in some defaults


def cuts(count: int) -> list[tuple[int, int]]:
    """Where each of three parts begins and ends."""
    return [(count * part // 3, count * (part + 1) // 3) for part in range(3)]


def parts(out: Path, stat: str) -> Paths:
    return [out / f"{stat}_{part}.jsonl" for part in range(3)]


def line_places(held, size: int):
    """Where the lines of a mapped file begin, and its end."""
    import numpy as np

    seen = np.frombuffer(held, np.uint8)
    step = 1 << 18
    ends = [np.flatnonzero(seen[start : start + step] == 10) + start + 1 for start in range(0, size, step)]
    places = np.concatenate([[0], *ends])
    return places if places[-1] == size else np.append(places, size)


def stat_columns(held, places, decode: Callable) -> dict:
    """The five stats of each row, in its order."""
    import numpy as np

    columns = {stat: np.empty(len(places) - 1) for stat in STATS}
    bounds = places.tolist()
    for number, (start, end) in enumerate(zip(bounds, bounds[1:])):  # noqa: B905, RUF007
        found = decode(held[start:end])
        for stat, column in columns.items():
            column[number] = found[stat]
    return columns


def mapped(pool: Path, out: Path, decode: Callable) -> None:
    """The rows stay where they are: offsets are sorted, and slices of the mapped file written."""
    import mmap

    import numpy as np

    with pool.open("rb") as stream:
        held = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    places = line_places(held, len(held))
    starts, ends, block = places[:-1], places[1:], 1000
    for stat, column in stat_columns(held, places, decode).items():
        order = np.argsort(column, kind="stable")
        for path, (first, last) in zip(parts(out, stat), cuts(len(order)), strict=True):
            with path.open("wb", buffering=0) as stream:
                for at in range(first, last, block):
                    chosen = order[at : min(at + block, last)]
                    lines = [held[a:b] for a, b in zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True)]
                    stream.write(b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines))


def by_json(line: bytes) -> dict[str, float]:
    return json.loads(line)["__dj__stats__"]


def by_msgspec() -> Callable[[bytes], dict[str, float]]:
    """Only the stats are built. What msgspec refuses (NaN) goes to `json`."""
    import msgspec

    class Row(msgspec.Struct, rename={"stats": "__dj__stats__"}):
        stats: dict[str, float]

    read = msgspec.json.Decoder(Row).decode

    def decode(line: bytes) -> dict[str, float]:
        try:
            return read(line).stats
        except msgspec.MsgspecError:
            return by_json(line)

    return decode


def arrow_take(pool: Path, out: Path) -> None:
    """As `mapped`, the rows gathered by Arrow: an array of binaries laid over the mapped file, not a byte copied."""
    import mmap

    import numpy as np
    import pyarrow as pa

    with pool.open("rb") as stream:
        held = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    places = line_places(held, len(held))
    columns = stat_columns(held, places, by_msgspec())
    buffers = [None, pa.py_buffer(places.astype(np.int64)), pa.py_buffer(held)]
    lines = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(places) - 1, buffers)
    for stat, column in columns.items():
        order = np.argsort(column, kind="stable")
        for path, (first, last) in zip(parts(out, stat), cuts(len(order)), strict=True):
            with path.open("wb", buffering=0) as stream:
                for at in range(first, last, 1000):
                    stream.write(lines.take(pa.array(order[at : min(at + 1000, last)])).buffers()[2])


def arrow_json(pool: Path, out: Path) -> None:
    """Arrow's reader of JSON lines. It has no writer of them: rows go through Python, a batch at a time."""
    import pyarrow as pa
    import pyarrow.json

    table = pyarrow.json.read_json(pool)
    stats = table.column("__dj__stats__").combine_chunks()
    for stat in STATS:
        keys = pa.table({"key": stats.field(stat), "place": pa.array(range(len(table)))})
        order = keys.sort_by([("key", "ascending"), ("place", "ascending")]).column("place")
        for path, (first, last) in zip(parts(out, stat), cuts(len(table)), strict=True):
            with path.open("w", encoding="utf-8") as stream:
                for batch in table.take(order.slice(first, last - first)).to_batches(max_chunksize=1000):
                    stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())


def polars_json(pool: Path, out: Path) -> None:
    """Polars: scanned, sorted and sunk by its streaming engine."""
    import polars as pl

    frame = pl.scan_ndjson(pool, infer_schema_length=None)
    count = frame.select(pl.len()).collect(engine="streaming").item()
    sinks = []
    for stat in STATS:
        ordered = frame.sort(pl.col("__dj__stats__").struct.field(stat), maintain_order=True)
        for path, (first, last) in zip(parts(out, stat), cuts(count), strict=True):
            sinks.append(ordered.slice(first, last - first).sink_ndjson(path, lazy=True))
    pl.collect_all(sinks, engine="streaming")


def polars_stats(pool: Path):
    """Lines as they were read, and their stats: nothing else is parsed."""
    import polars as pl

    kind = pl.Struct({"__dj__stats__": pl.Struct(dict.fromkeys(STATS, pl.Float64))})
    stats = pl.col("line").str.json_decode(kind).struct.field("__dj__stats__").struct.unnest()
    return pl.scan_lines(pool).select("line", stats)


def polars_memory(pool: Path, out: Path) -> None:
    """Polars on lines, all of them in memory: the quickest of its ways, which no large pool can go."""
    import polars as pl

    frame = polars_stats(pool).collect(engine="streaming")
    for stat in STATS:
        order = frame.select(pl.col(stat).rank("ordinal").arg_sort()).to_series()  # ties keep their order
        for path, (first, last) in zip(parts(out, stat), cuts(len(frame)), strict=True):
            chosen = frame["line"].gather(order[first:last]).to_frame()
            chosen.write_csv(path, include_header=False, quote_style="never")


def polars_lines(pool: Path, out: Path) -> None:
    """Polars on lines, streaming."""
    import polars as pl

    frame = polars_stats(pool)
    count = pl.scan_lines(pool).select(pl.len()).collect(engine="streaming").item()
    sinks = []
    for stat in STATS:
        ordered = frame.sort(stat, maintain_order=True).select("line")
        for path, (first, last) in zip(parts(out, stat), cuts(count), strict=True):
            rows = ordered.slice(first, last - first)
            sinks.append(rows.sink_csv(path, include_header=False, quote_style="never", lazy=True))
    pl.collect_all(sinks, engine="streaming")


def duckdb_copies(rows: str, keys: str, columns: str, form: str, out: Path) -> None:
    """A table of the rows and their stats; for each stat the places in order, and one COPY for each part."""
    import duckdb

    con = duckdb.connect()
    con.execute(f"SET threads = 2; SET memory_limit = '1GB'; SET temp_directory = '{out / 'spilled'}'")
    con.execute(f"CREATE TABLE pool AS SELECT *, {keys} FROM {rows}")
    (count,) = con.execute("SELECT count(*) FROM pool").fetchone()
    for stat in STATS:
        place = f"row_number() OVER (ORDER BY key_{stat}, rowid) - 1 AS place"
        con.execute(f"CREATE OR REPLACE TABLE ordered AS SELECT rowid AS number, {place} FROM pool")
        for path, (first, last) in zip(parts(out, stat), cuts(count), strict=True):
            chosen = f"place >= {first} AND place < {last} ORDER BY place"
            joined = f"SELECT {columns} FROM pool JOIN ordered ON pool.rowid = number WHERE {chosen}"
            con.execute(f"COPY ({joined}) TO '{path}' ({form})")


def duckdb_json(pool: Path, out: Path) -> None:
    """DuckDB's reader and writer of JSON lines."""
    keys = ", ".join(f"__dj__stats__.{stat} AS key_{stat}" for stat in STATS)
    columns = f"pool.* EXCLUDE ({', '.join(f'key_{stat}' for stat in STATS)})"
    read = f"read_ndjson('{pool}', sample_size = -1, maximum_object_size = {LONG})"
    duckdb_copies(read, keys, columns, "FORMAT json", out)


def duckdb_lines(pool: Path, out: Path) -> None:
    """DuckDB on lines: a CSV of one column, its separator a byte that JSON never holds bare."""
    keys = ", ".join(f"CAST(line->'$.__dj__stats__.{stat}' AS DOUBLE) AS key_{stat}" for stat in STATS)
    plain = f"header = false, delim = '\x01', quote = '', escape = '', max_line_size = {LONG}"
    read = f"read_csv('{pool}', columns = {{'line': 'VARCHAR'}}, auto_detect = false, {plain})"
    duckdb_copies(read, keys, "line", "FORMAT csv, HEADER false, DELIMITER '\x01', QUOTE '', ESCAPE ''", out)


ENGINES: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "memory map, NumPy offsets; stats by json": ("numpy", lambda pool, out: mapped(pool, out, by_json)),
    "memory map, NumPy offsets; stats by msgspec": ("msgspec", lambda pool, out: mapped(pool, out, by_msgspec())),
    "memory map, Arrow take; stats by msgspec": ("pyarrow", arrow_take),
    "PyArrow, read_json": ("pyarrow", arrow_json),
    "Polars streaming, scan_ndjson": ("polars", polars_json),
    "Polars streaming, scan_lines": ("polars", polars_lines),
    "Polars in memory, scan_lines": ("polars", polars_memory),
    "DuckDB, read_ndjson": ("duckdb", duckdb_json),
    "DuckDB, lines through read_csv": ("duckdb", duckdb_lines),
}


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] else 3
    chosen = {engine: how for engine, how in ENGINES.items() if any(word in engine for word in sys.argv[2:] or [""])}
    print(
        f"| construction of {ROWS:,} rows, 5 stats x 3 parts, median of {rounds} | wall s | CPU s | peak MiB | ", end=""
    )
    print("rows byte for byte | effect on unusual rows |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        pool = write(folder / "pool.jsonl", rows())
        expected = in_order(pool)
        for engine, (needs, _) in chosen.items():
            if importlib.util.find_spec(needs) is None:
                print(f"| {engine} | not installed: pip install {needs} | | | | |")
                continue
            runs, kept = [], 0.0
            for number in range(rounds + 1):
                out = folder / "out"
                out.mkdir()
                runs.append(
                    measure(
                        [sys.executable, __file__, "--one", engine, str(pool), str(out)],
                        folder,
                        every=0 if number else 0.02,
                    )
                )
                kept = byte_for_byte(out, expected)
                for path in [*out.iterdir()]:
                    path.unlink()
                out.rmdir()
            wall, cpu = (statistics.median(getattr(run, key) for run in runs[1:]) for key in ("wall", "cpu"))
            peak = max(run.peak for run in runs)
            odd = losses([sys.executable, __file__, "--one", engine], folder)
            print(f"| {engine} | {wall:.2f} | {cpu:.2f} | {peak:.0f} | {kept:.0%} | {odd} |", flush=True)


def in_order(pool: Path) -> dict[str, list[int]]:
    """For each output file the hashes of the lines that belong into it, in order: by plain Python."""
    hashes, stats = [], []
    with pool.open("rb") as stream:
        for line in stream:
            hashes.append(hash(line))
            stats.append(by_json(line))
    wanted = {}
    for stat in STATS:
        order = sorted(range(len(stats)), key=lambda place: stats[place][stat])
        for path, (first, last) in zip(parts(Path(), stat), cuts(len(order)), strict=True):
            wanted[path.name] = [hashes[place] for place in order[first:last]]
    return wanted


def byte_for_byte(out: Path, expected: dict[str, list[int]]) -> float:
    """The share of rows that came out as they went in, at their place."""
    same = 0
    for name, wanted in expected.items():
        with (out / name).open("rb") as stream:
            found = [hash(line) for line in stream]
        if len(found) != len(wanted):
            sys.exit(f"{name} has {len(found)} rows, not {len(wanted)}")
        same += sum(map(int.__eq__, found, wanted))
    return same / sum(map(len, expected.values()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        ENGINES[sys.argv[2]][1](Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
