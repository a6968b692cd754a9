"""Run work on a Ray cluster, through Ray Data."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from loguru import logger

from data_juicer_sandbox.types import LibraryObject, Row

Item = TypeVar("Item")
Result = TypeVar("Result")
Shared = TypeVar("Shared")


def run_on_ray(function: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item]) -> Iterator[Result]:
    """Like `worker_pool.run_all`, on the cluster of `RAY_ADDRESS`, or on a local one that is started.

    All nodes must have the files at the same paths, and this package installed.
    """
    if not items:
        return
    ray = _connected()
    from ray import cloudpickle

    reference = ray.put((function, shared))

    def work(row: Row) -> Row:
        remote_function, remote_shared = ray.get(reference)
        outcome: tuple[object, Exception | None]
        try:
            outcome = remote_function(remote_shared, cloudpickle.loads(row["item"])), None
        except Exception as error:  # returned as a value, since Ray would wrap it in its own error
            outcome = None, error
        return {"number": row["number"], "outcome": cloudpickle.dumps(outcome)}

    rows = [{"number": number, "item": cloudpickle.dumps(item)} for number, item in enumerate(items)]
    waiting: dict[int, bytes] = {}
    next_number = 0
    data = ray.data.from_items(rows, override_num_blocks=len(rows)).map(work)
    for row in data.iter_rows():
        waiting[int(row["number"])] = row["outcome"]
        while next_number in waiting:
            result, error = cloudpickle.loads(waiting.pop(next_number))
            if error is not None:
                raise error
            yield result
            next_number += 1


def _connected() -> LibraryObject:
    """The Ray module, connected to a cluster."""
    # A first start may take long on a busy machine. Ray reads these variables at its import.
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.data

    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS") or "local"
        logger.info("starting Ray at {}", address)
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address == "local" else None)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False  # the job has its own progress bar
    return ray
