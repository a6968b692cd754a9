"""Runs a program so that nothing of it is left when it, or whoever asked for it, ends. Run as a script, on its own.

    python supervisor.py FD ASKING PROGRAM [ARGUMENT ...]

FD is the reading end of a pipe whose other end the asking process, of id ASKING, holds. A byte that comes through
means: end the program in good order (SIGTERM, then SIGKILL). The end of the pipe, or another parent than ASKING
(should a fork of the asking process hold the pipe open), means that it is gone, however that came about: everything is
killed at once. Unlike a parent-death signal this has no race at the start, does not depend on the thread that asked,
and reaches the program's own children too: this process is their subreaper, so whatever they start stays below it, in a
session of its own or not.

It ends as the program did: with its exit status, or by its signal. Stands alone: only the standard library, started
without site packages.
"""

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys
import threading
import time

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""
PATIENCE = 30.0
"""Seconds after which a process that cannot be killed (one that waits for a dead disk, say) is left alone."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def descendants() -> list[int]:
    """All processes below this one."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stream:  # noqa: PTH123
                    parent = int(stream.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue  # gone meanwhile
            children.setdefault(parent, []).append(int(name))
    found, todo = [], [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def signal_all(number: int) -> list[int]:
    """Send a signal to all processes below this one; returns which there were."""
    there = descendants()
    for process in there:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)
    return there


def reap() -> None:
    """Collect what has ended, so that it no longer counts as there."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def kill_all() -> None:
    """Kill until nothing is left: what a process starts while it is being killed is found the next time."""
    until = time.monotonic() + PATIENCE
    while signal_all(signal.SIGKILL) and time.monotonic() < until:
        reap()
        time.sleep(0.005)


def obey(pipe: int, asking: int) -> None:
    """Wait for the word, or the end, of the asking process; then end the program, and with it this process."""
    while os.getppid() == asking and not select.select([pipe], [], [], 0.5)[0]:
        pass
    if os.getppid() == asking and os.read(pipe, 1):
        signal_all(signal.SIGTERM)
        time.sleep(GRACE)  # the main thread ends this process as soon as the program has ended
    while True:
        signal_all(signal.SIGKILL)
        time.sleep(0.02)


def become(argv: list[str], supervisor: int) -> None:
    """Turn this process into the program."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # should the supervisor itself be killed
    if os.getppid() != supervisor:
        os._exit(1)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and a program would inherit that
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)  # noqa: S606
    except (OSError, ValueError) as error:
        os.write(2, f"cannot run {argv[0]!r}: {error}\n".encode(errors="backslashreplace"))
    os._exit(127)


def main() -> None:
    """Run the program."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    pipe, asking, argv, supervisor = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:], os.getpid()
    program = os.fork()
    if program == 0:
        os.close(pipe)
        become(argv, supervisor)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the program; the pipe is what tells this process
    threading.Thread(target=obey, args=(pipe, asking), daemon=True).start()
    ended = 0
    while ended != program:  # orphans of the program's are reaped on the way
        ended, status = os.waitpid(-1, 0)
    kill_all()
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if os.WTERMSIG(status) != signal.SIGKILL:
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
        time.sleep(1)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
