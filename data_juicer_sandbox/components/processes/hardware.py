"""The processor cores and GPUs that this process may use, and the load of the cores."""

from __future__ import annotations

import os
import time
from pathlib import Path

_SAMPLE = 0.5
"""Seconds in which the load of the cores is measured."""


def core_numbers() -> list[int]:
    """The numbers of the processor cores that this process may use, ascending."""
    return sorted(os.sched_getaffinity(0))


def cores() -> int:
    """The number of processor cores that this process may use."""
    return len(core_numbers())


def idle_cores(seconds: float = _SAMPLE, stat_file: str = "/proc/stat") -> float:
    """How many of this process's cores are idle, such as 1.4 of 2, measured while this process sleeps.

    The load average would still count work that has ended in the last minute. It is used where the kernel does not
    report the time of each core.

    Args:
        seconds: duration of the measurement.
        stat_file: the kernel's statistics.
    """
    before = _core_times(stat_file)
    time.sleep(seconds)
    after = _core_times(stat_file)
    if not before or before.keys() != after.keys():
        return max(0.0, cores() - os.getloadavg()[0])
    idle = 0.0
    for core, (idle_before, total_before) in before.items():
        idle_after, total_after = after[core]
        idle += (idle_after - idle_before) / max(1, total_after - total_before)
    return idle


def _core_times(stat_file: str) -> dict[int, tuple[int, int]]:
    """The idle and the total time of each core that this process may use, in ticks."""
    times: dict[int, tuple[int, int]] = {}
    try:
        lines = Path(stat_file).read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    numbers = {f"cpu{number}": number for number in core_numbers()}
    for line in lines:
        name, *fields = line.split()
        if name in numbers and len(fields) >= 5:
            ticks = [int(field) for field in fields[:8]]
            times[numbers[name]] = ticks[3] + ticks[4], sum(ticks)  # idle, and waiting for a disk
    return times


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
