"""What a search costs beside its jobs: the engine's part of a trial, jobs that are shared, workers side by side.

python benchmarks/search.py [ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from timing import SANDBOX, in_turn

FEW, MANY = 20, 120
SLEEP = 0.5
RATE = "p.job_0.extra_configs.value"


def job(number: int, type_name: str, **keys: Any) -> dict[str, Any]:
    """A job that waits for the one before."""
    entry = {"hook": "GeneralProbeHook", "meta_name": f"job_{number}", "output": "value"}
    return {**entry, "extra_configs": {"type": f"toy_lab.steps.{type_name}", **keys}}


def write(folder: Path, name: str, jobs: list[dict[str, Any]], parameter: str, metric: str, **sweep: Any) -> list[str]:
    """A config and its sweep; returns the command."""
    lab = {
        "work_dir": f"out_{name}",
        "hpo_config": f"{name}_sweep.yaml",
        "pipelines": {"p": {"probe_job_configs": jobs}},
    }
    keys = {"method": "random", "plots": False, "metric": {"name": metric}, **sweep}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(lab, sort_keys=False))
    parameters = {"parameters": {parameter: {"min": 0.0, "max": 1.0}}}
    (folder / f"{name}_sweep.yaml").write_text(yaml.safe_dump({**keys, **parameters}, sort_keys=False))
    return [*SANDBOX, "--config", f"{name}.yaml"]


def optuna_alone(folder: Path, name: str, trials: int) -> float:
    """Seconds a trial of Optuna with the same storage and sampler and no work at all."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal = optuna.storages.journal.JournalFileBackend(str(folder / f"alone{name}.journal"))
    storage = optuna.storages.JournalStorage(journal)
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=1))
    started = time.perf_counter()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=trials)
    return (time.perf_counter() - started) / trials


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] else 3
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:  # a real disk: /tmp may be memory, where fsync is free
        folder = Path(name)
        nothing = [job(0, "Give", value=0.5)]
        slow = [job(number, "Descend", rate=0.1, steps=1, delay=SLEEP) for number in range(4)]
        last = "p.job_3.extra_configs.rate"
        one = [job(0, "Descend", rate=0.1, steps=1, delay=2 * SLEEP)]
        rate = "p.job_0.extra_configs.rate"
        commands = {
            "few": write(folder, "few", nothing, RATE, "p.job_0.value", sweep_max_count=FEW),
            "many": write(folder, "many", nothing, RATE, "p.job_0.value", sweep_max_count=MANY),
            "shared": write(folder, "shared", slow, last, "p.job_3.value", sweep_max_count=20),
            "one": write(folder, "one", one, rate, "p.job_0.value", sweep_max_count=20),
            "two": write(folder, "two", one, rate, "p.job_0.value", sweep_max_count=20, n_jobs=2),
        }
        found = in_turn(commands, folder, rounds)
        alone = statistics.median(optuna_alone(folder, f"{n}", MANY) for n in range(rounds))
    trial = (found["many"] - found["few"]) / (MANY - FEW)
    print(f"| a search, median of {rounds} | figure | goal |\n|---|---|---|")
    print(f"| a trial whose job does nothing | {trial * 1000:.1f} ms | |")
    print(f"| a trial of Optuna alone, same storage | {alone * 1000:.1f} ms | |")
    print(f"| the engine's part of a trial | {(trial - alone) * 1000:.1f} ms | 50 ms |")
    share = found["shared"] / (23 * SLEEP)
    print(f"| 20 trials of 4 equal jobs of {SLEEP} s, the last one searched | {found['shared']:.1f} s | |")
    print(f"| the same over 3 + 20 jobs alone, start and end included | {share:.2f} x | 1.3 x |")
    print(f"| 20 trials that sleep 1 s: one worker, two | {found['one']:.1f} s, {found['two']:.1f} s | |")
    print(f"| two workers over one | {found['one'] / found['two']:.2f} x | 1.7 x |")


if __name__ == "__main__":
    main()
