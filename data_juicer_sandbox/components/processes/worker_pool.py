"""Parallel map: in this process, in worker processes on this machine, or on a Ray cluster.

Results and their order do not depend on the engine.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal, NoReturn, TypeVar

from data_juicer_sandbox.components.processes.hardware import cores
from data_juicer_sandbox.errors import JobError

Item = TypeVar("Item")
Result = TypeVar("Result")
Shared = TypeVar("Shared")
Engine = Literal["local", "ray"]
Outcome = tuple[Any, Exception | None, str]

_AHEAD = 2
"""Number of items queued per worker, so that it does not wait for this process."""
_GRACE = 10.0
"""Seconds that a worker has to clean up after SIGTERM."""


class WorkerTraceback(Exception):
    """The cause of an error from a worker; its text is the worker's traceback."""


def run_all(
    function: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item], engine: Engine, *, large: bool
) -> Generator[Result, None, None]:
    """Yield the result of the function for each item, in the order of the items.

    A caller that may stop early must close the iterator (`contextlib.closing`), which also ends the workers.

    Args:
        function: takes `shared` and an item; a top-level function of a module, so that other processes can import it.
        shared: data for all calls; workers must not modify it.
        items: one item per call.
        engine: `local` or `ray`.
        large: whether the work is large enough for worker processes (they take about 50 ms to start).

    Raises:
        JobError: a worker was killed, for example by the system for lack of memory.
        Exception: the function's error for the first item that fails.
    """
    if engine == "ray":
        from data_juicer_sandbox.components.processes.ray_engine import run_on_ray

        yield from run_on_ray(function, shared, items)
    elif large and len(items) > 1 and (workers := min(cores(), len(items))) > 1:
        yield from _in_workers(function, shared, items, workers)
    else:
        for item in items:
            yield function(shared, item)


def _in_workers(
    function: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item], workers: int
) -> Iterator[Result]:
    # Not concurrent.futures: its workers share a pipe, so a worker that is killed while it sends a result blocks the
    # reader forever. Here each worker has its own pipe, which is closed when it ends.
    channels: dict[Connection, BaseProcess] = {}
    numbers = iter(range(len(items)))
    done: dict[int, Outcome] = {}
    try:
        for _ in range(workers):
            _start(channels, (function, shared, items))
        for _ in range(_AHEAD):
            for channel in channels:
                _send_next(channel, numbers)
        for next_number in range(len(items)):
            while next_number not in done:
                for channel in filter(set(wait(channels)).__contains__, channels):
                    number, outcome = _receive(channel)
                    done[number] = outcome
                    _send_next(channel, numbers)
            result, error, worker_traceback = done.pop(next_number)
            if error is not None:
                raise error from WorkerTraceback(worker_traceback)
            yield result
            del result  # so that the caller can free it
    finally:
        # Also after an error or Ctrl-C: the remaining work is not needed.
        for process in channels.values():
            process.terminate()
        for channel, process in channels.items():
            channel.close()
            process.join(_GRACE)
            process.kill()
            process.join()


def _start(channels: dict[Connection, BaseProcess], work: tuple[object, object, object]) -> None:
    """Fork a worker, which inherits its data without pickling."""
    context = multiprocessing.get_context("fork")
    parent_end, worker_end = context.Pipe()
    process = context.Process(target=_serve, args=(worker_end, [*channels, parent_end], *work), daemon=True)
    with warnings.catch_warnings():
        # The only other threads are those of the progress view; workers neither log nor draw.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        process.start()
    worker_end.close()
    channels[parent_end] = process


def _send_next(channel: Connection, numbers: Iterator[int]) -> None:
    if (number := next(numbers, None)) is not None:
        try:
            channel.send(number)
        except OSError as error:
            raise _killed() from error


def _receive(channel: Connection) -> tuple[int, Outcome]:
    try:
        return channel.recv()
    except (EOFError, OSError) as error:
        raise _killed() from error


def _killed() -> JobError:
    return JobError("a worker process was killed", hint="the system may have killed it for lack of memory")


def _serve(
    channel: Connection,
    others: list[Connection],
    function: Callable[[Shared, Item], object],
    shared: Shared,
    items: Sequence[Item],
) -> None:
    """The loop of a worker: processes items until SIGTERM, or until the parent has ended."""
    for other in others:
        other.close()  # so that closed pipes are detected
    for number in (signal.SIGINT, signal.SIGHUP):  # ignored: the parent handles them, and ends its workers
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _exit)
    try:
        while True:
            number = channel.recv()
            outcome: Outcome
            try:
                outcome = function(shared, items[number]), None, ""
            except Exception as error:
                outcome = None, error, traceback.format_exc()
            channel.send((number, outcome))
            del outcome
    except (EOFError, OSError):
        return


def _exit(*_: object) -> NoReturn:
    """Exit by SystemExit, so that the worker cleans up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)
