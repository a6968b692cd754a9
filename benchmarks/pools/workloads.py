"""What is measured: a config each, what must come out of it, and the figures to reach.

The original's are those of the first implementation of these jobs, whole process, on the same workload and 2 cores.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

from checks import Drawn, Exactly, Joined, Rows, check_files, check_result, prints
from data import HALVES, PROMPTS, ROWS, STATS, THIRDS, members

OUT, WORK = "run/out", "run/work"
"""Where a run's pools and its records go, below the folder of the data."""


def config(extra: dict[str, Any]) -> dict[str, Any]:
    """A run of one job on pools."""
    job = {"hook": "DataPoolManipulationHook", "extra_configs": {**extra, "export_path": OUT}}
    return {"work_dir": WORK, "execution_job_configs": [job]}


@dataclass(frozen=True)
class Workload:
    """One run of the sandbox.

    Args:
        name: for the table.
        seconds: the goal.
        original: what the original takes.
        extra: `extra_configs` of its one job.
        check: looks at what came out, given the folder, and whether thoroughly.
        mebibytes: the goal, if any.
    """

    name: str
    seconds: float
    original: str
    extra: dict[str, Any]
    check: Callable[[Path, bool], None]
    mebibytes: int | None = None

    def config(self) -> dict[str, Any]:
        """The sandbox's config."""
        return config(self.extra)


class Evaluation(Workload):
    """One that puts out numbers instead of rows."""

    def config(self) -> dict[str, Any]:
        job = {"hook": "EvaluateDataHook", "output": ["results", "best"], "extra_configs": self.extra}
        return {"work_dir": WORK, "evaluation_job_configs": [job]}


def files(expected: Callable[[Path], dict[str, Rows]]) -> Callable[[Path, bool], None]:
    """A check of the files that come out; what they must be is found once."""
    known = cache(expected)
    return lambda folder, thorough: check_files(folder / OUT, known(folder), thorough=thorough)


@cache
def lines(path: Path) -> list[int]:
    return list(prints(path))


def constructed(folder: Path) -> dict[str, Rows]:
    """Three thirds for each stat, rows sorted by it."""
    pool = folder / "pool.jsonl"
    with pool.open("rb") as stream:
        stats = [tuple(json.loads(line)["__dj__stats__"][stat] for stat in STATS) for line in stream]
    cuts = [round(ROWS * part / 3) for part in range(4)]
    found: dict[str, Rows] = {}
    for number, stat in enumerate(STATS):
        order = sorted(range(ROWS), key=lambda place: stats[place][number])
        for part in range(3):
            rows = Exactly(lines(pool), order[cuts[part] : cuts[part + 1]])
            found[f"{stat}/pool_{stat}_{part}.jsonl"] = rows
    return found


def combined(names: list[str]) -> Callable[[Path], dict[str, Rows]]:
    """For each subset of the pools the rows in all of them, in the order of the first."""

    def expected(folder: Path) -> dict[str, Rows]:
        orders = [members(*THIRDS[name]) for name in names]
        having = [0] * ROWS
        for number, order in enumerate(orders):
            for place in order:
                having[place] |= 1 << number
        found: dict[str, Rows] = {}
        for size in range(1, len(names) + 1):
            for subset in combinations(range(len(names)), size):
                wanted = sum(1 << number for number in subset)
                shared = [place for place in orders[subset[0]] if having[place] & wanted == wanted]
                name = f"third_top_{'_'.join(map(str, subset))}_num_{len(shared)}.jsonl"
                found[name] = Exactly(lines(folder / "pool.jsonl"), shared)
        return found

    return expected


def duplicated(folder: Path) -> dict[str, Rows]:
    return {"pool_x8.jsonl": Exactly(lines(folder / "pool.jsonl"), list(range(ROWS)) * 8)}


def downsampled(folder: Path) -> dict[str, Rows]:
    return {f"{name}_{ROWS // 3}.jsonl": Drawn(lines(folder / f"{name}.jsonl"), ROWS // 3) for name in HALVES}


def merged(folder: Path) -> dict[str, Rows]:
    places = [place for pool in HALVES.values() for place in members(*pool)]
    return {"half_merged.jsonl": Exactly(lines(folder / "pool.jsonl"), places)}


def joined(first: str, second: str, count: int) -> Callable[[Path], dict[str, Rows]]:
    name = f"{first}_{second}_cartesian_join_0_0.jsonl"
    return lambda folder: {name: Joined(folder / f"{first}.jsonl", folder / f"{second}.jsonl", count)}


def answers(folder: Path, first: str, second: str) -> list[tuple[Any, Any]]:
    with (folder / "answers.jsonl").open("rb") as stream:
        return [(row[first], row[second]) for row in map(json.loads, stream)]


@cache
def accuracy(folder: Path) -> dict[str, float]:
    return {"accuracy": sum(one == two for one, two in answers(folder, "label", "predicted")) / ROWS, "rows": ROWS}


@cache
def mse(folder: Path) -> dict[str, float]:
    return {"mse": sum((one - two) ** 2 for one, two in answers(folder, "truth", "guess")) / ROWS, "rows": ROWS}


def paths(names: list[str]) -> list[str]:
    return [f"{name}.jsonl" for name in names]


def pools(kind: str, names: list[str], **more: Any) -> dict[str, Any]:
    return {"type": f"data_pool_{kind}", "dataset_path": paths(names), **more}


def join(first: str, second: str) -> dict[str, Any]:
    one, two = paths([first, second])
    return {"type": "data_pool_cartesian_join", "dataset_path_1": one, "dataset_path_2": two}


TEN, THREE, FOUR = list(THIRDS), list(THIRDS)[:3], list(HALVES)

WORKLOADS = {
    "construction": Workload(
        f"construction, 5 stats x 3 parts ({5 * ROWS:,} rows out)",
        2.5,
        "36.8 s, 1,335 MiB",
        pools("construction", ["pool"]),
        files(constructed),
        350,
    ),
    "combination_3": Workload(
        f"combination of 3 pools of {ROWS // 3:,}",
        2.0,
        "29.0 s, 1,100 MiB",
        pools("combination", THREE),
        files(combined(THREE)),
    ),
    "combination_10": Workload(
        "combination of 10 pools (1,023 files, 1.68 M rows out)",
        7.0,
        "174 s, 1,701 MiB",
        pools("combination", TEN),
        files(combined(TEN)),
        500,
    ),
    "duplication": Workload(
        f"duplication x8 ({8 * ROWS:,} rows out)",
        1.8,
        "35.6 s",
        pools("duplication", ["pool"], duplicating_times=[8]),
        files(duplicated),
    ),
    "downsampling": Workload(
        f"downsampling 4 pools of {ROWS // 2:,} to {ROWS // 3:,}",
        2.0,
        "30.2 s",
        pools("downsampling", FOUR, target_num_samples=ROWS // 3),
        files(downsampled),
    ),
    "merging": Workload(
        f"merging 4 pools ({2 * ROWS:,} rows out)", 1.8, "34.7 s", pools("merging", FOUR), files(merged)
    ),
    "join_wide": Workload(
        f"Cartesian join 2 x {ROWS:,}",
        3.0,
        "over 70 s",
        join("prompts", "pool"),
        files(joined("prompts", "pool", len(PROMPTS) * ROWS)),
    ),
    "join_long": Workload(
        f"Cartesian join {ROWS // 10:,} x 2",
        2.0,
        "over 60 s",
        join("tenth", "prompts"),
        files(joined("tenth", "prompts", len(PROMPTS) * ROWS // 10)),
    ),
    "accuracy": Evaluation(
        f"accuracy over {ROWS:,} rows",
        2.0,
        "43.5 s",
        {"type": "accuracy", "dataset_path": "answers.jsonl", "predicted_key": "predicted", "label_key": "label"},
        lambda folder, _: check_result(folder / WORK, accuracy(folder)),
    ),
    "mse": Evaluation(
        f"mse over {ROWS:,} rows",
        2.0,
        "40.4 s",
        {"type": "mse", "dataset_path": "answers.jsonl", "predicted_key": "guess", "label_key": "truth"},
        lambda folder, _: check_result(folder / WORK, mse(folder)),
    ),
}
