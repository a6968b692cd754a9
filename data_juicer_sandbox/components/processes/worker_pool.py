"""One function over many items: in this process, in workers on this machine, or on a Ray cluster.

The results are the same and come in the same order, whichever does the work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal, NoReturn, TypeVar

from data_juicer_sandbox.errors import JobError

Item = TypeVar("Item")
Result = TypeVar("Result")
Engine = Literal["local", "ray"]
Outcome = tuple[Any, Exception | None, str]

_AHEAD = 2
"""Items that a worker is handed at a time, so that it need not wait for this process."""
_GRACE = 10.0
"""Seconds that a worker has to clear away what it had begun."""


class WorkerTraceback(Exception):
    """The cause of an error that came from a worker: where it happened there."""


def run_all(
    function: Callable[[Any, Item], Result], shared: Any, items: Sequence[Item], engine: Engine, *, large: bool
) -> Generator[Result, None, None]:
    """What the function makes of each item, in the order of the items.

    Who may stop before the end closes the iterator (`contextlib.closing`), and with it the workers.

    Args:
        function: takes `shared` and an item; at the top of a module, so that other processes find it.
        shared: what all calls need; workers must not change it.
        items: one for each call.
        engine: `local`, or `ray`.
        large: whether there is enough to do for workers to be worth their start (some 50 ms).

    Raises:
        JobError: a worker was killed, by the system for its memory, say.
        Exception: whatever the function raises, for the first item for which it does.
    """
    if engine == "ray":
        from data_juicer_sandbox.components.processes.ray_engine import run_on_ray

        yield from run_on_ray(function, shared, items)
    elif large and len(items) > 1 and (workers := min(cores(), len(items))) > 1:
        yield from _in_workers(function, shared, items, workers)
    else:
        for item in items:
            yield function(shared, item)


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _in_workers(
    function: Callable[[Any, Item], Result], shared: Any, items: Sequence[Item], workers: int
) -> Iterator[Result]:
    # Not concurrent.futures: its workers share one pipe, and one that is killed half-way through a result leaves the
    # reader waiting for the rest for ever. Here each has its own, which ends with it.
    channels: dict[Connection, BaseProcess] = {}
    numbers = iter(range(len(items)))
    done: dict[int, Outcome] = {}
    try:
        for _ in range(workers):
            _start(channels, (function, shared, items))
        for _ in range(_AHEAD):
            for channel in channels:
                _hand(channel, numbers)
        for following in range(len(items)):
            while following not in done:
                for channel in filter(set(wait(channels)).__contains__, channels):
                    number, outcome = _receive(channel)
                    done[number] = outcome
                    _hand(channel, numbers)
            result, error, place = done.pop(following)
            if error is not None:
                raise error from WorkerTraceback(place)
            yield result
            del result  # the caller may want to let go of it
    finally:
        # Also after an error, or Ctrl-C: nobody waits for what the workers still do.
        for process in channels.values():
            process.terminate()
        for channel, process in channels.items():
            channel.close()
            process.join(_GRACE)
            process.kill()
            process.join()


def _start(channels: dict[Connection, BaseProcess], work: tuple[Any, Any, Any]) -> None:
    """Fork a worker, which has what it works on without its being sent."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, [*channels, ours], *work), daemon=True)
    with warnings.catch_warnings():
        # The other threads here are those of the progress view; workers neither log nor draw.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        process.start()
    theirs.close()
    channels[ours] = process


def _hand(channel: Connection, numbers: Iterator[int]) -> None:
    if (number := next(numbers, None)) is not None:
        try:
            channel.send(number)
        except OSError as error:
            raise _killed() from error


def _receive(channel: Connection) -> Any:
    try:
        return channel.recv()
    except (EOFError, OSError) as error:
        raise _killed() from error


def _killed() -> JobError:
    return JobError("a worker process was killed", hint="by the system for want of memory, perhaps")


def _serve(channel: Connection, others: list[Connection], function: Any, shared: Any, items: Any) -> None:
    """A worker: does what it is handed until it is told to end, or the one who asked is gone."""
    for other in others:
        other.close()  # so that the ends of pipes are seen
    for number in (signal.SIGINT, signal.SIGHUP):  # the parent's business, which ends its workers itself
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
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


def _end(*_: Any) -> NoReturn:
    """An orderly end: what was begun is cleared away."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)
