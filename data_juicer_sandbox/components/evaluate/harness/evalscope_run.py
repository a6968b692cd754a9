"""Scores models by EvalScope. Run as a script, by an interpreter that has it; stands alone.

python evalscope_run.py REQUEST.json

Removes the request after reading it. Writes an answer `<n>.json` for the n-th model into the request's folder, whole
or not at all.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Score all models of the request."""
    del sys.path[0]  # this script's folder has nothing for the framework
    file = Path(sys.argv[1])
    request = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()  # it may hold a key
    from evalscope import TaskConfig, run_task

    folder = Path(request["folder"])
    if request["threads"]:
        import torch

        torch.set_num_threads(request["threads"])
    for number, model in enumerate(request["models"]):
        place = folder / f"run{number}"
        key = {"api_key": os.environ.get("OPENAI_API_KEY", "EMPTY")} if request["options"].get("api_url") else {}
        wanted = {"model": model, "model_id": f"model{number}", "work_dir": str(place), "no_timestamp": True}
        reports = run_task(TaskConfig(**wanted, **request["options"], **key))
        for file in sorted(place.glob("reviews/*/*.jsonl")):
            file.replace(folder / f"{number}_{file.name}")
        answer = {name: figures(report) for name, report in reports.items()}
        part = folder / f"{number}.part"
        part.write_text(json.dumps(answer), encoding="utf-8")
        part.replace(folder / f"{number}.json")
        print(f"{model} is done", flush=True)  # noqa: T201


def figures(report: Any) -> dict[str, Any]:
    """The metrics of a data set and of its subsets, and how many samples they are of."""
    found: dict[str, Any] = {"samples": report.num, "metrics": {}, "subsets": {}}
    for metric in report.metrics:
        name = spell(metric.identity)
        found["metrics"][name] = metric.score
        for category in metric.categories:
            for subset in category.subsets:
                found["subsets"].setdefault(subset.name, {})[name] = subset.score
    return found


def spell(identity: Any) -> str:
    """A metric's name, its variants (`rouge_l_recall`) and how it was put together, where that is not the mean."""
    order = sorted(identity.dimensions, key=lambda key: (key == "statistic", key))
    dimensions = [str(identity.dimensions[key]) for key in order]
    rest = [] if identity.aggregation in (None, "mean") else [str(identity.aggregation)]
    return "_".join([identity.name, *dimensions, *rest])


if __name__ == "__main__":
    main()
