"""Libraries that the jobs, the search and the trackers of a config need and that are not installed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.errors import ConfigError, Where
from data_juicer_sandbox.factories import import_class
from data_juicer_sandbox.imports import Library, is_installed, libraries
from data_juicer_sandbox.watchers.watcher import known_trackers
from data_juicer_sandbox.workflow.planned_job import PlannedJob


class NotInstalled(ConfigError):
    """Libraries that are not installed: a warning of `validate` and `plan`, since the config may be meant for another
    machine, and an error of a run.

    Args:
        user: what needs them.
        missing: the libraries.
        where: the position of what needs them.
        job_id: the job that needs them; None: the run needs them in any case.
    """

    def __init__(self, user: str, missing: Sequence[Library], where: Where | str, job_id: str | None):
        names = ", ".join(library.module for library in missing)
        installs = "; ".join(dict.fromkeys(library.install for library in missing))
        super().__init__(f"{user}: not installed here: {names}", where=where, hint=installs)
        self.job_id = job_id


def not_installed(config: SandboxConfig, planned_jobs: Iterable[PlannedJob]) -> list[NotInstalled]:
    """What is not installed, as far as the classes declare what they need. No library is imported for it.

    Raises:
        ConfigError: the `required_libraries` of a component failed.
    """
    absent = []
    for planned_job in planned_jobs:
        if planned_job.component is None:
            continue
        label, extra = planned_job.job.label, planned_job.extra
        try:
            required = planned_job.component.required_libraries(extra.value or {})
            missing = _missing(required)
        except Exception as error:  # the class may be a user's
            what = f"job {label!r}: `required_libraries` of {planned_job.component.__name__} failed"
            raise ConfigError(f"{what}: {type(error).__name__}: {error}", where=planned_job.job.where()) from error
        if missing:
            where = extra.where("type") if "type" in (extra.value or {}) else planned_job.job.where("hook")
            absent.append(NotInstalled(f"job {label!r}", missing, where, planned_job.job.id))
    if config.sweep is not None:
        extra_name, module = ("wandb", "wandb") if config.sweep.backend == "wandb" else ("search", "optuna")
        if missing := _missing(libraries(extra_name, module)):
            absent.append(NotInstalled("the search", missing, config.sweep.where(), None))
    for name in config.watchers or ():  # W&B is not needed if it is used only because it is configured
        target = known_trackers().get(name) if isinstance(name, str) else None
        missing = []
        if target:
            with suppress(Exception):  # a tracker that cannot be imported is removed with a warning when the run starts
                missing = _missing(import_class(target).requires)
        if missing:
            absent.append(NotInstalled(f"the watcher {name!r}", missing, config.where("watchers"), None))
    return absent


def _missing(required: Iterable[Library]) -> list[Library]:
    return [library for library in required if not is_installed(library.module)]
