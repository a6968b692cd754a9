"""`SlurmBackend`: each task is an element of a SLURM job array."""

from __future__ import annotations

import re
import time
import uuid
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from loguru import logger

from data_juicer_sandbox.config.parallel import Parallel, Resources
from data_juicer_sandbox.files import open_regular, replacing
from data_juicer_sandbox.parallel import slurm_commands as commands
from data_juicer_sandbox.parallel.backend import Backend, Ended, Submission
from data_juicer_sandbox.parallel.shared_folder import has_outcome
from data_juicer_sandbox.parallel.slurm_check import check_cluster
from data_juicer_sandbox.parallel.slurm_commands import ACTIVE, JobState, SlurmError
from data_juicer_sandbox.parallel.slurm_script import NOT_VISIBLE, SUBMITTED, TIMEOUTS, ScriptWriter

MAX_ARRAY = 1_000
"""Maximum number of tasks in a job array, if the cluster allows so many."""
MIN_INTERVAL, MAX_INTERVAL = 1.0, 15.0
"""Seconds between two queries of the queue: the first after a change; doubled as long as nothing changes."""
QUERY_SHARE = 0.02
"""Maximum share of the time that queries take."""
VISIBLE_AFTER = 15.0
"""Seconds in which a file that a node has written appears on a shared file system."""
CANCEL_SECONDS = 10.0
"""Maximum time to wait until cancelled tasks have ended."""
COMPLETING_SECONDS = 60.0
"""Maximum time to wait for the end of jobs that an earlier run cancelled."""
_QUEUED = ("PENDING", "CONFIGURING", "REQUEUED")
_STUCK = {"BadConstraints", "PartitionNodeLimit", "PartitionTimeLimit", "PartitionInactive", "PartitionDown"} | {
    *("InvalidAccount", "InvalidQOS", "AccountNotAllowed", "QOSNotAllowed"),
    *("JobHeldAdmin", "JobHeldUser", "DependencyNeverSatisfied", "launch failed requeued held"),
}
"""Reasons why a job waits that do not pass by themselves."""


_PLAIN = {"NonZeroExitCode", "TimeLimit", "OutOfMemory"}
"""Reasons why a job ended that its state tells too."""


class _Submitted(msgspec.Struct):
    """What `submitted.json` in a task's folder says: the job array that runs it, and its index there."""

    array: str
    index: int


@dataclass
class _Array:
    """A job array.

    Args:
        name: its name; no other one has it.
        job: its job id; empty until it is known.
        limit: how many of its elements may run at the same time; None: not known.
    """

    name: str
    job: str = ""
    limit: int | None = None


@dataclass
class _Task:
    """A submitted task.

    Args:
        submission: the task.
        array: its job array.
        index: its index there.
        state: its last known state.
        ended: when it was seen that it had ended, by `time.monotonic`.
    """

    submission: Submission
    array: _Array
    index: int
    state: JobState = field(default_factory=lambda: JobState("PENDING"))
    ended: float | None = None

    @property
    def job(self) -> str:
        return f"{self.array.job}_{self.index}"


class SlurmBackend(Backend):
    """Tasks on a SLURM cluster. If this process is killed, they go on, and the next run finds them again.

    Args:
        parallel: `max_workers`: by default all tasks are queued, and the cluster decides; the keys `slurm_*`.

    Raises:
        MissingDependency: submitit is not installed.
        JobError: a key `slurm_*` is wrong.
    """

    name = "slurm"

    def __init__(self, parallel: Parallel):
        self._writer = ScriptWriter(parallel.slurm)
        self._writer.check()
        self._max_workers = parallel.max_workers
        self._max_array = self._array_size = 0
        self._queue: deque[Submission] = deque()
        self._tasks: dict[Path, _Task] = {}
        self._arrays: dict[str, _Array] = {}
        self._known: set[Path] = set()
        """The folders of all tasks that this process has received."""
        self._ended: list[Ended] = []
        self._interval, self._next_query = MIN_INTERVAL, 0.0
        self._warnings: set[str] = set()

    def check(self, resources: Sequence[tuple[str, Resources]], folder: Path | None = None) -> None:
        """Check that the cluster answers and accepts such tasks, and that its nodes see the folder.

        Raises:
            JobError: one line that says what is wrong.
        """
        check_cluster(self._writer, resources, folder)

    def submit(self, submissions: Sequence[Submission]) -> None:
        """Queue tasks; those that an earlier process submitted, and that have not ended, are found again."""
        if not self._max_array:
            self._max_array = max(1, min(MAX_ARRAY, int(commands.read_config().get("MaxArraySize", MAX_ARRAY))))
            self._array_size = self._max_array
        adopted = self._adopt([task for task in submissions if task.folder not in self._known])
        if adopted:
            logger.info("SLURM has {} of the tasks since an earlier run; waiting for them", adopted)
        self._known |= {task.folder for task in submissions}
        self._queue += [task for task in submissions if task.folder not in self._tasks]
        self._submit_queue()
        self._soon()

    def wait(self, seconds: float) -> list[Ended]:
        """Wait until a task ends. The queue is queried now and then, once for all tasks."""
        deadline = time.monotonic() + seconds
        while not self._ended:
            now = time.monotonic()
            if self._tasks and now >= self._next_query:
                self._query()
            elif now >= deadline:
                break
            else:
                time.sleep(max(0.0, min(deadline, self._next_query if self._tasks else deadline) - now))
        ended, self._ended = self._ended, []
        return ended

    def where(self, folder: Path) -> str:
        """The node and the job of a task, or `queued`."""
        task = self._tasks.get(folder)
        if task is None or task.state.state in _QUEUED:
            return "queued"
        return ", ".join(part for part in (task.state.node, f"SLURM job {task.job}") if part)

    def cancel(self, folders: Sequence[Path] | None = None) -> None:
        """Cancel tasks, and wait some seconds until they have ended."""
        chosen = {*self._tasks, *(task.folder for task in self._queue)} if folders is None else set(folders)
        self._queue = deque(task for task in self._queue if task.folder not in chosen)
        ending = {(task.array.name, task.index) for folder, task in self._tasks.items() if folder in chosen}
        names = {name for name, _ in ending}
        for folder in chosen:
            self._forget(folder)
        cancelled: set[str] = set()
        deadline = time.monotonic() + CANCEL_SECONDS
        while names:
            states = commands.job_states(names)
            active = [states[key].job for key in ending if key in states and states[key].state in ACTIVE]
            if folders is None:
                active = sorted({job.split("_")[0] for job in active})
            commands.cancel([job for job in active if job not in cancelled])
            cancelled.update(active)
            if not active:
                break
            if time.monotonic() > deadline:
                logger.warning("SLURM has not yet ended all cancelled jobs: {}", ", ".join(active[:5]))
                break
            time.sleep(0.5)

    def close(self) -> None:
        """Cancel what has not ended."""
        names = sorted({task.array.name for task in self._tasks.values()})
        try:
            self.cancel()
        except SlurmError as error:  # it must not hide why the run ends
            logger.warning("SLURM's jobs with the names {} are not cancelled: {}", ", ".join(names), error.what)

    def _adopt(self, submissions: Sequence[Submission]) -> int:
        """Find the tasks that SLURM has since an earlier run; returns their number."""
        entries = {task.folder: entry for task in submissions if (entry := _read_submitted(task.folder)) is not None}
        names = {entry.array for entry in entries.values()}
        deadline = time.monotonic() + COMPLETING_SECONDS
        while True:
            states = commands.job_states(names)
            matching = {path: states.get((entry.array, entry.index), JobState("")) for path, entry in entries.items()}
            # A job that is being cancelled writes no result, and has to be gone before the task is submitted again.
            completing = any(state.state == "COMPLETING" for state in matching.values())
            if not completing or time.monotonic() > deadline:
                break
            time.sleep(MIN_INTERVAL)
        active = {path: state for path, state in matching.items() if state.state in ACTIVE}
        # The oldest array first, as at their submission.
        for task in sorted(submissions, key=lambda task: _job_number(active.get(task.folder))):
            if (state := active.get(task.folder)) is not None:
                entry = entries[task.folder]
                array = self._arrays.setdefault(entry.array, _Array(entry.array, state.job.split("_")[0]))
                self._tasks[task.folder] = _Task(task, array, entry.index, state)
        return len(active)

    def _submit_queue(self) -> None:
        """Submit the tasks for which there is room, and let those in the queue of SLURM use it."""
        room = self._share_room()
        while self._queue and (room is None or room > 0):
            resources = self._queue[0].resources
            tasks = [task for task in self._queue if task.resources == resources][: self._array_size]
            limit = len(tasks) if room is None else min(room, len(tasks))
            if self._submit_array(tasks, limit):
                submitted = {task.folder for task in tasks}
                self._queue = deque(task for task in self._queue if task.folder not in submitted)
                room = room if room is None else room - limit
                self._array_size = min(2 * self._array_size, self._max_array)
            elif len(tasks) == 1:
                break

    def _share_room(self) -> int | None:
        """Distribute the `max_workers` over the arrays, the oldest first; returns the rest."""
        unfinished = Counter(task.array.name for task in self._tasks.values())
        waiting = Counter(task.array.name for task in self._tasks.values() if task.state.state in _QUEUED)
        self._arrays = {name: array for name, array in self._arrays.items() if unfinished[name]}
        room = self._max_workers
        for name, array in self._arrays.items():
            share = unfinished[name] if room is None else max(1, min(room, unfinished[name]))
            if waiting[name] and (array.limit is None or (room is not None and array.limit < share)):
                try:
                    commands.limit_running(array.job, 0 if room is None else share)
                    array.limit = share
                except SlurmError as error:  # all of them may have started meanwhile
                    logger.debug("{}", error)
            room = room if room is None else max(0, room - share)
        return room

    def _submit_array(self, tasks: Sequence[Submission], limit: int) -> bool:
        """Submit tasks as a job array; False if there is no room in the queue of SLURM for so many.

        Raises:
            SlurmError: they are refused.
        """
        array = _Array(f"{self._writer.prefix}-{uuid.uuid4().hex[:12]}", limit=limit)
        self._arrays[array.name] = array
        for index, task in enumerate(tasks):
            # Written first: whenever this process is killed, the array can be found by its name.
            with replacing(task.folder / SUBMITTED, shared=True) as part:
                part.write_bytes(msgspec.json.encode(_Submitted(array.name, index)))
            (task.folder / TIMEOUTS).unlink(missing_ok=True)
            self._tasks[task.folder] = _Task(task, array, index)
        try:
            array.job = commands.submit(self._writer.script(array.name, tasks[0].resources, tasks, limit))
        except SlurmError as error:
            states = commands.job_states([array.name])  # if only the answer was lost, it is there
            if states:
                array.job = next(iter(states.values())).job.split("_")[0]
                return True
            for task in tasks:
                self._forget(task.folder)
            del self._arrays[array.name]
            if re.search(r"submit ?limit|job limit|max.?submit", error.what, re.IGNORECASE) and (
                len(tasks) > 1 or self._tasks
            ):
                self._array_size = max(1, len(tasks) // 2)
                self._warn(f"SLURM takes fewer tasks at a time than there are: {error.what}")
                return False
            raise SlurmError(f"cannot submit {_labels(tasks)}: {error.what}") from error
        logger.info("submitted {} tasks to SLURM: job {} ({})", len(tasks), array.job, array.name)
        return True

    def _query(self) -> None:
        """Ask SLURM for the states of all tasks."""
        started = time.monotonic()
        try:
            states = commands.job_states({task.array.name for task in self._tasks.values()})
            tasks = list(self._tasks.values())
        except SlurmError as error:  # it may be restarting; the tasks go on
            self._warn(f"{error.what}; trying again")
            states, tasks = {}, []
        took = time.monotonic() - started
        changed = False
        for task in tasks:
            state = states.get((task.array.name, task.index), JobState(""))
            changed |= state.state != task.state.state
            task.state = state
            # With a result, the clean-up of a node is not waited for: it may take long.
            if state.state not in ACTIVE or (state.state == "COMPLETING" and has_outcome(task.submission.folder)):
                self._settle(task)
            elif state.reason in _STUCK and state.state == "PENDING":
                self._warn(f"{task.submission.label} waits in SLURM, job {task.job}: {state.reason}")
        # A task may also be given up without a change: its job has ended, and its result does not appear.
        changed |= any(task.submission.folder not in self._tasks for task in tasks)
        if changed:
            self._submit_queue()
        self._interval = MIN_INTERVAL if changed else min(2 * self._interval, MAX_INTERVAL)
        self._next_query = time.monotonic() + max(self._interval, took / QUERY_SHARE)

    def _settle(self, task: _Task) -> None:
        """Decide what the end of a job means."""
        folder, state = task.submission.folder, task.state.state
        if not has_outcome(folder):
            if state == "PREEMPTED":  # the cluster cancels such jobs instead of queueing them again
                logger.info("{} was preempted; it is submitted again", task.submission.label)
                self._forget(folder)
                self._queue.append(task.submission)
                return
            task.ended = task.ended or time.monotonic()
            if state in ("COMPLETED", "") and time.monotonic() - task.ended < VISIBLE_AFTER:
                return
        self._ended.append(Ended(folder, "" if has_outcome(folder) else _reason(task)))
        self._forget(folder)

    def _forget(self, folder: Path) -> None:
        self._tasks.pop(folder, None)

    def _soon(self) -> None:
        self._interval, self._next_query = MIN_INTERVAL, time.monotonic() + MIN_INTERVAL

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.add(text)
            logger.warning("{}", text)


def _read_submitted(folder: Path) -> _Submitted | None:
    """The job array of a task; None if it was not submitted."""
    try:
        with open_regular(folder / SUBMITTED) as stream:
            return msgspec.json.decode(stream.read(1 << 16), type=_Submitted)
    except (OSError, msgspec.MsgspecError):
        return None


def _job_number(state: JobState | None) -> int:
    return 0 if state is None else int(state.job.split("_")[0])


def _reason(task: _Task) -> str:
    """Why a job ended without a result: continues the words "its process"."""
    state = task.state
    if not state.state:
        return f"ended, and SLURM no longer knows why (job {task.job})"
    where = f"{f' on {state.node}' if state.node else ''}, SLURM job {task.job}"
    if state.state == "COMPLETED":
        return f"ended without a result{where}"
    details = [] if state.reason in _PLAIN else [state.reason]
    if state.state == "FAILED":
        details.append(commands.exit_status(task.job))
    if f"exit status {NOT_VISIBLE}" in details:
        return f"was not started: the node does not see the folder {task.submission.folder}{where}"
    listed = ", ".join(detail for detail in details if detail)
    return f"ended as {state.state}{f' ({listed})' if listed else ''}{where}"


def _labels(tasks: Sequence[Submission]) -> str:
    more = f" and {len(tasks) - 1} others" if len(tasks) > 1 else ""
    return f"{tasks[0].label}{more}"
