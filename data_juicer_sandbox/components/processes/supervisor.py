"""Supervisor: runs a program, and kills all its processes when the program or the parent process ends. A script:

    python supervisor.py FD PARENT PROGRAM [ARGUMENT ...]

FD is the read end of a pipe; the parent process, with the id PARENT, holds the write end. A byte in the pipe means:
terminate the program gracefully (SIGTERM, then SIGKILL). The end of the pipe, or another parent than PARENT (in case a
fork of the parent holds the pipe open), means that the parent has ended: all processes are killed at once. Unlike a
parent-death signal, this has no race at the start, does not depend on the forking thread, and also reaches the
program's children: this process is their subreaper, so their processes stay its descendants, in any session.

The supervisor exits like the program: with its exit status, or by its signal. It uses only the standard library and is
started without site packages.
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
"""Seconds after which a process that cannot be killed (because it waits for a dead disk, say) is ignored."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def descendants() -> list[int]:
    """All descendants of this process."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stream:  # noqa: PTH123
                    parent = int(stream.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue  # ended meanwhile
            children.setdefault(parent, []).append(int(name))
    processes, queue = [], [os.getpid()]
    while queue:
        child_processes = children.get(queue.pop(), [])
        processes += child_processes
        queue += child_processes
    return processes


def signal_all(number: int) -> list[int]:
    """Send a signal to all descendants; returns their ids."""
    processes = descendants()
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)
    return processes


def reap() -> None:
    """Reap ended child processes, so that they are no longer listed as descendants."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def kill_all() -> None:
    """Kill all descendants, repeatedly, since a process may start others before it is killed."""
    deadline = time.monotonic() + PATIENCE
    while signal_all(signal.SIGKILL) and time.monotonic() < deadline:
        reap()
        time.sleep(0.005)


def watch_parent(pipe: int, parent: int) -> None:
    """Wait for a byte from the parent, or for its end; then terminate the program, and with it this process."""
    while os.getppid() == parent and not select.select([pipe], [], [], 0.5)[0]:
        pass
    if os.getppid() == parent and os.read(pipe, 1):
        signal_all(signal.SIGTERM)
        time.sleep(GRACE)  # the main thread exits as soon as the program has ended
    while True:
        signal_all(signal.SIGKILL)
        time.sleep(0.02)


def exec_program(argv: list[str], supervisor: int) -> None:
    """Replace this process by the program."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # in case the supervisor itself is killed
    if os.getppid() != supervisor:
        os._exit(1)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and the program would inherit that
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)  # noqa: S606
    except (OSError, ValueError) as error:
        os.write(2, f"cannot run {argv[0]!r}: {error}\n".encode(errors="backslashreplace"))
    os._exit(127)


def main() -> None:
    """Run the program."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    pipe, parent, argv, supervisor = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:], os.getpid()
    program = os.fork()
    if program == 0:
        os.close(pipe)
        exec_program(argv, supervisor)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # ignored here; the parent controls this process by the pipe
    threading.Thread(target=watch_parent, args=(pipe, parent), daemon=True).start()
    ended = 0
    while ended != program:  # also reaps orphans of the program
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
