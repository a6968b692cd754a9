"""`LocalBackend`: each task is a process of this machine, with its share of the cores, GPUs and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait as wait_for
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.processes.hardware import cores, idle_cores, visible_gpus
from data_juicer_sandbox.components.processes.program import exit_reason, supervised
from data_juicer_sandbox.components.processes.supervisor import GRACE
from data_juicer_sandbox.config.parallel import Parallel, Resources
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import open_append
from data_juicer_sandbox.parallel.backend import Backend, Ended, Submission
from data_juicer_sandbox.parallel.tasks import LOG, TaskFolder

_GB = 1e9


@dataclass
class _Running:
    """A task in progress.

    Args:
        process: its supervisor.
        pipe: the write end of the pipe to the supervisor.
        ended: a file descriptor that becomes readable when the process ends.
        submission: the task.
        cpus: the cores that are reserved for it.
        gpus: the GPUs that are reserved for it.
        deadline: when it is ended, by `time.monotonic`.
    """

    process: subprocess.Popen[bytes]
    pipe: int
    ended: int
    submission: Submission
    cpus: int
    gpus: tuple[str, ...]
    deadline: float | None
    timed_out: bool = field(default=False)


class LocalBackend(Backend):
    """Processes on this machine. When this process ends, for any reason, they are killed.

    Args:
        parallel: `max_workers`; by default as many as cores are idle now, or as there are GPUs.
    """

    name = "local"

    def __init__(self, parallel: Parallel):
        self._cores, self._gpus = cores(), visible_gpus()
        self._max_workers = parallel.max_workers
        self._memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GB
        self._queue: deque[Submission] = deque()
        self._running: dict[Path, _Running] = {}
        self._ended: list[Ended] = []
        self._next_gpu = 0
        self._idle = ""

    @property
    def workers(self) -> int:
        """The maximum number of tasks at the same time."""
        if self._max_workers is None:
            idle = idle_cores()
            self._max_workers = len(self._gpus) or max(1, round(idle))
            self._idle = f": {idle:.1f} of {self._cores} cores are idle"
        return self._max_workers

    def describe(self) -> str:
        """The number of tasks at a time, and why."""
        count = self.workers
        return f"jobs run side by side on this machine, at most {count} at a time{self._idle}"

    def check(self, resources: Sequence[tuple[str, Resources]], folder: Path | None = None) -> None:
        """Check that each task fits this machine.

        Raises:
            JobError: one does not.
        """
        limits = (("cpus", self._cores, "cores"), ("gpus", len(self._gpus), "GPUs"), ("memory_gb", self._memory, "GB"))
        for label, needed in resources:
            for name, limit, unit in limits:
                if (getattr(needed, name) or 0) > limit:
                    what = f"{label} needs {getattr(needed, name):g} {unit}, but this machine has {limit:.4g}"
                    raise JobError(what, hint=f"lower `resources.{name}`, or use another backend")

    def submit(self, submissions: Sequence[Submission]) -> None:
        """Queue tasks, and start those for which there is room."""
        self._queue += submissions
        self._start()

    def wait(self, seconds: float) -> list[Ended]:
        """Wait until a process ends; start others in its place."""
        if not self._ended and self._running:
            deadlines = [task.deadline for task in self._running.values() if task.deadline is not None]
            remaining = min([seconds, *(deadline - time.monotonic() for deadline in deadlines)])
            wait_for([task.ended for task in self._running.values()], timeout=max(0.0, remaining))
        for task in list(self._running.values()):
            if task.process.poll() is not None:
                self._ended.append(Ended(task.submission.folder, self._reason(task)))
                self._release(task)
            elif task.deadline is not None and time.monotonic() >= task.deadline and not task.timed_out:
                task.timed_out = True
                _stop(task)
        self._start()
        ended, self._ended = self._ended, []
        return ended

    def where(self, folder: Path) -> str:
        """The process of a task, or `queued`."""
        task = self._running.get(folder)
        if task is None:
            return "queued"
        return f"pid {task.process.pid}" + (f", GPU {','.join(task.gpus)}" if task.gpus else "")

    def cancel(self, folders: Sequence[Path] | None = None) -> None:
        """End processes; they get some seconds to save their state."""
        ending = [task for folder, task in self._running.items() if folders is None or folder in folders]
        self._queue = deque(task for task in self._queue if folders is not None and task.folder not in folders)
        for task in ending:
            _stop(task)
        deadline = time.monotonic() + GRACE + 1
        for task in ending:
            try:
                task.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("{} did not end in time, and is killed", task.submission.label)
            self._release(task)

    def close(self) -> None:
        """End all processes."""
        self.cancel()

    def _start(self) -> None:
        """Start the tasks at the head of the queue, in order, as long as there is room for the first one."""
        while self._queue and self._fits(self._queue[0]):
            submission = self._queue.popleft()
            self._running[submission.folder] = self._started(submission)

    def _cpus(self, resources: Resources) -> int:
        return resources.cpus or max(1, self._cores // self.workers)

    def _fits(self, submission: Submission) -> bool:
        if not self._running:
            return True
        if len(self._running) >= self.workers:
            return False
        needed = submission.resources
        # With more workers than cores, as the user has decided, each counts as a share of a core.
        room = max(self._cores, self.workers * max(1, self._cores // self.workers))
        cpus = sum(task.cpus for task in self._running.values()) + self._cpus(needed)
        memory = sum(task.submission.resources.memory_gb or 0 for task in self._running.values())
        gpus = sum(len(task.gpus) for task in self._running.values() if task.submission.resources.gpus)
        return (
            cpus <= room
            and memory + (needed.memory_gb or 0) <= self._memory
            and gpus + (needed.gpus or 0) <= max(len(self._gpus), needed.gpus or 0)
        )

    def _started(self, submission: Submission) -> _Running:
        resources = submission.resources
        cpus, gpus = self._cpus(resources), self._take_gpus(resources.gpus)
        # Idle OpenMP threads that spin would take the cores from the other tasks.
        settings = {"OMP_NUM_THREADS": str(cpus), "OMP_WAIT_POLICY": "PASSIVE", **os.environ}
        settings["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        if self._gpus:
            settings["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        TaskFolder(submission.folder).clear_reports()  # no earlier process of the task is left
        read_end, write_end = os.pipe()
        try:
            with open_append(submission.folder / LOG) as log:
                process = subprocess.Popen(
                    supervised(submission.command, read_end),
                    env=settings,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[read_end],
                    start_new_session=True,
                )
        except BaseException:
            os.close(write_end)
            raise
        finally:
            os.close(read_end)
        deadline = None if resources.minutes is None else time.monotonic() + 60 * resources.minutes
        return _Running(process, write_end, os.pidfd_open(process.pid), submission, cpus, gpus, deadline)

    def _take_gpus(self, count: int | None) -> tuple[str, ...]:
        """The GPUs of a task: free ones if it asks for some, else one in turn, if there are any."""
        if count is None:
            self._next_gpu += 1
            return (self._gpus[self._next_gpu % len(self._gpus)],) if self._gpus else ()
        taken = {gpu for task in self._running.values() if task.submission.resources.gpus for gpu in task.gpus}
        return tuple([gpu for gpu in self._gpus if gpu not in taken][:count])

    def _reason(self, task: _Running) -> str:
        if task.timed_out:
            return f"took longer than the {task.submission.resources.minutes:g} minutes of its `resources`"
        return exit_reason(task.process.returncode)

    def _release(self, task: _Running) -> None:
        os.close(task.ended)
        os.close(task.pipe)  # the supervisor then kills what is left
        self._running.pop(task.submission.folder, None)


def _stop(task: _Running) -> None:
    """Ask the supervisor to end the program with all its processes."""
    with suppress(BrokenPipeError):  # it may have ended meanwhile
        os.write(task.pipe, b"t")
