"""`RayBackend`: each task is a Ray task that runs the command as a process of its node."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from loguru import logger

from data_juicer_sandbox.components.processes import supervisor
from data_juicer_sandbox.components.processes.program import exit_reason
from data_juicer_sandbox.config.parallel import Parallel, Resources
from data_juicer_sandbox.errors import JobError, MissingDependency
from data_juicer_sandbox.parallel.backend import Backend, Ended, Submission
from data_juicer_sandbox.parallel.shared_folder import probe_file
from data_juicer_sandbox.parallel.tasks import LOG
from data_juicer_sandbox.types import LibraryObject

PLACE = "place.json"
"""The file in a task's folder that says on which node it runs."""
CONNECT_SECONDS = 15.0
"""Maximum time in which the cluster accepts a connection."""
NODE_DEATHS = 3
"""How often a task is started again because its node, or its worker of Ray, has died."""
CHECK_SECONDS = 60.0
"""Maximum time in which each node says whether it sees the folder of the run."""
_GB = 1e9


class RayBackend(Backend):
    """Tasks on a Ray cluster. They end with this process.

    Args:
        parallel: `address`: by default `auto`, the cluster of this machine or of `RAY_ADDRESS`; `max_workers`: by
            default, Ray starts as many tasks as have room.
    """

    name = "ray"

    def __init__(self, parallel: Parallel):
        self._address = parallel.address or "auto"
        self._max_workers = parallel.max_workers
        self._ray: LibraryObject = None
        self._is_own = False
        self._remote: LibraryObject = None
        self._queue: deque[Submission] = deque()
        self._running: dict[LibraryObject, Submission] = {}
        self._deaths: Counter[Path] = Counter()

    def check(self, resources: Sequence[tuple[str, Resources]], folder: Path | None = None) -> None:
        """Check that each task fits a node, and that all nodes see the folder.

        Raises:
            JobError: there is no cluster, or one line that says what is wrong with it.
        """
        self._connect()
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        limits = (("gpus", "GPU", 1.0, "GPUs"), ("cpus", "CPU", 1.0, "cores"), ("memory_gb", "memory", _GB, "GB"))
        for label, needed in resources:
            fitting = nodes
            for name, key, unit, title in limits:
                amount = getattr(needed, name) or 0
                largest = max((node["Resources"].get(key, 0) / unit for node in fitting), default=0)
                if amount > largest:
                    what = (
                        f"{label} needs {amount:g} {title}, but the largest node of the Ray cluster has {largest:.4g}"
                    )
                    raise JobError(what, hint=f"lower `resources.{name}`, or use another backend")
                fitting = [node for node in fitting if node["Resources"].get(key, 0) / unit >= amount]
        if folder is not None:
            self._check_visible(nodes, folder)

    def submit(self, submissions: Sequence[Submission]) -> None:
        """Give tasks to Ray; those beyond `max_workers` wait here."""
        self._connect()
        for task in submissions:
            (task.folder / PLACE).unlink(missing_ok=True)
        self._queue += submissions
        self._start()

    def wait(self, seconds: float) -> list[Ended]:
        """Wait until a task ends; start others in its place."""
        if not self._running:
            time.sleep(seconds)
            return []
        references = list(self._running)
        ready, _ = self._ray.wait(references, num_returns=1, timeout=seconds)
        if ready:
            ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        ended = [self._ended(reference) for reference in ready]
        self._start()
        return [entry for entry in ended if entry is not None]

    def where(self, folder: Path) -> str:
        """The node and the process of a task, or `queued`."""
        try:
            place = json.loads((folder / PLACE).read_bytes())
            return f"{place['node']}, pid {place['pid']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "queued"

    def cancel(self, folders: Sequence[Path] | None = None) -> None:
        """End tasks; they get some seconds to save their state."""
        chosen = None if folders is None else set(folders)
        self._queue = deque(task for task in self._queue if chosen is not None and task.folder not in chosen)
        ending = [ref for ref, task in self._running.items() if chosen is None or task.folder in chosen]
        for reference in ending:
            del self._running[reference]
            self._ray.cancel(reference)
        if ending:
            grace = supervisor.GRACE + 2
            _, remaining = self._ray.wait(ending, num_returns=len(ending), timeout=grace)
            for reference in remaining:
                self._ray.cancel(reference, force=True)
        self._start()

    def close(self) -> None:
        """End all tasks; leave the cluster."""
        if self._ray is not None:
            self.cancel()
            if self._is_own:
                self._ray.shutdown()
            self._ray = None

    def _connect(self) -> None:
        """Connect to the cluster.

        Raises:
            MissingDependency: the library for `ray://` is not installed.
            JobError: there is none, or it cannot be used.
        """
        if self._ray is not None:
            return
        # Ray reads these variables at its import. A first start may take long on a busy machine.
        os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        if not ray.is_initialized():
            options = {"include_dashboard": False} if self._address == "local" else {}
            try:
                _reach(self._address)
                ray.init(self._address, log_to_driver=False, logging_level=logging.WARNING, **options)
            except ImportError as error:
                raise MissingDependency(f"{self._address}: {error}", hint="pip install 'ray[client]'") from error
            except (ConnectionError, RuntimeError, ValueError, OSError) as error:
                what = f"cannot use a Ray cluster at `address: {self._address}`: {_first_line(error)}"
                hint = "`ray start --head` starts one; `address: local` starts one for this run"
                raise JobError(what, hint=hint) from error
            self._is_own = True
        self._ray, self._remote = ray, ray.remote(_task_function())

    def _check_visible(self, nodes: Sequence[Mapping[str, LibraryObject]], folder: Path) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        def missing(paths: list[str]) -> list[str]:
            import os

            return [path for path in paths if not os.path.exists(path)]  # noqa: PTH110

        with probe_file(folder) as path:
            on_node = self._ray.remote(missing)
            answers = {}
            for node in nodes:
                strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                task = on_node.options(num_cpus=0, max_retries=0, scheduling_strategy=strategy)
                answers[task.remote([str(path), sys.executable])] = node["NodeManagerHostname"]
            ready, _ = self._ray.wait(list(answers), num_returns=len(answers), timeout=CHECK_SECONDS)
            for reference in ready:
                for absent in self._ray.get(reference):
                    if absent == sys.executable:
                        what = f"the node {answers[reference]} of the Ray cluster does not have {absent}"
                        raise JobError(what, hint="install the same environment at the same path on all nodes")
                    what = f"the node {answers[reference]} of the Ray cluster does not see the folder {folder}"
                    raise JobError(what, hint="use a `work_dir` on a file system that all nodes share")

    def _start(self) -> None:
        while self._queue and (self._max_workers is None or len(self._running) < self._max_workers):
            task = self._queue.popleft()
            needed = task.resources
            remote = self._remote.options(
                name=task.label,
                num_cpus=needed.cpus or 1,
                num_gpus=needed.gpus or 0,
                memory=None if needed.memory_gb is None else int(needed.memory_gb * _GB),
                max_retries=0,  # Ray would also repeat, without end, what takes too much memory
            )
            supervised = [sys.executable, "-I", "-S", str(Path(supervisor.__file__).absolute())]
            defaults = {"OMP_NUM_THREADS": str(needed.cpus or 1), "OMP_WAIT_POLICY": "PASSIVE"}
            settings = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
            if not needed.gpus:
                settings["CUDA_VISIBLE_DEVICES"] = ""  # without it, the task would see all GPUs of the node
            seconds = None if needed.minutes is None else 60 * needed.minutes
            reference = remote.remote(
                supervised, task.command, str(task.folder), LOG, PLACE, defaults, settings, seconds
            )
            self._running[reference] = task

    def _ended(self, reference: LibraryObject) -> Ended | None:
        """What the end of a Ray task means; None if it is started again."""
        task, errors = self._running.pop(reference), self._ray.exceptions
        try:
            status, timed_out, node = self._ray.get(reference)
        except errors.RayError as error:
            text = f"{type(error).__name__}: {_first_line(error)}"
            died = (errors.NodeDiedError, errors.WorkerCrashedError, errors.LocalRayletDiedError)
            if isinstance(error, died) and self._deaths[task.folder] < NODE_DEATHS:
                self._deaths[task.folder] += 1
                logger.warning("{} is started again, since its node or its Ray worker died: {}", task.label, text)
                (task.folder / PLACE).unlink(missing_ok=True)
                self._queue.appendleft(task)
                return None
            return Ended(task.folder, f"was ended by Ray: {text}")
        if timed_out:
            return Ended(task.folder, f"took longer than the {task.resources.minutes:g} minutes of its `resources`")
        return Ended(task.folder, "" if status == 0 else f"{exit_reason(status)} on {node}")


def _task_function() -> Callable[..., tuple[int, bool, str]]:
    """What Ray runs. It uses the standard library only, since Ray sends the code, and its Python may lack this package.

    A nested function is sent as code; a function of a module would be imported on the node.
    """

    def run(
        supervised: list[str],
        command: list[str],
        folder: str,
        log: str,
        place: str,
        defaults: dict[str, str],
        settings: dict[str, str],
        seconds: float | None,
    ) -> tuple[int, bool, str]:
        import contextlib
        import json
        import os
        import select
        import socket
        import subprocess
        import time
        from pathlib import Path

        def terminate() -> None:
            with contextlib.suppress(BrokenPipeError):  # it has ended meanwhile
                os.write(write_end, b"t")  # the supervisor ends the program, and kills it after some seconds

        deadline = float("inf") if seconds is None else time.monotonic() + seconds
        timed_out, node = False, socket.gethostname()
        read_end, write_end = os.pipe()
        try:
            with Path(folder, log).open("ab") as stream:
                process = subprocess.Popen(
                    [*supervised, str(read_end), str(os.getpid()), *command],
                    env={**defaults, **os.environ, **settings},
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    pass_fds=[read_end],
                    start_new_session=True,
                )
            os.close(read_end)
            Path(folder, place).write_text(json.dumps({"node": node, "pid": process.pid}), encoding="utf-8")
            ended = os.pidfd_open(process.pid)
            while True:
                try:
                    # Not longer, since Ray's interruption of a task reaches Python code only.
                    if select.select([ended], [], [], 0.5)[0]:
                        break
                    if time.monotonic() >= deadline and not timed_out:
                        timed_out = True
                        terminate()
                except KeyboardInterrupt:  # the task is cancelled
                    terminate()
            return process.wait(), timed_out, node
        finally:
            os.close(write_end)  # the supervisor kills what is left, also if this process is killed

    return run


def _reach(address: str) -> None:
    """Connect to the port of a cluster, since Ray itself would try for many minutes.

    Raises:
        OSError: nothing answers there.
        ValueError: it is not an address.
    """
    if address == "auto":
        latest = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")  # noqa: S108
        address = os.environ.get("RAY_ADDRESS", "") or (latest.read_text().strip() if latest.is_file() else "auto")
    if address not in ("auto", "local"):
        url = urlsplit(address if "://" in address else f"//{address}")
        if not url.hostname or not url.port:
            raise ValueError("it has no HOST:PORT")
        socket.create_connection((url.hostname, url.port), CONNECT_SECONDS).close()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
