"""Scores models with lm-evaluation-harness. Runs as a script, with an interpreter that has it.

The script imports nothing of this package.

python lm_eval_run.py REQUEST.json

Removes the request after reading it. Writes the result `<n>.json` of the n-th model into the request's folder,
atomically.
"""

import difflib
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Score all models of the request."""
    del sys.path[0]  # the script's folder must not shadow modules of the framework
    file = Path(sys.argv[1])
    request = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()  # it may contain an API key
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    if request["threads"]:
        torch.set_num_threads(request["threads"])
    manager, tasks = find(request["tasks"], request["task_path"], TaskManager)
    model_type, device = request["kind"], request["device"] or ("cuda" if torch.cuda.is_available() else "cpu")
    for number, model in enumerate(request["models"]):
        evaluation = simple_evaluate(
            model=model_type,
            model_args={**({"pretrained": model} if model_type == "hf" else {"model": model}), **request["model_args"]},
            device=device if model_type == "hf" else None,
            tasks=tasks,
            task_manager=manager,
            random_seed=request["seed"],
            numpy_random_seed=request["seed"],
            torch_random_seed=request["seed"],
            fewshot_random_seed=request["seed"],
            **request["options"],
        )
        save(Path(request["folder"]), number, evaluation)
        del evaluation
        print(f"{model} is done", flush=True)  # noqa: T201


def find(names: list[str], task_path: str | None, managers: Any) -> tuple[Any, list[str]]:
    """The task manager and the names of the tasks. lm-eval's thousands of tasks are only indexed if needed."""
    if task_path:
        manager = managers(include_path=task_path, include_defaults=False)
        tasks = names or manager.all_tasks
        if not tasks:
            sys.exit(f"{task_path} contains no tasks")
        if all(manager.match_tasks([task]) for task in tasks):
            return manager, tasks
    manager = managers(include_path=task_path)
    for task in names:
        if not manager.match_tasks([task]) and not Path(task).is_file():
            matches = ", ".join(difflib.get_close_matches(task, manager.all_tasks)) or "none"
            sys.exit(f"lm-eval has no task {task!r}; similar names: {matches}")
    return manager, names


def save(folder: Path, number: int, evaluation: Any) -> None:
    """Write the scores of one model, and its samples by task."""
    answer = {key: evaluation.get(key) or {} for key in ("results", "n-samples", "n-shot", "versions")}
    for task, samples in (evaluation.get("samples") or {}).items():
        with (folder / f"{number}_{task.replace('/', '_')}.jsonl").open("w", encoding="utf-8") as file:
            for sample in samples:
                file.write(json.dumps(sample, ensure_ascii=False, default=str) + "\n")
    part = folder / f"{number}.part"
    part.write_text(json.dumps(answer, default=str), encoding="utf-8")
    part.replace(folder / f"{number}.json")


if __name__ == "__main__":
    main()
