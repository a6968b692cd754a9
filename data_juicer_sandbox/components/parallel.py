"""One function over many items: in this process, in workers on this machine, or on a Ray cluster.

The results are the same and come in the same order, whichever does the work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

from data_juicer_sandbox.errors import JobError

Item = TypeVar("Item")
Result = TypeVar("Result")
Engine = Literal["local", "ray"]

_inherited: tuple[Callable[[Any, Any], Any], Any, Sequence[Any]] | None = None
"""The function, what it shares and its items: a forked worker has them without their being sent."""


def run_all(
    function: Callable[[Any, Item], Result], shared: Any, items: Sequence[Item], engine: Engine, *, large: bool
) -> Iterator[Result]:
    """What the function makes of each item, in the order of the items.

    Args:
        function: takes `shared` and an item; at the top of a module, so that other processes find it.
        shared: what all calls need; workers must not change it.
        items: one for each call.
        engine: `local`, or `ray`.
        large: whether there is enough to do for workers to be worth their start (some 50 ms).

    Raises:
        JobError: a worker was killed, by the system for its memory, say.
        Exception: whatever the function raises.
    """
    if engine == "ray":
        from data_juicer_sandbox.components.ray_engine import run_on_ray

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
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    global _inherited
    before = set(multiprocessing.active_children())
    _inherited = function, shared, items
    try:
        with warnings.catch_warnings():
            # The other threads here are those of the progress view; workers neither log nor draw.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            pool = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _begin)
            futures = deque(pool.submit(_do, number) for number in range(len(items)))
        try:
            while futures:
                yield futures.popleft().result()  # not kept here: the caller may want to let go of it
        except BrokenProcessPool as error:
            raise JobError("a worker process was killed", hint="by the system for want of memory, perhaps") from error
        except BaseException:
            # An error, or Ctrl-C: nobody waits for what the others still do.
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
    finally:
        _inherited = None


def _begin() -> None:
    """In a new worker: signals are the parent's business, which ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _do(number: int) -> Any:
    if _inherited is None:
        raise RuntimeError("a worker inherited nothing to do")
    function, shared, items = _inherited
    return function(shared, items[number])
