"""The key `parallel`: which backend runs the jobs, and what each of them needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.config.yaml_source import KeyPath
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import JsonValue

BackendName = Literal["serial", "local", "slurm", "ray"]
OnError = Literal["stop", "continue"]
SLURM = "slurm_"
"""Start of the keys that submitit receives: `slurm_partition`, `slurm_account`, ..."""
Report = Callable[[str, KeyPath, str | None], None]
"""Takes a problem, the path of its key, and what would be right."""


@dataclass(frozen=True)
class Resources:
    """What one task needs: a job, or one item of a job that has several.

    Args:
        cpus: processor cores.
        gpus: GPUs.
        memory_gb: memory in 10^9 bytes.
        minutes: maximum run time.
    """

    cpus: int | None = None
    gpus: int | None = None
    memory_gb: float | None = None
    minutes: float | None = None

    def over(self, defaults: Resources) -> Resources:
        """These values, and the defaults for those that are not set."""
        pairs = {part.name: (getattr(self, part.name), getattr(defaults, part.name)) for part in fields(self)}
        return Resources(**{name: default if value is None else value for name, (value, default) in pairs.items()})


@dataclass(frozen=True)
class Parallel:
    """How the tasks of a run are distributed.

    Args:
        backend: `serial`: one job after the other in this process; `local`: processes on this machine; `slurm`; `ray`.
        max_workers: maximum number of tasks that run at the same time; None: the backend decides.
        retries: how often a failed task is started again.
        address: of the Ray cluster: `auto`, `ray://HOST:PORT`, or `local` to start one on this machine.
        resources: what a task needs if its job does not say.
        slurm: parameters of SLURM by submitit's names.
    """

    backend: BackendName = "serial"
    max_workers: int | None = None
    retries: int = 0
    address: str | None = None
    resources: Resources = field(default_factory=Resources)
    slurm: Mapping[str, JsonValue] = field(default_factory=dict)


def read_parallel(value: object, report: Report) -> Parallel:
    """Read the key `parallel`: the name of a backend, or a mapping.

    Args:
        value: its value.
        report: receives the problems; their paths start with `parallel`.
    """
    if value is None:
        return Parallel()
    entries: Mapping[object, JsonValue] = {"backend": value} if isinstance(value, str) else dict(value)  # type: ignore[call-overload]
    key_names = [part.name for part in fields(Parallel) if part.name != "slurm"]
    values: dict[str, JsonValue] = {}
    slurm: dict[str, JsonValue] = {}
    for key, entry in entries.items():
        path: KeyPath = ("parallel", str(key)) if not isinstance(value, str) else ("parallel",)
        if isinstance(key, str) and key.startswith(SLURM) and key != SLURM:
            slurm[key] = entry
        elif key not in key_names:
            report(
                f"unknown key {shown(key)} in `parallel`", path, suggest(str(key), [*key_names, f"{SLURM}partition"])
            )
        elif entry is None:
            continue
        elif key == "backend" and entry not in get_args(BackendName):
            report(f"unknown backend {shown(entry)}", path, f"one of {', '.join(get_args(BackendName))}")
        elif key == "max_workers" and not _is_count(entry, 1):
            report(f"`max_workers` must be a whole number of 1 or more, not {shown(entry)}", path, None)
        elif key == "retries" and not _is_count(entry, 0):
            report(f"`retries` must be a whole number of 0 or more, not {shown(entry)}", path, None)
        elif key == "address" and not isinstance(entry, str):
            report(f"`address` must be text, not {shown(entry)}", path, "auto, ray://HOST:PORT, or local")
        elif key == "resources":
            values[key] = read_resources(entry, path, report)
        else:
            values[str(key)] = entry
    backend = values.get("backend", "serial")
    for name, owner in (("address", "ray"), *((key, "slurm") for key in slurm)):
        if (name in values or name in slurm) and backend != owner:
            report(f"{name!r} is for the backend {owner}, not for {backend}", ("parallel", name), None)
    return Parallel(**values, slurm=slurm)


def read_resources(value: object, path: KeyPath, report: Report) -> Resources:
    """Read `resources`: of a job, or of all jobs.

    Args:
        value: its value.
        path: the path of the key.
        report: receives the problems.
    """
    if value is None:
        return Resources()
    if not isinstance(value, Mapping):
        report("`resources` must be a mapping", path, "such as {cpus: 2, gpus: 1, memory_gb: 16, minutes: 90}")
        return Resources()
    key_names = [part.name for part in fields(Resources)]
    values: dict[str, JsonValue] = {}
    for key, entry in value.items():
        if key not in key_names:
            report(f"unknown key {shown(key)} in `resources`", (*path, str(key)), suggest(str(key), key_names))
        elif entry is None:
            continue
        elif key in ("cpus", "gpus") and not _is_count(entry, 1 if key == "cpus" else 0):
            least = 1 if key == "cpus" else 0
            report(f"`{key}` must be a whole number of {least} or more, not {shown(entry)}", (*path, key), None)
        elif key in ("memory_gb", "minutes") and not _is_positive(entry):
            report(f"`{key}` must be a number above 0, not {shown(entry)}", (*path, key), None)
        else:
            values[str(key)] = entry
    return Resources(**values)


def _is_count(value: object, least: int) -> bool:
    return type(value) is int and value >= least


def _is_positive(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")  # type: ignore[operator]
