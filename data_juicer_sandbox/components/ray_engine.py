"""Work on a Ray cluster, through Ray Data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from loguru import logger

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_on_ray(function: Callable[[Any, Item], Result], shared: Any, items: Sequence[Item]) -> Iterator[Result]:
    """As `parallel.run_all`, on the cluster that `RAY_ADDRESS` names, or a local one that is started for it.

    All nodes must see the files under the same paths.
    """
    # A first start may take long on a machine that is busy; Ray reads this before it is imported.
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
    import ray
    from ray import cloudpickle

    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS") or "local"
        logger.info("starting Ray at {}", address)
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address == "local" else None)
    reference = ray.put((function, shared))

    def work(row: dict[str, Any]) -> dict[str, Any]:
        made, everyone = ray.get(reference)
        return {"number": row["number"], "result": cloudpickle.dumps(made(everyone, cloudpickle.loads(row["item"])))}

    rows = [{"number": number, "item": cloudpickle.dumps(item)} for number, item in enumerate(items)]
    waiting: dict[int, Any] = {}
    following = 0
    data = ray.data.from_items(rows, override_num_blocks=len(rows)).map(work)
    for row in data.iter_rows():
        waiting[int(row["number"])] = row["result"]
        while following in waiting:
            yield cloudpickle.loads(waiting.pop(following))
            following += 1
