"""What tracking costs: metric lines of a program, fingerprints of a folder of 100,000 files, and W&B in offline mode.

python benchmarks/tracking.py [ROUNDS [SOURCE]]

SOURCE is the folder of another version of the sandbox to measure. Wall time is that of a quiet machine only; processor
time, which other programs change less, stands beside it.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml
from timing import ROOT, SANDBOX

LINES, FILES = 100_000, 100_000
PRINT = 'import sys\nfor n in range({}): sys.stdout.write(\'{{"step": %d, "loss": %.4f}}\\n\' % (n, 1 / (n + 1)))'


def command(name: str, code: str, **more: object) -> dict[str, object]:
    """A config whose job runs a program."""
    argv = [sys.executable, "-c", f"open('{name}.done', 'w').close()\n{code}"]
    extra = {"type": "command", "argv": argv, "result": f"{name}.done", **more}
    return config(name, {"hook": "TrainModelHook", "meta_name": "t", "output": "v", "extra_configs": extra})


def config(name: str, job: Mapping[str, object]) -> dict[str, object]:
    """A config with one job."""
    return {"work_dir": f"{name}_out", "pipelines": {"p": {"execution_job_configs": [dict(job)]}}}


def construction(folder: Path) -> dict[str, object]:
    """Pools of 2,000 rows."""
    rows = (f'{{"text": "{n}", "__dj__stats__": {{"text_len": {n % 97}}}}}\n' for n in range(2000))
    (folder / "rows.jsonl").write_text("".join(rows))
    extra = {"type": "data_pool_construction", "dataset_path": "rows.jsonl", "export_path": "pools"}
    job = {"hook": "DataPoolManipulationHook", "meta_name": "pools", "output": "paths", "extra_configs": extra}
    return config("construction", job)


def write_files(folder: Path) -> None:
    """A folder of 100,000 files of 1.4 kB, in 100 folders."""
    for number in range(100):
        (folder / f"{number:03}").mkdir(parents=True)
        for file in range(FILES // 100):
            (folder / f"{number:03}/{file:04}.txt").write_bytes(b"%7d" % (number * 1000 + file) * 200)


def measure(name: str, folder: Path, root: Path, rounds: int, *flags: str, **variables: str) -> tuple[float, float]:
    """Median wall and processor time of a run, the processes that it starts included."""
    walls, processor_times = [], []
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests/support'}", **variables}
    for number in range(rounds + 1):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([*SANDBOX, f"{name}.yaml", *flags], cwd=folder, env=environment, check=True, capture_output=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        if number:  # the first one compiles
            walls.append(time.perf_counter() - started)
            processor_times.append(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(walls), statistics.median(processor_times)


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] else 3
    root = Path(sys.argv[2]).resolve() if sys.argv[2:] else ROOT
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        empty = {
            "hook": "GeneralProbeHook",
            "meta_name": "e",
            "extra_configs": {"type": "toy_lab.steps.Give", "value": 1},
        }
        configs: dict[str, Callable[[], dict[str, object]]] = {
            "empty": lambda: {"work_dir": "empty_out", "pipelines": {"p": {"probe_job_configs": [empty]}}},
            "construction": lambda: construction(folder),
            "metrics": lambda: command("metrics", PRINT.format(LINES), metrics="jsonl"),
            "few_metrics": lambda: command("few_metrics", PRINT.format(2000), metrics="jsonl"),
            "files": lambda: command("files", "", reads="many"),
        }
        for file, make in configs.items():
            (folder / f"{file}.yaml").write_text(yaml.safe_dump(make()))
        write_files(folder / "many")
        offline = {"WANDB_MODE": "offline"}
        for label, file, flags, variables in (
            ("empty run", "empty", (), {}),
            ("empty run, W&B offline", "empty", (), offline),
            ("construction of 2,000 rows", "construction", (), {}),
            ("construction, W&B offline", "construction", (), offline),
            (f"{LINES:,} metric lines", "metrics", (), {}),
            ("2,000 metric lines, W&B offline", "few_metrics", (), offline),
            (f"input of {FILES:,} files", "files", (), {}),
            (f"input of {FILES:,} files, kept", "files", ("--resume", "true"), {}),
        ):
            wall, processor_time = measure(file, folder, root, rounds, *flags, **variables)
            print(f"{label:36} {wall:7.2f} s   {processor_time:7.2f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
