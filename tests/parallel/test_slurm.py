"""Tasks on a real SLURM cluster, which the tests start on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_tasks import ScriptedTask, scripted, wait_all, wait_until
from slurm import MAX_ARRAY_SIZE, SlurmCluster

from data_juicer_sandbox.config.parallel import Parallel, Resources
from data_juicer_sandbox.errors import JobError, MissingDependency
from data_juicer_sandbox.parallel import slurm as slurm_module
from data_juicer_sandbox.parallel.backend import open_backend
from data_juicer_sandbox.parallel.slurm import SlurmBackend
from data_juicer_sandbox.parallel.slurm_script import SUBMITTED

SLEEP = "time.sleep(60)"


def backend(max_workers: int | None = None, **slurm: object) -> SlurmBackend:
    return SlurmBackend(Parallel("slurm", max_workers, slurm={f"slurm_{name}": value for name, value in slurm.items()}))


def is_running(task: ScriptedTask) -> Callable[[], bool]:
    return lambda: task.attempts > 0


def start_now(slurm: SlurmCluster) -> None:
    """SLURM lets a requeued job wait for two minutes; not here."""
    for job in slurm.run("squeue", "--me", "--noheader", "--states=PENDING", "--format=%i").split():
        slurm.run("scontrol", "update", f"JobId={job}", "StartTime=now", check=False)


def test_tasks_run_with_what_they_ask_for_and_at_most_max_workers_at_once(slurm: SlurmCluster, tmp_path: Path):
    names = ["OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GREETING", "SLURM_CPUS_ON_NODE"]
    code = f"print(*[os.environ[name] for name in {names}]); time.sleep(0.6)"
    small = scripted(tmp_path / "small", *[code] * (MAX_ARRAY_SIZE + 1))
    large = scripted(tmp_path / "large", *[code] * 2, resources=Resources(cpus=2, gpus=1, minutes=2.5, memory_gb=0.2))
    runner = backend(2, setup=["export GREETING='a b'"], comment="from a test")
    runner.submit([*small, *large])
    assert runner.where(large[1].folder) == "queued"
    tasks = [*small, *large]
    ended = wait_all(runner, tasks)
    assert {entry.reason for entry in ended.values()} == {""}
    assert [task.attempts for task in tasks] == [1] * len(tasks)
    assert {task.log for task in small} == {"1 PASSIVE a b 1\n"}
    assert {task.log for task in large} == {"2 PASSIVE a b 2\n"}
    times = [(float((task.folder / "attempts").read_text()), 1) for task in tasks]
    times += [(float((task.folder / "ended").read_text()), -1) for task in tasks]
    running = [sum(step for _, step in sorted(times)[: index + 1]) for index in range(len(times))]
    assert max(running) == 2


def test_parameters_reach_the_cluster(slurm: SlurmCluster, tmp_path: Path):
    (task,) = scripted(tmp_path, SLEEP, resources=Resources(cpus=2, gpus=1, minutes=2.5, memory_gb=0.2))
    runner = backend(partition="lossy", job_name="mine", comment="for $HOME", additional_parameters={"nice": 7})
    runner.submit([task])
    wait_until(is_running(task))
    wait_until(lambda: runner.where(task.folder) != "queued", backend=runner)
    job = runner.where(task.folder).removeprefix("one, SLURM job ")
    shown = dict(
        entry.split("=", 1) for entry in slurm.run("scontrol", "--oneliner", "show", "job", job).split() if "=" in entry
    )
    assert shown["Partition"] == "lossy"
    assert shown["JobName"].startswith("mine-")
    assert shown["TimeLimit"] == "00:03:00"
    assert shown["NumCPUs"] == "2"
    assert shown["TresPerNode"] == "gres:gpu:1"
    assert shown["MinMemoryNode"] == "191M"
    assert shown["Nice"] == "7"
    assert "Comment=for $HOME " in slurm.run("scontrol", "--oneliner", "show", "job", job)
    runner.close()
    assert slurm.run("squeue", "--me", "--noheader") == ""


def test_a_new_process_finds_the_tasks_of_a_killed_one(slurm: SlurmCluster, tmp_path: Path):
    """Killed with tasks that run, that wait, and that were not yet submitted."""
    count = MAX_ARRAY_SIZE + 2
    code = "while not (folder.parent / 'go').exists(): time.sleep(0.1)"
    driver = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent.parent / "support")!r})
from pathlib import Path
from scripted_tasks import scripted
from data_juicer_sandbox.config.parallel import Parallel
from data_juicer_sandbox.parallel.backend import open_backend
from data_juicer_sandbox.parallel.slurm import SlurmBackend
tasks = scripted(Path({str(tmp_path)!r}), *[{code!r}] * {count})
backend = SlurmBackend(Parallel("slurm", 2))
backend.submit(tasks)
print("submitted", flush=True)
while True:
    backend.wait(60)
"""
    with subprocess.Popen([sys.executable, "-c", driver], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"submitted\n"
        folders = sorted(tmp_path.iterdir())
        wait_until(lambda: sum((folder / "attempts").exists() for folder in folders) == 2)
        process.send_signal(signal.SIGKILL)
    tasks = [ScriptedTask(folder, folder.name, Resources(), code=code) for folder in folders]
    queued = [(folder / SUBMITTED).exists() for folder in folders]
    assert sum(queued) == MAX_ARRAY_SIZE
    runner = backend(2)
    runner.submit(tasks)
    assert len(runner._tasks) == MAX_ARRAY_SIZE
    (tmp_path / "go").touch()
    wait_all(runner, tasks)
    assert [task.attempts for task in tasks] == [1] * count


def test_a_task_that_was_not_submitted_after_all_is_submitted(slurm: SlurmCluster, tmp_path: Path):
    """Killed just before `sbatch`; or the file is damaged."""
    tasks = scripted(tmp_path, "", "")
    (tasks[0].folder / SUBMITTED).write_text('{"array": "dj-sandbox-0123456789ab", "index": 0}')
    (tasks[1].folder / SUBMITTED).write_text('{"array": 3')
    runner = backend()
    runner.submit(tasks)
    wait_all(runner, tasks)
    assert [task.attempts for task in tasks] == [1, 1]


def test_a_cluster_that_takes_few_jobs_at_a_time(slurm: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The limit is one of accounting, which needs a database; so a script in front of `sbatch` refuses like it."""
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f"""#!/bin/sh
script=$(cat)
last=$(printf '%s' "$script" | sed -n 's/.*--array=0-\\([0-9]*\\)%.*/\\1/p')
queued=$(squeue --me --array --noheader | wc -l)
if [ $((queued + last + 1)) -gt 3 ]; then
    echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2
    echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)" >&2
    exit 1
fi
printf '%s\\n' "$script" | {shutil.which("sbatch")} "$@"
""")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:{os.environ['PATH']}")
    tasks = scripted(tmp_path / "run", *[""] * 8)
    runner = backend()
    runner.submit(tasks)
    wait_all(runner, tasks)
    assert [task.attempts for task in tasks] == [1] * 8


def test_a_job_whose_task_was_taken_over_does_nothing(slurm: SlurmCluster, tmp_path: Path):
    (task,) = scripted(tmp_path, "")
    first, second = backend(), backend()
    slurm.run("scontrol", "update", "PartitionName=main", "State=DOWN")
    try:
        first.submit([task])
        (task.folder / SUBMITTED).unlink()  # as if the folder had been made anew for a changed task
        second.submit([task])
    finally:
        slurm.run("scontrol", "update", "PartitionName=main", "State=UP")
    wait_all(second, [task])
    wait_until(lambda: slurm.run("squeue", "--me", "--noheader") == "")
    assert task.attempts == 1


def test_cancelled_tasks_end_with_their_processes(slurm: SlurmCluster, tmp_path: Path):
    code = f"(folder / 'pid').write_text(str(os.getpid())); {SLEEP}"
    tasks = scripted(tmp_path, *[code] * 3)
    runner = backend()
    runner.submit(tasks)
    wait_until(lambda: all((task.folder / "pid").exists() for task in tasks))
    pids = [int((task.folder / "pid").read_text()) for task in tasks]
    runner.cancel([tasks[0].folder])
    assert not Path(f"/proc/{pids[0]}").exists()
    assert all(Path(f"/proc/{pid}").exists() for pid in pids[1:])
    runner.cancel()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert runner.wait(1) == []
    runner.submit(tasks[:1])  # it can be submitted again
    wait_until(lambda: tasks[0].attempts == 2)
    runner.close()


def test_why_a_task_ended(slurm: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slurm_module, "VISIBLE_AFTER", 0.5)
    tasks = scripted(tmp_path, "sys.exit(3)", "os.kill(os.getpid(), 9)", "os._exit(0)", "nonsense")
    runner = backend()
    runner.submit(tasks)
    ended = wait_all(runner, tasks)
    reasons = [ended[task.folder].reason for task in tasks]
    assert reasons[0].startswith("ended as FAILED (exit status 3) on one, SLURM job ")
    assert reasons[1].startswith("ended as FAILED (exit status 137) on one, SLURM job ")
    assert reasons[2].startswith("ended without a result on one, SLURM job ")
    assert reasons[3].startswith("ended as FAILED (exit status 1) on one, SLURM job ")
    assert "NameError" in tasks[3].log


def test_a_task_without_a_result_makes_room(slurm: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """SLURM reports its end long before it is given up, and reports nothing new then."""
    monkeypatch.setattr(slurm_module, "VISIBLE_AFTER", 4.0)
    tasks = scripted(tmp_path, "os._exit(0)", "pass")
    runner = backend(1)
    for task in tasks:
        runner.submit([task])
    ended = wait_all(runner, tasks)
    assert [bool(ended[task.folder].reason) for task in tasks] == [True, False]


def test_out_of_memory(slurm: SlurmCluster, tmp_path: Path):
    if not slurm.limits_memory:
        pytest.skip("control groups (v1) for memory cannot be written here")
    (task,) = scripted(tmp_path, "bytearray(900_000_000)", resources=Resources(memory_gb=0.1))
    runner = backend()
    runner.submit([task])
    ended = wait_all(runner, [task])
    assert ended[task.folder].reason.startswith("ended as OUT_OF_MEMORY on one, SLURM job ")


def test_a_folder_that_the_nodes_do_not_see(slurm: SlurmCluster):
    """Found by the check; and by the task, if the check was not waited for."""
    tasks = scripted(slurm.hidden / "run", "")
    runner = backend(partition="second")
    with pytest.raises(JobError, match=r"the node two does not see the folder /tmp/hidden-.*shared?"):
        runner.check([("main.job", Resources())], slurm.hidden)
    runner.submit(tasks)
    ended = wait_all(runner, tasks)
    assert "was not started: the node does not see the folder /tmp/hidden-" in ended[tasks[0].folder].reason
    backend(partition="main").check([("main.job", Resources())], slurm.hidden)
    assert [path.name for path in slurm.hidden.iterdir()] == ["run"]


def test_what_the_cluster_does_not_have(slurm: SlurmCluster):
    runner = backend()
    runner.check([("main.job", Resources(cpus=4, gpus=2, memory_gb=1, minutes=30))])
    for resources, text in (
        (Resources(gpus=3), "gpus: 3"),
        (Resources(cpus=5), "cpus: 5"),
        (Resources(memory_gb=500), "memory_gb: 500"),
    ):
        with pytest.raises(JobError, match=rf"SLURM would not run main.job \({text}\): .*not available"):
            runner.check([("main.other", Resources()), ("main.job", resources)])
    with pytest.raises(JobError, match="invalid partition specified: fast"):
        backend(partition="fast").check([("main.job", Resources())])


def test_no_slurm_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError, match=r"^SLURM is not installed here: no `sbatch`, .*\(.*login node"):
        backend().check([("main.job", Resources())])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("partitoin", "main", "unknown parameter of SLURM `slurm_partitoin`.*did you mean 'slurm_partition'"),
        ("partition", "main\n#SBATCH --uid=0", "`slurm_partition` must be a number or one line of text"),
        ("partition", ["a"], "`slurm_partition` must be a number or one line"),
        ("setup", "module load cuda", "`slurm_setup` must be a list of shell commands"),
        ("array_parallelism", 3, "`slurm_array_parallelism` cannot be set.*max_workers"),
        ("additional_parameters", {"nice": [1]}, "`slurm_additional_parameters.nice` must be a number"),
        ("max_num_timeout", -1, "`slurm_max_num_timeout` must be a whole number of 0 or more"),
        ("job_name", "a,b", "`slurm_job_name` may contain letters, digits"),
    ],
)
def test_wrong_keys(name: str, value: object, message: str):
    with pytest.raises(JobError, match=message):
        backend(**{name: value})


def test_a_cluster_that_does_not_answer(slurm: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = tmp_path / "slurm.conf"
    config.write_text(slurm.config.read_text().replace("SlurmctldPort=", "MessageTimeout=1\nSlurmctldPort=1"))
    monkeypatch.setenv("SLURM_CONF", str(config))
    with pytest.raises(JobError, match=r"^the SLURM cluster does not answer: "):
        backend().check([("main.job", Resources())])


@pytest.mark.slow
def test_time_over(slurm: SlurmCluster, tmp_path: Path):
    """The signal that SLURM sends some time before the end."""
    again, last = scripted(tmp_path, *[f"if attempt < 2: {SLEEP}"] * 2)
    runner, strict = backend(), backend(max_num_timeout=0)
    runner.submit([again])
    strict.submit([last])
    for task, owner in ((again, runner), (last, strict)):
        wait_until(lambda task=task, owner=owner: task.attempts and owner.where(task.folder) != "queued", backend=owner)
        slurm.run("scancel", "--signal=USR2", "--batch", owner.where(task.folder).removeprefix("one, SLURM job "))
    wait_until(lambda: runner.where(again.folder) == "queued", backend=runner)
    start_now(slurm)
    wait_all(runner, [again])
    assert again.attempts == 2
    assert "the time is over; queued again (1 of 3)" in again.log
    assert last.attempts == 1
    strict.close()


@pytest.mark.slow
def test_preempted_tasks_run_again(slurm: SlurmCluster, tmp_path: Path):
    """Where preempted jobs are queued again, and where they are cancelled."""
    queued, cancelled = scripted(tmp_path, *[f"if attempt < 2: {SLEEP}"] * 2, resources=Resources(cpus=2))
    first, second = backend(partition="main"), backend(partition="lossy")
    first.submit([queued])
    second.submit([cancelled])
    wait_until(lambda: queued.attempts and cancelled.attempts)
    job = slurm.run(
        "sbatch", "--parsable", "--partition=urgent", "--cpus-per-task=4", "--output=/dev/null", "--wrap=sleep 4"
    )
    wait_until(lambda: slurm.run("squeue", "--noheader", "--format=%T", f"--jobs={job.strip()}") == "RUNNING\n")
    wait_until(lambda: first.where(queued.folder) == "queued", backend=first)
    wait_until(lambda: second.where(cancelled.folder) == "queued", backend=second)
    wait_until(lambda: slurm.run("squeue", "--noheader", "--partition=urgent") == "")
    start_now(slurm)
    wait_all(first, [queued])
    wait_all(second, [cancelled])
    assert (queued.attempts, cancelled.attempts) == (2, 2)


@pytest.mark.slow
def test_a_node_that_dies(slurm: SlurmCluster, tmp_path: Path):
    (task,) = scripted(tmp_path, SLEEP)
    runner = backend(partition="second", additional_parameters={"no_requeue": True})
    runner.submit([task])
    wait_until(is_running(task))
    slurm.kill_node("two")
    try:
        ended = wait_all(runner, [task], 120)
    finally:
        slurm.start_node("two")
    assert ended[task.folder].reason.startswith("ended as NODE_FAIL (NodeDown) on two, SLURM job ")


@pytest.mark.slow
def test_the_time_limit_itself(slurm: SlurmCluster, tmp_path: Path):
    (task,) = scripted(tmp_path, "time.sleep(300)", resources=Resources(minutes=1))
    runner = backend(max_num_timeout=0)
    runner.submit([task])
    ended = wait_all(runner, [task], 200)
    assert ended[task.folder].reason.startswith("ended as TIMEOUT on one, SLURM job ")


def test_submitit_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(MissingDependency, match=r"'submitit' is not installed \(.*slurm\]"):
        open_backend(Parallel("slurm"))
