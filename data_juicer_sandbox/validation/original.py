"""Recognise names of the original implementation in errors, and point to `dj-sandbox migrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.workflow.planned_job import PlannedJob

if TYPE_CHECKING:
    from data_juicer_sandbox.migrate.hints import OriginalNames


def original_names(planned_job: PlannedJob) -> OriginalNames:
    """What the original called things in a job."""
    from data_juicer_sandbox.migrate.hints import OriginalNames  # its tables are needed for errors only

    job = planned_job.job
    written_in_config = bool(job.path) and not job.source.file.startswith("<")
    type_name = (planned_job.extra.value or {}).get("type")
    return OriginalNames(job.hook, type_name, job.source.file if written_in_config else "FILE")


def planning_problems(planned_job: PlannedJob) -> list[ConfigError]:
    """The errors of reading a job, with a hint for a type that only the original has."""
    if not planned_job.problems:
        return []
    hint = original_names(planned_job).for_type()
    return [
        ConfigError(problem.what, where=problem.where, hint=f"{hint}; {problem.hint}")
        if hint and "unknown type" in problem.what
        else problem
        for problem in planned_job.problems
    ]
