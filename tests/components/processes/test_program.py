"""Real programs: what they print, how they end, and that nothing of them is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from data_juicer_sandbox.components.processes.program import MAX_LINE, Program
from data_juicer_sandbox.errors import JobError


def python(code: str, **options) -> Program:
    return Program([sys.executable, "-c", code], **options)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=10.0):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def test_lines_of_both_streams_as_they_come():
    code = "import sys, time\nprint('a\\rb\\r\\nc')\nprint('e', file=sys.stderr)\ntime.sleep(60)"
    begun = time.monotonic()
    with closing(python(code).run()) as lines:
        found = [(line.text, line.error) for _, line in zip(range(4), lines, strict=False)]
    assert sorted(found) == [("a", False), ("b", False), ("c", False), ("e", True)]
    assert time.monotonic() - begun < 10


def test_megabytes_without_a_line_end_and_invalid_utf_8():
    code = "import sys\nw = sys.stdout.buffer.write\nw(b'x' * 3_000_000)\nw(b'\\n\\xff\\xfe ok\\nlast')"
    lines = [line.text for line in python(code).run()]
    assert "".join(lines[:-2]) == "x" * 3_000_000
    assert max(map(len, lines)) <= 2 * MAX_LINE
    assert lines[-2:] == ["\ufffd\ufffd ok", "last"]


def test_folder_and_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("INHERITED", "1")
    code = "import os\nprint(os.getcwd(), os.environ['INHERITED'], os.environ['ADDED'], os.environ['PYTHONUNBUFFERED'])"
    (line,) = python(code, cwd=str(tmp_path), env={"ADDED": "2"}).run()
    assert line.text == f"{tmp_path} 1 2 1"
    with pytest.raises(JobError, match="in nowhere: no such folder"):
        list(python("", cwd="nowhere").run())


def test_no_shell_looks_at_the_arguments():
    (line,) = Program(["echo", "$HOME; *", "a b"]).run()
    assert line.text == "$HOME; * a b"


def test_the_program_finds_signals_and_input_as_a_shell_would_leave_them():
    code = "import sys\nprint(sys.stdin.read() == '')\nprint(open('/proc/self/status').read())"
    text = "\n".join(line.text for line in Program([sys.executable, "-I", "-c", code]).run())
    assert text.startswith("True")
    ignored = int(next(line for line in text.splitlines() if line.startswith("SigIgn")).split()[1], 16)
    assert not ignored & (1 << (signal.SIGTERM - 1))
    assert not ignored & (1 << (signal.SIGHUP - 1))
    broken = "trap '' PIPE; trap - PIPE; yes | head -1; exit ${PIPESTATUS[0]}"
    with pytest.raises(JobError, match=r"ended with status 141"):  # 128 + SIGPIPE: `yes` ended by it
        list(Program(["bash", "-c", broken]).run())


def test_a_failure_tells_status_and_last_lines():
    code = "for n in range(50): print('line', n)\nraise SystemExit(3)"
    with pytest.raises(JobError, match=r"ended with status 3; its last lines:\n  line 30\n(  line \d+\n)+  line 49$"):
        list(python(code).run())
    with pytest.raises(JobError, match=r"SIGSEGV, without any output"):
        list(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)").run())
    with pytest.raises(JobError, match=r"SIGKILL \(out of memory\?\)"):
        list(python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").run())
    with pytest.raises(JobError, match=r"status 127.*\n.*cannot run 'no-such-program': .*No such file"):
        list(Program(["no-such-program"]).run())


def test_secrets_are_masked(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "inherited-value")
    program = python(
        "import os, sys; sys.exit(os.environ['MY_PASSWORD'] + os.environ['WANDB_API_KEY'])",
        env={"MY_PASSWORD": "hunter2", "MODE": "plain"},
    )
    with pytest.raises(JobError) as raised:
        list(program.run())
    assert "******" in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert "inherited-value" not in str(raised.value)
    assert program.masked("plain hunter2") == "plain ***"
    shown = Program(["train", "--api-key", "abcdef123456", "--lr", "0.1", "pw=hunter2"], env=program.env).shown()
    assert shown == "train --api-key *** --lr 0.1 'pw=***'"


GRANDCHILD = """
import os, subprocess, sys, time
code = "import time\\nwhile True: open(sys.argv[1], 'a').write('.'); time.sleep(0.02)"
code = "import sys\\n" + code
child = subprocess.Popen([sys.executable, "-c", code, sys.argv[1]], start_new_session=True, stdout=subprocess.DEVNULL)
print(child.pid, os.getpid(), flush=True)
"""


def family(tmp_path, rest: str, **options) -> Program:
    """A program whose child, in a session of its own, goes on writing to a file."""
    return Program([sys.executable, "-c", GRANDCHILD + rest, str(tmp_path / "written")], **options)


def collect(program: Program, numbers: list[int]) -> None:
    for line in program.run():
        numbers.extend(map(int, line.text.split()))


def test_time_out_ends_the_program_and_all_it_started(tmp_path):
    pids = []
    begun = time.monotonic()
    with pytest.raises(JobError, match=r"took longer than 1.5 s; its last lines:\n  \d+ \d+"):
        collect(family(tmp_path, "time.sleep(60)", timeout=1.5), pids)
    assert time.monotonic() - begun < 8
    assert len(pids) == 2
    assert not any(map(alive, pids))


def test_time_out_also_where_output_never_stops_or_is_closed():
    with pytest.raises(JobError, match=r"longer than 0.5 s"):
        for _ in Program(["yes"], timeout=0.5).run():
            pass
    with pytest.raises(JobError, match=r"longer than 0.5 s"):
        list(python("import os, time; os.close(1); os.close(2); time.sleep(60)", timeout=0.5).run())


def test_a_program_that_will_not_stop_is_killed_after_a_while():
    code = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('on')\ntime.sleep(60)"
    begun = time.monotonic()
    with pytest.raises(JobError, match=r"longer than 1 s"):
        list(python(code, timeout=1.0).run())
    assert 5 < time.monotonic() - begun < 20


def test_a_program_may_end_in_good_order(tmp_path):
    code = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path(sys.argv[1]).touch(), sys.exit(0)))\n"
        "print('on')\ntime.sleep(60)"
    )
    with closing(Program([sys.executable, "-c", code, str(tmp_path / "saved")]).run()) as lines:
        next(lines)
    assert (tmp_path / "saved").exists()


def test_nothing_goes_on_after_the_program_ended_well(tmp_path):
    (line,) = family(tmp_path, "").run()
    assert not alive(int(line.text.split()[0]))


ASKING = """
import sys
from data_juicer_sandbox.components.processes.program import Program
for line in Program(sys.argv[1:]).run():
    print(line.text, flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_goes_on_when_the_run_is_killed_or_interrupted(tmp_path, how):
    written = tmp_path / "written"
    argv = [sys.executable, "-c", GRANDCHILD + "time.sleep(60)", str(written)]
    asking = subprocess.Popen([sys.executable, "-c", ASKING, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    pids = list(map(int, asking.stdout.readline().split()))
    assert len(pids) == 2
    assert wait_for(lambda: written.exists() and written.stat().st_size > 3)
    asking.send_signal(how)
    assert asking.wait(timeout=15) != 0
    if how == signal.SIGINT:
        assert b"KeyboardInterrupt" in asking.stderr.read()
    assert wait_for(lambda: not any(map(alive, pids)))
    size = written.stat().st_size
    time.sleep(0.2)
    assert written.stat().st_size == size
    asking.communicate()


def test_a_fork_that_holds_the_pipe_open_does_not_keep_the_program_alive(tmp_path):
    """A worker process, forked while the program runs, has a copy of everything its parent had open."""
    code = ASKING.replace("    print", "    import os, time\n    if os.fork() == 0: time.sleep(60)\n    print")
    argv = [sys.executable, "-c", GRANDCHILD + "time.sleep(60)", str(tmp_path / "written")]
    asking = subprocess.Popen([sys.executable, "-c", code, *argv], stdout=subprocess.PIPE, start_new_session=True)
    try:
        pids = list(map(int, asking.stdout.readline().split()))
        asking.kill()
        assert wait_for(lambda: not any(map(alive, pids)))
    finally:
        os.killpg(asking.pid, signal.SIGKILL)
        asking.wait()


def test_the_program_dies_with_its_supervisor():
    code = "import os, time\nprint(os.getpid(), os.getppid())\ntime.sleep(60)"
    lines = python(code).run()
    program, supervisor = map(int, next(lines).text.split())
    os.kill(supervisor, signal.SIGKILL)
    with pytest.raises(JobError, match="SIGKILL"):
        next(lines)
    assert wait_for(lambda: not alive(program))


def test_a_json_line_of_more_than_64_kib_is_whole():
    code = "import json, sys; print(json.dumps({'values': list(range(60000))})); print('x' * 200000, file=sys.stderr)"
    lines = list(Program([sys.executable, "-c", code]).run())
    (line,) = [line.text for line in lines if not line.error]
    assert json.loads(line) == {"values": list(range(60000))}
    assert max(len(line.text) for line in lines if line.error) <= 2 * MAX_LINE
