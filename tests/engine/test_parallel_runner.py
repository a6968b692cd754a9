"""Jobs side by side on one machine: the same results as one after the other; every death is survived."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.engine.runner import JobFailed
from data_juicer_sandbox.parallel.status import read_status

PARTS = "parallel_parts."


def job(name, type_name, hook="GeneralDataExecutorHook", **entries):
    extra = {"type": PARTS + type_name, **entries.pop("extra", {})}
    return {"hook": hook, "meta_name": name, "extra_configs": extra, **entries}


def squares(numbers=(3, 1, 2), name="squares", **entries):
    extra = {"numbers": list(numbers), "log": f"{name}_log", "export_path": f"out/{name}.txt"}
    return job(name, "Squares", "EvaluateDataHook", extra=extra, output=["table", "total"], **entries)


def config(*jobs, backend="local", **keys):
    phase = "evaluation_job_configs"
    parallel = {"backend": backend, "max_workers": 2} if backend != "serial" else backend
    return {"work_dir": "out", "parallel": parallel, phase: list(jobs), **keys}


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch, support_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(support_path)
    monkeypatch.setenv("MEET", str(tmp_path / "meet"))


def lines(name="squares"):
    path = Path(f"{name}_log")
    return path.read_text().splitlines() if path.exists() else []


def alive(text):
    """The processes whose command line contains a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in command:
                found.append(int(entry.name))
    return found


def test_the_results_are_those_of_one_job_after_the_other(chain, tmp_path):
    chain["pipelines"]["use"]["evaluation_job_configs"].append(squares())
    found = {}
    for backend in ("serial", "local"):
        Path(backend).mkdir()
        os.chdir(backend)
        results = Sandbox({**chain, "parallel": backend}).run()
        outputs = {
            f"{pipeline}.{record.meta_name}": {name: value for name, value in record.outputs.items() if name != "table"}
            for pipeline, record in results.context.records()
        }
        files = {str(path): path.read_bytes() for path in sorted(Path("out/data").rglob("*"))}
        metrics = results.metrics.drop(columns=["time"]).sort_values(["pipeline", "job", "name"]).to_dict("records")
        found[backend] = outputs, list(outputs), files, metrics, Path("out/squares.txt").read_text()
        pd.testing.assert_frame_equal(
            results["use.squares.table"], pd.DataFrame({"number": [3, 1, 2], "square": [9, 1, 4]})
        )
        os.chdir("..")
    assert found["local"] == found["serial"]
    pids = [{line.split()[1] for line in lines(f"{backend}/squares")} for backend in ("serial", "local")]
    assert [len(processes) for processes in pids] == [1, 3]


def test_jobs_that_do_not_depend_on_each_other_run_side_by_side():
    meet = [job(f"meet_{name}", "Meet", extra={"name": name, "partner": other}) for name, other in ("ab", "ba")]
    results = Sandbox(config(*meet)).run()
    assert (results["anonymous.meet_a.res_1"], results["anonymous.meet_b.res_1"]) == ("b", "a")


def test_one_worker_runs_one_task_at_a_time():
    meet = [
        job(f"meet_{name}", "Meet", extra={"name": name, "partner": other, "patience": 0.5})
        for name, other in ("ab", "ba")
    ]
    with pytest.raises(JobFailed, match="b did not come"):
        Sandbox({**config(*meet), "parallel": {"backend": "local", "max_workers": 1}}).run()


def test_a_failed_item_fails_the_job_and_finished_items_are_kept():
    Path("squares_log.fail_2").touch()
    with pytest.raises(JobFailed) as caught:
        Sandbox({**config(squares()), "parallel": {"backend": "local", "max_workers": 1}}).run()
    assert str(caught.value) == "job 'anonymous.squares' failed: the number 2 is bad (another number)"
    assert [line.split()[0] for line in lines()] == ["3", "1"]
    Path("squares_log.fail_2").unlink()
    results = Sandbox(config(squares())).run(resume=True)
    assert [line.split()[0] for line in lines()] == ["3", "1", "2"]
    assert results["anonymous.squares.total"] == 14
    watched = results.metrics
    assert dict(zip(watched["name"], watched["value"], strict=True)) == {
        "3": 9,
        "1": 1,
        "2": 4,
    }


def test_a_failed_task_is_started_again_as_often_as_retries_says():
    Path("squares_log.fail_2").touch()
    with_retries = {**config(squares()), "parallel": {"backend": "local", "max_workers": 2, "retries": 2}}
    with pytest.raises(JobFailed, match="the number 2 is bad"):
        Sandbox(with_retries).run()
    assert Path("out/sandbox.log").read_text().count("squares: 2 failed and is started again") == 2


@pytest.mark.parametrize("keys", [{}, {"cache_dir": "cache"}])
def test_the_metrics_of_a_failed_attempt_do_not_count(keys):
    again = {**config(job("again", "SecondTry", "EvaluateDataHook")), **keys}
    again["parallel"] = {"backend": "local", "retries": 1}
    results = Sandbox(again).run()
    assert dict(zip(results.metrics["name"], results.metrics["value"], strict=True)) == {"attempt_2": 2}


def test_a_killed_worker_is_told_with_its_signal():
    Path("squares_log.kill_2").touch()
    with pytest.raises(JobFailed, match=r"2: its process was ended by the signal SIGKILL \(out of memory\?\)"):
        Sandbox(config(squares())).run()
    Path("squares_log.kill_2").unlink()
    assert Sandbox(config(squares())).run(resume=True)["anonymous.squares.total"] == 14


def test_a_task_that_takes_too_long_is_ended():
    Path("squares_log.wait_2").touch()
    limited = squares(resources={"minutes": 0.05})
    with pytest.raises(JobFailed, match=r"took longer than the 0.05 minutes of its `resources`"):
        Sandbox(config(limited)).run()


def test_changed_numbers_take_no_result_of_the_old_ones():
    Path("squares_log.fail_2").touch()
    with pytest.raises(JobFailed):
        Sandbox(config(squares())).run()
    Path("squares_log.fail_2").unlink()
    results = Sandbox(config(squares([3, 1, 4]))).run(resume=True)
    assert results["anonymous.squares.total"] == 26
    assert [line.split()[0] for line in lines()].count("3") == 2  # computed again: the job is another one


@pytest.mark.parametrize("victim", ["run", "worker", "both"])
def test_no_process_is_left_after_a_kill(victim, support_path, tmp_path):
    Path("squares_log.wait_2").touch()
    Path("s.yaml").write_text(yaml.safe_dump(config(squares())))
    command = [sys.executable, "-m", "data_juicer_sandbox.cli.main", "--config", "s.yaml"]
    environment = {**os.environ, "PYTHONPATH": support_path}
    run = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not Path("squares_log.begun_2").exists() or len(lines()) < 2:
        assert time.monotonic() < deadline, run.communicate()
        time.sleep(0.05)
    status = read_status(Path("out"))
    while status is None or not any(task.note for task in status.state.tasks):
        assert time.monotonic() < deadline
        time.sleep(0.1)
        status = read_status(Path("out"))
    task = next(task for task in status.state.tasks if task.note)
    assert (task.label, task.text, task.note) == ("anonymous.squares: 2", "squaring", "number 2")
    worker_command = f"parallel.worker\0{tmp_path}"
    workers = [pid for pid in alive(worker_command) if "supervisor" not in Path(f"/proc/{pid}/cmdline").read_text()]
    assert len(workers) == 1
    if victim in ("worker", "both"):
        os.kill(workers[0], signal.SIGKILL)
    if victim in ("run", "both"):
        run.kill()
    run.communicate(timeout=60)
    assert run.returncode == (1 if victim == "worker" else -signal.SIGKILL)
    while alive(worker_command):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    Path("squares_log.wait_2").unlink()
    ended = subprocess.run(
        [*command, "--resume", "true"], env=environment, check=True, stderr=subprocess.PIPE, text=True
    )
    assert "done" in ended.stderr
    assert sorted(line.split()[0] for line in lines()) == ["1", "2", "3"]  # each once
    assert read_status(Path("out")) is None


def test_ctrl_c_ends_the_workers(support_path, tmp_path):
    Path("squares_log.wait_2").touch()
    Path("s.yaml").write_text(yaml.safe_dump(config(squares())))
    command = [sys.executable, "-m", "data_juicer_sandbox.cli.main", "--config", "s.yaml"]
    run = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": support_path}, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not Path("squares_log.begun_2").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 130
    assert not alive(f"parallel.worker\0{tmp_path}")


def test_nothing_of_a_secret_is_left(monkeypatch):
    secret = "k-4f9a1c77e2"
    results = Sandbox(config(job("use", "Secret", "EvaluateDataHook", extra={"api_key": secret}))).run()
    assert results["anonymous.use.res_1"] == len(secret)
    holding = [path for path in Path("out").rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert holding == []
    log = Path("out/jobs/anonymous/use/tasks/job/log.txt")
    assert ("the key of a program is ***" in log.read_text(), log.stat().st_mode & 0o777) == (True, 0o600)


def test_an_item_whose_file_was_removed_after_a_failure_is_done_again():
    Path("squares_log.fail_2").touch()
    with pytest.raises(JobFailed):
        Sandbox({**config(squares()), "parallel": {"backend": "local", "max_workers": 1}}).run()
    Path("squares_log.fail_2").unlink()
    Path("out/jobs/anonymous/squares/square_1.txt").unlink()
    Sandbox(config(squares())).run(resume=True)
    assert sorted(line.split()[0] for line in lines()) == ["1", "1", "2", "3"]
    assert Path("out/jobs/anonymous/squares/square_1.txt").read_text() == "1"


@pytest.mark.parametrize("python_path", [None, "/somewhere"])
def test_a_component_sees_what_it_sees_in_a_serial_run(monkeypatch, python_path):
    if python_path is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", python_path)
    for backend in ("serial", "local"):
        results = Sandbox(
            config(job("look", "Surroundings", "EvaluateDataHook", output=["folder", "python_path"]), backend=backend)
        ).run()
        assert results["anonymous.look.folder"] == "out/jobs/anonymous/look"
        assert results["anonymous.look.python_path"] == ([] if python_path is None else [f"PYTHONPATH={python_path}"])


def test_items_are_kept_whichever_run_made_the_input_and_wherever_the_work_directory_lies():
    # Texts of a fresh result are other objects than those of a restored one; a digest must not depend on it.
    texts = job("texts", "Texts", "EvaluateDataHook", output=["texts"])
    fan = squares(input={"extra_configs.note": "anonymous.texts.texts"})
    Path("here").mkdir()
    os.chdir("here")
    Path("squares_log.fail_2").touch()
    with pytest.raises(JobFailed):
        Sandbox({**config(texts, fan), "parallel": {"backend": "local", "max_workers": 1}}).run()
    Path("squares_log.fail_2").unlink()
    Path("../here").rename("../there")
    os.chdir("../there")
    Sandbox(config(texts, fan)).run(resume=True)
    assert [line.split()[0] for line in lines()] == ["3", "1", "2"]


def test_more_than_the_machine_has_is_told_before_any_work():
    many = squares(name="large", resources={"gpus": 64})
    with pytest.raises(Exception, match=r"anonymous.large needs 64 GPUs, but this machine has \d+"):
        Sandbox(config(squares(), many)).run()
    assert lines() == []


def test_another_work_directory_takes_the_results_from_the_cache():
    cached = {**config(squares()), "cache_dir": "cache"}
    first = Sandbox(cached).run()
    second = Sandbox(cached, work_dir="out").run()
    assert (first.ran, second.ran, second.kept) == (("anonymous.squares",), (), ("anonymous.squares",))
    assert second["anonymous.squares.total"] == 14
    assert sorted(line.split()[0] for line in lines()) == ["1", "2", "3"]
    assert sorted(second.metrics["value"]) == [1, 4, 9]


def test_a_job_is_done_again_on_request():
    Sandbox(config(squares())).run()
    results = Sandbox(config(squares())).run(force="squares")
    assert results.ran == ("anonymous.squares",)
    assert sorted(line.split()[0] for line in lines()) == ["1", "1", "2", "2", "3", "3"]


def test_two_processes_of_one_task_run_it_once():
    """One may still be queued on a cluster when the next run uses another backend."""
    Path("squares_log.wait_2").touch()
    with pytest.raises(JobFailed):
        Sandbox(config(squares(resources={"minutes": 0.05}))).run()  # leaves the folder of the item
    (folder,) = Path("out/jobs/anonymous/squares/tasks").glob("item_2_*")
    command = [sys.executable, "-m", "data_juicer_sandbox.parallel.worker", str(folder.absolute())]
    begun = Path("squares_log.begun_2")
    begun.unlink()
    both = [subprocess.Popen(command) for _ in range(2)]
    while not begun.exists():
        time.sleep(0.05)
    Path("squares_log.wait_2").unlink()
    assert [process.wait(60) for process in both] == [0, 0]
    assert [line.split()[0] for line in lines()].count("2") == 1


@pytest.mark.parametrize("backend", ["serial", "local"])
@pytest.mark.parametrize("code", [0, 3])
def test_a_component_that_ends_the_program_has_failed(backend, code):
    """With 0, the run would look like a success."""
    with pytest.raises(JobFailed, match=f"job 'anonymous.end' failed: SystemExit: {code}"):
        Sandbox(config(job("end", "Exits", "EvaluateDataHook", extra={"code": code}), backend=backend)).run()


def test_a_folder_of_the_user_is_neither_removed_nor_emptied():
    own = Path("out/jobs/anonymous/squares/tasks")
    for name in ("mine", "job"):
        (own / name).mkdir(parents=True)
        (own / name / "notes.txt").write_text(name)
    Path("out/sandbox.log").touch()  # the folder is one of a run
    with pytest.raises(JobFailed, match=r"tasks/job is needed for a task, and is a link or holds something else"):
        Sandbox(config(squares())).run(resume=True)
    (own / "job/notes.txt").rename("notes.txt")
    assert Sandbox(config(squares())).run(resume=True)["anonymous.squares.total"] == 14
    assert (own / "mine/notes.txt").read_text() == "mine"
