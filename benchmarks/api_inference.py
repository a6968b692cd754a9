"""How fast `api` asks: a server of 50 ms latency in a process of its own, against what such a server allows.

python benchmarks/api_inference.py [ROUNDS]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from timing import ROOT, SANDBOX, seconds

LATENCY, AT_ONCE = 0.05, 64

# One run of the component in a process of its own; prints what it watched, and its peak memory in MiB.
ALONE = """
import json, pathlib, resource, sys
from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.infer.api import APIInference
url, path, at_once = sys.argv[1:]
quiet, folder = NullJob(), pathlib.Path.cwd()
made = APIInference("m", path, str(folder / "out"), api_endpoint=url, max_concurrency=int(at_once))
made.run(JobRun("p", "infer", folder, quiet, quiet))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({**quiet.query("infer"), "peak": peak}))
"""

# The same requests by nothing but aiohttp: what this machine allows at this moment.
BARE = """
import aiohttp, asyncio, json, sys, time
url, path, at_once = sys.argv[1:]
asked = [json.loads(line)["query"] for line in open(path)]
bodies = iter([{"model": "m", "messages": [{"role": "user", "content": text}]} for text in asked])
async def work(session):
    for body in bodies:
        async with session.post(f"{url}/chat/completions", json=body) as answer:
            json.loads(await answer.read())
async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        started = time.perf_counter()
        await asyncio.gather(*(work(session) for _ in range(int(at_once))))
        print(time.perf_counter() - started)
asyncio.run(main())
"""


@contextmanager
def server(latency: float) -> Iterator[str]:
    """The address of a server."""
    command = [sys.executable, str(ROOT / "tests/support/fault_server.py"), "--latency", str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def dataset(folder: Path, rows: int) -> str:
    """So many rows of about 200 bytes."""
    path = folder / f"{rows}.jsonl"
    with path.open("w") as stream:
        for number in range(rows):
            stream.write(json.dumps({"query": f"question {number} " + "of some length " * 8, "id": number}) + "\n")
    return str(path)


def alone(folder: Path, url: str, rows: int, at_once: int = AT_ONCE) -> dict[str, float]:
    """What one run of the component watched."""
    command = [sys.executable, "-c", ALONE, url, dataset(folder, rows), str(at_once)]
    made = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)}
    )
    found: dict[str, float] = json.loads(made.stdout)
    assert found["rows"] == rows
    assert found["failed"] == 0
    return found


def bare(folder: Path, url: str, rows: int) -> float:
    """The seconds that aiohttp alone takes."""
    command = [sys.executable, "-c", BARE, url, dataset(folder, rows), str(AT_ONCE)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def whole(folder: Path, url: str, rows: int) -> float:
    """The wall time of `dj-sandbox` with this one job."""
    given = {
        "type": "api",
        "model": "m",
        "api_endpoint": url,
        "dataset_path": dataset(folder, rows),
        "export_path": "o",
    }
    job = {"hook": "InferModelHook", "meta_name": "infer", "extra_configs": given}
    (folder / "sandbox.yaml").write_text(yaml.safe_dump({"work_dir": "out", "execution_job_configs": [job]}))
    return seconds([*SANDBOX, "--config", "sandbox.yaml"], folder)


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] else 5
    with tempfile.TemporaryDirectory() as name, server(LATENCY) as url:
        folder = Path(name)
        few = [alone(folder, url, 200)["seconds"] for _ in range(rounds)]
        one = alone(folder, url, 200, 1)["seconds"]
        many, least = [], []
        for _ in range(rounds):
            many.append(alone(folder, url, 2000)["seconds"])
            least.append(bare(folder, url, 2000))
        walls = [whole(folder, url, 200) for _ in range(rounds)]
        empty = [whole(folder, url, 1) for _ in range(rounds)]
    with tempfile.TemporaryDirectory() as name, server(0) as url:
        small, large = (alone(Path(name), url, rows) for rows in (10_000, 100_000))
    allowed = AT_ONCE / LATENCY
    rate = 2000 / statistics.median(many)
    print(f"| server with a latency of 50 ms, median of {rounds} | measured | goal |\n|---|---|---|")
    print(f"| 200 prompts, {AT_ONCE} in flight | {statistics.median(few):.2f} s | 0.6 s |")
    print(f"| 200 prompts, 1 in flight | {one:.1f} s | |")
    print(f"| 200 prompts, the whole process | {statistics.median(walls):.2f} s | |")
    print(f"| 1 prompt, the whole process | {statistics.median(empty):.2f} s | |")
    print(f"| 2,000 prompts, {AT_ONCE} in flight | {rate:,.0f}/s: {rate / allowed:.0%} of {allowed:,.0f}/s | 90% |")
    print(f"| the same with aiohttp alone | {2000 / statistics.median(least):,.0f}/s | |")
    print("\n| no latency | rows/s | peak memory |\n|---|---|---|")
    for rows, found in ((10_000, small), (100_000, large)):
        print(f"| {rows:,} rows | {rows / found['seconds']:,.0f} | {found['peak']:.0f} MiB |")


if __name__ == "__main__":
    main()
