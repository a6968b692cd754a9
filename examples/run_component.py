"""Run one component without a config: `dj.run_component` splits a small data set by the length of its texts.

The arguments are the component's parameters, which `dj-sandbox list data_pool_construction` lists. They are checked and
converted like the `extra_configs` of a job.

Usage: python examples/run_component.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import data_juicer_sandbox as dj


def write_data(path: Path) -> None:
    """Write 30 rows with texts of 1 to 30 words, as JSON lines, with the statistics that Data-Juicer would add."""
    rows = [{"text": " ".join(["word"] * n), "__dj__stats__": {"num_words": n}} for n in range(1, 31)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main(folder: Path) -> None:
    """Split the data set into three pools, and show that a wrong argument is an error with a clear message."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = folder / "texts.jsonl"
    write_data(dataset)
    pools = dj.run_component(
        "data_pool_construction",
        dataset_path=dataset,
        export_path=folder / "pools",
        split_ratios=[1 / 3, 2 / 3],
        stats_keys="num_words",
    )
    print("pools:", pools)
    try:
        dj.run_component(
            "data_pool_construction", dataset_path=dataset, export_path=folder / "pools", split_ratios="many"
        )
    except dj.ConfigError as error:
        print("error:", error)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/run_component"))
