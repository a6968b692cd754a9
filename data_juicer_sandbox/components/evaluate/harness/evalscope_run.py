"""Scores models with EvalScope. Runs as a script, with an interpreter that has it; imports nothing of this package.

python evalscope_run.py REQUEST.json

Removes the request after reading it. Writes the result `<n>.json` of the n-th model into the request's folder,
atomically.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Score all models of the request."""
    del sys.path[0]  # the script's folder must not shadow modules of the framework
    file = Path(sys.argv[1])
    request = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()  # it may contain an API key
    from evalscope import TaskConfig, run_task

    folder = Path(request["folder"])
    if request["threads"]:
        import torch

        torch.set_num_threads(request["threads"])
    for number, model in enumerate(request["models"]):
        work_dir = folder / f"run{number}"
        key = {"api_key": os.environ.get("OPENAI_API_KEY", "EMPTY")} if request["options"].get("api_url") else {}
        settings = {"model": model, "model_id": f"model{number}", "work_dir": str(work_dir), "no_timestamp": True}
        reports = run_task(TaskConfig(**settings, **request["options"], **key))
        for file in sorted(work_dir.glob("reviews/*/*.jsonl")):
            file.replace(folder / f"{number}_{file.name}")
        answer = {name: figures(report) for name, report in reports.items()}
        part = folder / f"{number}.part"
        part.write_text(json.dumps(answer), encoding="utf-8")
        part.replace(folder / f"{number}.json")
        print(f"{model} is done", flush=True)  # noqa: T201


def figures(report: Any) -> dict[str, Any]:
    """The metrics of a data set and of its subsets, and the number of samples."""
    metrics_and_subsets: dict[str, Any] = {"samples": report.num, "metrics": {}, "subsets": {}}
    for metric in report.metrics:
        name = spell(metric.identity)
        metrics_and_subsets["metrics"][name] = metric.score
        for category in metric.categories:
            for subset in category.subsets:
                metrics_and_subsets["subsets"].setdefault(subset.name, {})[name] = subset.score
    return metrics_and_subsets


def spell(identity: Any) -> str:
    """A metric's name with its dimensions (`rouge_l_recall`) and its aggregation, if that is not the mean."""
    order = sorted(identity.dimensions, key=lambda key: (key == "statistic", key))
    dimensions = [str(identity.dimensions[key]) for key in order]
    aggregation = [] if identity.aggregation in (None, "mean") else [str(identity.aggregation)]
    return "_".join([identity.name, *dimensions, *aggregation])


if __name__ == "__main__":
    main()
