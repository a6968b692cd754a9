"""A pool of 5 GB: is memory bounded? Needs 11 GB of free disk in the current folder and some minutes; cleans up.

python benchmarks/pools/memory.py [GIGABYTES [WORD...]]      (only jobs whose name has a WORD)
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from checks import lines_of
from data import rows
from measuring import measure
from workloads import OUT, config, pools

SANDBOX = [sys.executable, "-m", "data_juicer_sandbox.cli.main"]
GOAL = 1000  # MB of resident memory, of all processes together
BLOCK, REPEATED, NEW = 20_000, 100_000, 50_000


def numbered(first: int, tails: list[bytes]) -> bytes:
    """Rows that differ from those of other blocks in their ids alone."""
    return b"".join([b'{"id": %d, %s' % (first + number, tail) for number, tail in enumerate(tails)])


def make(folder: Path, size: int) -> int:
    """Write `large` of so many bytes, and `more`: rows of `large` and new ones. Returns the rows of `large`."""
    tails = [line.split(b", ", 1)[1] for line in rows(BLOCK)]
    count = written = 0
    with (folder / "large.jsonl").open("wb") as stream:
        while written < size:
            written += stream.write(numbered(count, tails))
            count += BLOCK
    with (folder / "large.jsonl").open("rb") as stream, (folder / "more.jsonl").open("wb") as more:
        more.writelines(islice(stream, REPEATED))
        for first in range(count, count + NEW, BLOCK):
            more.write(numbered(first, tails[: count + NEW - first]))
    return count


def workloads(count: int) -> dict[str, tuple[dict[str, Any], dict[str, int]]]:
    """By name: the job, and the rows of each file that must come out."""
    thirds = [round(count * part / 3) for part in range(4)]
    stat = "alnum_ratio"
    return {
        "construction, 1 stat x 3 parts": (
            pools("construction", ["large"], stats_keys=[stat]),
            {f"{stat}/large_{stat}_{part}.jsonl": thirds[part + 1] - thirds[part] for part in range(3)},
        ),
        "downsampling to a half": (
            pools("downsampling", ["large"], target_num_samples=count // 2),
            {f"large_{count // 2}.jsonl": count // 2},
        ),
        "merging with `deduplicate`": (
            pools("merging", ["large", "more"], deduplicate=True),
            {"pools_merged.jsonl": count + NEW},
        ),
    }


def main() -> None:
    size = int(float(sys.argv[1] if sys.argv[1:] else 5) * 1e9)
    if (free := shutil.disk_usage(Path.cwd()).free) < size * 2.2:
        sys.exit(f"{size * 2.2 / 1e9:.1f} GB of free disk are needed here; there are {free / 1e9:.1f}")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as temporary:
        folder = Path(temporary)
        count = make(folder, size)
        print(f"| a pool of {size / 1e9:.1f} GB, {count:,} rows | wall s | CPU s | peak MB | goal |")
        print("|---|---|---|---|---|")
        for name, (extra, expected) in workloads(count).items():
            if not any(word in name for word in sys.argv[2:] or [""]):
                continue
            (folder / "run.yaml").write_text(yaml.safe_dump(config(extra)))
            run = measure([*SANDBOX, "--config", "run.yaml"], folder, every=0.05)
            found = {str(path.relative_to(folder / OUT)): lines_of(path) for path in (folder / OUT).rglob("*.jsonl")}
            if found != expected:
                sys.exit(f"{name}: {found} came out, not {expected}")
            shutil.rmtree(folder / "run")
            peak = run.peak * 1.048576
            print(f"| {name} | {run.wall:.1f} | {run.cpu:.1f} | {peak:,.0f} | {GOAL:,} |", flush=True)


if __name__ == "__main__":
    main()
