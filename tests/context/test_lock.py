"""One run at a time; no lock outlives its process."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from loguru import logger

from data_juicer_sandbox.context.lock import lock_owner, locked
from data_juicer_sandbox.errors import WorkDirError


@pytest.fixture
def log():
    """What is logged."""
    messages = []
    handle = logger.add(lambda message: messages.append(message.record["message"]))
    yield messages
    logger.remove(handle)


HOLD = (
    "import os, sys, time; from pathlib import Path; from data_juicer_sandbox.context.lock import locked\n"
    "with locked(Path(sys.argv[1])):\n"
    "    if sys.argv[2:]:\n"
    "        os.fork() or time.sleep(60)\n"
    "    print('held', flush=True); time.sleep(60)\n"
)


def holder(tmp_path, *more):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), *more], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_holds_it(tmp_path):
    process = holder(tmp_path)
    try:
        with pytest.raises(WorkDirError, match=f"process {process.pid} on "), locked(tmp_path):
            pass
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("change", ["deleted", "replaced"])
def test_a_lock_file_that_is_gone_lets_no_second_run_in(tmp_path, change):
    process = holder(tmp_path)
    try:
        (tmp_path / ".lock").unlink()
        if change == "replaced":
            (tmp_path / ".lock").write_text("")
        with pytest.raises(WorkDirError, match="another run is using this work directory"), locked(tmp_path):
            pass
    finally:
        process.kill()
        process.wait()
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_locked_is_used_all_the_same(tmp_path, monkeypatch):
    """As on NFS, which answers so."""

    def no_lock(descriptor, operation):
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr("fcntl.flock", no_lock)
    with locked(tmp_path):
        code = HOLD.partition("    if")[0] + "    print('held')\n"
        second = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert f"another run is using this work directory: process {os.getpid()}" in second.stderr


def test_no_lock_stays_after_kill_9_even_if_a_child_lives_on(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), "fork"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout.readline() == "held\n"  # the child says so: the parent sleeps
    process.kill()
    process.wait()
    deadline = time.time() + 5
    while True:
        try:
            with locked(tmp_path):
                break
        except WorkDirError:
            assert time.time() < deadline, "the lock outlived its process"
            time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)


def test_a_job_that_reads_the_work_dir_does_not_drop_the_lock(tmp_path):
    """Any close of a file drops a process's record locks on it, but not this kind."""
    with locked(tmp_path):
        for file in tmp_path.iterdir():
            assert file.read_text().startswith("process ")
        code = HOLD.partition("    if")[0] + "    print('held')\n"
        second = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert "another run is using this work directory" in second.stderr


def test_forked_children_have_no_part_in_it(tmp_path):
    started, start = os.pipe()
    with locked(tmp_path):
        child = os.fork()
        if child == 0:
            os.write(start, b"x")
            time.sleep(30)
            os._exit(0)
        assert os.read(started, 1) == b"x"
    with locked(tmp_path):  # while the child lives
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


LEAVE = (
    "import os, sys; from pathlib import Path; from data_juicer_sandbox.context.lock import locked\n"
    "numbers = []\n"
    "try:\n"
    "    with locked(Path(sys.argv[1])):\n"
    "        child = os.fork()\n"
    "        if child == 0:\n"
    "            numbers = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]\n"
    "            raise KeyError\n"
    "except KeyError:\n"
    "    [os.fstat(number) for number in numbers]; os._exit(7)\n"
    "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
)


def test_a_forked_child_that_leaves_the_block_closes_no_file_of_its_own(tmp_path):
    """The number of the lock's descriptor may be that of a file which the child has opened since."""
    process = subprocess.run([sys.executable, "-c", LEAVE, tmp_path], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (7, "")


def test_programs_that_a_job_starts_do_not_inherit_it(tmp_path):
    with locked(tmp_path):
        child = subprocess.Popen(["sleep", "30"], close_fds=False)
    with locked(tmp_path):
        assert child.poll() is None
    child.kill()
    child.wait()


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_no_link_pipe_or_folder_is_taken_for_the_lock(tmp_path, kind):
    target = tmp_path / "target"
    target.write_text("the user's own")
    lock = tmp_path / "out/.lock"
    lock.parent.mkdir()
    {"link": lambda: lock.symlink_to(target), "folder": lock.mkdir, "pipe": lambda: os.mkfifo(lock)}[kind]()
    with (
        pytest.raises(WorkDirError, match=r"\.lock is a (symbolic link|folder|special file)"),
        locked(tmp_path / "out"),
    ):
        pass
    assert target.read_text() == "the user's own"


def test_only_its_owner_may_read_it(tmp_path):
    with locked(tmp_path):
        assert (tmp_path / ".lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO, errno.EPERM])
def test_a_file_system_without_locks(tmp_path, monkeypatch, number, log):
    """There is none here: the system call is answered as NFS without a lock service, FUSE and others answer it."""
    real, temporary = fcntl.fcntl, tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def no_locks(descriptor, command, *rest):
        if Path(f"/proc/self/fd/{descriptor}").readlink().match("*/out/.lock"):
            raise OSError(number, os.strerror(number))
        return real(descriptor, command, *rest)

    monkeypatch.setattr("fcntl.fcntl", no_locks)
    with locked(tmp_path / "out"):
        assert "out is on a file system without locks: runs on other machines are not kept out of it" in log[-1]
        (folder,) = temporary.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        with pytest.raises(WorkDirError, match=f"process {os.getpid()}"), locked(tmp_path / "out"):
            pass
    with locked(tmp_path / "out"):
        pass
    folder.chmod(0o777)
    with pytest.raises(WorkDirError, match="not a folder of this user alone"), locked(tmp_path / "out"):
        pass


def test_it_can_be_taken_again_after_it_was_given_back(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "new"):
            pass


def test_an_unwritable_folder_and_a_file_where_it_should_be(tmp_path):
    with pytest.raises(WorkDirError, match="cannot be written"), locked(Path("/sys/out")):
        pass  # nobody may write there, root neither
    (tmp_path / "f").write_text("")
    with pytest.raises(WorkDirError, match="cannot be written"), locked(tmp_path / "f" / "x"):
        pass


def test_the_owner_of_a_lock_is_named_without_taking_it(tmp_path):
    assert lock_owner(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    process = holder(tmp_path)
    try:
        assert lock_owner(tmp_path).startswith(f"process {process.pid} on ")
    finally:
        process.kill()
        process.wait()
    assert lock_owner(tmp_path) is None
    with locked(tmp_path):
        assert lock_owner(tmp_path).startswith(f"process {os.getpid()} on ")  # also in the process itself
    assert lock_owner(tmp_path) is None
