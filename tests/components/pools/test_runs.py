"""Pools through `dj-sandbox`: chains, resumes, kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROWS = 1000
POOLS = 10


def manipulation(name: str, kind: str, **configs) -> dict:
    return {
        "hook": "DataPoolManipulationHook",
        "meta_name": name,
        "output": "pools",
        **configs.pop("job", {}),
        "extra_configs": {"type": f"data_pool_{kind}", "export_path": "${work_dir}/" + name, **configs},
    }


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*.jsonl")}


def test_a_chain_and_its_resume(config_file, dj_sandbox, tmp_path):
    rows = [json.dumps({"n": n, "text": f"é {n}", "__dj__stats__": {"len": (n * 7) % 20, "b": n}}) for n in range(20)]
    (tmp_path / "data.jsonl").write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    path = config_file(
        {
            "work_dir": "out",
            "execution_job_configs": [
                manipulation("construct", "construction", dataset_path="data.jsonl", split_ratios=[0.5]),
                manipulation(
                    "merge",
                    "merging",
                    dataset_path="<pools>",
                    deduplicate=True,
                    job={"input": {"extra_configs.dataset_path": "construct.pools"}},
                ),
                manipulation(
                    "combine",
                    "combination",
                    dataset_path="<pools>",
                    job={"input": {"extra_configs.dataset_path": "construct.pools"}},
                ),
                manipulation(
                    "shrink",
                    "downsampling",
                    dataset_path="<pools>",
                    job={"input": {"extra_configs.dataset_path": "combine.pools"}},
                ),
            ],
        }
    )
    first = dj_sandbox("--config", str(path))
    assert first.returncode == 0, first.stderr
    out = tmp_path / "out"
    parts = [f"{stat}/data_{stat}_{part}.jsonl" for stat in ("len", "b") for part in (0, 1)]
    assert sorted(map(str, (path.relative_to(out / "construct") for path in out.glob("construct/*/*")))) == sorted(
        parts
    )
    merged = (out / "merge" / "data_merged.jsonl").read_text(encoding="utf-8").splitlines()
    assert sorted(merged) == sorted(rows)
    combined = sorted(path.name for path in (out / "combine").iterdir())
    assert combined[0].startswith("data_top_0_1_num") or combined[0].startswith("data_top_0_2_num")
    assert len(list((out / "shrink").iterdir())) == len(combined)

    before = {name: state(out / name) for name in ("construct", "merge", "combine", "shrink")}
    lost = out / "combine" / combined[-1]
    content = lost.read_bytes()
    lost.unlink()
    again = dj_sandbox("--config", str(path), "--resume", "true")
    assert again.returncode == 0, again.stderr
    assert lost.read_bytes() == content
    after = {name: state(out / name) for name in before}
    assert {name for name in before["combine"] if before["combine"][name] != after["combine"][name]} == {lost.name}
    del before["combine"], after["combine"]
    assert before == after


def test_a_bad_row_ends_the_run_with_its_place(config_file, dj_sandbox, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text("{}\n")
    (tmp_path / "in" / "b.jsonl").write_text('{}\n\n{"a"}\n')
    path = config_file({"execution_job_configs": [manipulation("merge", "merging", dataset_path="in")]})
    run = dj_sandbox("--config", str(path))
    assert run.returncode == 1
    assert "in/b.jsonl:3: not a JSON row" in " ".join(run.stderr.split())


@pytest.fixture
def combining(config_file, tmp_path):
    """Start a run that writes 1,023 pools, all of the same content, with two workers; waits until some are there."""
    source = b"".join(b'{"n": %d, "text": "some words"}\n' % n for n in range(ROWS))
    for number in range(POOLS):
        (tmp_path / f"p{number}.jsonl").write_bytes(source)
    pools = [f"p{number}.jsonl" for number in range(POOLS)]
    path = config_file(
        {"work_dir": "out", "execution_job_configs": [manipulation("combine", "combination", dataset_path=pools)]}
    )
    out = tmp_path / "out" / "combine"
    started = []

    def start() -> tuple[subprocess.Popen, list[str]]:
        run = subprocess.Popen(
            [sys.executable, "-m", "data_juicer_sandbox.cli.main", "--config", str(path)],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(run)
        while run.poll() is None and len(list(out.glob("p*"))) < 30:
            time.sleep(0.005)
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        assert run.poll() is None, "it was too quick to be interrupted"
        assert children
        return run, children

    yield start, source, out, path
    for run in started:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()


def alive(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(children: list[str]) -> bool:
    """Whether processes end within some seconds."""
    for _ in range(500):
        if not any(map(alive, children)):
            return True
        time.sleep(0.02)
    return False


def test_after_a_kill_what_is_there_is_whole_and_stays_and_the_rest_is_made(combining, dj_sandbox):
    start, source, out, path = combining
    run, children = start()
    run.kill()
    run.wait()
    assert gone(children)
    before = state(out)
    visible = [path for path in out.iterdir() if not path.name.startswith(".")]
    assert 30 <= len(visible) < 2**POOLS - 1
    assert all(path.read_bytes() == source for path in visible)
    again = dj_sandbox("--config", str(path), "--resume", "true")
    assert again.returncode == 0, again.stderr
    after = state(out)
    assert sum(after[name] != of for name, of in before.items() if not name.startswith(".")) <= 2  # one a worker
    assert sorted(path.name for path in out.iterdir()) == sorted(after)  # no halves are left either
    assert len(after) == 2**POOLS - 1
    assert all((out / name).read_bytes() == source for name in after)


def test_ctrl_c_ends_the_run_and_its_workers(combining):
    start, source, out, _ = combining
    run, children = start()
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(60) == 130
    assert gone(children)
    assert all(path.read_bytes() == source for path in out.iterdir())  # among them no half ones
    assert len(list(out.iterdir())) < 2**POOLS - 1
