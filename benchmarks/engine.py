"""What the engine itself costs: runs of jobs that do nothing, the checkpoint and its fsync included; and a report of
1,000,000 metric lines.

python benchmarks/engine.py [ROUNDS]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import yaml
from timing import SANDBOX, in_turn

from data_juicer_sandbox.files import replacing


def config(jobs: int, name: str) -> dict[str, object]:
    """A chain of jobs, each reading what the one before put out."""
    entries = [
        {
            "hook": "GeneralProbeHook",
            "meta_name": f"job_{number}",
            "output": "value",
            **({"input": {"extra_configs.value": "-1.value"}} if number else {}),
            "extra_configs": {"type": "toy_lab.steps.Give", "value": {"score": 0.5, "path": "a/b.jsonl"}},
        }
        for number in range(jobs)
    ]
    return {"work_dir": name, "pipelines": {"p": {"probe_job_configs": entries}}}


def disk(folder: Path, rounds: int = 200) -> float:
    """Median ms of what one durable file costs here: write 50 kB, fsync, rename, fsync the folder."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        with replacing(folder / "durable", durable=True) as part:
            part.write_bytes(b"x" * 50_000)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def write_metrics(folder: Path) -> None:
    """A work directory with 1,000,000 metric lines of ten jobs."""
    folder.mkdir()
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as stream:
        for job in range(10):
            for step in range(100_000):
                line = {"time": 1.7e9 + step, "pipeline": "p", "job": f"j{job}", "name": f"j{job}.loss"}
                stream.write(json.dumps({**line, "value": step * 0.37 % 11, "step": step}) + "\n")


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] else 5
    sizes = (0, 20, 100, 300, 2_000, 10_000)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:  # a real disk: /tmp may be memory, where fsync is free
        folder = Path(name)
        for jobs in sizes:
            (folder / f"{jobs}.yaml").write_text(yaml.safe_dump(config(jobs, f"out{jobs}"), sort_keys=False))
        commands = {str(jobs): [*SANDBOX, "--config", f"{jobs}.yaml"] for jobs in sizes}
        commands["kept"] = [*SANDBOX, "--config", "300.yaml", "--resume", "true"]
        write_metrics(folder / "metrics")
        commands["report"] = [*SANDBOX, "report", "--work_dir", "metrics"]
        found = in_turn(commands, folder, rounds)
        durable = disk(folder)
    print(f"| jobs that do nothing, median of {rounds} | seconds | ms a job | goal |\n|---|---|---|---|")
    for jobs in sizes[1:]:
        cost = (found[str(jobs)] - found["0"]) / jobs * 1000
        print(f"| {jobs} run | {found[str(jobs)]:.2f} | {cost:.1f} | 5 |")
    print(f"| for comparison: one durable file on this disk | | {durable:.1f} | |")
    print(f"| the report of 1,000,000 metric lines | {found['report']:.2f} | | |")
    print(f"| 300 kept on resume | {found['kept']:.2f} | {(found['kept'] - found['0']) / 300 * 1000:.1f} | |")


if __name__ == "__main__":
    main()
