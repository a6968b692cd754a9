"""The processor cores and GPUs that this process may use."""

from __future__ import annotations

import os
from pathlib import Path


def core_numbers() -> list[int]:
    """The numbers of the processor cores that this process may use, ascending."""
    return sorted(os.sched_getaffinity(0))


def cores() -> int:
    """The number of processor cores that this process may use."""
    return len(core_numbers())


def visible_gpus(count: int | None = None) -> list[str]:
    """The GPUs as CUDA_VISIBLE_DEVICES names them; without that variable, the numbers of all GPUs.

    Args:
        count: number of GPUs, if a library has counted them; None: count the device files of NVIDIA's driver.
    """
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    if variable is not None:
        return [gpu for gpu in variable.split(",") if gpu.strip()]
    if count is not None:
        return [str(index) for index in range(count)]
    return sorted((file.name.removeprefix("nvidia") for file in Path("/dev").glob("nvidia[0-9]*")), key=int)
