"""Jobs and models side by side, against one after the other.

python benchmarks/parallel.py [tasks | models | steps] [SIZE [TOKENS]]

tasks   500 jobs that do nothing on 2 workers, against starting 500 such processes: what the run itself costs.
models  SIZE pools x 2 seeds (19 by default) with the demo's model, TOKENS each (300,000): one process with one thread,
        with two, and the backend `local`; on the machine as it is, and beside a process that keeps one core busy.
steps   training steps per second of one model, against a bare PyTorch loop of the same model, batch and threads.

All variants of one measurement run in turn; ratios hold better than times.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import yaml
from timing import SANDBOX, measured, seconds

from data_juicer_sandbox.config.schema import Job, Phase
from data_juicer_sandbox.parallel.tasks import Task, TaskFolder

MODEL = {"type": "huggingface", "vocab_size": 2000, "n_layer": 4, "n_embd": 128}
TOKENS = 300_000
BARE = """
import json, sys, time
import torch
from data_juicer_sandbox.components.lm.loading import load_causal_lm, load_tokenizer
from data_juicer_sandbox.components.lm.packing import packed
from pathlib import Path
data, model_folder, folder, tokens, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
torch.manual_seed(1)
model, block, batch = load_causal_lm(model_folder, "float32"), 128, 4
model.train()
with packed(data, "text", load_tokenizer(model_folder), Path(folder)) as stream:
    ids = torch.as_tensor(stream.tokens[: len(stream.tokens) // block * block].astype("int64")).reshape(-1, block)
    steps = int(tokens) // (block * batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    order = torch.cat([torch.randperm(len(ids)) for _ in range(steps * batch // len(ids) + 1)])
    started = time.perf_counter()
    for step in range(steps):
        part = ids[order[step * batch : (step + 1) * batch]]
        model(input_ids=part, labels=part).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
print(json.dumps({"seconds": time.perf_counter() - started, "steps": steps}))
"""


def no_ops(jobs: int, name: str) -> dict[str, object]:
    """Jobs that do nothing and do not depend on each other."""
    extra = {"type": "toy_lab.steps.Give", "value": 1}
    entries = [{"hook": "GeneralProbeHook", "meta_name": f"job_{n}", "extra_configs": extra} for n in range(jobs)]
    parallel = {"backend": "local", "max_workers": 2}
    return {"work_dir": name, "parallel": parallel, "pipelines": {"p": {"probe_job_configs": entries}}}


def start_all(folder: Path, jobs: int) -> float:
    """Seconds for the processes of the same tasks, two at a time, without a run."""
    job = Job("p", Phase.PROBE, 1, "GeneralProbeHook", "job", True)
    task = Task("job", job, None, {"type": "toy_lab.steps.Give", "value": 1}, "", "", "", (), (), cwd=str(folder))
    commands = []
    for number in range(jobs):
        work_dir = folder / "bare"
        own = work_dir / f"jobs/p/job_{number}"
        own.mkdir(parents=True)
        with_folders = replace(task, folder=str(own), root=str(work_dir), work_dir=str(work_dir))
        TaskFolder(own / "task").prepare(with_folders)
        commands.append([sys.executable, "-m", "data_juicer_sandbox.parallel.worker", str(own / "task")])
    script = (
        "import json, subprocess, sys\n"
        "commands, running = json.load(open(sys.argv[1])), []\n"
        "while commands or running:\n"
        "    while commands and len(running) < 2:\n"
        "        running.append(subprocess.Popen(commands.pop()))\n"
        "    running.pop(0).wait()\n"
    )
    (folder / "commands.json").write_text(json.dumps(commands))
    return seconds([sys.executable, "-c", script, str(folder / "commands.json")], folder)


def tasks(jobs: int) -> None:
    """Measure what the run costs beside the processes of its tasks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "run.yaml").write_text(yaml.safe_dump(no_ops(jobs, "out")))
        run, memory = measured([*SANDBOX, "--config", "run.yaml"], folder)
        bare = start_all(folder, jobs)
        print(f"{jobs} jobs that do nothing, 2 at a time: {run:.1f} s; their processes alone {bare:.1f} s")
        print(f"  ratio {run / bare:.2f}, {1000 * (run - bare) / jobs:.0f} ms a job; largest process {memory:.0f} MB")


def corpus(folder: Path, pools: int) -> list[str]:
    """Pools of text that every machine has: the sources of the standard library."""
    sources = sorted(Path(json.__file__).parent.parent.glob("*.py"))
    paths = []
    for number in range(pools):
        path = folder / f"pool_{number}.jsonl"
        lines = [line for source in sources[number::pools] for line in source.read_text(errors="replace").splitlines()]
        path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines if line.strip()))
        paths.append(path.name)
    return paths


def training(paths: Sequence[str], name: str, tokens: int, seeds: Sequence[int], **extra: object) -> dict[str, object]:
    """A run that trains one model for each pool and seed."""
    values = {**MODEL, "dataset_path": list(paths), "export_path": f"{name}/models", "seeds": list(seeds)}
    job = {"hook": "TrainModelHook", "meta_name": "train", "extra_configs": {**values, "max_tokens": tokens, **extra}}
    return {"work_dir": name, "execution_job_configs": [job]}


def models(pools: int, tokens: int = TOKENS) -> None:
    """Measure the training of many models."""
    variants: dict[str, tuple[dict[str, object], dict[str, object]]] = {
        "one process, 1 thread": ({"threads": 1, "max_parallel": 1}, {}),
        "one process, 2 threads": ({"threads": 2, "max_parallel": 1}, {}),
        "parallel: local": ({}, {"parallel": {"backend": "local", "max_workers": 2}}),
    }
    for busy in (0, 1):
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        times = {}
        try:
            for number, (name, (extra, keys)) in enumerate(variants.items()):
                with tempfile.TemporaryDirectory() as folder:
                    paths = corpus(Path(folder), pools)
                    config = {**training(paths, f"out{number}", tokens, (1, 2), **extra), **keys}
                    Path(folder, "run.yaml").write_text(yaml.safe_dump(config))
                    times[name] = seconds([*SANDBOX, "--config", "run.yaml"], Path(folder))
        finally:
            for other in others:
                other.kill()
                other.wait()
        print(f"{pools} pools x 2 seeds, {tokens:,} tokens each, {busy} busy process(es) beside it:")
        for name, took in times.items():
            print(f"  {name:24} {took:7.0f} s  {took / times['parallel: local']:.2f} x the time of `local`")


def steps(rounds: int) -> None:
    """Measure the steps per second of one model."""
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (path,) = corpus(folder, 1)
        for number in range(rounds):
            (folder / "run.yaml").write_text(yaml.safe_dump(training([path], f"out{number}", TOKENS, [1], threads=1)))
            started = time.perf_counter()
            subprocess.run([*SANDBOX, "--config", "run.yaml"], cwd=folder, check=True, capture_output=True)
            whole = time.perf_counter() - started
            model = folder / f"out{number}/models/pool_0_seed1"
            own = steps_per_second(folder / f"out{number}/metrics.jsonl")
            arguments = [path, str(model), ".", str(TOKENS), "1"]
            loop = subprocess.run([sys.executable, "-c", BARE, *arguments], cwd=folder, check=True, capture_output=True)
            bare = json.loads(loop.stdout.splitlines()[-1])
            loop_speed = bare["steps"] / bare["seconds"]
            ratios.append(own / loop_speed)
            print(f"  {own:.1f} steps/s ({whole:.0f} s in all), bare loop {loop_speed:.1f}")
    print(f"steps per second of a bare PyTorch loop: {statistics.median(ratios):.2f}")


def steps_per_second(metrics: Path) -> float:
    """The speed between the first and the last loss of a run, logging and checkpoints included."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    losses = [
        (line["step"], line["time"]) for line in lines if line.get("name", "").endswith(".loss") and "step" in line
    ]
    (first, begin), (last, end) = losses[0], losses[-1]
    return (last - first) / (end - begin)


def main() -> None:
    """Run the measurements that the command line names."""
    measurements: dict[str, Callable[..., None]] = {"tasks": tasks, "models": models, "steps": steps}
    defaults = {"tasks": 500, "models": 19, "steps": 3}
    name, *sizes = sys.argv[1:] or [""]
    for key, measure in measurements.items():
        if name in ("", key):
            measure(*(map(int, sizes) if sizes else [defaults[key]]))


if __name__ == "__main__":
    main()
