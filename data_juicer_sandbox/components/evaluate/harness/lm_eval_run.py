"""Scores models by lm-evaluation-harness. Run as a script, by an interpreter that has it; stands alone.

python lm_eval_run.py REQUEST.json

Removes the request after reading it. Writes an answer `<n>.json` for the n-th model into the request's folder, whole
or not at all.
"""

import difflib
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Score all models of the request."""
    del sys.path[0]  # this script's folder has nothing for the framework
    file = Path(sys.argv[1])
    request = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()  # it may hold a key
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    if request["threads"]:
        torch.set_num_threads(request["threads"])
    manager, tasks = find(request["tasks"], request["task_path"], TaskManager)
    kind, device = request["kind"], request["device"] or ("cuda" if torch.cuda.is_available() else "cpu")
    for number, model in enumerate(request["models"]):
        found = simple_evaluate(
            model=kind,
            model_args={**({"pretrained": model} if kind == "hf" else {"model": model}), **request["model_args"]},
            device=device if kind == "hf" else None,
            tasks=tasks,
            task_manager=manager,
            random_seed=request["seed"],
            numpy_random_seed=request["seed"],
            torch_random_seed=request["seed"],
            fewshot_random_seed=request["seed"],
            **request["options"],
        )
        save(Path(request["folder"]), number, found)
        del found
        print(f"{model} is done", flush=True)  # noqa: T201


def find(wanted: list[str], own: str | None, managers: Any) -> tuple[Any, list[str]]:
    """What knows the tasks, and their names. The thousands that lm-eval brings are only looked through if need be."""
    if own:
        manager = managers(include_path=own, include_defaults=False)
        tasks = wanted or manager.all_tasks
        if not tasks:
            sys.exit(f"there is no task in {own}")
        if all(manager.match_tasks([task]) for task in tasks):
            return manager, tasks
    manager = managers(include_path=own)
    for task in wanted:
        if not manager.match_tasks([task]) and not Path(task).is_file():
            near = ", ".join(difflib.get_close_matches(task, manager.all_tasks)) or "none"
            sys.exit(f"lm-eval knows no task {task!r}; near ones: {near}")
    return manager, wanted


def save(folder: Path, number: int, found: Any) -> None:
    """Write what one model scored, and its samples by task."""
    answer = {key: found.get(key) or {} for key in ("results", "n-samples", "n-shot", "versions")}
    for task, samples in (found.get("samples") or {}).items():
        with (folder / f"{number}_{task.replace('/', '_')}.jsonl").open("w", encoding="utf-8") as file:
            for sample in samples:
                file.write(json.dumps(sample, ensure_ascii=False, default=str) + "\n")
    part = folder / f"{number}.part"
    part.write_text(json.dumps(answer, default=str), encoding="utf-8")
    part.replace(folder / f"{number}.json")


if __name__ == "__main__":
    main()
