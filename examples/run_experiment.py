"""Run an experiment from a Python dict with `dj.Sandbox`, and print its plan and its metrics.

The jobs write five short texts, sample three of them, and compare the answers of two models with the labels. The
script needs no GPU, no network and no model.

Usage: python examples/run_experiment.py [WORK_DIR]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import data_juicer_sandbox as dj

LABELS = ("4", "6", "8", "9")
PREDICTIONS = {"small.jsonl": ("4", "5", "7", "9"), "large.jsonl": ("4", "6", "7", "9")}
"""The answers of two models, by file name."""


def write_predictions(folder: Path) -> None:
    """Write the answers of each model beside the labels, as JSON lines."""
    for name, predictions in PREDICTIONS.items():
        rows = [{"predicted": predicted, "label": label} for predicted, label in zip(predictions, LABELS, strict=True)]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def experiment(folder: Path) -> dict[str, Any]:
    """The config, with the same keys as a YAML file."""
    texts = ["one", "two words", "three short words", "a text of five words", "a text that has six words"]
    return {
        "project_name": "examples",
        "work_dir": str(folder / "run"),
        "execution_job_configs": [
            {
                "hook": "GeneralDataExecutorHook",
                "meta_name": "texts",
                "output": "path",
                "extra_configs": {
                    "type": "inline_rows",
                    "rows": texts,
                    "key": "text",
                    "export_path": str(folder / "texts.jsonl"),
                },
            },
            {
                "hook": "DataPoolManipulationHook",
                "meta_name": "sample",
                "input": {"extra_configs.dataset_path": "anonymous.texts.path"},
                "output": "path",
                "extra_configs": {
                    "type": "data_pool_downsampling",
                    "target_num_samples": 3,
                    "export_path": str(folder / "sampled"),
                },
            },
        ],
        "evaluation_job_configs": [
            {
                "hook": "EvaluateDataHook",
                "meta_name": "score",
                "output": ["results", "best"],
                "extra_configs": {"type": "accuracy", "dataset_path": [str(folder / name) for name in PREDICTIONS]},
            }
        ],
    }


def main(folder: Path) -> None:
    """Run the experiment below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder)
    sandbox = dj.Sandbox(experiment(folder))
    print(sandbox.plan())
    results = sandbox.run()
    print(results)
    print(results.metrics[["job", "name", "value"]].to_string(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/run_experiment"))
