"""Two small models from scratch: one after the other on all cores, or in parallel on one thread each.

python benchmarks/training.py [ROUNDS [TOKENS]]

All variants run in turn, on the machine as it is and beside a busy process on every core but one; medians of the wall
time are compared. `active` and `passive` are how idle OpenMP threads wait (`OMP_WAIT_POLICY`).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import ROOT

TRAIN = """
import json, pathlib, sys
from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
data, out, settings = json.loads(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
quiet, folder = NullJob(), pathlib.Path(out)
folder.mkdir()
HuggingFaceTrainer(data, **settings).run(JobRun("p", "train", folder, quiet, quiet))
"""
CORES = len(os.sched_getaffinity(0))
VARIANTS = {
    f"in turn, {CORES} threads, active": ({"max_parallel": 1, "threads": CORES}, {"OMP_WAIT_POLICY": "ACTIVE"}),
    f"in turn, {CORES} threads, passive": ({"max_parallel": 1, "threads": CORES}, {"OMP_WAIT_POLICY": "PASSIVE"}),
    "in turn, 1 thread": ({"max_parallel": 1, "threads": 1}, {}),
    "in parallel, 1 thread each": ({"max_parallel": 2, "threads": 1}, {}),
}


def seconds(data: list[str], folder: str, settings: dict[str, object], variables: dict[str, str]) -> float:
    """Wall time of one training job."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    argv = [sys.executable, "-c", TRAIN, json.dumps(data), folder, json.dumps(settings)]
    started = time.perf_counter()
    subprocess.run(argv, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print the ratios."""
    arguments = [int(argument) for argument in sys.argv[1:]]
    rounds, tokens = [*arguments, *(3, 60_000)[len(arguments) :]]
    with tempfile.TemporaryDirectory() as folder:
        data = []
        for name in ("a", "b"):
            data.append(str(Path(folder, f"{name}.jsonl")))
            lines = Path(json.__file__).read_text().splitlines() * 3
            Path(data[-1]).write_text("".join(json.dumps({"text": f"{name} {line}"}) + "\n" for line in lines))
        for busy in (0, CORES - 1):
            others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
            times: dict[str, list[float]] = {name: [] for name in VARIANTS}
            try:
                for _ in range(rounds):
                    for name, (settings, variables) in VARIANTS.items():
                        out = tempfile.mkdtemp(dir=folder) + "/job"
                        times[name].append(seconds(data, out, {**settings, "max_tokens": tokens}, variables))
            finally:
                for other in others:
                    other.kill()
                    other.wait()
            print(f"with {busy} busy processes beside it:")
            base = statistics.median(times["in turn, 1 thread"])
            for name, values in times.items():
                print(f"  {name}: {base / statistics.median(values):.2f} x ({', '.join(f'{v:.0f}' for v in values)} s)")


if __name__ == "__main__":
    main()
