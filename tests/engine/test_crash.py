"""`kill -9` at every job boundary and at random moments inside jobs; resumed, the run ends as if nothing had been.

The runs are real ones, in processes of their own. Their components write straight into their files, slowly, so that a
kill leaves half a file behind.
"""

from __future__ import annotations

import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

JOBS = 5
ROWS, DELAY = 25, 0.01


@pytest.fixture
def slow_chain(chain):
    for pipeline in chain["pipelines"].values():
        for job in pipeline["execution_job_configs"]:
            job["extra_configs"]["delay"] = DELAY
            if "rows" in job["extra_configs"] or job["meta_name"] == "other":
                job["extra_configs"]["rows"] = ROWS
    return chain


def start(folder, config, *arguments, support, module=("data_juicer_sandbox.cli.main",)):
    (folder / "s.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return subprocess.Popen(
        [sys.executable, "-m", *module, "--config", "s.yaml", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": support},
        stderr=subprocess.PIPE,
        text=True,
    )


def left(folder):
    """All outputs by job, and the bytes of all files that jobs wrote."""
    context = pickle.loads((folder / "out/context_infos.pkl").read_bytes())
    outputs = {
        (pipeline, record["meta_name"]): {key: value for key, value in record.items() if key != "__job__"}
        for pipeline, records in context[0].items()
        for record in records
    }
    assert len(outputs) == JOBS
    contents = {path.name: path.read_bytes() for path in (folder / "out/data").iterdir()}
    # The toy components write in place. Of a half file, the run cannot know whether a user put it there: it is renamed.
    half_files = [name for name in contents if name.startswith("previous_")]
    assert all(f"{name.removeprefix('previous_').partition('.jsonl')[0]}.jsonl" in contents for name in half_files)
    return outputs, {name: content for name, content in contents.items() if name not in half_files}


def finish(folder, config, support):
    process = start(folder, config, "--resume", support=support)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return said


@pytest.fixture
def expected(tmp_path, slow_chain, support_path):
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    finish(folder, slow_chain, support_path)
    return left(folder)


@pytest.mark.parametrize("point", ["before", "between", "after", "journal", "torn"])
def test_killed_at_every_job_boundary(tmp_path, slow_chain, support_path, expected, point):
    """Killed before the n-th record is saved, between the writing and the renaming of the checkpoint, right after; and
    after and within an entry of the journal.
    """
    for n in range(1, JOBS + 1):
        folder = tmp_path / f"{point}{n}"
        folder.mkdir()
        process = start(folder, slow_chain, module=("toy_lab.doomed", point, str(n)), support=support_path)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        said = finish(folder, slow_chain, support_path)
        done = n if point in ("after", "journal") else n - 1
        assert said.count(" kept: ") == done, said  # at most the job in flight is lost
        assert left(folder) == expected


def test_killed_at_twenty_random_moments(tmp_path, slow_chain, support_path, expected):
    draw = random.Random(20)
    interrupted = 0
    for n in range(20):
        folder = tmp_path / f"random{n}"
        folder.mkdir()
        process = start(folder, slow_chain, support=support_path)
        first = folder / "out/data/rows.jsonl"
        deadline = time.time() + 30
        while not first.exists() and time.time() < deadline:  # inside the jobs, not inside Python's start
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 3.2 * ROWS * DELAY))
        process.kill()
        process.communicate()
        interrupted += process.returncode == -signal.SIGKILL
        finish(folder, slow_chain, support_path)
        assert left(folder) == expected
    assert interrupted >= 15  # if not, the kills came too late to mean anything


def test_killed_again_and_again_it_still_gets_there(tmp_path, slow_chain, support_path, expected):
    folder = tmp_path / "again"
    folder.mkdir()
    draw = random.Random(7)
    for _ in range(6):
        process = start(folder, slow_chain, "--resume", support=support_path)
        time.sleep(draw.uniform(0.4, 1.2))
        process.kill()
        process.communicate()
    finish(folder, slow_chain, support_path)
    assert left(folder) == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_politely(tmp_path, slow_chain, support_path, expected, number):
    for job in slow_chain["pipelines"]["use"]["execution_job_configs"]:
        job["extra_configs"]["delay"] = 0.2  # however late this test gets its turn, the run has not ended yet
    process = start(tmp_path, slow_chain, support=support_path)
    while not (tmp_path / "out/data/scaled.jsonl").exists():
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert (
        "interrupted. Results of finished jobs are kept; resume with:\n  dj-sandbox --config s.yaml --resume true"
        in said
    )
    assert "Traceback" not in said
    assert finish(tmp_path, slow_chain, support_path).count(" kept: ") == 2
    assert left(tmp_path) == expected


def test_two_runs_on_one_folder(tmp_path, slow_chain, support_path):
    process = start(tmp_path, slow_chain, support=support_path)
    while not (tmp_path / "out/data/rows.jsonl").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)  # however long the second takes to start, the first is still there
    second = start(tmp_path, slow_chain, "--resume", support=support_path)
    _, said = second.communicate(timeout=30)
    assert second.returncode == 2
    assert f"another run is using this work directory: process {process.pid} on " in said
    process.kill()
    process.communicate()
    finish(tmp_path, slow_chain, support_path)  # the lock went with its process


def test_a_full_disk_fails_the_job_and_loses_nothing(tmp_path, slow_chain, support_path, expected):
    """A limit on the size of files stands for the disk: the second pipeline's job wants more than there is."""
    wanted = slow_chain["pipelines"]["make"]["execution_job_configs"][1]["extra_configs"]
    small = wanted["rows"]
    wanted.update(rows=5000, delay=0)
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(slow_chain, sort_keys=False))
    process = subprocess.run(
        [sys.executable, "-m", "data_juicer_sandbox.cli.main", "--config", "s.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": support_path},
        preexec_fn=lambda: (
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
            resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)),
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 1, process.stderr
    assert "make.other" in process.stderr
    assert "File too large" in process.stderr
    assert "Traceback" not in process.stderr
    wanted.update(rows=small, delay=DELAY)
    assert finish(tmp_path, slow_chain, support_path).count(" kept: ") == 1
    assert left(tmp_path) == expected


def test_an_unwritable_work_dir(tmp_path, slow_chain, support_path):
    slow_chain["work_dir"] = "/sys/out"  # nobody may write there, root neither
    process = start(tmp_path, slow_chain, support=support_path)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "/sys/out: the work directory cannot be written" in said
    assert "Traceback" not in said


def test_a_work_dir_that_cannot_be(tmp_path, slow_chain, support_path):
    (tmp_path / "out").write_text("a file")
    process = start(tmp_path, slow_chain, support=support_path)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "the work directory cannot be written" in said
    assert "Traceback" not in said
    assert Path(tmp_path / "out").read_text() == "a file"
