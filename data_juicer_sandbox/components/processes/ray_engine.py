"""Run work on a Ray cluster, through Ray Data."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from loguru import logger

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_on_ray(function: Callable[[Any, Item], Result], shared: Any, items: Sequence[Item]) -> Iterator[Result]:
    """As `parallel.run_all`, on the cluster that `RAY_ADDRESS` names, or a local one that is started for it.

    All nodes must see the files under the same paths, and have this package.
    """
    if not items:
        return
    ray = _started()
    from ray import cloudpickle

    reference = ray.put((function, shared))

    def work(row: dict[str, Any]) -> dict[str, Any]:
        made, everyone = ray.get(reference)
        outcome: tuple[Any, Exception | None]
        try:
            outcome = made(everyone, cloudpickle.loads(row["item"])), None
        except Exception as error:  # as a value: Ray would wrap it into an error of its own
            outcome = None, error
        return {"number": row["number"], "outcome": cloudpickle.dumps(outcome)}

    rows = [{"number": number, "item": cloudpickle.dumps(item)} for number, item in enumerate(items)]
    waiting: dict[int, bytes] = {}
    following = 0
    data = ray.data.from_items(rows, override_num_blocks=len(rows)).map(work)
    for row in data.iter_rows():
        waiting[int(row["number"])] = row["outcome"]
        while following in waiting:
            result, error = cloudpickle.loads(waiting.pop(following))
            if error is not None:
                raise error
            yield result
            following += 1


def _started() -> Any:
    """Ray, connected to a cluster."""
    # A first start may take long on a machine that is busy; Ray reads these before it is imported.
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.data

    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS") or "local"
        logger.info("starting Ray at {}", address)
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address == "local" else None)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False  # the job has one
    return ray
