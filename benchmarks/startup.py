"""How long until something happens: `--help`, `validate` of 100 jobs, an empty run, against a bare import.

python benchmarks/startup.py [ROUNDS]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import yaml
from timing import SANDBOX, in_turn

BARE = "import jsonargparse, loguru, yaml, rich.console"


def config(jobs: int) -> dict[str, object]:
    """Jobs as people write them: a recipe of five OPs, every second one a pool, references in between."""
    ops = [
        {"text_length_filter": {"min_len": 10, "max_len": 10_000}},
        {"words_num_filter": {"tokenization": False, "min_num": 5}},
        {"special_characters_filter": {"max_ratio": 0.5}},
        {"character_repetition_filter": {"rep_len": 10, "max_ratio": 0.5}},
        {"document_deduplicator": {"lowercase": True}},
    ]
    entries: list[dict[str, object]] = []
    for number in range(jobs):
        if number % 2:
            entries.append(
                {
                    "hook": "DataPoolManipulationHook",
                    "meta_name": f"pool_{number}",
                    "input": {"extra_configs.dataset_path": f"process_{number - 1}.path"},
                    "extra_configs": {"type": "data_pool_downsampling", "export_path": f"out/{number}", "seed": number},
                }
            )
        else:
            recipe = {"dataset_path": "data.jsonl", "export_path": f"out/{number}.jsonl", "process": ops}
            entries.append(
                {"hook": "ProcessDataHook", "meta_name": f"process_{number}", "output": "path", "dj_configs": recipe}
            )
    return {"work_dir": "out", "execution_job_configs": entries}


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] else 9
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data.jsonl").write_text('{"text": "x"}\n')
        (folder / "hundred.yaml").write_text(yaml.safe_dump(config(100), sort_keys=False))
        (folder / "empty.yaml").write_text("work_dir: empty\npipelines: {p: {}}\n")
        found = in_turn(
            {
                f"`python -c '{BARE}'`": [sys.executable, "-c", BARE],
                "`dj-sandbox --help`": [*SANDBOX, "--help"],
                "`dj-sandbox validate`, 100 jobs": [*SANDBOX, "validate", "--config", "hundred.yaml"],
                "`dj-sandbox`, an empty pipeline": [*SANDBOX, "--config", "empty.yaml"],
            },
            folder,
            rounds,
        )
    bare = next(iter(found.values()))
    print(f"| whole process, median of {rounds} | seconds | ratio | goal |\n|---|---|---|---|")
    for (what, took), goal in zip(found.items(), ("1", "1.3", "1.6", "1.6"), strict=True):
        print(f"| {what} | {took:.3f} | {took / bare:.2f} | {goal} |")


if __name__ == "__main__":
    main()
