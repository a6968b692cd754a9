"""What a run costs that waits for 2,000 tasks: memory and processor time of its process, on SLURM and on Ray.

python benchmarks/parallel_driver.py [BACKEND ...]

SLURM is a real cluster in a temporary folder (root, `apt-get install slurm-wlm munge`); Ray is a local one. Four tasks
run, and the others are queued. The processor time contains that of the commands of SLURM.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import yaml
from timing import ROOT, SANDBOX

sys.path.insert(0, str(ROOT / "tests" / "support"))
from slurm import slurm_cluster, why_not

TASKS, RUNNING = 2_000, 4
SECONDS = 60
TICKS = os.sysconf("SC_CLK_TCK")


def write_config(folder: Path, backend: str) -> None:
    """A job of 2,000 items; the first ones wait for the end of the measurement."""
    keys = {"ray": {"address": "auto"}, "slurm": {}, "local": {"max_workers": RUNNING}}[backend]
    extra = {"type": "parallel_parts.Squares", "numbers": list(range(TASKS)), "log": "log", "export_path": "out/x.txt"}
    job = {"hook": "EvaluateDataHook", "meta_name": "squares", "extra_configs": extra, "output": ["table", "total"]}
    config = {"work_dir": "out", "parallel": {"backend": backend, **keys}, "evaluation_job_configs": [job]}
    (folder / "sandbox.yaml").write_text(yaml.safe_dump(config))
    for number in range(2 * RUNNING):
        (folder / f"log.wait_{number}").touch()


def processor_seconds(pid: int) -> float:
    """The processor time of a process and of its child processes that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS


def memory(pid: int, name: str) -> float:
    """`VmRSS` or `VmHWM`, the resident memory and its peak, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(f"{name}:"))


def measure(backend: str) -> None:
    """Print the line of a backend."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/support'}"}
        if backend == "slurm":
            cluster = stack.enter_context(slurm_cluster(max_array_size=1_001))
            environment["SLURM_CONF"] = str(cluster.config)
        if backend == "ray":
            from ray.cluster_utils import Cluster

            ray_cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": RUNNING})
            stack.callback(ray_cluster.shutdown)
            environment["RAY_ADDRESS"] = ray_cluster.address
        write_config(folder, backend)
        command = [*SANDBOX, "--config", "sandbox.yaml"]
        with (folder / "errors").open("w") as errors:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
            )
        try:
            deadline = time.monotonic() + 300
            while len(list(folder.glob("log.begun_*"))) < RUNNING:
                if time.monotonic() > deadline or process.poll() is not None:
                    sys.exit(f"{backend}: no {RUNNING} tasks run\n{(folder / 'errors').read_text()[-3000:]}")
                time.sleep(1)
            time.sleep(20)
            before, started = processor_seconds(process.pid), time.monotonic()
            time.sleep(SECONDS)
            share = (processor_seconds(process.pid) - before) / (time.monotonic() - started)
            values = memory(process.pid, "VmRSS"), memory(process.pid, "VmHWM")
            print(f"| {backend} | {values[0]:.0f} MB | {values[1]:.0f} MB | {share:.1%} |", flush=True)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def main() -> None:
    print(f"A run that waits for {TASKS:,} tasks, of which {RUNNING} run\n")
    print("| backend | memory | its peak | of one core |\n|---|---|---|---|")
    for backend in sys.argv[1:] or ("local", "slurm", "ray"):
        if backend == "slurm" and (reason := why_not()):
            print(f"| slurm | {reason} | | |")
        else:
            measure(backend)


if __name__ == "__main__":
    main()
