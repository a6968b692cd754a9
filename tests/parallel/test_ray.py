"""Tasks on Ray clusters, which the tests start on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from scripted_tasks import ScriptedTask, scripted, wait_all, wait_until

from data_juicer_sandbox.config.parallel import Parallel, Resources
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.parallel.ray import RayBackend

SLEEP = "time.sleep(60)"
WRITE_PID = "(folder / 'pid').write_text(str(os.getpid()))"
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """A cluster with a head of four cores and two GPUs."""
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "num_gpus": 2, "memory": 10**9})
    yield cluster.address
    cluster.shutdown()


@pytest.fixture
def cluster(ray_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, as the one that `address: auto` finds."""
    monkeypatch.setenv("RAY_ADDRESS", ray_address)
    return ray_address


def backend(max_workers: int | None = None, address: str | None = None) -> RayBackend:
    return RayBackend(Parallel("ray", max_workers, address=address))


def is_alive(task: ScriptedTask) -> bool:
    return Path(f"/proc/{(task.folder / 'pid').read_text()}").exists()


@slow
def test_tasks_run_with_what_they_ask_for_and_at_most_max_workers_at_once(cluster: str, tmp_path: Path):
    names = ["OMP_NUM_THREADS", "OMP_WAIT_POLICY", "CUDA_VISIBLE_DEVICES"]
    code = f"print(*[os.environ.get(name) for name in {names}]); time.sleep(0.5)"
    small = scripted(tmp_path / "small", *[code] * 5)
    large = scripted(tmp_path / "large", *[code] * 2, resources=Resources(cpus=2, gpus=1, memory_gb=0.5))
    both = scripted(tmp_path / "both", code, resources=Resources(gpus=2))
    tasks = [*small, *large, *both]
    with closing(backend(3)) as runner:
        runner.submit(tasks)
        assert runner.where(both[0].folder) == "queued"
        ended = wait_all(runner, tasks, 120)
        assert ", pid " in runner.where(both[0].folder)
    assert {entry.reason for entry in ended.values()} == {""}
    assert [task.attempts for task in tasks] == [1] * len(tasks)
    assert {task.log for task in small} == {"1 PASSIVE \n"}
    assert {task.log for task in large} <= {"2 PASSIVE 0\n", "2 PASSIVE 1\n"}
    assert both[0].log in ("1 PASSIVE 0,1\n", "1 PASSIVE 1,0\n")
    times = [(float((task.folder / "attempts").read_text()), 1) for task in tasks]
    times += [(float((task.folder / "ended").read_text()), -1) for task in tasks]
    assert 1 < max(sum(step for _, step in sorted(times)[: end + 1]) for end in range(len(times))) <= 3


@slow
def test_why_a_task_ended(cluster: str, tmp_path: Path):
    tasks = scripted(tmp_path, "sys.exit(3)", "os.kill(os.getpid(), 9)", "nonsense")
    late = scripted(tmp_path / "late", SLEEP, resources=Resources(minutes=0.02))
    with closing(backend()) as runner:
        runner.submit([*tasks, *late])
        ended = wait_all(runner, [*tasks, *late], 120)
    reasons = [ended[task.folder].reason for task in [*tasks, *late]]
    assert reasons[0].startswith("ended with status 3 on ")
    assert reasons[1].startswith("was ended by the signal SIGKILL (out of memory?) on ")
    assert reasons[2].startswith("ended with status 1 on ")
    assert "NameError" in tasks[2].log
    assert reasons[3] == "took longer than the 0.02 minutes of its `resources`"


@slow
def test_cancelled_tasks_end_with_their_processes(cluster: str, tmp_path: Path):
    tasks = scripted(tmp_path, *[f"{WRITE_PID}; {SLEEP}"] * 4)
    with closing(backend(3)) as runner:
        runner.submit(tasks)
        wait_until(lambda: all((task.folder / "pid").exists() for task in tasks[:3]))
        runner.cancel([tasks[0].folder])
        assert [is_alive(task) for task in tasks[:3]] == [False, True, True]
        wait_until(lambda: (tasks[3].folder / "pid").exists())
        runner.cancel()
        assert not any(is_alive(task) for task in tasks)
        assert runner.wait(0.1) == []


@slow
def test_nothing_is_left_of_a_killed_run(cluster: str, tmp_path: Path):
    driver = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent.parent / "support")!r})
from pathlib import Path
from scripted_tasks import scripted
from data_juicer_sandbox.config.parallel import Parallel
from data_juicer_sandbox.parallel.ray import RayBackend
backend = RayBackend(Parallel("ray"))
backend.submit(scripted(Path({str(tmp_path)!r}), {f"{WRITE_PID}; {SLEEP}"!r}))
while True:
    backend.wait(60)
"""
    with subprocess.Popen([sys.executable, "-c", driver], stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: list(tmp_path.glob("*/pid")), 120)
        process.send_signal(signal.SIGKILL)
    pid = next(tmp_path.glob("*/pid")).read_text()
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


@slow
def test_a_task_runs_again_if_its_node_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        first = cluster.add_node(num_cpus=1)
        (task,) = scripted(tmp_path, f"{WRITE_PID}\nif attempt < 2: {SLEEP}")
        with closing(backend(address=cluster.address)) as runner:
            runner.submit([task])
            wait_until(lambda: (task.folder / "pid").exists(), backend=runner)
            cluster.add_node(num_cpus=1)
            cluster.remove_node(first, allow_graceful=False)
            ended = wait_all(runner, [task], 180)
        assert ended[task.folder].reason == ""
        assert task.attempts == 2
    finally:
        cluster.shutdown()


@slow
def test_too_much_memory_is_not_tried_again(tmp_path: Path):
    from ray.cluster_utils import Cluster

    settings = {"memory_usage_threshold": 0.01, "memory_monitor_refresh_ms": 100}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": settings})
    try:
        (task,) = scripted(tmp_path, SLEEP)
        with closing(backend(address=cluster.address)) as runner:
            runner.submit([task])
            ended = wait_all(runner, [task], 120)
        assert ended[task.folder].reason.startswith("was ended by Ray: OutOfMemoryError: ")
        assert task.attempts <= 1
    finally:
        cluster.shutdown()


@slow
def test_what_the_cluster_does_not_have(cluster: str, tmp_path: Path):
    with closing(backend()) as runner:
        runner.check([("main.job", Resources(cpus=4, gpus=2, memory_gb=1))], tmp_path)
        assert list(tmp_path.iterdir()) == []
        for resources, text in (
            (Resources(gpus=3), "main.job needs 3 GPUs, but the largest node of the Ray cluster has 2"),
            (Resources(cpus=5), "main.job needs 5 cores, but the largest node of the Ray cluster has 4"),
            (Resources(memory_gb=2), "main.job needs 2 GB, but the largest node of the Ray cluster has 1"),
        ):
            with pytest.raises(JobError, match=text):
                runner.check([("main.other", Resources()), ("main.job", resources)])


@pytest.mark.parametrize("address", [None, "auto", "127.0.0.1:1", "ray://127.0.0.1:1", "ray://127.0.0.1", "nowhere"])
def test_no_cluster(address: str | None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(JobError) as caught:
        backend(address=address).check([])
    message = str(caught.value)
    assert message.startswith(f"cannot use a Ray cluster at `address: {address or 'auto'}`: ")
    assert "`address: local` starts one for this run" in message
    assert "\n" not in message


@slow
def test_a_local_cluster_is_started_when_asked_for(tmp_path: Path):
    import ray

    (task,) = scripted(tmp_path, WRITE_PID)
    with closing(backend(address="local")) as runner:
        runner.submit([task])
        wait_all(runner, [task], 180)
        assert ray.is_initialized()
    assert not ray.is_initialized()
